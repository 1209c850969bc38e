"""The recipes run as written, on tiny images with random weights."""

import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import featad
from featad.datasets import make_spots_and_lines
from pipelines._recipe import run

FOLDER = Path(__file__).resolve().parents[1] / "pipelines"
RECIPES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
TINY = ["--weights", "random", "--image-size", "32"]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Return a folder in the MVTec layout: 12 good parts to train on, 12 to test."""
    folder = tmp_path_factory.mktemp("parts")
    dataset = make_spots_and_lines(12, 12, size=32, random_state=0)
    rows = zip(dataset.images, dataset.parts, dataset.kinds, strict=True)
    for index, (image, part, kind) in enumerate(rows):
        path = folder / part / kind / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def _recipe(name):
    return importlib.import_module(f"pipelines.{name}").main


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        _recipe(name)(["--help"])
    assert stop.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*held-out normal samples are too few")
@pytest.mark.parametrize("detector", ["ocsvm", "kmeans", "iforest"])
def test_the_vgg_recipe_fits_reports_and_saves(detector, parts, tmp_path, capsys):
    model = tmp_path / "model.joblib"
    arguments = ["--data", str(parts), "-o", str(model), "--arch", "vgg11", *TINY]
    _recipe("vgg")([*arguments, "--detector", detector])
    assert "AUROC on 12 test images" in capsys.readouterr().out
    assert featad.load(model)["features"].arch == "vgg11"


def test_score_folder_writes_a_row_for_every_image(parts, tmp_path, capsys):
    images = featad.list_images(parts / "train")
    featad.save(featad.build("pixels-knn").fit(images), tmp_path / "m.joblib")
    output = tmp_path / "scores.csv"
    _recipe("score_folder")([str(tmp_path / "m.joblib"), str(parts), "-o", str(output)])
    assert len(pd.read_csv(output)) == 24
    assert "Scored 24 images" in capsys.readouterr().out


def _two_folders(parts, folder):
    shutil.copytree(parts / "train" / "good", folder / "good")
    for kind in ("spot", "line"):
        shutil.copytree(parts / "test" / kind, folder / "bad", dirs_exist_ok=True)
    return folder


def test_compare_sets_three_detectors_on_two_layers_side_by_side(
    parts, tmp_path, capsys
):
    data = str(_two_folders(parts, tmp_path / "data"))
    arguments = ["--data", data, "--arch", "squeezenet1_1", *TINY]
    cache, model = tmp_path / "cache", tmp_path / "best.joblib"
    search = _recipe("compare")([*arguments, "--cache", str(cache), "-o", str(model)])
    assert len(search.cv_results_["params"]) == 6
    entries = [
        path
        for path in cache.rglob("*")
        if path.is_file() and path.parent.name == path.name[:2]
    ]
    n_images = len(featad.list_images(data))
    assert len(entries) == 2 * n_images  # each image once for either choice of layers
    assert featad.load(model).named_steps.keys() == search.estimator.named_steps.keys()
    printed = capsys.readouterr().out
    for name in ("one-class SVM", "k-means distance", "isolation forest"):
        assert printed.count(name) == 2


def _write_idx(folder, **parts):
    """Write IDX files of parts, each images and labels."""
    for prefix, (images, labels) in parts.items():
        for kind, values in {"images-idx3": images, "labels-idx1": labels}.items():
            values = np.asarray(values, dtype=np.uint8)
            shape = np.array(values.shape, dtype=">u4").tobytes()
            content = bytes([0, 0, 8, values.ndim]) + shape + values.tobytes()
            (folder / f"{prefix}-{kind}-ubyte").write_bytes(content)
    return str(folder)


@pytest.fixture
def clothes(tmp_path):
    """Return a folder of IDX files: ten kinds, each a bar of its own height."""
    rng, parts = np.random.default_rng(0), {}
    for part, n in (("train", 8), ("t10k", 4)):
        labels = np.repeat(np.arange(10), n)
        images = rng.integers(0, 60, (len(labels), 12, 12))
        for image, label in zip(images, labels, strict=True):
            image[: label + 1] += 150
        parts[part] = images, labels
    return _write_idx(tmp_path, **parts)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Return a folder of IDX files: scikit-learn's digits, 8 x 8."""
    images, labels = featad.load_digits_images()
    halves = {"train": slice(None, 900), "t10k": slice(900, None)}
    parts = {part: (images[half], labels[half]) for part, half in halves.items()}
    return _write_idx(tmp_path_factory.mktemp("digits"), **parts)


def test_fashion_one_class_tells_seen_kinds_from_an_unseen_one(clothes, capsys):
    table = _recipe("fashion_one_class")(["--data", clothes, "--max-epochs", "1"])
    assert list(table.columns) == ["seen kinds", "unseen kind 8"]
    assert len(table) == 4
    assert table.loc["logistic regression, labels", "seen kinds"] > 0.9
    assert "unseen kind 8" in capsys.readouterr().out


def test_cookies_writes_scores_overlays_configuration_and_split(parts, tmp_path):
    options = ["--size", "16", "--max-epochs", "1", "-o", str(tmp_path)]
    _recipe("cookies")(["--data", str(parts), *options])
    table = pd.read_csv(tmp_path / "scores.csv")
    assert len(table) == 24
    assert table.name.is_unique
    assert {"autoencoder", "u_net", "k_means"} <= set(table.columns)
    assert json.loads((tmp_path / "config.json").read_text())["versions"]["featad"]
    assert len(pd.read_csv(tmp_path / "split.csv")) == 24
    pictures = sorted((tmp_path / "overlays" / "u_net").glob("*.png"))
    assert [path.stem for path in pictures] == sorted(table.name)
    reds = [(np.asarray(Image.open(p)) == (255, 0, 0)).all(axis=2) for p in pictures]
    assert 0 < np.mean(reds) < 0.5
    good = [r for path, r in zip(pictures, reds, strict=True) if "-good-" in path.stem]
    assert np.mean(good) < 0.05  # hardly any, also on those not trained on


def test_k_means_of_cookies_sees_the_pooled_bottleneck():
    images = np.random.default_rng(0).random((5, 16, 16, 1), dtype=np.float32)
    detector = featad.UNetAutoencoder(max_epochs=0, width=4, depth=2, random_state=0)
    unet = detector.fit(images).networks_["unet"]
    features = importlib.import_module("pipelines.cookies").bottleneck(unet, images)
    assert features.shape == (5, 16 * 2 * 2)


def test_brain_mri_draws_the_strangest_slices_with_their_maps(parts, tmp_path, capsys):
    data = _two_folders(parts, tmp_path / "data")
    (data / "good").rename(data / "no")
    (data / "bad").rename(data / "yes")
    options = ["--size", "16", "--max-epochs", "1", "--n-pictures", "3"]
    arguments = ["--data", str(data), *options, "-o", str(tmp_path / "out")]
    scores = _recipe("brain_mri")(arguments)
    assert {"VAE restoration", "untrained", "PCA reconstruction"} <= set(scores)
    assert capsys.readouterr().out.count("AUROC") == 4
    with Image.open(tmp_path / "out" / "strangest.png") as sheet:
        assert sheet.size == (3 * 16 * 2, 2 * 16 * 2)


@pytest.mark.parametrize(
    "name",
    ["cookies", "brain_mri", "fashion_one_class", "contaminated_mnist", "gan_scorers"],
)
def test_a_recipe_without_data_says_where_to_get_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATAD_DATA", str(tmp_path / "none"))
    writes = name in ("cookies", "brain_mri")
    arguments = ["-o", str(tmp_path / "out")] if writes else []
    with pytest.raises(SystemExit, match="data/README.md says where to get it"):
        run(lambda: _recipe(name)(arguments))


def test_contaminated_mnist_sets_the_gan_beside_baselines(digits, capsys):
    table = _recipe("contaminated_mnist")(["--data", digits, "--max-epochs", "1"])
    assert table.loc["published", "recall"] == 0.9
    for baseline in ("distance to the mean image", "nearest neighbor"):
        assert table.loc[baseline, "AUROC"] > 0.95
    assert table["AUROC, test part"].drop("published").astype(float).min() > 0.7
    assert "94 training images, 5 of them not 0" in capsys.readouterr().out


@pytest.mark.slow
def test_gan_scorers_sets_gans_beside_a_frozen_vgg(digits, capsys):
    options = ["--n-images", "40", "--max-epochs", "1", "--n-splits", "2"]
    table = _recipe("gan_scorers")(["--data", digits, *options])
    assert {"OneClassSVM", "KMeansDistance", "FAnoGAN"} <= set(table.detector)
    assert table.AUROC.is_monotonic_decreasing
    assert "80 images, class 8 normal" in capsys.readouterr().out


@pytest.mark.data
def test_labels_help_to_find_the_kinds_of_anomalies_they_name(real_data):
    few = ["--n-train", "100", "--n-test", "200", "--max-epochs", "10"]
    table = _recipe("fashion_one_class")(["--data", f"{real_data}/fashion_mnist", *few])
    seen = table["seen kinds"]
    assert seen["autoencoder, labels"] > seen["autoencoder"] + 0.03
