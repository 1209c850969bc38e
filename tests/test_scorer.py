"""A scorer gives scores, p-values and ratios that mean the same for every detector."""

import numpy as np
import pytest

from featad.base import BaseDetector
from featad.calibration import CalibratedDetector, calibrate
from featad.registry import build
from featad.scorer import Scorer


@pytest.fixture
def system(images):
    return calibrate(build("pixels-kmeans"), target_fpr=0.1, random_state=0).fit(images)


def test_a_scorer_returns_scores_and_p_values(system, images):
    scorer = Scorer(system)
    scores, p_values = scorer.score(list(images))
    np.testing.assert_array_equal(scores, system.score_samples(images))
    np.testing.assert_array_equal(p_values, system[-1].p_values_from_scores(scores))
    assert scorer.threshold == 0 - system[-1].offset_


class Shifted(BaseDetector):
    """Score a number by itself, in other units."""

    def __init__(self, factor=1.0, shift=0.0, contamination=0.1):
        self.factor = factor
        self.shift = shift
        self.contamination = contamination

    def _fit(self, X):
        pass

    def _strangeness(self, X):
        return self.factor * X[:, 0].astype(np.float64) + self.shift


def _ratios(values, target_fpr=0.1, **units):
    """Return the ratios of values after a calibration on 1, 2, ..., 19."""
    normal = np.arange(1.0, 20.0)[:, None]
    system = CalibratedDetector(Shifted(**units), target_fpr=target_fpr).fit(normal)
    scorer = Scorer(system)
    return scorer.score_ratios(scorer.score(np.reshape(values, (-1, 1)))[0])


@pytest.mark.parametrize(("factor", "shift"), [(1, 0), (8, -1000), (0.5, 1000)])
def test_the_ratio_is_0_at_the_median_and_1_at_the_threshold(factor, shift):
    ratios = _ratios([10, 18, 26, 2], factor=factor, shift=shift)
    np.testing.assert_allclose(ratios, [0, 1, 2, -1], rtol=1e-9)


def test_the_ratio_is_above_1_exactly_where_a_sample_is_anomalous(system):
    scorer = Scorer(system)
    line = 0 - scorer.threshold
    scores = np.array([np.nextafter(line, -np.inf), line, np.nextafter(line, np.inf)])
    assert (scorer.score_ratios(scores) > 1).tolist() == [True, False, False]


def test_the_ratio_never_falls_where_the_anomaly_score_rises(system):
    scores = -np.linspace(-3, 3, 10_001)
    assert (np.diff(Scorer(system).score_ratios(scores)) >= 0).all()


@pytest.mark.parametrize("target_fpr", [0.5, 0.9])
def test_a_threshold_that_is_not_above_the_median_has_no_ratio(target_fpr):
    assert np.isnan(_ratios([1, 19], target_fpr=target_fpr)).all()


def test_equal_held_out_scores_have_no_ratio():
    with pytest.warns(UserWarning, match="is blind"):
        assert np.isnan(_ratios([1, 19], factor=0.0)).all()
