"""Walking through systems: every part is found, wherever it is."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from featad.calibration import CalibratedDetector
from featad.detectors import KMeansDistance
from featad.images import ImageReader
from featad.systems import iter_parts, last_step, set_everywhere, split_stateless
from featad.trimming import TrimmedDetector


def _reading(**options):
    return make_pipeline(ImageReader(flatten=True, **options), KMeansDistance(2))


def _calibrated(images):
    return CalibratedDetector(_reading(), target_fpr=0.2).fit(images)


def _searched(images):
    grid = {"kmeansdistance__n_clusters": [1]}
    return GridSearchCV(_reading(), grid, scoring=lambda *_: 0.0, cv=2).fit(images)


def _trimmed_and_calibrated(images):
    return CalibratedDetector(TrimmedDetector(_reading()), target_fpr=0.2).fit(images)


def _frozen(images):
    fitted = FrozenEstimator(_reading().fit(images))
    return CalibratedDetector(fitted, target_fpr=0.2).fit(images)


FITTED = [_calibrated, _searched, _trimmed_and_calibrated, _frozen]


@pytest.mark.parametrize("fit", FITTED)
def test_fitted_parts_are_found_inside_meta_estimators(fit, images):
    parts = list(iter_parts(fit(images)))
    assert sum(isinstance(part, ImageReader) for part in parts) == 1
    assert sum(hasattr(part, "sample_shape_") for part in parts) == 1


def test_an_unfitted_meta_estimator_has_no_fitted_parts():
    system = CalibratedDetector(_reading())
    assert list(iter_parts(system)) == [system]


@pytest.mark.parametrize("fit", FITTED)
def test_a_parameter_is_set_on_fitted_parts_too(fit, images):
    system = fit(images)
    assert set_everywhere(system, "on_error", "skip") >= 1
    readers = [part for part in iter_parts(system) if isinstance(part, ImageReader)]
    assert [reader.on_error for reader in readers] == ["skip"]


def test_a_parameter_is_set_on_templates_too(images):
    system = _calibrated(images)
    set_everywhere(system, "on_error", "skip")
    assert system.estimator[0].on_error == "skip"


def test_a_parameter_is_set_inside_a_union():
    union = FeatureUnion([("a", ImageReader(flatten=True))])
    assert set_everywhere(make_pipeline(union, KMeansDistance()), "size", 8) == 1
    assert union.transformer_list[0][1].size == 8


def test_a_parameter_that_no_part_has_changes_nothing(images):
    assert set_everywhere(_calibrated(images), "no_such_parameter", 1) == 0


def test_a_system_that_is_no_estimator_has_nothing_to_set():
    class Scores:
        def score_samples(self, X):
            return np.zeros(len(X))

    assert set_everywhere(Scores(), "on_error", "raise") == 0


def test_the_last_step_of_a_pipeline_is_found_at_any_depth(images):
    detector = KMeansDistance()
    nested = make_pipeline(StandardScaler(), make_pipeline(Normalizer(), detector))
    assert last_step(nested) is detector
    assert last_step(detector) is detector
    assert isinstance(last_step(_searched(images)), KMeansDistance)


def test_a_system_splits_after_its_last_leading_stateless_step():
    system = make_pipeline(
        "passthrough",
        Normalizer(),
        "passthrough",
        Normalizer(),
        PCA(),
        Normalizer(),
        KMeansDistance(),
    )
    head, tail = split_stateless(system)
    assert [step for _, step in head.steps] == [step for _, step in system.steps[:4]]
    assert [step for _, step in tail.steps] == [step for _, step in system.steps[4:]]


def test_a_tail_of_one_step_is_the_step_itself():
    detector = KMeansDistance()
    head, tail = split_stateless(make_pipeline(Normalizer(), detector))
    assert isinstance(head, Pipeline)
    assert tail is detector


@pytest.mark.parametrize(
    "system",
    [
        KMeansDistance(),
        make_pipeline(KMeansDistance()),
        make_pipeline(PCA(), Normalizer(), KMeansDistance()),
        make_pipeline("passthrough", PCA(), KMeansDistance()),
        make_pipeline("passthrough", KMeansDistance()),
    ],
)
def test_a_system_without_leading_stateless_steps_stays_whole(system):
    head, tail = split_stateless(system)
    assert head is None
    assert tail is system
