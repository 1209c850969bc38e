"""Mean ROC curves of folds, and their bootstrap draws."""

import numpy as np
import pytest
from sklearn.metrics import auc, roc_curve

from featad.metrics import auroc, bootstrap_interval, mean_roc, roc_draws

Y = np.repeat([1, -1], 12)
SCORES = np.linspace(0, 1, 24)


def test_the_mean_curve_of_folds_has_their_mean_area():
    rng = np.random.default_rng(0)
    folds = [(Y, rng.integers(0, 6, 24) + 2 * (Y == -1)), (Y[5:], SCORES[5:])]
    folds += [(Y, rng.normal(size=24))]
    fpr, tpr, area = mean_roc(folds)
    assert auc(fpr, tpr) == pytest.approx(area, abs=1e-12)
    assert area == pytest.approx(np.mean([auroc(*fold) for fold in folds]))
    assert (np.diff(tpr) >= -1e-12).all()


def test_the_curve_of_one_fold_is_that_of_scikit_learn():
    score = np.random.default_rng(0).integers(0, 6, 24) + 2 * (Y == -1)
    fpr, tpr, _ = mean_roc([(Y, score)])
    np.testing.assert_array_equal([fpr, tpr], roc_curve(Y == -1, score)[:2])


def test_areas_of_draws_give_the_bootstrap_interval_of_the_auroc():
    score = np.random.default_rng(0).normal(size=24) + (Y == -1)
    areas, _ = roc_draws([(Y, score)], [np.arange(24)], Y, np.array([0.5]))
    interval = bootstrap_interval(auroc, Y, score)
    np.testing.assert_allclose(np.percentile(areas, [2.5, 97.5]), interval)


def test_a_draw_of_each_sample_once_has_the_curve_itself(monkeypatch):
    monkeypatch.setattr(
        "featad.metrics.curves.bootstrap_counts",
        lambda *_: iter([np.ones((1, 24), dtype=int)]),
    )
    score = np.random.default_rng(0).integers(0, 6, 24) + (Y == -1)
    fpr, tpr, area = mean_roc([(Y, score)])
    areas, found = roc_draws([(Y, score)], [np.arange(24)], Y, fpr)
    assert areas == pytest.approx(area)
    np.testing.assert_allclose(found[0], np.interp(fpr, fpr, tpr))
