"""``featad score``: another rate for one run, a row per part, a changed lamp."""

import shutil

import pandas as pd
import pytest

import featad
from featad.base import last_step
from featad.cli import main
from featad.scoring import PART_COLUMNS


@pytest.fixture(scope="module")
def part_model(plates, tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "parts.joblib"
    arguments = ["calibrate", str(plates / "model.joblib"), str(plates / "views")]
    arguments += ["--groups", "(.+)_view", "--target-fpr", "0.1"]
    assert main([*arguments, "-o", str(path)]) == 0
    return path


def _score(arguments, tmp_path):
    output = tmp_path / "scores.csv"
    assert main(["score", *map(str, arguments), "-o", str(output)]) == 0
    return pd.read_csv(output)


def test_another_rate_holds_for_one_run(plates, tmp_path):
    model = plates / "model.joblib"
    before = model.read_bytes()
    arguments = [model, plates / "new", plates / "odd"]
    strict = _score([*arguments, "--target-fpr", "0.02"], tmp_path)
    loose = _score([*arguments, "--target-fpr", "0.2"], tmp_path)
    for table, rate in ((strict, 0.02), (loose, 0.2)):
        assert (table["is_anomaly"] == (table["p_value"] <= rate)).all()
        assert (table["is_anomaly"] == (table["score_ratio"] > 1)).all()
    assert strict["is_anomaly"].sum() < loose["is_anomaly"].sum()
    assert model.read_bytes() == before


def test_another_rate_needs_a_calibrated_model(plates, tmp_path, capsys):
    images = featad.list_images(plates / "fit")
    featad.save(featad.build("pixels-kmeans").fit(images), tmp_path / "m.joblib")
    arguments = ["score", str(tmp_path / "m.joblib"), str(plates / "new")]
    assert main([*arguments, "--target-fpr", "0.02"]) == 1
    assert "featad calibrate" in capsys.readouterr().err.splitlines()[-1]


def test_a_part_has_one_row_and_one_decision(plates, part_model, tmp_path, capsys):
    arguments = [part_model, plates / "views", "--groups", "(.+)_view"]
    table = _score(arguments, tmp_path)
    assert list(table.columns) == list(PART_COLUMNS)
    assert table["group"].tolist() == [f"p{part:02}" for part in range(20)]
    assert (table["n_images"] == 3).all()
    assert table["is_anomaly"].sum() == 1  # of the 20 that calibrated it
    assert "scored 20 parts, 1 of them anomalous" in capsys.readouterr().err


def test_a_part_is_as_anomalous_as_its_worst_image(plates, part_model, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(plates / "views", folder)
    shutil.copy(plates / "odd" / "odd00.png", folder / "p05_view9.png")
    table = _score([part_model, folder, "--groups", "(.+)_view"], tmp_path)
    row = table.set_index("group").loc["p05"]
    assert row["is_anomaly"]
    assert row["path"].endswith("p05_view9.png")
    assert row["score_ratio"] > 1
    images = _score([part_model, folder], tmp_path).set_index("path")
    assert row["anomaly_score"] == images["anomaly_score"][row["path"]]


def test_a_defective_part_with_a_broken_image_is_a_success_and_in_the_report(
    plates, part_model, tmp_path, capsys
):
    folder = tmp_path / "part"
    folder.mkdir()
    shutil.copy(plates / "odd" / "odd00.png", folder / "p01_view0.png")
    (folder / "p01_view1.png").write_bytes(b"broken")
    arguments = [part_model, folder, "--groups", "(.+)_view", "--max-failed", "0"]
    _score([*arguments, "--report", tmp_path / "r.html"], tmp_path)
    said = capsys.readouterr().err
    assert "scored 1 parts, 1 of them anomalous" in said
    assert "not every image could be scored; first: 1 of 2 images: " in said
    assert (tmp_path / "r.html").exists()


def test_more_images_a_part_than_calibrated_with_is_a_warning(
    plates, part_model, tmp_path, capsys
):
    folder = tmp_path / "more"
    shutil.copytree(plates / "views", folder)
    shutil.copy(folder / "p05_view0.png", folder / "p05_view8.png")
    _score([part_model, folder, "--groups", "(.+)_view"], tmp_path)
    assert "4" in capsys.readouterr().err.split("warning:")[1]


def test_parts_need_a_model_that_knows_parts(plates, capsys):
    arguments = ["score", str(plates / "model.joblib"), str(plates / "views")]
    assert main([*arguments, "--groups", "(.+)_view"]) == 1
    assert "calibrated on single images" in capsys.readouterr().err


def test_a_pattern_that_fails_on_a_file_names_it(plates, part_model, capsys):
    arguments = ["score", str(part_model), str(plates / "new")]
    assert main([*arguments, "--groups", "(.+)_view"]) == 1
    assert "new00.png" in capsys.readouterr().err


def test_another_lamp_is_said_though_few_are_anomalous(plates, tmp_path, capsys):
    model = plates / "model.joblib"
    arguments = [model, plates / "lamp", "--target-fpr", "0.02"]
    table = _score(arguments, tmp_path)
    said = capsys.readouterr().err
    assert table["is_anomaly"].mean() < 0.5
    assert "the camera, the light or the parts have changed" in said
    assert f"featad check {model} DIR" in said


@pytest.mark.parametrize("folders", [["new"], ["odd"], ["new", "odd"]])
def test_good_parts_and_defects_are_no_other_lamp(folders, plates, tmp_path, capsys):
    model = plates / "model.joblib"
    _score([model, *(plates / folder for folder in folders)], tmp_path)
    assert "have changed" not in capsys.readouterr().err


def test_a_few_images_say_nothing_about_the_lamp(plates, tmp_path, capsys):
    images = sorted((plates / "lamp").iterdir())[:29]
    _score([plates / "model.joblib", *images, "--target-fpr", "0.02"], tmp_path)
    assert "have changed" not in capsys.readouterr().err


def test_the_rate_of_a_model_of_parts_is_that_of_parts(plates, part_model, tmp_path):
    arguments = [part_model, plates / "views", "--groups", "(.+)_view"]
    table = _score([*arguments, "--target-fpr", "0.3"], tmp_path)
    assert table["is_anomaly"].sum() == 5
    assert last_step(featad.load(part_model)).target_fpr == 0.1
