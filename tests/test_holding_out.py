"""Holding out: who is fitted on, who calibrates, and which fits that takes."""

from typing import ClassVar

import joblib
import numpy as np
import pytest
from _recorder import LabeledRecorder, Recorder
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    KFold,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import OneClassSVM

import featad
from featad.calibration import CalibratedDetector
from featad.detectors import ASCNet, Autoencoder, KMeansDistance, Mahalanobis
from featad.trimming import TrimmedDetector


def normals(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3))


@pytest.fixture
def recorder():
    Recorder.fits, Recorder.scored = [], []
    return Recorder()


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


def test_anomalies_are_left_out_of_the_fits(recorder):
    X = normals(40)
    y = np.where(np.arange(40) < 5, -1, 1)
    CalibratedDetector(recorder, target_fpr=0.1).fit(X, y)
    for seen, labels in Recorder.fits:
        assert (labels == 1).all()
        assert not np.isin(seen, X[:5, 0]).any()


def test_labels_and_all_samples_reach_a_detector_that_learns_from_labels(recorder):
    X = normals(40)
    y = np.where(np.arange(40) < 5, -1, 1)
    recorder.__class__ = LabeledRecorder
    CalibratedDetector(recorder, target_fpr=0.1).fit(X, y)
    (_, whole), *folds = Recorder.fits
    np.testing.assert_array_equal(whole, y)
    for seen, labels in folds:
        np.testing.assert_array_equal(labels == -1, np.isin(seen, X[:5, 0]))
        assert (labels == -1).sum() == 5


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

    def get_n_splits(self, X=None, y=None):
        return 1


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


def test_held_out_scores_of_anomalies_and_unlabeled_samples_never_calibrate():
    X = normals(40)
    y = np.ones(40, dtype=int)
    y[[3, 7]], y[[11, 20]] = -1, 0
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.1).fit(X, y)
    learned = y != -1
    expected = Mahalanobis().fit(X[learned]).held_out_scores_[y[learned] == 1]
    np.testing.assert_array_equal(detector.calibration_scores_, np.sort(expected))


def test_samples_too_few_for_held_out_scores_are_folded():
    X = [[0.0, 0, 0], [2, 0, 0]]
    assert Mahalanobis().fit(X).held_out_scores_ is None
    with pytest.raises(ValueError, match="at least 2 samples"):
        CalibratedDetector(Mahalanobis(), target_fpr=0.5).fit(X)


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


def test_a_frozen_detector_is_calibrated_on_samples_it_never_saw():
    X, new, others = normals(200), normals(200, 1), normals(1000, 2)
    fitted = Mahalanobis().fit(X)
    before = fitted.score_samples(others)
    calibrated = CalibratedDetector(FrozenEstimator(fitted), target_fpr=0.1).fit(new)
    np.testing.assert_array_equal(calibrated.score_samples(others), before)
    assert (calibrated.predict(others) == -1).mean() == pytest.approx(0.1, abs=0.04)


def test_splits_are_taken_from_a_list_or_a_generator():
    X = normals(40)
    splits = list(KFold(4).split(X))
    expected = CalibratedDetector(Mahalanobis(), target_fpr=0.1, cv=KFold(4)).fit(X)
    for cv in (splits, iter(splits)):
        system = featad.calibrate(Mahalanobis(), target_fpr=0.1, cv=cv)
        for fitted in (system.fit(X), system.fit(X)):
            assert fitted[-1].offset_ == expected.offset_


def test_a_message_about_splits_does_not_print_every_index():
    splits = [(np.arange(100), np.arange(50, 100))] * 2
    with pytest.raises(ValueError, match="cv=list must hold out") as caught:
        CalibratedDetector(Mahalanobis(), cv=splits).fit(normals(100))
    assert len(str(caught.value)) < 200


def test_a_share_is_held_out_from_the_only_fit(recorder):
    X = normals(40)
    detector = CalibratedDetector(recorder, target_fpr=0.1, cv=0.3, random_state=0)
    detector.fit(X)
    [(seen, _)], [scored] = Recorder.fits, Recorder.scored
    assert (len(seen), len(scored)) == (28, 12)
    np.testing.assert_array_equal(X[detector.calibration_indices_, 0], scored)
    assert not set(seen) & set(scored)


@pytest.mark.parametrize("cv", [0.0, 1.0, 1, -0.1, "5", [1, 2]])
def test_other_values_of_cv_are_refused(cv):
    with pytest.raises((ValueError, TypeError)):
        CalibratedDetector(Mahalanobis(), target_fpr=0.3, cv=cv).fit(normals(20))


def test_unlabeled_samples_do_not_calibrate_where_zero_means_unlabeled(recorder):
    recorder.__class__ = LabeledRecorder
    X, y = normals(40), np.repeat([1, 0], 20)
    detector = CalibratedDetector(recorder, target_fpr=0.1, random_state=0).fit(X, y)
    np.testing.assert_array_equal(detector.calibration_indices_, np.arange(20))


def test_a_mixed_set_does_not_calibrate_ascnet():
    X, y = normals(40), np.repeat([1, 0], 20)
    X[20:] += 5
    system = ASCNet(max_epochs=1, width=4, depth=1, n_critic=1, device="cpu")
    detector = CalibratedDetector(system, target_fpr=0.2).fit(X, y)
    assert detector.n_calibration_ == 6
    assert detector.calibration_indices_.max() < 20


def test_networks_are_calibrated_by_one_fit():
    detector = Autoencoder(2, width=4, max_epochs=1, device="cpu")
    for system in (detector, make_pipeline(StandardScaler(), detector)):
        calibrated = CalibratedDetector(system, target_fpr=0.2).fit(normals(20))
        assert calibrated.n_calibration_ == 6
    folded = CalibratedDetector(detector, target_fpr=0.2, cv=2).fit(normals(20))
    assert folded.n_calibration_ == 20


class Scoring(KMeansDistance):
    """Notes how often training samples are scored for a threshold."""

    scored: ClassVar[list] = []

    def _scores(self, X):
        self.scored.append(len(X))
        return super()._scores(X)


def test_copies_in_folds_do_not_score_what_they_were_fitted_on():
    Scoring.scored.clear()
    system = make_pipeline(StandardScaler(), Scoring(2, random_state=0))
    CalibratedDetector(system, target_fpr=0.1).fit(normals(30))
    assert Scoring.scored == [30] + [6] * 5


def test_jobs_do_not_change_the_scores():
    fits = []
    for n_jobs in (None, 2):
        detector = CalibratedDetector(
            KMeansDistance(), target_fpr=0.1, random_state=0, n_jobs=n_jobs
        )
        with joblib.parallel_config(backend="threading"):
            fits.append(detector.fit(normals(30)).held_out_scores_)
    np.testing.assert_array_equal(*fits)


def test_calibrating_with_anomalies_in_y_learns_from_the_normals_only():
    X = np.r_[normals(50), normals(20) + 9]
    y = np.repeat([1, -1], [50, 20])
    for system in (
        featad.calibrate(Mahalanobis(), target_fpr=0.05),
        featad.calibrate(make_pipeline(StandardScaler(), Mahalanobis())),
        CalibratedDetector(Mahalanobis(), target_fpr=0.05),
        CalibratedDetector(OneClassSVM(), target_fpr=0.05),
    ):
        assert (system.fit(X, y).predict(X[50:]) == -1).all()


def test_a_frozen_system_is_calibrated_whole_by_every_new_normal():
    fitted = make_pipeline(Normalizer(), StandardScaler(), Mahalanobis())
    fitted.fit(normals(200))
    new = normals(99, 1)
    for system in (
        featad.calibrate(FrozenEstimator(fitted), target_fpr=0.1),
        featad.calibrate(make_pipeline(Normalizer(), FrozenEstimator(fitted[1:]))),
    ):
        calibrated = system.fit(new)[-1]
        assert calibrated.n_calibration_ == 99
        np.testing.assert_array_equal(
            calibrated.calibration_scores_, np.sort(fitted.score_samples(new))
        )


def test_a_calibrated_system_is_calibrated_again_when_frozen():
    system = featad.calibrate(Mahalanobis(), target_fpr=0.1).fit(normals(99))
    again = featad.calibrate(FrozenEstimator(system), target_fpr=0.1)
    again.fit(normals(59, 1))
    assert again[-1].n_calibration_ == 59
    X = normals(5, 2)
    np.testing.assert_array_equal(again.score_samples(X), system.score_samples(X))
