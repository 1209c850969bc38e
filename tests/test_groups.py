"""Groups: samples of one part are held out together, and reach fit by every way."""

import numpy as np
import pytest
from _recorder import LabeledRecorder, Recorder
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import featad
from featad.calibration import CalibratedDetector
from featad.detectors import Mahalanobis

PARTS = np.repeat(np.arange(10), 4)


def normals(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3))


@pytest.fixture
def recorder():
    Recorder.fits, Recorder.scored = [], []
    return Recorder()


def test_a_number_of_folds_holds_out_whole_groups(recorder):
    X = normals(40)
    CalibratedDetector(recorder, target_fpr=0.3).fit(X, groups=PARTS)
    part_of = dict(zip(X[:, 0], PARTS, strict=True))
    assert len(Recorder.fits) == 1 + 5
    for (seen, _), scored in zip(Recorder.fits[1:], Recorder.scored, strict=True):
        assert not {part_of[x] for x in seen} & {part_of[x] for x in scored}


def test_held_out_scores_of_the_fit_are_not_used_with_groups():
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.3)
    detector.fit(normals(40), groups=PARTS)
    known = detector.estimator_.held_out_scores_
    assert (detector.held_out_scores_ != known).all()
    assert detector.n_calibration_ == 10


def test_there_are_no_more_folds_than_groups(recorder):
    CalibratedDetector(recorder, target_fpr=0.3).fit(normals(9), groups=[0, 1, 2] * 3)
    assert len(Recorder.fits) == 1 + 3


def test_one_group_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 normal groups .* got 1 group\."):
        CalibratedDetector(Mahalanobis()).fit(normals(9), groups=["a"] * 9)


@pytest.mark.parametrize("groups", [[1, 2], np.zeros((9, 1))])
def test_groups_of_another_length_are_refused(groups):
    with pytest.raises(ValueError, match="groups must hold|inconsistent numbers"):
        CalibratedDetector(Mahalanobis()).fit(normals(9), groups=groups)


@pytest.mark.parametrize(
    "cv", [GroupKFold(5), list(GroupKFold(5).split(PARTS, groups=PARTS))]
)
def test_splitters_of_groups_and_their_splits_are_taken(cv):
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.3, cv=cv)
    detector.fit(normals(40), groups=PARTS)
    assert detector.n_calibration_ == 10


def test_a_splitter_that_tears_a_group_is_refused():
    detector = CalibratedDetector(Mahalanobis(), cv=KFold(3))
    with pytest.raises(ValueError, match="cv must keep groups whole"):
        detector.fit(normals(40), groups=PARTS)


def test_a_share_holds_out_whole_groups(recorder):
    X = normals(40)
    detector = CalibratedDetector(recorder, target_fpr=0.3, cv=0.25, random_state=0)
    detector.fit(X, groups=PARTS)
    held_out = np.isin(np.arange(40), detector.calibration_indices_)
    assert not set(PARTS[held_out]) & set(PARTS[~held_out])
    assert detector.n_calibration_ == 3
    np.testing.assert_array_equal(Recorder.fits[0][0], X[~held_out, 0])


def test_anomalies_of_a_held_out_group_are_not_trained_on(recorder):
    recorder.__class__ = LabeledRecorder
    X, y = normals(40), np.where(np.arange(40) % 4, 1, -1)
    CalibratedDetector(recorder, target_fpr=0.3).fit(X, y, groups=PARTS)
    part_of = dict(zip(X[:, 0], PARTS, strict=True))
    for (seen, _), scored in zip(Recorder.fits[1:], Recorder.scored, strict=True):
        assert not {part_of[x] for x in seen} & {part_of[x] for x in scored}


def test_groups_reach_the_detector_of_a_pipeline():
    system = featad.calibrate(
        make_pipeline(Normalizer(), Mahalanobis()), target_fpr=0.3
    )
    system.fit(normals(40), detector__groups=PARTS)
    assert system[-1].n_calibration_ == 10
    with config_context(enable_metadata_routing=True):
        system.fit(normals(40), groups=PARTS[::-1])
        assert system[-1].n_calibration_ == 10
        system[-1].set_fit_request(groups=True)
        search = GridSearchCV(
            system,
            {"detector__target_fpr": [0.3]},
            scoring=lambda *args: 0.0,
            cv=GroupKFold(2),
        )
        search.fit(normals(40), groups=PARTS)
        assert search.best_estimator_[-1].n_calibration_ == 10


def test_groups_are_cut_like_the_samples_where_anomalies_are_left_out():
    y = np.where(PARTS == 3, -1, 1)
    system = featad.calibrate(Mahalanobis(), target_fpr=0.3)
    system.fit(normals(40), y, detector__groups=PARTS)
    assert system[-1].n_calibration_ == 9
