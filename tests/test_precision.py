"""``precision="auto"`` takes the lowest precision that keeps the features."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.utils import get_tags

import featad
from featad.errors import FeatadError
from featad.features import BackboneFeatures, engines, precision
from featad.features.precision import native_precisions, smallest_cosine
from featad.persistence import load, save


def small(**parameters):
    """Return features of a small network at a small size, of which torch is fast."""
    usual = {"arch": "squeezenet1_1", "layer": "features.3", "weights": None}
    usual |= {"image_size": 32, "precision": "auto"}
    return BackboneFeatures(**usual | parameters)


@pytest.fixture
def with_bfloat16(monkeypatch):
    """Make this processor one that computes in bfloat16 and has no 8-bit products."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)


@pytest.fixture
def with_nothing(monkeypatch):
    """Make this processor one that computes in float32 alone."""
    for name in ("avx512_bf16", "vnni", "amx_tile"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda: False)


def test_the_lowest_precision_that_keeps_the_features_is_chosen(images, with_bfloat16):
    features = small().fit(images)
    assert features.precision_ == "bfloat16"
    found = features.transform(images)
    expected = small(precision="bfloat16").transform(images)
    np.testing.assert_array_equal(found, expected)


def test_float32_is_chosen_where_others_are_too_far_off(
    images, with_bfloat16, monkeypatch
):
    monkeypatch.setitem(precision.LEAST_COSINE, "bfloat16", 1.1)
    assert small().fit(images).precision_ == "float32"


def test_float32_is_chosen_where_openvino_cannot_run_the_network(images, monkeypatch):
    pytest.importorskip("nncf")

    def refuse(*args):
        raise RuntimeError("no rule for aten::odd.")

    monkeypatch.setattr(precision, "native_precisions", lambda *_: ["int8"])
    monkeypatch.setattr(engines, "_converted", refuse)
    assert small(image_size=37, engine="auto").fit(images).precision_ == "float32"
    with pytest.raises(FeatadError, match="Take precision='float32'"):
        small(image_size=37, engine="auto", precision="int8").fit(images)


def test_no_image_is_read_where_there_is_no_choice(with_nothing):
    assert small().fit([b"no image"]).precision_ == "float32"


def test_the_choice_is_another_fingerprint(images, with_bfloat16):
    features = small().fit(images)
    one = small(precision="bfloat16").extractor_fingerprint()
    assert features.extractor_fingerprint() == one


def test_a_saved_model_keeps_its_choice(images, tmp_path, with_bfloat16, monkeypatch):
    system = featad.build(
        "squeezenet1_1-stats-kmeans", weights=None, image_size=32, precision="auto",
        detector__n_clusters=1,
    ).fit(images)  # fmt: skip
    manifest = save(system, tmp_path / "model.joblib")
    assert manifest["precisions"] == ["bfloat16"]
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    again = load(tmp_path / "model.joblib")["features"]
    assert again._rounding() == "bfloat16"


def test_the_precision_of_a_model_is_an_attribute(images):
    assert small(precision="float32").fit(images).precision_ == "float32"


@pytest.mark.parametrize("name", ["int8", "auto"])
def test_features_that_take_training_images_say_so(name):
    assert get_tags(small(precision=name)).requires_fit
    assert not get_tags(small(precision="bfloat16")).requires_fit


def test_weights_are_checked_before_a_precision_is_chosen():
    small().check_weights()
    assert len(small().get_feature_names_out()) == 128


def test_a_fit_forgets_the_choice_of_the_one_before(images, with_bfloat16, monkeypatch):
    features = pickle.loads(pickle.dumps(small().fit(images)))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert features.fit(images).precision_ == "float32"


# --- what the processor can do


def test_torch_has_no_8_bit_networks(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    assert "int8" not in native_precisions("torch", "cpu")


@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_8_bit_networks_need_vnni_openvino_and_nncf(engine, monkeypatch, with_nothing):
    monkeypatch.setattr(precision, "possible_precisions", lambda: ["float32", "int8"])
    assert native_precisions(engine, "cpu") == []
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    monkeypatch.setattr(precision.importlib.util, "find_spec", lambda name: True)
    assert native_precisions(engine, "cpu") == ["int8"]
    monkeypatch.setattr(
        precision.importlib.util, "find_spec", lambda name: name != "nncf"
    )
    assert native_precisions(engine, "cpu") == []


def test_a_gpu_computes_in_float16(monkeypatch):
    monkeypatch.setattr(precision, "resolve_device", torch.device)
    assert native_precisions("auto", "cuda") == ["float16"]


def test_openvino_says_what_it_computes_in(monkeypatch, with_nothing):
    monkeypatch.setattr(
        precision, "possible_precisions", lambda: ["float32", "bfloat16", "float16"]
    )
    assert native_precisions("openvino", "cpu") == ["bfloat16", "float16"]


# --- how close features are


def test_the_cosine_is_that_of_the_worst_image():
    usual = np.eye(3, 4)
    found = usual.copy()
    found[1] = [0, 3, 4, 0]
    assert smallest_cosine(found, usual) == pytest.approx(0.6)


def test_images_without_features_are_alike():
    assert smallest_cosine(np.zeros((2, 3)), np.zeros((2, 3))) == 1
    assert smallest_cosine(np.zeros((1, 3)), np.ones((1, 3))) == 0


def test_features_that_are_no_numbers_are_never_close():
    assert not smallest_cosine(np.full((1, 3), np.nan), np.ones((1, 3))) >= 0


def test_no_batch_hides_features_that_are_no_numbers(monkeypatch):
    found = iter([1.0, np.nan, 1.0])
    monkeypatch.setattr(precision, "smallest_cosine", lambda *_: next(found))
    features = BackboneFeatures("vgg_mini", layer="conv1_1", image_size=32)
    pixels = np.zeros((24, 32, 32, 3), np.float32)
    assert np.isnan(precision._cosine_to_float32(features.fit(pixels), pixels))
