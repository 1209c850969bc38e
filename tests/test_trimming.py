"""Trimmed training: what is left out, and what that is worth."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from featad.base import anomaly_scores
from featad.detectors import (
    KMeansDistance,
    Mahalanobis,
    NearestNeighbors,
    PCAReconstruction,
)
from featad.trimming import TrimmedDetector


def contaminated(n=50, n_anomalies=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    X[:n_anomalies] += [6, 0, 0]
    return X


def digits(normal, contamination, seed):
    """Return contaminated training digits, test digits, and which are anomalous."""
    X, digit = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    own = rng.permutation(np.flatnonzero(digit == normal))
    others = rng.permutation(np.flatnonzero(digit != normal))
    half = len(own) // 2
    n_anomalies = round(contamination / (1 - contamination) * half)
    train = np.concatenate([own[:half], others[:n_anomalies]])
    test = np.concatenate([own[half:], others[n_anomalies:]])
    return X[train], digit[train] != normal, X[test], digit[test] != normal


@pytest.mark.parametrize(
    ("detector", "normal", "margin"),
    [
        (KMeansDistance(2, random_state=0), 0, 0.005),
        (NearestNeighbors(), 0, 0.005),
        (NearestNeighbors(), 8, 0.03),
        (Mahalanobis(), 8, 0.01),
        (PCAReconstruction(8), 8, 0.01),
    ],
)
def test_trimming_beats_no_trimming_at_the_same_contamination(detector, normal, margin):
    gains = []
    for seed in range(5):
        train, _, test, anomalous = digits(normal, 0.1, seed)
        trimmed = TrimmedDetector(detector, contamination=0.1).fit(train)
        gains.append(
            roc_auc_score(anomalous, anomaly_scores(trimmed, test))
            - roc_auc_score(anomalous, anomaly_scores(detector.fit(train), test))
        )
    assert np.mean(gains) > margin


def test_what_is_left_out_is_mostly_anomalous():
    train, anomalous, _, _ = digits(0, 0.1, seed=0)
    trimmed = TrimmedDetector(NearestNeighbors(), contamination=0.1).fit(train)
    assert anomalous[~trimmed.kept_].mean() > 0.8


def test_planted_anomalies_are_left_out_of_the_last_fit():
    X = contaminated()
    trimmed = TrimmedDetector(Mahalanobis(), contamination=0.1).fit(X)
    np.testing.assert_array_equal(np.flatnonzero(~trimmed.kept_), np.arange(5))
    expected = Mahalanobis().fit(X[5:]).score_samples(X)
    np.testing.assert_array_equal(trimmed.score_samples(X), expected)


def test_the_share_left_out_is_the_contamination_to_the_nearest_sample():
    trimmed = TrimmedDetector(Mahalanobis(), contamination=0.07)
    assert (~trimmed.fit(contaminated(40)).kept_).sum() == 3


def test_the_threshold_meets_the_contamination_on_all_training_samples():
    X = contaminated()
    trimmed = TrimmedDetector(Mahalanobis(), contamination=0.1).fit(X)
    np.testing.assert_array_equal(trimmed.predict(X) == -1, ~trimmed.kept_)


def test_a_share_of_less_than_half_a_sample_trims_nothing():
    X = contaminated(20)
    trimmed = TrimmedDetector(Mahalanobis(), contamination=0.02).fit(X)
    assert trimmed.kept_.all()
    np.testing.assert_array_equal(
        trimmed.score_samples(X), Mahalanobis().fit(X).score_samples(X)
    )


def test_rounds_end_when_the_kept_samples_stay_the_same():
    calls = []
    counter = FunctionTransformer(lambda X: calls.append(len(X)) or X)
    system = make_pipeline(counter, Mahalanobis())
    TrimmedDetector(system, contamination=0.1, n_rounds=50).fit(contaminated())
    assert len(calls) < 10


def test_labels_are_trimmed_with_the_samples():
    seen = []

    class Recorder(Mahalanobis):
        def fit(self, X, y=None):
            seen.append(y)
            return super().fit(X)

    y = np.where(np.arange(50) < 5, -1, 1)
    TrimmedDetector(Recorder(), contamination=0.1).fit(contaminated(), y)
    np.testing.assert_array_equal(seen[0], y)
    np.testing.assert_array_equal(seen[-1], np.ones(45))


def test_sequences_are_handed_on_as_they_are():
    X = contaminated()
    words = [" ".join(map(str, row)) for row in X]
    system = make_pipeline(FunctionTransformer(read_words), Mahalanobis())
    trimmed = TrimmedDetector(system, contamination=0.1).fit(words)
    np.testing.assert_array_equal(np.flatnonzero(~trimmed.kept_), np.arange(5))


def read_words(words):
    assert isinstance(words, list)
    return np.array([word.split() for word in words], dtype=float)


def test_the_estimator_given_is_not_fitted():
    estimator = make_pipeline(StandardScaler(), KMeansDistance())
    trimmed = TrimmedDetector(estimator, random_state=0).fit(contaminated())
    assert not hasattr(estimator[-1], "kmeans_")
    assert estimator[-1].random_state is None
    assert trimmed.estimator_[-1].random_state is not None


def test_bad_input_is_refused_before_anything_is_trimmed():
    X = contaminated()
    X[0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        TrimmedDetector(Mahalanobis()).fit(X)
