import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import featad
from featad import (
    BackboneFeatures,
    Mahalanobis,
    NearestNeighbors,
    PatchFeatures,
    PatchGaussian,
)
from featad.features.patch_maps import PatchMaps
from tests._counted import Counted

OPTIONS = {"arch": "squeezenet1_1", "weights": None, "image_size": 24, "n_jobs": 1}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def count(folder):
    file = folder.parent / "count"
    return lambda: len(file.read_text().split()) if file.exists() else 0


def counted(cache, layer="features.3", **parameters):
    return Counted(cache=cache, layer=layer, **(OPTIONS | parameters))


def system(cache, detector=None):
    steps = [StandardScaler(), detector or Mahalanobis()]
    return featad.Pipeline(
        [("features", counted(cache)), ("scaler", steps[0]), ("detector", steps[1])]
    )


GRID = {
    "features__layer": ["features.3", "features.6", ("features.9", "features.3"), None],
    "features__pooling": ["mean", ("mean", "max")],
    "scaler": [StandardScaler(), MinMaxScaler()],
    "detector": [Mahalanobis(), NearestNeighbors(1)],
}
LABELS = np.repeat([1, -1], [16, 8])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_grid_over_layers_sends_each_image_through_the_network_once(
    images, folder, count, n_jobs
):
    search = GridSearchCV(
        system(folder),
        GRID,
        scoring=featad.anomaly_roc_auc,
        cv=featad.OneClassKFold(2, random_state=0),
        n_jobs=n_jobs,
        error_score="raise",
    )
    featad.fill_cache(search, images)
    with joblib.parallel_config(backend="multiprocessing"):
        search.fit(images, LABELS)
    assert len(search.cv_results_["params"]) == 32
    assert count() == len(images)


def test_filled_features_are_those_of_each_choice_alone(images, folder):
    choices = [
        {},
        {"layer": None, "pooling": ("std", "max"), "normalize": True},
        {"layer": ("features.9", "features.3")},
    ]
    featad.fill_cache([counted(folder, **choice) for choice in choices], images)
    for choice in choices:
        alone = BackboneFeatures(**(OPTIONS | {"layer": "features.3"} | choice))
        np.testing.assert_allclose(
            counted(folder, **choice).transform(images),
            alone.transform(images),
            rtol=1e-5,
        )


def test_maps_are_filled_in_the_same_pass(images, folder, count):
    maps = PatchFeatures(
        layer=("features.3", "features.6"), cache=folder, dtype="float16", **OPTIONS
    )
    systems = {
        "table": system(folder),
        "maps": featad.make_pipeline(maps, PatchGaussian()),
    }
    featad.fill_cache(systems, images)
    assert count() == len(images)
    expected = PatchFeatures(**(maps.get_params() | {"cache": None})).transform(images)
    maps._launch = None  # no network runs
    np.testing.assert_array_equal(maps.transform(images), expected)


def test_steps_that_are_swapped_are_filled(images, folder, count):
    grid = {"features": [counted(folder, layer) for layer in ("features.3", None)]}
    search = RandomizedSearchCV(system(folder), grid, n_iter=2)
    featad.fill_cache(search, images)
    for step in grid["features"]:
        step.transform(images)
    assert count() == len(images)


def test_wrapped_systems_are_filled(images, folder, count):
    union = FeatureUnion([("a", counted(folder)), ("b", counted(folder, None))])
    wrapped = featad.calibrate(featad.make_pipeline(union, Mahalanobis()))
    ensemble = featad.ScoreEnsemble([("one", wrapped), ("other", system(folder))])
    featad.fill_cache(ensemble, images)
    counted(folder, None).transform(images)
    assert count() == len(images)


def test_images_of_another_size_take_another_pass(images, folder, count):
    featad.fill_cache([counted(folder), counted(folder, image_size=32)], images)
    assert count() == 2 * len(images)


def test_what_is_known_is_not_filled_again(images, folder, count):
    counted(folder).transform(images[:20])
    featad.fill_cache(system(folder), images)
    assert count() == len(images)


@pytest.mark.parametrize(
    "other", [Mahalanobis(), featad.build("pixels-kmeans"), system(None)]
)
def test_systems_without_a_cache_are_refused(images, other):
    with pytest.raises(ValueError, match="fill_cache: .*Set cache=FOLDER"):
        featad.fill_cache(other, images)


def test_a_map_too_large_for_its_type_is_not_kept(images, folder, monkeypatch):
    made = PatchMaps.__call__
    monkeypatch.setattr(PatchMaps, "__call__", lambda self, x: made(self, x) + 1e6)
    maps = PatchFeatures(layer="features.3", cache=folder, dtype="float16", **OPTIONS)
    with pytest.raises(ValueError, match="65504"):
        featad.fill_cache([counted(folder), maps], images)


def test_parameters_of_a_swapped_detector_are_no_obstacle(images, folder, count):
    grid = {
        "detector": [NearestNeighbors(), NearestNeighbors(2)],
        "detector__n_neighbors": [1, 2],
        "features__layer": ["features.3", "features.6"],
    }
    featad.fill_cache(GridSearchCV(system(folder), grid), images)
    counted(folder, "features.6").transform(images)
    assert count() == len(images)
