"""The recipes run as written, on tiny images with random weights."""

import importlib
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import featad
from featad.datasets import make_spots_and_lines

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
@pytest.mark.parametrize("name", ["vgg_ocsvm", "vgg_kmeans", "vgg_iforest"])
def test_vgg_recipes_fit_report_and_save(name, parts, tmp_path, capsys):
    model = tmp_path / "model.joblib"
    arguments = ["--data", str(parts), "-o", str(model), "--arch", "vgg11", *TINY]
    _recipe(name)([*arguments, "--cache", str(tmp_path / "cache")])
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
    search = _recipe("compare")([*arguments, "--cache", str(tmp_path / "cache")])
    assert len(search.cv_results_["params"]) == 6
    printed = capsys.readouterr().out
    for name in ("one-class SVM", "k-means distance", "isolation forest"):
        assert printed.count(name) == 2
