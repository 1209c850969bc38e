"""Isolation forest on random projections."""

import numpy as np
import pytest
from sklearn import ensemble
from sklearn.metrics import roc_auc_score

from featad import IsolationForest


def test_without_projections_scores_are_scikit_learns():
    X = np.random.default_rng(0).normal(size=(60, 4))
    ours = IsolationForest(20, n_projections=None, random_state=0).fit(X)
    seed = ours.forest_.random_state
    theirs = ensemble.IsolationForest(n_estimators=20, random_state=seed).fit(X)
    np.testing.assert_array_equal(ours.score_samples(X), theirs.score_samples(X))


def test_projections_see_unusual_combinations_of_usual_values():
    random = np.random.default_rng(0)
    X = np.concatenate([random.normal(size=(100, 2)) + c for c in ([0, 10], [10, 0])])
    crossings = random.normal(size=(50, 2)) + [10, 10]
    new, y = np.concatenate([X, crossings]), np.repeat([1, -1], [200, 50])
    aurocs = []
    for n_projections in (None, 64):
        detector = IsolationForest(100, n_projections=n_projections, random_state=0)
        aurocs.append(roc_auc_score(y, detector.fit(X).score_samples(new)))
    assert aurocs[1] > max(0.95, aurocs[0] + 0.02)


def test_more_samples_for_a_tree_than_there_are_are_all_of_them():
    X = np.random.default_rng(0).normal(size=(20, 3))
    many, all_of_them = (
        IsolationForest(10, max_samples=n, random_state=0).fit(X) for n in (500, 20)
    )
    np.testing.assert_array_equal(many.score_samples(X), all_of_them.score_samples(X))


def test_another_seed_gives_other_directions():
    X = np.random.default_rng(0).normal(size=(20, 3))
    first, second = (IsolationForest(5, random_state=seed).fit(X) for seed in (0, 1))
    assert (first.directions_ != second.directions_).any()
    assert first.directions_.shape == (3, 512)


@pytest.mark.parametrize("n_projections", [None, 8])
def test_images_are_taken(n_projections):
    X = np.random.default_rng(0).random((12, 4, 4, 3))
    detector = IsolationForest(5, n_projections=n_projections, random_state=0).fit(X)
    assert detector.score_samples(X).shape == (12,)
