"""Calibrating a whole system: what stays in front and what is fitted in folds."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from featad.calibration import CalibratedDetector, calibrate
from featad.detectors import KMeansDistance, Mahalanobis


def normals(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3))


class Loader(TransformerMixin, BaseEstimator):
    """Turn names such as "0.5,1.0" into rows; counts how often each is read."""

    reads: list = []

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        type(self).reads.extend(X)
        return np.array([[float(v) for v in name.split(",")] for name in X])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags


@pytest.fixture
def names():
    Loader.reads = []
    return [",".join(map(str, row)) for row in normals(40)]


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series])
def test_names_are_handed_on_as_they_are(names, kind):
    X = kind(names)
    if kind is pd.Series:
        X.index = X.index[::-1] + 5  # rows are counted, not looked up
    system = make_pipeline(Loader(), KMeansDistance(random_state=0))
    detector = CalibratedDetector(system, target_fpr=0.1, random_state=0).fit(X)
    rows = CalibratedDetector(system[1], target_fpr=0.1, random_state=0)
    rows.fit(normals(40))
    np.testing.assert_array_equal(detector.predict(X), rows.predict(normals(40)))


def test_calibrate_extracts_features_once_per_image(names):
    system = calibrate(
        make_pipeline(Loader(), PCA(2), KMeansDistance()), target_fpr=0.1
    )
    system.fit(names)
    assert Loader.reads == names
    assert list(system.named_steps) == ["loader", "detector"]
    assert [name for name, _ in system[-1].estimator.steps] == ["pca", "kmeansdistance"]


def test_calibrate_scores_as_the_whole_system_would(names):
    system = make_pipeline(Loader(), KMeansDistance())
    inside = CalibratedDetector(system, target_fpr=0.1, random_state=0).fit(names)
    outside = calibrate(system, target_fpr=0.1, random_state=0).fit(names)
    np.testing.assert_array_equal(
        inside.decision_function(names), outside.decision_function(names)
    )
    # inside: the fit, the look for copies, 4 folds without and 1 with it, the decision
    assert Loader.reads.count(names[0]) == (1 + 1 + 4 + 1 + 1) + (1 + 1)


def test_calibrate_leaves_the_system_alone():
    system = make_pipeline(Normalizer(), KMeansDistance())
    calibrated = calibrate(system, target_fpr=0.1).fit(normals(30))
    assert calibrated[0] is not system[0]
    assert not hasattr(system[-1], "offset_")


def test_calibrate_hands_on_its_parameters_and_the_pipelines_own(tmp_path):
    system = make_pipeline(Normalizer(), KMeansDistance(), memory=str(tmp_path))
    calibrated = calibrate(system, target_fpr=0.2, cv=3, random_state=1)
    assert calibrated.memory == str(tmp_path)
    detector = calibrated[-1]
    assert (detector.target_fpr, detector.cv, detector.random_state) == (0.2, 3, 1)


def test_calibrate_takes_a_bare_detector():
    system = calibrate(Mahalanobis(), target_fpr=0.1).fit(normals(30))
    assert list(system.named_steps) == ["detector"]
    assert isinstance(system[-1].estimator_, Mahalanobis)


@pytest.mark.parametrize("steps", [(), (Normalizer(),)])
def test_calibrating_twice_is_refused(steps):
    detector = CalibratedDetector(KMeansDistance())
    with pytest.raises(ValueError, match="calibrated already"):
        calibrate(make_pipeline(*steps, detector) if steps else detector)


def test_a_calibrated_system_can_be_cloned_and_searched():
    system = calibrate(make_pipeline(Normalizer(), KMeansDistance()), target_fpr=0.1)
    changed = clone(system).set_params(detector__estimator__n_clusters=3)
    assert changed.fit(normals(30))[-1].estimator_.n_clusters == 3
