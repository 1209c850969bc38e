"""The small network whose weights ship with featad."""

import hashlib
import json
import pickle
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import featad
from featad import VGGFeatures, VGGPatches
from featad.errors import WeightsChangedError
from featad.features import layer_names
from featad.features.statistics import statistics
from featad.features.vgg_mini import MEAN, STD, WEIGHTS
from featad.features.vgg_mini_generated import WEIGHTS as GENERATED
from featad.features.vgg_mini_generated import GeneratedVGGMini, fold_batch_norm
from featad.features.weights import find_weights, load_network

DIGESTS = {
    WEIGHTS: "4cbb4d4376c79adfd2a16c4d73ff813adfd544627e9bb551ac456f7dd49c9e7a",
    GENERATED: "a099f21fe9b92c93247505e53f1409308dfe335911979f823f117ac610c1b679",
}
DESCRIBED = ("conv3_2", "conv4_1", "conv4_4")
FIRST_LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2")


@pytest.fixture(scope="module")
def network():
    return load_network("vgg_mini")[0]


@pytest.fixture
def pixels():
    return np.random.default_rng(0).random((3, 32, 40, 3), dtype=np.float32)


def _prepared(pixels):
    x = torch.from_numpy(pixels).movedim(-1, 1)
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (MEAN, STD))
    return (x - mean) / std


@pytest.mark.parametrize("weights", DIGESTS, ids=lambda path: path.stem)
def test_the_weights_are_the_ones_that_were_measured(weights):
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == DIGESTS[weights]
    card = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["sha256"] == DIGESTS[weights]


@pytest.mark.parametrize("weights", DIGESTS, ids=lambda path: path.stem)
def test_the_card_tells_the_recipe_and_its_limits(weights):
    card = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    assert {"date", "recipe", "seed", "figures", "limits", "generators"} <= set(card)
    assert card["figures"]["magnetic_tile"]["vgg_mini"] >= 0.97


def test_the_card_of_the_taught_weights_says_whom_they_owe():
    card = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    assert "Simonyan and Zisserman" in card["teacher"]
    assert "CC BY 4.0" in card["teacher"]
    assert "Apache License 2.0" in card["start"]


def test_the_package_stays_under_10_megabytes():
    package = Path(featad.__file__).parent
    files = [p for p in package.rglob("*") if p.suffix in (".py", ".safetensors")]
    assert set(DIGESTS) <= set(files)
    assert sum(path.stat().st_size for path in files) < 10e6


def test_the_weights_need_neither_network_nor_cache(pixels, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    VGGFeatures("vgg_mini", image_size=32).fit_transform(pixels)
    assert find_weights("vgg_mini").kind == "packaged"
    assert not list(tmp_path.iterdir())


def test_the_default_layer_has_4096_numbers_of_length_1(pixels):
    features = VGGFeatures("vgg_mini", image_size=(32, 40)).fit_transform(pixels)
    assert features.shape == (3, 4096)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)


def test_layers_are_those_of_the_networks_own_forward_pass(network, pixels):
    options = {"image_size": (32, 40), "pooling": ("mean", "std", "max")}
    maps = network.stages(_prepared(pixels))
    for name in DESCRIBED:
        features = VGGFeatures("vgg_mini", layer=name, **options).fit_transform(pixels)
        np.testing.assert_allclose(features, statistics(maps[name]), atol=1e-5)
    fc7 = VGGFeatures("vgg_mini", image_size=(32, 40)).fit_transform(pixels)
    np.testing.assert_allclose(fc7, network(_prepared(pixels)), atol=1e-6)


def test_the_projection_keeps_the_distances_of_the_statistics(network, pixels):
    x = _prepared(pixels)
    maps = network.stages(x)
    stages = [statistics(maps[name]).chunk(3, dim=1) for name in DESCRIBED]
    raw = torch.cat([F.normalize(part) for s in stages for part in s], dim=1) / 3
    torch.testing.assert_close(
        torch.pdist(network(x)), torch.pdist(raw), rtol=1e-4, atol=1e-6
    )


def test_every_stage_is_named_by_block_and_number():
    names = layer_names("vgg_mini")[:10]
    blocks = {1: 1, 2: 2, 3: 2, 4: 4}
    stages = [f"conv{b}_{n + 1}" for b, count in blocks.items() for n in range(count)]
    assert names == ("fc7", *stages)


def test_a_layer_of_a_block_has_the_same_size_in_both_editions(pixels):
    for layer in ("conv1_1", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv4_1"):
        sizes = [
            VGGPatches("vgg_mini", layer=layer, weights=weights, image_size=(64, 80))
            .fit_transform(pixels)
            .shape[1:3]
            for weights in ("default", "generated")
        ]
        assert np.abs(np.subtract(*sizes)).max() <= 1  # only the first pads its border


def test_folded_batch_normalization_changes_nothing():
    torch.manual_seed(0)
    whole = GeneratedVGGMini(batch_norm=True)
    x = torch.randn(8, 3, 32, 32)
    for _ in range(3):
        whole(x)  # moves the running statistics
    whole.eval()
    torch.testing.assert_close(
        whole(x), fold_batch_norm(whole)(x), rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize(("weights", "least"), [("default", 17), ("generated", 15)])
def test_fewer_pixels_than_it_runs_on_are_refused_with_the_way_out(
    pixels, weights, least
):
    features = VGGFeatures("vgg_mini", weights=weights, image_size=least)
    assert features.fit_transform(pixels).shape[1] == 4096
    with pytest.raises(ValueError, match=f"{least} or more"):
        features.set_params(image_size=least - 1).fit(pixels)


def test_a_fit_of_the_first_edition_finds_its_weights(pixels):
    first = VGGFeatures("vgg_mini", weights="generated", layer=FIRST_LAYERS)
    expected = first.set_params(image_size=32).fit_transform(pixels)
    first.weights = "default"  # as it was named when there was but one edition
    again = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(again.transform(pixels), expected)
    with pytest.raises(ValueError, match="conv1_2"):
        again.fit(pixels)  # a new fit takes the second


def test_a_fit_of_the_second_edition_refuses_the_first(pixels):
    features = VGGFeatures("vgg_mini", image_size=32).fit(pixels)
    features.weights = "generated"
    with pytest.raises(WeightsChangedError, match="fit again"):
        features.transform(pixels)


def test_a_file_is_taken_for_the_edition_that_it_holds(pixels):
    for path, weights in ((WEIGHTS, "default"), (GENERATED, "generated")):
        file, shipped = (
            VGGFeatures("vgg_mini", weights=one, layer="conv3_2", image_size=32)
            for one in (path, weights)
        )
        np.testing.assert_array_equal(
            file.fit_transform(pixels), shipped.fit_transform(pixels)
        )
        assert file.weights_fingerprint_ == shipped.weights_fingerprint_


def test_other_networks_have_no_generated_weights(pixels):
    with pytest.raises(ValueError, match="torchvision publishes"):
        VGGFeatures("vgg11", weights="generated").fit(pixels)


def test_the_pickle_holds_no_network(pixels):
    features = VGGFeatures("vgg_mini", image_size=32).fit(pixels)
    stored = pickle.dumps(features)
    assert len(stored) < 10_000
    again = pickle.loads(stored).transform(pixels)
    np.testing.assert_array_equal(again, features.transform(pixels))


def test_random_weights_are_other_weights(pixels):
    ours, random = (
        VGGFeatures("vgg_mini", image_size=32, weights=weights).fit(pixels)
        for weights in ("default", None)
    )
    assert ours.weights_fingerprint_ != random.weights_fingerprint_


def _golden_picture():
    """Return a smooth picture with a spot, from integer arithmetic alone."""
    row, column = np.mgrid[:48, :64]
    red, green = 3 * row + column, 255 - 2 * column
    blue = 60 + 90 * ((row - 20) ** 2 + (column - 40) ** 2 < 50)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def test_the_features_of_a_fixed_picture_are_what_they_were():
    # Where this fails, the same parameters give other features: raise `_FORMAT` in
    # extractor.py, or caches will mix old rows with new ones. Then pin the new values.
    features = VGGFeatures("vgg_mini", layer=("conv2_1", "fc7"), image_size=64)
    features.set_params(pooling=("mean", "std", "max"))
    row = features.transform([_golden_picture()])[0]
    blocks = np.split(row, [128, 256, 384])
    pinned = [  # the first three values, the mean and the deviation of each block
        [0.221125, 3.04062, 2.11697, 1.26377, 1.26545],
        [0.441404, 0.482834, 0.42221, 0.824236, 0.681071],
        [2.18035, 4.61376, 2.87538, 4.54702, 3.53713],
        [0.0229342, 0.00565842, 0.0241727, -0.000558742, 0.015615],
    ]
    found = [[*block[:3], block.mean(), block.std()] for block in blocks]
    np.testing.assert_allclose(found, pinned, rtol=1e-3, atol=1e-6)
