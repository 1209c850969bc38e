"""Other engines give torch's features; what they cannot do is refused."""

import importlib.util
import io
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from featad.errors import FeatadError, MissingExtraError
from featad.features import BackboneFeatures, PatchFeatures, VGGFeatures, engines
from featad.features.extractor import Extractor, load_extractor
from featad.machine import portable_copy
from featad.registry import build

CPU = torch.device("cpu")
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def small(**parameters):
    """Return features of a small network at a small size."""
    usual = {"arch": "squeezenet1_1", "layer": ("features.3", "features.7")}
    return BackboneFeatures(**usual | {"weights": None, "image_size": 32} | parameters)


@pytest.fixture
def no_openvino(monkeypatch):
    """Make this machine one without OpenVINO, as far as Python can tell."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "openvino" else find(n)
    )
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(engines, "_core", lambda: engines.load_openvino().Core())


@pytest.fixture
def other_values(monkeypatch):
    """Let OpenVINO's engine give values that are a little too large."""
    run = engines._run
    monkeypatch.setattr(
        engines, "_run", lambda *args: [values * 1.001 for values in run(*args)]
    )
    # a size that no other test has, so that it is compiled anew
    return small(image_size=33)


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.max())


# --- the same features


@needs_openvino
@pytest.mark.parametrize(
    "features",
    [
        small(pooling=("mean", "std", "max")),
        VGGFeatures("vgg_mini", layer=("conv2_1", "fc7"), image_size=32),
        PatchFeatures("resnet18", weights=None, image_size=32, n_components=8),
        BackboneFeatures("swin_t", layer="features.1", weights=None, image_size=32),
        BackboneFeatures(
            "squeezenet1_1", layer="features.3", weights=None, image_size=32,
            preprocessing="caffe",
        ),
    ],
    ids=["layers", "vgg_mini", "patches", "channels-last", "bgr"],
)  # fmt: skip
def test_openvino_gives_the_features_of_torch(features, images):
    expected = features.transform(images)
    assert_same(features.set_params(engine="openvino").transform(images), expected)


@needs_openvino
def test_auto_takes_openvino_where_it_is_installed(images):
    found = small(engine="auto").transform(images)
    assert_same(found, small().transform(images))
    np.testing.assert_array_equal(found, small(engine="openvino").transform(images))


def test_auto_is_torch_where_openvino_is_missing(images, no_openvino):
    found = small(engine="auto").fit_transform(images)
    np.testing.assert_array_equal(found, small().transform(images))


def test_auto_is_torch_for_a_gpu_and_for_other_precisions():
    assert engines.resolve_engine("auto", torch.device("cuda:0"), "float32") == "torch"
    assert engines.resolve_engine("auto", CPU, "bfloat16") == "torch"


def test_the_default_does_not_depend_on_what_is_installed():
    assert VGGFeatures().engine == "torch"


@needs_openvino
def test_the_same_input_gives_the_same_bits(images):
    features = small(engine="openvino")
    first = features.transform(images)
    np.testing.assert_array_equal(features.transform(images), first)


@needs_openvino
def test_a_last_batch_may_be_smaller(images):
    features = small(engine="openvino", batch_size=4)
    assert_same(features.transform(images[:5]), small().transform(images[:5]))


@needs_openvino
def test_values_of_a_batch_outlive_the_next_one(images):
    extractor = small(engine="openvino")._find_extractor()
    pixels = np.zeros((1, 32, 32, 3), np.float32)
    first, _ = extractor.layers(pixels, "float32")
    kept = first.copy()
    extractor.layers(pixels + 0.5, "float32")
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("arch", ["vgg_mini", "resnet18"])
def test_weights_have_their_channels_last_and_the_same_features(arch):
    layer = {"vgg_mini": "conv3_2", "resnet18": "layer2"}[arch]
    features = small(arch=arch, layer=layer)
    extractor = Extractor(*features._network_key())
    pixels = np.random.default_rng(0).random((2, 32, 32, 3)).astype(np.float32)
    (found,) = extractor.layers(pixels, "float32")
    weights = [w for w in extractor._cut.parameters() if w.ndim == 4]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    extractor._cut.to(memory_format=torch.contiguous_format)
    (expected,) = extractor.layers(pixels, "float32")
    assert_same(found, expected)


# --- what differs is refused


@needs_openvino
def test_other_features_are_an_error(images, other_values):
    with pytest.raises(FeatadError, match="but differ by .* Take engine='torch'"):
        other_values.set_params(engine="openvino").transform(images)


@needs_openvino
def test_auto_is_torch_where_openvino_gives_other_features(images, other_values):
    found = other_values.set_params(engine="auto").transform(images)
    expected = other_values.set_params(engine="torch").transform(images)
    np.testing.assert_array_equal(found, expected)


@needs_openvino
def test_a_network_that_cannot_be_converted_is_an_error(images, monkeypatch):
    def refuse(*args):
        raise RuntimeError("first line\nno rule for aten::odd.")

    monkeypatch.setattr(engines, "_converted", refuse)
    features = small(engine="openvino", image_size=34)
    with pytest.raises(FeatadError, match=r"34 x 34 pixels: no rule for aten::odd\. T"):
        features.transform(images)


@needs_openvino
def test_networks_are_compiled_where_filters_of_warnings_may_change(
    images, monkeypatch
):
    threads, convert = [], engines._converted

    def converted(*args):
        threads.append(threading.current_thread())
        return convert(*args)

    monkeypatch.setattr(engines, "_converted", converted)
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        small(engine="openvino", image_size=36).transform(images)
    finally:
        torch.set_num_threads(usual)
    assert threads == [threading.current_thread()]


def test_a_layer_of_zeros_is_fine_and_nan_is_not():
    zeros = [torch.zeros(1, 2)]
    engines._check_equal(zeros, zeros)
    with pytest.raises(FeatadError):
        engines._check_equal([torch.full((1, 2), torch.nan)], zeros)


@needs_openvino
def test_openvino_takes_no_gpu():
    with pytest.raises(ValueError, match="runs on the CPU, but device='cuda:1'"):
        engines.resolve_engine("openvino", torch.device("cuda:1"), "float32")


@needs_openvino
def test_a_precision_that_the_processor_lacks_is_refused(images, monkeypatch):
    monkeypatch.setattr(engines, "possible_precisions", lambda: ["float32"])
    with pytest.raises(ValueError, match="This one computes in float32"):
        small(engine="openvino", precision="bfloat16").fit(images)


@needs_openvino
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_lower_precision_is_close(images, precision):
    if precision not in engines.possible_precisions():
        pytest.skip(f"this processor does not compute in {precision}")
    found = small(engine="openvino", precision=precision).transform(images)
    expected = small().transform(images)
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())


# --- what is saved, and what is found again


def test_a_model_without_its_engine_names_the_extra_and_the_way_out(
    images, no_openvino
):
    features = small(engine="openvino", image_size=36)  # not yet compiled
    features = pickle.loads(pickle.dumps(features))
    with pytest.raises(MissingExtraError, match=r"featad\[openvino\].*engine='torch'"):
        features.transform(images)
    with pytest.raises(MissingExtraError):
        features.fit(images)


def test_weights_are_checked_without_the_engine(images, no_openvino):
    features = small(engine="openvino")
    features.check_weights()
    assert features.extractor_fingerprint() == small().extractor_fingerprint()


@needs_openvino
def test_the_compiled_network_is_not_pickled(images):
    features = small(engine="openvino").fit(images)
    features.transform(images)
    assert len(pickle.dumps(features)) < 2000


def test_a_saved_system_keeps_its_engine():
    system = build("mini-stats-kmeans", engine="openvino", device="cpu")
    copy = portable_copy(system)["features"]
    assert (copy.engine, copy.device) == ("openvino", "auto")


def test_a_transformer_without_an_engine_is_one_of_torch(images):
    old = small().fit(images)
    del old.engine
    old = pickle.load(io.BytesIO(pickle.dumps(old)))
    assert old.get_params()["engine"] == "torch"


@needs_openvino
def test_engines_share_a_cache_in_float32(images, tmp_path):
    first = small(cache=tmp_path).fit(images)
    expected = first.transform(images)
    other = small(cache=tmp_path, engine="openvino")
    assert other.extractor_fingerprint() == first.extractor_fingerprint()
    np.testing.assert_array_equal(other.transform(images), expected)


@needs_openvino
def test_engines_share_no_cache_in_another_precision(monkeypatch):
    monkeypatch.setattr(engines, "possible_precisions", lambda: ["bfloat16"])
    one, other = small(precision="bfloat16"), small(precision="bfloat16")
    other.set_params(engine="openvino")
    assert one.extractor_fingerprint() != other.extractor_fingerprint()


# --- threads and processes


@needs_openvino
def test_threads_share_a_network(images):
    features = small(engine="openvino", n_jobs=1)
    expected = features.transform(images)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(features.transform, [images] * 8):
            np.testing.assert_array_equal(found, expected)


@needs_openvino
def test_openvino_takes_as_many_threads_as_torch(images, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    features = small(engine="openvino", image_size=35)
    features.transform(images)
    compiled = load_extractor(*features._network_key())._run_network._compiled
    (compiled,) = [compiled[key] for key in compiled if key[0] == (35, 35)]
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


FORK = """
import multiprocessing, sys
import numpy as np, torch
from featad.features import BackboneFeatures

torch.set_num_threads(2)
images = np.random.default_rng(0).random((4, 32, 32, 3)).astype(np.float32)
features = BackboneFeatures(
    "squeezenet1_1", layer="features.3", weights=None, image_size=32, engine="openvino"
)
features.transform(images)
work = lambda: features.transform(images)
child = multiprocessing.get_context("fork").Process(target=work, daemon=True)
child.start()
child.join(150)
sys.exit(1 if child.is_alive() else child.exitcode)
"""


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    """Return a finished program that forks, and the home folder that it had."""
    home = tmp_path_factory.mktemp("home")
    command, environment = (
        [sys.executable, "-c", FORK],
        os.environ | {"HOME": str(home)},
    )
    done = subprocess.run(command, env=environment, timeout=200, capture_output=True)
    return done, home


@needs_openvino
@needs_fork
def test_a_forked_process_goes_on(forked):
    assert forked[0].returncode == 0, forked[0].stderr.decode()


@needs_openvino
@needs_fork
def test_openvino_keeps_no_record_of_its_users(forked):
    assert list(forked[1].iterdir()) == []
