"""Named systems build, fit and score; wrong names are helped."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from featad import ShrunkWhitening
from featad.detectors import all_detectors
from featad.features import PatchFeatures, VGGPatches
from featad.features.weights import weights_status
from featad.registry import (
    RECOMMENDED,
    build,
    default_grid,
    describe_features,
    learned,
    list_systems,
    patch_scorers,
    scorers,
)

NAMES = [system.name for system in list_systems()]
SMALL = {
    "mini": {"image_size": 32},
    "squeezenet1_1": {"weights": None, "image_size": 32},
    "filters": {"size": 32},
}
PATCHES = {"grid": 4, "n_components": 8}


def small(name):
    """Return parameters with which a named system is quick."""
    features, _, scorer = name.partition("-")
    return SMALL.get(features, {}) | (PATCHES if scorer.startswith("patches-") else {})


# one system of each kind of features, scored for real; the rest are only built
SCORED = [n for n in NAMES if n.split("-")[0] in ("pixels", *SMALL)]


@pytest.mark.parametrize("name", NAMES)
def test_every_named_system_builds_and_clones(name):
    system = build(name)
    steps = ["features", "normalize", "reduce", "detector"]
    assert list(system.named_steps) == steps[3 * name.endswith("-ensemble") :]
    clone(system)


@pytest.mark.parametrize("name", SCORED)
def test_named_systems_fit_score_and_predict(name, images):
    system = build(name, **small(name)).fit(images)
    assert system.score_samples(images).shape == (24,)
    assert set(system.predict(images)) <= {1, -1}


@pytest.mark.parametrize("name", SCORED)
def test_the_same_seed_gives_the_same_scores(name, images):
    first, second = (build(name, **small(name)).fit(images) for _ in range(2))
    np.testing.assert_array_equal(
        first.score_samples(images), second.score_samples(images)
    )


@pytest.mark.parametrize("name", SCORED)
def test_default_grids_name_parameters_of_the_system(name):
    for parameters in ParameterGrid(default_grid(name)):
        clone(build(name)).set_params(**parameters)


def test_every_system_has_a_default_grid():
    assert all(default_grid(name) for name in NAMES)


def test_a_grid_is_a_copy():
    default_grid("pixels-kmeans")["detector__n_clusters"].append(99)
    assert 99 not in default_grid("pixels-kmeans")["detector__n_clusters"]


def test_detectors_that_need_labels_have_no_system():
    kinds = scorers(), patch_scorers(), learned()
    named = {type(scorer.make()) for kind in kinds for scorer in kind.values()}
    for detector in all_detectors().values():
        needs_labels = getattr(detector, "_needs_anomalies", False)
        assert (detector in named) != needs_labels


def test_no_entry_is_inherited():
    for name, detector in all_detectors().items():
        assert "_entry" in vars(detector), f"{name} has no _entry"


def test_each_call_builds_a_system_of_its_own():
    first, second = build("pixels-kmeans"), build("pixels-kmeans")
    assert first["detector"] is not second["detector"]


def test_plain_overrides_go_to_the_features():
    system = build("vgg16-stats-knn", weights=None, cache="features", device="cpu")
    assert system["features"].weights is None
    assert system["features"].cache == "features"


def test_overrides_with_a_step_go_to_the_step():
    assert build("pixels-knn", detector__n_neighbors=3)["detector"].n_neighbors == 3


def test_an_ensemble_has_statistics_and_patches_of_one_network():
    ensemble = build("mini-ensemble", image_size=64, detector__combine="max")
    detector = ensemble["detector"]
    assert detector.combine == "max"
    for name, system in detector.estimators:
        kind = {"stats": "stats-mahalanobis", "patches": "patches-gaussian"}[name]
        expected = build(f"mini-{kind}", image_size=64)
        assert str(system.get_params()) == str(expected.get_params())


@pytest.mark.parametrize("wrong", ["detector__combin", "detector__stats__nothing"])
def test_an_unknown_parameter_of_an_ensemble_is_refused(wrong):
    with pytest.raises(ValueError, match=f"mini-ensemble has no parameter '{wrong}'"):
        build("mini-ensemble", **{wrong: 1})


def test_the_seed_reaches_every_random_step():
    system = build("pixels-iforest", random_state=7)
    assert system["detector"].random_state == system["reduce"].random_state == 7


def test_an_unknown_parameter_names_the_known_ones():
    with pytest.raises(ValueError, match="has no parameter 'wieghts'.*weights"):
        build("vgg16-ocsvm", wieghts=None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("detector__nue", "Did you mean detector__nu. Its detector takes .*gamma"),
        ("nu", "Did you mean detector__nu"),
        ("detectors__nu", "its steps are features, normalize, reduce, detector"),
        ("normalize__norm", "Its step normalize has no parameters"),
    ],
)
def test_an_unknown_parameter_of_a_step_names_those_of_the_step(wrong, message):
    with pytest.raises(ValueError, match=message):
        build("vgg16-ocsvm", **{wrong: 1})


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("vgg16-ocsmv", "did you mean vgg16-ocsvm"),
        ("vgg16", "There is no system 'vgg16'"),
        ("pixels-stats-knn", "did you mean"),
        ("qqq", "featad list"),
    ],
)
def test_a_wrong_name_is_helped(wrong, hint):
    with pytest.raises(ValueError, match=hint):
        build(wrong)


@pytest.mark.parametrize("kind", scorers())
def test_stats_systems_take_three_statistics_of_three_layers(kind):
    features = build(f"vgg16-stats-{kind}")["features"]
    assert features.layer == ("conv3_3", "conv4_3", "conv5_3")
    assert features.pooling == ("mean", "std", "max")
    assert features.normalize


@pytest.mark.parametrize("kind", patch_scorers())
def test_patches_systems_take_two_layers_at_28_x_28_positions(kind):
    system = build(f"vgg16-patches-{kind}")
    features = system["features"]
    assert isinstance(features, VGGPatches)
    assert (features.layer, features.grid, features.image_size) == (None, 28, 256)
    assert (features.n_components, features.dtype) == (128, "float16")
    assert system["reduce"] == "passthrough"
    assert type(build(f"resnet18-patches-{kind}")["features"]) is PatchFeatures


@pytest.mark.parametrize("kind", ["ocsvm", "kmeans", "iforest", "lof", "knn"])
def test_features_are_whitened_where_the_scorer_does_not_do_it(kind):
    assert isinstance(build(f"mini-stats-{kind}")["reduce"], ShrunkWhitening)


@pytest.mark.parametrize("kind", ["mahalanobis", "pca"])
def test_features_of_scorers_that_look_at_their_variance_are_not_whitened(kind):
    assert build(f"mini-{kind}")["reduce"] == "passthrough"


def test_the_recommended_system_needs_no_download():
    features = build(RECOMMENDED)["features"]
    assert weights_status(features.arch).url is None


def test_every_kind_of_features_is_described():
    assert {name.split("-")[0] for name in NAMES} == set(describe_features())


def test_vgg_mini_may_be_called_by_its_full_name():
    assert build("vgg_mini-knn")["features"].arch == "vgg_mini"


@pytest.mark.parametrize("features", ["pixels", "filters"])
def test_pixels_and_filters_are_whitened_by_pca(features):
    assert build(f"{features}-kmeans")["reduce"].whiten
