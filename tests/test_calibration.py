"""Calibrated thresholds: false alarm rate, p-values, folds, and what is fitted when."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

import featad
from featad import ShrunkWhitening
from featad.calibration import CalibratedDetector
from featad.detectors import (
    Autoencoder,
    FenceGAN,
    KMeansDistance,
    Mahalanobis,
    NearestNeighbors,
)
from featad.registry import build


def normals(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3))


SYSTEMS = {
    "kmeans": KMeansDistance(random_state=0),
    "neighbors": NearestNeighbors(3),
    "pipeline": make_pipeline(StandardScaler(), PCA(2), Mahalanobis()),
    "one-class svm": OneClassSVM(),
    "featad's one-class svm": featad.OneClassSVM(gamma="median"),
    "whitened": make_pipeline(ShrunkWhitening(), KMeansDistance(1, random_state=0)),
    "mahalanobis": Mahalanobis(),
}


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_the_false_alarm_rate_on_fresh_normals_is_the_target(system):
    n, target, n_fresh, n_trials = 199, 0.1, 400, 12
    alarms = 0
    for seed in range(n_trials):
        detector = CalibratedDetector(system, target_fpr=target, random_state=seed)
        detector.fit(normals(n, seed))
        alarms += (detector.predict(normals(n_fresh, 1000 + seed)) == -1).sum()
    # given the calibration set, the rate is Beta(k, n + 1 - k) with k = target (n + 1)
    deviation = np.sqrt(target * (1 - target) / (n + 2) / n_trials)
    deviation = np.hypot(deviation, np.sqrt(target * (1 - target) / n_fresh / n_trials))
    assert abs(alarms / n_fresh / n_trials - target) < 3.5 * deviation


def test_p_values_of_fresh_normals_are_uniform():
    p_values = []
    for seed in range(20):
        detector = CalibratedDetector(Mahalanobis(), target_fpr=0.1, random_state=seed)
        detector.fit(normals(150, seed))
        p_values.extend(detector.p_values(normals(20, 99 + seed)))
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_a_quantile_of_the_training_scores_alarms_too_often():
    rates = {"training": [], "calibrated": []}
    for seed in range(5):
        detector = KMeansDistance(40, contamination=0.1, random_state=0)
        X, fresh = normals(200, seed), normals(1000, 500 + seed)
        calibrated = CalibratedDetector(detector, target_fpr=0.1, random_state=0)
        rates["training"].append((detector.fit(X).predict(fresh) == -1).mean())
        rates["calibrated"].append((calibrated.fit(X).predict(fresh) == -1).mean())
    assert np.mean(rates["training"]) > 0.2
    assert np.mean(rates["calibrated"]) < 0.13


@pytest.mark.parametrize("target_fpr", [0.01, 0.05, 0.07, 0.29, 0.5, 0.999])
@pytest.mark.parametrize("n", [99, 100, 121])
def test_a_sample_is_anomalous_exactly_when_its_p_value_reaches_the_target(
    target_fpr, n
):
    X = np.random.default_rng(n).integers(0, 9, size=(n, 2)) * 1.0  # many ties
    detector = CalibratedDetector(Mahalanobis(), target_fpr=target_fpr).fit(X)
    fresh = np.vstack([X, np.random.default_rng(0).normal(4, 5, size=(300, 2))])
    anomalous = detector.predict(fresh) == -1
    np.testing.assert_array_equal(anomalous, detector.p_values(fresh) <= target_fpr)


def test_the_exact_rank_survives_rounding():
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.29).fit(normals(99))
    assert detector.offset_ == detector.calibration_scores_[28]  # 29, not 28 of 100


def test_p_values_count_the_scores_that_are_not_above():
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.5).fit(normals(4))
    low, *_, high = detector.calibration_scores_
    p_values = detector.p_values_from_scores([low - 1, low, high - 1e-9, high])
    np.testing.assert_allclose(p_values, [1 / 5, 2 / 5, 4 / 5, 1])


def test_the_p_value_of_a_score_that_is_not_a_number_is_none():
    detector = CalibratedDetector(KMeansDistance(), target_fpr=0.2).fit(normals(20))
    p_values = detector.p_values_from_scores([np.nan, 0.0])
    np.testing.assert_array_equal(np.isnan(p_values), [True, False])


def test_too_few_normals_for_the_target_are_warned_of():
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.01)
    message = r"20 held-out .* target_fpr=0.01, which needs 99; .* rate of 0.0476"
    with pytest.warns(UserWarning, match=message):
        detector.fit(normals(20))
    assert detector.offset_ == detector.calibration_scores_[0]


def test_enough_normals_for_the_target_give_no_warning(recwarn):
    CalibratedDetector(Mahalanobis(), target_fpr=0.01).fit(normals(99))
    assert not recwarn.list


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_normals_are_refused(n):
    y = np.full(10, -1)
    y[:n] = 1
    with pytest.raises(ValueError, match=f"at least 2 normal samples .* got {n}"):
        CalibratedDetector(KMeansDistance()).fit(normals(10), y)


@pytest.mark.parametrize("y", [[0, 1], [2, 3]])
def test_labels_without_an_anomaly_are_not_used_and_that_is_said(y):
    message = r"no -1; .* not used to calibrate: all 20 .* np\.where\(y == 1, -1, 1\)"
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.1)
    with pytest.warns(UserWarning, match=message):
        detector.fit(normals(20), y * 10)
    assert len(detector.calibration_scores_) == 20


@pytest.mark.parametrize("other", [2, np.nan, 0.5])
def test_an_anomaly_beside_other_values_is_refused(other):
    with pytest.raises(ValueError, match=r"1 \(normal\) or -1 \(anomalous\) or 0"):
        CalibratedDetector(Mahalanobis()).fit(normals(20), [-1, other] * 10)


def test_a_wrong_number_of_labels_is_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        CalibratedDetector(Mahalanobis()).fit(normals(20), [1] * 19)


def test_scores_that_are_no_numbers_are_refused():
    class Broken(OneClassSVM):
        def score_samples(self, X):
            return np.full(len(X), np.nan)

    with pytest.raises(ValueError, match="Broken gave 20 of 20 held-out normal"):
        CalibratedDetector(Broken()).fit(normals(20))


def test_an_estimator_without_scores_is_refused():
    with pytest.raises(ValueError, match="'estimator' parameter of CalibratedDetector"):
        CalibratedDetector(StandardScaler()).fit(normals(20))
    assert not hasattr(CalibratedDetector(StandardScaler()), "score_samples")


def test_p_values_before_fit_are_refused():
    with pytest.raises(NotFittedError):
        CalibratedDetector(KMeansDistance()).p_values_from_scores([0.0])


def test_the_estimator_given_is_not_fitted():
    estimator = KMeansDistance()
    detector = CalibratedDetector(estimator, target_fpr=0.1, random_state=0)
    detector.fit(normals(30))
    assert detector.estimator is estimator
    assert not hasattr(estimator, "kmeans_")
    assert estimator.random_state is None


def test_one_seed_repeats_folds_and_what_is_inside():
    system = make_pipeline(StandardScaler(), KMeansDistance())
    X = normals(60)
    fits = [
        CalibratedDetector(system, target_fpr=0.1, random_state=3).fit(X)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(
        fits[0].calibration_scores_, fits[1].calibration_scores_
    )
    np.testing.assert_array_equal(*(fit.score_samples(X) for fit in fits))


def test_a_seed_inside_is_not_overruled():
    detector = CalibratedDetector(
        KMeansDistance(random_state=7), target_fpr=0.1, random_state=3
    )
    assert detector.fit(normals(30)).estimator_.random_state == 7


def test_held_out_scores_keep_the_false_alarm_rate_with_few_samples_of_many_features():
    rates = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X, fresh = np.split(rng.normal(size=(160, 300)) * np.logspace(0, -2, 300), [60])
        detector = CalibratedDetector(Mahalanobis(), target_fpr=0.1).fit(X)
        rates.append((detector.predict(fresh) == -1).mean())
    assert 0.06 < np.mean(rates) < 0.14


def test_image_batches_and_frames_are_taken(images):
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.1).fit(images)
    assert detector.n_features_in_ == 192
    frame = pd.DataFrame(normals(30), columns=list("abc"))
    detector.fit(frame)
    assert list(detector.feature_names_in_) == ["a", "b", "c"]


def test_fitted_attributes_of_the_estimator_are_not_there_before_fit():
    detector = CalibratedDetector(Mahalanobis())
    assert not hasattr(detector, "n_features_in_")
    assert not hasattr(detector, "feature_names_in_")


@pytest.mark.parametrize(
    ("estimator", "expected"), [(Mahalanobis(), True), (OneClassSVM(), False)]
)
def test_input_tags_are_those_of_the_estimator(estimator, expected):
    tags = CalibratedDetector(estimator).__sklearn_tags__()
    assert tags.input_tags.three_d_array == expected


@pytest.mark.parametrize("name", ["pixels-ocsvm", "pixels-kmeans", "pixels-knn"])
def test_named_systems_keep_their_false_alarm_rate(name):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(30, 64)) * np.linspace(1, 0.1, 30)[:, None]
    rates = []
    for seed in range(8):
        latent = np.random.default_rng(seed).normal(size=(1120, 30))
        X = latent @ mixing
        system = clone(build(name)[1:])
        detector = CalibratedDetector(system, target_fpr=0.1, random_state=seed)
        rates.append((detector.fit(X[:120]).predict(X[120:]) == -1).mean())
    assert 0.05 < np.mean(rates) < 0.14


def test_the_threshold_moves_without_another_fit():
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.01).fit(normals(199))
    fitted, scores = detector.estimator_, detector.calibration_scores_
    assert detector.set_threshold(target_fpr=0.1) is detector
    assert detector.target_fpr == 0.1
    assert detector.offset_ == scores[19]
    assert detector.estimator_ is fitted
    expected = CalibratedDetector(Mahalanobis(), target_fpr=0.1).fit(normals(199))
    assert detector.false_alarm_interval_ == expected.false_alarm_interval_


@pytest.mark.parametrize("target_fpr", [0, 1, -0.1, "low"])
def test_a_threshold_out_of_range_changes_nothing(target_fpr):
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.1).fit(normals(30))
    offset = detector.offset_
    with pytest.raises(ValueError, match="'target_fpr' parameter"):
        detector.set_threshold(target_fpr=target_fpr)
    assert (detector.target_fpr, detector.offset_) == (0.1, offset)


def test_a_threshold_before_fit_is_refused():
    with pytest.raises(NotFittedError):
        CalibratedDetector(KMeansDistance()).set_threshold(target_fpr=0.1)


def test_a_hundred_normals_leave_a_rate_of_one_percent_up_to_three_and_a_half():
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.01).fit(normals(100))
    low, high = detector.false_alarm_interval_
    assert low < 0.001
    assert high == pytest.approx(0.036, abs=0.001)


def test_the_true_rate_lies_in_the_interval_19_times_of_20():
    inside = 0
    for seed in range(60):
        detector = CalibratedDetector(Mahalanobis(), target_fpr=0.1, random_state=0)
        low, high = detector.fit(normals(99, seed)).false_alarm_interval_
        inside += low < (detector.predict(normals(4000, 999)) == -1).mean() < high
    assert stats.binomtest(inside, 60, 0.95).pvalue > 0.01


def test_held_out_scores_are_told_in_the_order_of_the_samples():
    X, y = normals(40), np.where(np.arange(40) < 4, -1, 1)
    detector = CalibratedDetector(KMeansDistance(random_state=0), target_fpr=0.1)
    detector.fit(X, y)
    np.testing.assert_array_equal(detector.calibration_indices_, np.arange(4, 40))
    assert np.isnan(detector.held_out_scores_[:4]).all()
    np.testing.assert_array_equal(
        np.sort(detector.held_out_scores_[4:]), detector.calibration_scores_
    )
    assert detector.n_calibration_ == 36


@pytest.mark.slow
@pytest.mark.parametrize(
    "detector",
    [
        FenceGAN(width=8, max_epochs=25, lr=0.005, gamma=0.5, device="cpu"),
        Autoencoder(2, width=8, max_epochs=5, device="cpu"),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_the_false_alarm_rate_of_trained_networks_is_the_target(detector):
    alarms, n_fresh, seeds = 0, 400, range(6)
    for seed in seeds:
        calibrated = CalibratedDetector(detector, target_fpr=0.1, random_state=seed)
        calibrated.fit(normals(330, seed))
        assert calibrated.n_calibration_ == 99
        alarms += (calibrated.predict(normals(n_fresh, 50 + seed)) == -1).sum()
    deviation = np.sqrt(0.1 * 0.9 * (1 / 101 + 1 / n_fresh) / len(seeds))
    assert abs(alarms / n_fresh / len(seeds) - 0.1) < 2.6 * deviation


def test_the_contamination_of_a_forest_does_not_set_the_rate():
    offsets = [
        CalibratedDetector(
            IsolationForest(n_estimators=10, contamination=share),
            target_fpr=0.1,
            random_state=0,
        )
        .fit(normals(60))
        .offset_
        for share in ("auto", 0.01, 0.4)
    ]
    assert len(set(offsets)) == 1
