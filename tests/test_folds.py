"""Running systems on folds: what comes back, what is shared, what is let go."""

import weakref

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from featad.base import anomaly_scores
from featad.detectors import KMeansDistance, Mahalanobis
from featad.folds import drop_unused, make_folds, run_folds

Y = np.repeat([1, -1], [12, 6])
X = np.random.default_rng(0).normal(size=(18, 2)) + 3 * (Y == -1)[:, None]


class Features(np.ndarray):
    """An array that can be watched."""


class Watched(TransformerMixin, BaseEstimator):
    """Learn nothing; note which earlier features of all are still in memory."""

    made: list = []
    alive: list = []

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        self.alive.append(sum(made() is not None for made in self.made))
        features = (np.asarray(X) * self.factor).view(Features)
        if len(X) == len(Y):  # all images, not the one that warms the network up
            self.made.append(weakref.ref(features))
        return features

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags


def test_each_fold_has_the_scores_of_a_system_fitted_on_it():
    folds = make_folds(3, Y, random_state=0)
    found = run_folds({"a": Mahalanobis()}, X, Y, folds)
    for (train, test), scores in zip(folds, found["a"].scores, strict=True):
        expected = anomaly_scores(Mahalanobis().fit(X[train]), X[test])
        np.testing.assert_array_equal(scores, expected)
    assert found["a"].fit_seconds > 0
    assert found["a"].images_per_second > 0


def test_progress_counts_the_folds_of_all_systems():
    calls = []
    systems = {"a": Mahalanobis(), "b": KMeansDistance(1)}
    folds = make_folds(2, Y, random_state=0)
    run_folds(systems, X, Y, folds, lambda *call: calls.append(call))
    assert calls == [(1, 4, "a"), (2, 4, "a"), (3, 4, "b"), (4, 4, "b")]


def test_shared_features_are_let_go_before_the_next_are_made():
    systems = {
        f"{detector} {factor}": make_pipeline(Watched(factor), detector)
        for factor in (1.0, 2.0)
        for detector in (Mahalanobis(), KMeansDistance(1))
    }
    Watched.made.clear()
    Watched.alive.clear()
    run_folds(systems, X, Y, make_folds(2, Y, random_state=0))
    assert len(Watched.made) == 2
    assert max(Watched.alive) == 0


def test_samples_of_no_fold_are_dropped_and_the_rest_renumbered():
    kept, y, folds = drop_unused(X, Y, [(np.array([2, 4]), np.array([5, 13]))])
    np.testing.assert_array_equal(kept, X[[2, 4, 5, 13]])
    np.testing.assert_array_equal(y, [1, 1, 1, -1])
    np.testing.assert_array_equal(folds, [([0, 1], [2, 3])])


@pytest.mark.parametrize(
    "samples", [list(X), X, [str(row) for row in X]], ids=["list", "array", "paths"]
)
def test_nothing_is_copied_where_every_sample_is_used(samples):
    kept, y, _ = drop_unused(samples, Y, make_folds(2, Y, random_state=0))
    assert kept is samples
    assert y is Y


def test_a_number_of_folds_keeps_groups_whole():
    groups = np.arange(len(Y)) // 2
    for train, test in make_folds(2, Y, random_state=0, groups=groups):
        assert not set(groups[train]) & set(groups[test])


def test_a_splitter_that_tears_a_group_is_refused():
    groups = np.arange(len(Y)) // 2
    cv = KFold(5, shuffle=True, random_state=0)
    with pytest.raises(ValueError, match="keep groups whole, but split 1 .* groups"):
        make_folds(cv, Y, random_state=0, groups=groups)
