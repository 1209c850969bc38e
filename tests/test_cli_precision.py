"""``--precision`` reaches the networks of the commands that fit; a model keeps it."""

import importlib.util

import pytest

from featad.cli import main
from featad.machine import set_machine_params
from featad.persistence import load
from featad.registry import build

needs_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None, reason="NNCF is not installed"
)


@needs_nncf
def test_a_model_is_fitted_calibrated_and_scores_in_int8(part_folder, tmp_path, capsys):
    model = tmp_path / "m.joblib"
    command = ["fit", "--system", "resnet18-stats-kmeans", "--data", str(part_folder)]
    command += ["--weights", "random", "--set", "image_size=32", "--cv", "2"]
    command += ["--set", "layer=layer1", "--set", "detector__n_clusters=1"]
    command += ["--precision", "int8", "--engine", "openvino", "--target-fpr", "0.1"]
    assert main([*command, "-o", str(model)]) == 0
    fitted = load(model)["detector"].estimator_["features"]
    assert (fitted.precision_, len(fitted.quantization_) > 5) == ("int8", True)
    good = str(part_folder / "test" / "good")
    assert main(["score", str(model), good, "-o", str(tmp_path / "scores.csv")]) == 0


def test_int8_without_openvino_names_the_option(part_folder, tmp_path, capsys):
    command = ["fit", "--system", "mini-stats-kmeans", "--data", str(part_folder)]
    command += ["--precision", "int8", "-o", str(tmp_path / "m.joblib")]
    assert main(command) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "Take --engine openvino, or --precision float32" in said


def test_precision_is_for_frozen_networks_alone():
    trained = build("images-autoencoder")
    assert set_machine_params(trained, precision="int8") == set()
    frozen = build("mini-stats-kmeans")
    assert set_machine_params(frozen, precision="int8") == {"precision"}
    assert frozen["features"].precision == "int8"


def test_a_precision_that_nothing_takes_is_a_warning(part_folder, tmp_path, capsys):
    command = ["fit", "--system", "pixels-kmeans", "--data", str(part_folder)]
    command += ["-o", str(tmp_path / "m.joblib"), "--target-fpr", "0.1"]
    assert main([*command, "--precision", "int8"]) == 0
    assert "warning: --precision int8 has no effect" in capsys.readouterr().err


def test_a_model_keeps_its_precision(capsys):
    assert main(["score", "model.joblib", "folder", "--precision", "int8"]) == 2
    assert "--precision" in capsys.readouterr().err
