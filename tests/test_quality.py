"""What the systems reach on real images; each figure beside the line it must beat."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import featad

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def tiles(real_data):
    return featad.load_folder(real_data / "magnetic_tile")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Return a folder for the features of the tiles, which several tests ask for."""
    return tmp_path_factory.mktemp("tiles")


FLOORS = {
    "mahalanobis": 0.97,
    "ocsvm": 0.97,
    "kmeans": 0.97,
    "iforest": 0.96,
    "nystroem": 0.97,
    "mbkmeans": 0.97,
}
EXACT = {"nystroem": "ocsvm", "mbkmeans": "kmeans"}


def test_imagenet_statistics_feed_every_scorer_and_beat_random_ones(
    tiles, real_weights, cache
):
    options = {"weights": real_weights, "cache": cache}
    systems = {
        kind: featad.build(f"squeezenet1_1-stats-{kind}", **options) for kind in FLOORS
    }
    area = areas_on(tiles, systems)
    assert {kind: area[kind] for kind in FLOORS if area[kind] < FLOORS[kind]} == {}
    random = {"random": featad.build("squeezenet1_1-stats-mahalanobis", weights=None)}
    every_third = tiles.select(np.arange(0, len(tiles), 3))
    assert areas_on(every_third, random)["random"] < area["mahalanobis"] - 0.2


def test_vgg_mini_feeds_every_scorer_as_its_fc7_does_and_random_weights_do_not(tiles):
    systems = {kind: featad.build(f"mini-stats-{kind}") for kind in FLOORS}
    others = {"fc7": "mini-mahalanobis", "pixels": "pixels-mahalanobis"}
    systems |= {kind: featad.build(name) for kind, name in others.items()}
    area = areas_on(tiles, systems)
    assert {kind: area[kind] for kind in FLOORS if area[kind] < FLOORS[kind]} == {}
    for kind, exact in EXACT.items():
        assert area[kind] == pytest.approx(area[exact], abs=0.002)
        assert area[kind] > area["pixels"] + 0.05
    assert area["fc7"] == pytest.approx(area["mahalanobis"], abs=0.01)
    random = {"random": featad.build("mini-stats-mahalanobis", weights=None)}
    every_third = tiles.select(np.arange(0, len(tiles), 3))
    assert areas_on(every_third, random)["random"] < area["mahalanobis"] - 0.2


@pytest.mark.parametrize("kind", ["ocsvm", "kmeans", "iforest"])
def test_a_plain_pipeline_alarms_as_often_as_asked_on_new_normal_tiles(
    kind, tiles, real_weights, cache
):
    system = featad.build(
        f"squeezenet1_1-stats-{kind}", weights=real_weights, cache=cache
    )
    train = tiles.part("train")
    test = tiles.part("test")
    good = test.select(np.flatnonzero(test.labels == 1))
    labels = system.fit(train.images).predict(good.images)
    assert 0.03 <= np.mean(labels == -1) <= 0.08


def areas_on(tiles, systems):
    cv = [[np.flatnonzero(tiles.parts == part) for part in ("train", "test")]]
    return featad.compare(systems, tiles.images, tiles.labels, cv=cv)["auroc"]


def test_a_table_system_reaches_097_on_contaminated_mnist(real_data):
    images, labels = featad.load_idx(real_data / "mnist", "test")
    digits = featad.one_vs_rest(
        images, labels, normal=0, contamination=0.05, random_state=0
    )
    train, test = (np.flatnonzero(digits.parts == part) for part in ("train", "test"))
    systems = {
        name: featad.build(name)
        for name in ("pixels-pca", "pixels-kmeans", "pixels-knn")
    }
    table = featad.compare(systems, digits.images, digits.labels, cv=[(train, test)])
    assert table["auroc"].max() >= 0.97


def test_grid_search_ranks_as_compare_does_from_one_cache(
    tiles, real_weights, tmp_path
):
    normal = np.flatnonzero(tiles.parts == "train")[:60]
    defects = np.flatnonzero(tiles.labels == -1)[::12]
    few = tiles.select(np.concatenate([normal, defects]))
    detectors = [
        featad.OneClassSVM(gamma="median", nu=0.05),
        featad.KMeansDistance(random_state=0),
        featad.IsolationForest(random_state=0),
    ]
    system = featad.build(
        "squeezenet1_1-ocsvm", weights=real_weights, cache=tmp_path, image_size=96
    )
    features = [
        system["features"],
        featad.build(
            "squeezenet1_1-stats-knn",
            weights=real_weights,
            cache=tmp_path,
            image_size=96,
        )["features"],
    ]
    cv = featad.OneClassKFold(3, random_state=0)
    search = GridSearchCV(
        system,
        {"features": features, "detector": detectors},
        scoring=featad.anomaly_roc_auc,
        cv=cv,
        n_jobs=2,
        refit=False,
    ).fit(few.images, few.labels)

    entries = [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "lock"]
    assert len(entries) == 2 * len(few)  # two layers; one entry an image, each
    systems = {
        str(i): clone(system).set_params(**parameters)
        for i, parameters in enumerate(search.cv_results_["params"])
    }
    table = featad.compare(systems, few.images, few.labels, cv=cv)
    ours = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(ours, table.loc[list(systems), "auroc"], atol=1e-3)
