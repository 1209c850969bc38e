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
from featad import VGGFeatures
from featad.features import layer_names
from featad.features.vgg_mini import (
    MEAN,
    STD,
    WEIGHTS,
    VGGMini,
    fold_batch_norm,
    statistics,
)
from featad.features.weights import find_weights, load_network

DIGEST = "a099f21fe9b92c93247505e53f1409308dfe335911979f823f117ac610c1b679"
DESCRIBED = ("conv3_2", "conv4_1")


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


def test_the_weights_are_the_ones_that_were_measured():
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == DIGEST
    card = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["sha256"] == DIGEST


def test_the_card_tells_the_recipe_and_its_limits():
    card = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    assert {"date", "recipe", "seed", "figures", "limits", "generators"} <= set(card)
    assert card["figures"]["magnetic_tile"]["vgg_mini"] >= 0.97


def test_the_package_stays_under_10_megabytes():
    package = Path(featad.__file__).parent
    files = [p for p in package.rglob("*") if p.suffix in (".py", ".safetensors")]
    assert WEIGHTS in files
    assert WEIGHTS.stat().st_size < 8e6
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
    raw = torch.cat([F.normalize(part) for s in stages for part in s], dim=1) / 6**0.5
    torch.testing.assert_close(
        torch.pdist(network(x)), torch.pdist(raw), rtol=1e-4, atol=1e-6
    )


def test_every_convolution_has_the_papers_name():
    names = layer_names("vgg_mini")[:8]
    assert names == (
        "fc7",
        *(f"conv{b}_{n}" for b in (1, 2, 3) for n in (1, 2)),
        "conv4_1",
    )


def test_folded_batch_normalization_changes_nothing():
    torch.manual_seed(0)
    whole = VGGMini(batch_norm=True)
    x = torch.randn(8, 3, 32, 32)
    for _ in range(3):
        whole(x)  # moves the running statistics
    whole.eval()
    torch.testing.assert_close(
        whole(x), fold_batch_norm(whole)(x), rtol=1e-3, atol=1e-6
    )


def test_15_pixels_are_enough_and_14_are_refused_with_the_way_out(pixels):
    assert VGGFeatures("vgg_mini", image_size=15).fit_transform(pixels).shape[1] == 4096
    with pytest.raises(ValueError, match="15 or more"):
        VGGFeatures("vgg_mini", image_size=14).fit(pixels)


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
        [0.302394, 0.544199, 0.450041, 0.340264, 0.196946],
        [0.170606, 0.296012, 0.230774, 0.212168, 0.0567951],
        [0.935901, 1.74072, 2.05768, 1.34421, 0.389013],
        [0.00394278, 0.00262971, 0.0206826, -0.000117471, 0.0156246],
    ]
    found = [[*block[:3], block.mean(), block.std()] for block in blocks]
    np.testing.assert_allclose(found, pinned, rtol=1e-3, atol=1e-6)
