"""``featad doctor --speed`` measures the engines and says which options to take."""

import importlib.util

import numpy as np
import pytest

from featad.cli import main, speed
from featad.cli.speed import Speed, advice, measure_speed
from featad.features import BackboneFeatures, PatchFeatures

USUAL = Speed("torch", "float32", 10.0, 1.0)
has_openvino = importlib.util.find_spec("openvino") is not None
has_nncf = importlib.util.find_spec("nncf") is not None


@pytest.mark.parametrize("cls", [BackboneFeatures, PatchFeatures])
def test_every_engine_and_precision_is_measured(cls):
    features = cls("squeezenet1_1", layer="features.3", weights=None, image_size=32)
    speeds = {(s.engine, s.precision): s for s in measure_speed(features, 0)}
    assert list(speeds)[0] == ("torch", "float32")
    assert ("torch", "bfloat16") in speeds
    assert (("openvino", "float32") in speeds) == has_openvino
    assert (("openvino", "int8") in speeds) == (has_openvino and has_nncf)
    assert all(s.rate > 0 and s.cosine > 0.99 for s in speeds.values())
    assert speeds["torch", "bfloat16"].cosine < speeds["torch", "float32"].cosine


def test_images_need_not_be_square():
    features = BackboneFeatures(
        "squeezenet1_1", layer="features.3", weights=None, image_size=(24, 32)
    )
    assert next(measure_speed(features, 0)).cosine == pytest.approx(1)


def test_a_slow_precision_runs_on_one_image_alone():
    pixels = np.zeros((10, 8, 8, 3))
    _, found = speed._rate(lambda x: lambda: x[:, 0, 0, :1], pixels, seconds=0)
    assert len(found) == 1


def test_speeds_are_printed_with_what_to_do(capsys, monkeypatch):
    monkeypatch.setattr(speed, "_SECONDS", 0)
    assert main(["doctor", "--speed"]) == 0
    printed = capsys.readouterr().out
    assert "vgg_mini up to conv3_2" in printed
    assert "torch     float32" in printed
    assert "torch" in printed.splitlines()[-1] or "--engine" in printed


def test_a_system_without_a_network_has_no_speed(capsys):
    assert main(["doctor", "--speed", "pixels-knn"]) == 1
    assert "runs a frozen network, but is 'pixels-knn'" in capsys.readouterr().err


def test_missing_weights_are_replaced_by_random_ones(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert speed._features_of("resnet18-stats-knn").weights is None
    assert speed._features_of("mini-stats-knn").weights == "default"


def test_the_fastest_engine_of_the_same_features_is_advised():
    found = advice("mini-stats-knn", [USUAL, Speed("openvino", "float32", 12.0, 1.0)])
    line = "featad fit DIR -o MODEL --system mini-stats-knn --engine openvino"
    assert line in next(found)


def test_torch_is_advised_where_nothing_is_faster():
    found = advice("mini-stats-knn", [USUAL, Speed("openvino", "float32", 10.1, 1.0)])
    assert next(found).startswith("No engine is faster")


def test_8_bit_integers_are_advised_by_the_options_that_take_them():
    rough = Speed("openvino", "int8", 30.0, 0.995)
    said = " ".join(advice("mini-stats-knn", [USUAL, rough]))
    assert "--engine openvino --precision int8" in said


def test_rounded_features_are_advised_with_a_caution():
    rough = Speed("torch", "bfloat16", 30.0, 0.9997)
    said = " ".join(advice("mini-stats-knn", [USUAL, rough]))
    assert "--engine torch --precision bfloat16" in said
    assert "Compare the AUROC" in said
