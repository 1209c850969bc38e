"""Calibrated thresholds: false alarm rate, p-values, folds, and what is fitted when."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, LeaveOneOut, RepeatedKFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import OneClassSVM

import featad
from featad import ShrunkWhitening
from featad.base import BaseDetector
from featad.calibration import CalibratedDetector
from featad.detectors import KMeansDistance, Mahalanobis, NearestNeighbors
from featad.registry import build
from featad.trimming import TrimmedDetector


def normals(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3))


class Recorder(BaseDetector):
    """Distance to zero; remembers every call of fit and score_samples of all copies."""

    fits: list = []
    scored: list = []

    def __init__(self, *, contamination=0.05):
        self.contamination = contamination

    def fit(self, X, y=None):
        type(self).fits.append((np.asarray(X)[:, 0], y))
        return super().fit(X)

    def score_samples(self, X):
        type(self).scored.append(np.asarray(X)[:, 0])
        return super().score_samples(X)

    def _fit(self, X):
        self.fitted_ = True

    def _strangeness(self, X):
        return np.linalg.norm(X, axis=1)


@pytest.fixture
def recorder():
    Recorder.fits, Recorder.scored = [], []
    return Recorder()


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


@pytest.mark.parametrize("svm", [OneClassSVM(), featad.OneClassSVM()])
@pytest.mark.parametrize("outer", [None, TrimmedDetector])
def test_scores_that_grow_with_the_training_set_are_brought_to_one_unit(outer, svm):
    system = make_pipeline(StandardScaler(), svm)
    system = system if outer is None else outer(system)
    X = np.repeat(normals(50), 2, axis=0)  # twice the samples, twice the score
    cv = ShuffleSplit(1, test_size=0.5, random_state=0)
    detector = CalibratedDetector(system, target_fpr=0.1, cv=cv).fit(X)
    held_out = np.median(detector.calibration_scores_)
    assert held_out == pytest.approx(np.median(detector.score_samples(X)), rel=0.1)


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


def test_there_are_no_more_folds_than_normals(recorder):
    CalibratedDetector(recorder, cv=10, target_fpr=0.3).fit(normals(4))
    assert len(Recorder.fits) == 1 + 4


def test_every_normal_is_scored_once_by_a_copy_that_has_not_seen_it(recorder):
    X = normals(23)
    CalibratedDetector(recorder, target_fpr=0.1).fit(X)
    (whole, _), *folds = Recorder.fits
    np.testing.assert_array_equal(whole, X[:, 0])
    for (seen, _), scored in zip(folds, Recorder.scored, strict=True):
        assert not set(seen) & set(scored)
    np.testing.assert_array_equal(
        np.sort(np.concatenate(Recorder.scored)), np.sort(X[:, 0])
    )


def test_anomalies_and_unlabeled_samples_never_calibrate(recorder):
    X = normals(40)
    y = np.ones(40, dtype=int)
    y[[3, 7]], y[[11, 20]] = -1, 0
    detector = CalibratedDetector(recorder, target_fpr=0.1).fit(X, y)
    scored = np.concatenate(Recorder.scored)
    np.testing.assert_array_equal(np.sort(scored), np.sort(X[y == 1, 0]))
    assert len(detector.calibration_scores_) == 36


def test_anomalies_do_not_move_the_threshold(recorder):
    X = normals(40)
    y = np.where(np.arange(40) < 5, -1, 1)
    moved = X.copy()
    moved[:5] *= 1000
    offsets = [
        CalibratedDetector(recorder, target_fpr=0.1, random_state=0).fit(x, y).offset_
        for x in (X, moved)
    ]
    assert offsets[0] == offsets[1]


def test_labels_and_all_samples_reach_the_fits(recorder):
    X = normals(40)
    y = np.where(np.arange(40) < 5, -1, 1)
    CalibratedDetector(recorder, target_fpr=0.1).fit(X, y)
    (_, whole), *folds = Recorder.fits
    np.testing.assert_array_equal(whole, y)
    for seen, labels in folds:
        np.testing.assert_array_equal(labels == -1, np.isin(seen, X[:5, 0]))
        assert (labels == -1).sum() == 5


@pytest.mark.parametrize("y", [[0, 1], [2, 3], ["good", "bad"]])
def test_labels_without_an_anomaly_are_not_used_and_that_is_said(y):
    message = (
        r"no -1; .* y is not used to calibrate: all 20 .* np\.where\(y == 1, -1, 1\)"
    )
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


def test_a_splitter_can_hold_out_a_part(recorder):
    cv = ShuffleSplit(1, test_size=0.5, random_state=0)
    detector = CalibratedDetector(recorder, target_fpr=0.1, cv=cv).fit(normals(40))
    assert len(detector.calibration_scores_) == 20


def test_a_splitter_calibrates_on_normals_only(recorder):
    y = np.where(np.arange(40) < 10, -1, 1)
    detector = CalibratedDetector(recorder, target_fpr=0.1, cv=KFold(4))
    assert len(detector.fit(normals(40), y).calibration_scores_) == 30


class FirstRows:
    """Hold out the first ten rows only."""

    def split(self, X, y=None):
        rows = np.arange(len(X))
        yield rows[10:], rows[:10]


@pytest.mark.parametrize(
    ("cv", "held_out"),
    [
        (RepeatedKFold(n_splits=2, n_repeats=2), "5 of 5, 10 times"),
        (FirstRows(), "0 of 5, 0 times"),
    ],
)
def test_a_splitter_that_repeats_or_forgets_normals_is_refused(cv, held_out):
    y = np.where(np.arange(20) < 15, -1, 1)
    detector = CalibratedDetector(Mahalanobis(), cv=cv)
    with pytest.raises(ValueError, match=f"it holds out {held_out}"):
        detector.fit(normals(20), y)


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


class CountingMahalanobis(Mahalanobis):
    """Notes how many samples each fit saw."""

    seen: ClassVar[list] = []

    def _fit(self, X):
        self.seen.append(len(X))
        super()._fit(X)


@pytest.mark.parametrize(
    ("steps", "cv", "fits"),
    [
        ([], 5, [30]),
        ([Normalizer(), "passthrough"], 5, [30]),
        (["passthrough", Normalizer()], 5, [30]),
        ([StandardScaler()], 5, [30] + [24] * 5),
        ([], KFold(3), [30] + [20] * 3),
    ],
)
def test_held_out_scores_of_the_fit_save_the_folds(steps, cv, fits):
    CountingMahalanobis.seen.clear()
    system = make_pipeline(*steps, CountingMahalanobis())
    CalibratedDetector(system, target_fpr=0.1, cv=cv).fit(normals(30))
    assert CountingMahalanobis.seen == fits


@pytest.mark.parametrize("n_features", [3, 200])
def test_held_out_scores_are_those_of_leave_one_out_refits(n_features):
    X = np.random.default_rng(0).normal(size=(100, n_features))
    known = CalibratedDetector(Mahalanobis(), target_fpr=0.1).fit(X)
    refits = CalibratedDetector(Mahalanobis(), target_fpr=0.1, cv=LeaveOneOut()).fit(X)
    np.testing.assert_allclose(
        known.calibration_scores_, refits.calibration_scores_, rtol=0.1
    )
    assert known.offset_ == pytest.approx(refits.offset_, rel=0.03)


def test_held_out_scores_keep_the_false_alarm_rate_with_few_samples_of_many_features():
    rates = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X, fresh = np.split(rng.normal(size=(160, 300)) * np.logspace(0, -2, 300), [60])
        detector = CalibratedDetector(Mahalanobis(), target_fpr=0.1).fit(X)
        rates.append((detector.predict(fresh) == -1).mean())
    assert 0.06 < np.mean(rates) < 0.14


def test_held_out_scores_of_anomalies_and_unlabeled_samples_never_calibrate():
    X = normals(40)
    y = np.ones(40, dtype=int)
    y[[3, 7]], y[[11, 20]] = -1, 0
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.1).fit(X, y)
    expected = Mahalanobis().fit(X).held_out_scores_[y == 1]
    np.testing.assert_array_equal(detector.calibration_scores_, np.sort(expected))


def test_samples_too_few_for_held_out_scores_are_folded():
    X = [[0.0, 0, 0], [2, 0, 0]]
    assert Mahalanobis().fit(X).held_out_scores_ is None
    with pytest.raises(ValueError, match="at least 2 samples"):
        CalibratedDetector(Mahalanobis(), target_fpr=0.5).fit(X)


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


class RecordingDistance(KMeansDistance):
    """Notes how many columns each fit saw."""

    seen: ClassVar[list] = []

    def _fit(self, X):
        self.seen.append(X.shape[1])
        super()._fit(X)


def test_a_share_of_the_variance_keeps_as_many_components_in_every_fold():
    X = np.random.default_rng(0).normal(size=(60, 40))
    RecordingDistance.seen.clear()
    system = make_pipeline(PCA(0.9, whiten=True), RecordingDistance(random_state=0))
    CalibratedDetector(system, target_fpr=0.1, random_state=0).fit(X)
    assert len(set(RecordingDistance.seen)) == 1


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


def test_a_frozen_detector_is_calibrated_on_samples_it_never_saw():
    X, new, others = normals(200), normals(200, 1), normals(1000, 2)
    fitted = Mahalanobis().fit(X)
    before = fitted.score_samples(others)
    calibrated = CalibratedDetector(FrozenEstimator(fitted), target_fpr=0.1).fit(new)
    np.testing.assert_array_equal(calibrated.score_samples(others), before)
    assert (calibrated.predict(others) == -1).mean() == pytest.approx(0.1, abs=0.04)
