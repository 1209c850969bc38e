"""``featad calibrate`` sets the threshold of a fitted model from new good images."""

import json
import shutil

import numpy as np
import pytest

import featad
from featad.base import anomaly_scores, last_step
from featad.cli import main


def _error(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def calibrated(plates, tmp_path_factory):
    """Return a model whose threshold comes from images under another lamp."""
    path = tmp_path_factory.mktemp("calibrated") / "lamp.joblib"
    arguments = ["calibrate", str(plates / "model.joblib"), str(plates / "lamp")]
    assert main([*arguments, "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def parts(plates, tmp_path_factory):
    """Return a model that is calibrated on parts of three views."""
    path = tmp_path_factory.mktemp("parts") / "parts.joblib"
    arguments = ["calibrate", str(plates / "model.joblib"), str(plates / "views")]
    arguments += ["--groups", "(.+)_view", "--target-fpr", "0.1"]
    assert main([*arguments, "-o", str(path)]) == 0
    return path


def test_the_model_is_not_fitted_again(plates, calibrated):
    images = featad.list_images(plates / "new")
    before = anomaly_scores(featad.load(plates / "model.joblib"), images)
    after = anomaly_scores(featad.load(calibrated), images)
    np.testing.assert_array_equal(before, after)


def test_the_threshold_comes_from_the_new_images(plates, calibrated):
    detector = last_step(featad.load(calibrated))
    system = featad.load(plates / "model.joblib")
    expected = system.score_samples(featad.list_images(plates / "lamp"))
    np.testing.assert_array_equal(detector.calibration_scores_, np.sort(expected))
    assert detector.target_fpr == 0.05


def test_the_steps_before_the_detector_stay_where_they_were(plates, calibrated):
    systems = [featad.load(path) for path in (plates / "model.joblib", calibrated)]
    names = [list(system.named_steps) for system in systems]
    assert names[0] == names[1]


def test_the_images_are_recorded(plates, calibrated):
    record = calibrated.parent / "lamp.joblib.calibration.csv"
    assert len(record.read_text().splitlines()) == 61
    manifest = json.loads((calibrated.parent / "lamp.joblib.json").read_text())
    assert manifest["training_images"] == 60
    assert manifest["calibration"]["held_out"] == 60


def test_a_check_leaves_out_the_images_of_the_calibration(plates, calibrated, capsys):
    assert main(["check", str(calibrated), str(plates / "lamp")]) == 1
    assert "made from all 60 good images" in _error(capsys)


def test_a_calibrated_model_is_calibrated_again(plates, calibrated, tmp_path, capsys):
    again = str(tmp_path / "again.joblib")
    arguments = ["calibrate", str(calibrated), str(plates / "new"), "-o", again]
    assert main(arguments) == 0
    assert main(["check", again, str(plates / "lamp")]) == 1
    assert "more anomalous" in capsys.readouterr().out


def test_a_system_without_calibration_gets_one(plates, tmp_path):
    images = featad.list_images(plates / "fit")
    system = featad.build("pixels-kmeans", random_state=0).fit(images)
    featad.save(system, tmp_path / "plain.joblib")
    arguments = ["calibrate", str(tmp_path / "plain.joblib"), str(plates / "new")]
    assert main([*arguments, "--target-fpr", "0.1"]) == 0
    assert last_step(featad.load(tmp_path / "plain.joblib")).target_fpr == 0.1


def test_images_that_the_model_was_fitted_on_do_not_calibrate_it(plates, capsys):
    assert main(["calibrate", str(plates / "model.joblib"), str(plates / "fit")]) == 1
    assert "made from all 60 good images" in _error(capsys)


def test_parts_set_the_threshold_together(parts):
    detector = last_step(featad.load(parts))
    assert (detector.n_calibration_, detector.largest_group_) == (20, 3)


def test_a_calibration_on_parts_counts_parts(plates, tmp_path, capsys):
    arguments = ["calibrate", str(plates / "model.joblib"), str(plates / "views")]
    arguments += ["--groups", r"p\d+", "-o", str(tmp_path / "m.joblib")]
    assert main(arguments) == 0
    assert "set by 60 held-out images of 20 parts" in capsys.readouterr().out


def test_parts_are_checked_as_parts(plates, parts, tmp_path, capsys):
    shutil.copytree(plates / "new", tmp_path / "new")
    arguments = ["check", str(parts), str(tmp_path / "new")]
    assert main([*arguments, "--groups", r"new(\d)"]) in (0, 1)
    assert "of 6 good parts" in capsys.readouterr().out


def test_a_check_of_single_images_by_a_model_of_parts_asks_back(plates, parts, capsys):
    main(["check", str(parts), str(plates / "new")])
    assert "say so with --groups" in capsys.readouterr().err


def test_one_group_of_all_images_is_refused(plates, tmp_path, capsys):
    arguments = ["calibrate", str(plates / "model.joblib"), str(plates / "new")]
    arguments += ["-o", str(tmp_path / "m.joblib")]
    assert main([*arguments, "--groups", "folder"]) == 1
    assert "into one group" in _error(capsys)
    assert main([*arguments, "--groups", "minutes=60"]) == 1
    assert "Were the files copied?" in _error(capsys)
