"""What the systems reach on real images; each figure beside the line it must beat."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV
from sklearn.svm import OneClassSVM

import featad

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def tiles(real_data):
    return featad.load_folder(real_data / "magnetic_tile")


def test_imagenet_statistics_reach_0975_on_tiles_and_beat_random_ones_and_a_svm(
    tiles, real_weights
):
    name = "squeezenet1_1-stats-mahalanobis"
    area = areas_on(
        tiles,
        {
            "ImageNet": featad.build(name, weights=real_weights),
            "random": featad.build(name, weights=None),
            "one-class SVM": featad.build("squeezenet1_1-ocsvm", weights=real_weights),
        },
    )
    assert area["ImageNet"] >= 0.975
    assert area["ImageNet"] > area["random"] + 0.2
    assert area["ImageNet"] > area["one-class SVM"]


def test_vgg_mini_reaches_097_on_tiles_as_its_fc7_does_and_random_weights_do_not(tiles):
    area = areas_on(
        tiles,
        {
            "statistics": featad.build("mini-stats-mahalanobis"),
            "fc7": featad.build("mini-mahalanobis"),
        },
    )
    assert area["statistics"] >= 0.97
    assert area["fc7"] == pytest.approx(area["statistics"], abs=0.01)
    random = {"random": featad.build("mini-stats-mahalanobis", weights=None)}
    every_third = tiles.select(np.arange(0, len(tiles), 3))
    assert areas_on(every_third, random)["random"] < area["statistics"] - 0.2


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
    normal = np.flatnonzero(tiles.parts == "train")[:90]
    defects = np.flatnonzero(tiles.labels == -1)[::8]
    few = tiles.select(np.concatenate([normal, defects]))
    detectors = [
        OneClassSVM(nu=0.05),
        featad.KMeansDistance(random_state=0),
        IsolationForest(n_estimators=200, random_state=0),
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
