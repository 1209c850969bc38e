"""``featad recalibrate`` moves a threshold; the manifest tells the rate in force."""

import json
import shutil

import numpy as np
import pytest

import featad
from featad.base import last_step
from featad.cli import main


@pytest.fixture
def model(plates, tmp_path):
    """Return a copy of the model of `plates`, with its manifest and record."""
    for file in plates.glob("model.joblib*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "model.joblib"


def _manifest(path):
    return json.loads((path.parent / f"{path.name}.json").read_text("utf-8"))


def test_another_rate_needs_no_image_and_no_fit(model, capsys):
    assert main(["recalibrate", str(model), "--target-fpr", "0.2"]) == 0
    detector = last_step(featad.load(model))
    expected = np.sort(detector.calibration_scores_)[11]  # of 60: p = 13 / 61
    assert (detector.target_fpr, detector.offset_) == (0.2, expected)
    assert "about 20 % of good images" in capsys.readouterr().out


def test_the_manifest_tells_the_rate_in_force(model):
    before = _manifest(model)
    assert main(["recalibrate", str(model), "--target-fpr", "0.2"]) == 0
    after = _manifest(model)
    assert after["calibration"]["target_fpr"] == 0.2
    assert after["parameters"]["detector__target_fpr"] == 0.2
    assert after["threshold"] < before["threshold"]
    assert after["threshold"] == featad.anomaly_threshold(featad.load(model))


def test_the_record_of_the_training_images_is_kept(model, tmp_path):
    new = tmp_path / "new" / "strict.joblib"
    arguments = ["recalibrate", str(model), "--target-fpr", "0.2", "-o", str(new)]
    assert main(arguments) == 0
    for key in ("training_images", "training_data_digest"):
        assert _manifest(new)[key] == _manifest(model)[key] is not None
    record = new.parent / "strict.joblib.split.csv"
    assert record.read_text() == (tmp_path / "model.joblib.split.csv").read_text()


def test_a_new_file_leaves_the_old_model_as_it_was(model, tmp_path):
    before = model.read_bytes()
    new = str(tmp_path / "new.joblib")
    assert main(["recalibrate", str(model), "--target-fpr", "0.2", "-o", new]) == 0
    assert model.read_bytes() == before


def test_a_rate_that_few_images_cannot_hold_is_said(model, capsys):
    assert main(["recalibrate", str(model), "--target-fpr", "0.001"]) == 0
    captured = capsys.readouterr()
    assert (
        "60 are too few: a rate of 0.1 % needs 999 good images or more" in captured.out
    )
    assert captured.err == ""


@pytest.mark.parametrize("rate", ["0", "1", "-0.1", "five"])
def test_a_rate_is_a_share(model, rate, capsys):
    assert main(["recalibrate", str(model), "--target-fpr", rate]) == 2
    assert "between 0 and 1" in capsys.readouterr().err


def test_setting_the_parameter_after_fit_moves_the_threshold(model, tmp_path):
    system = featad.load(model).set_params(detector__target_fpr=0.2)
    manifest = featad.save(system, tmp_path / "set.joblib")
    fitted = last_step(featad.load(model)).set_threshold(target_fpr=0.2)
    assert manifest["threshold"] == featad.anomaly_threshold(fitted)
    assert manifest["calibration"]["target_fpr"] == 0.2
