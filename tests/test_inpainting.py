"""Inpainting: nothing outside the hole changes, what cannot be guessed is hot."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn
from torch.nn import functional as F

from featad.detectors import Inpainting
from featad.metrics import auroc
from featad.neural.context import Context
from featad.neural.noise import generator, random_boxes
from featad.neural.superpixels import superpixels

from _probe import to_tensor

TINY = {"width": 4, "max_epochs": 2, "device": "cpu", "random_state": 0}


def smooth(n, rng, size=32):
    coarse = torch.from_numpy(rng.uniform(0.2, 0.6, (n, 1, 4, 4)))
    fine = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    return fine[:, 0].clamp(0, 1).numpy().astype(np.float32)


@pytest.fixture(scope="module")
def trained():
    X = smooth(64, np.random.default_rng(0))
    options = {"max_epochs": 20, "width": 8, "lr": 3e-3}
    return Inpainting(device="cpu", random_state=0, **options).fit(X)


class Oracle(nn.Module):
    """Guesses the images it was given, whatever is hidden."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def forward(self, seen):
        return self.x.repeat(len(seen) // len(self.x), 1, 1, 1)


@pytest.fixture
def fitted(images):
    return Inpainting(**TINY).fit(images)


def test_outside_the_hole_nothing_changes(fitted, images):
    x = to_tensor(fitted, images)
    mask = random_boxes(x, (0.2, 0.4), generator(0, x.device))
    filled = fitted._filled(fitted.networks_, x, mask)
    outside = (~mask).expand_as(x)
    assert torch.equal(filled[outside], x[outside])
    assert not torch.equal(filled, x)


def test_what_is_in_the_hole_is_not_seen(fitted, images):
    x = to_tensor(fitted, images)
    mask = random_boxes(x, (0.2, 0.4), generator(0, x.device))
    other = torch.where(mask, 1 - x, x)
    torch.testing.assert_close(
        fitted._filled(fitted.networks_, x, mask),
        fitted._filled(fitted.networks_, other, mask),
        rtol=0,
        atol=0,
    )


def test_a_perfect_guess_leaves_no_heat(fitted, images):
    x = to_tensor(fitted, images)
    fitted.score_batch_size = 50  # the windows go through in chunks
    assert fitted._map_of({"unet": Oracle(x)}, x, Context(None)).abs().max() == 0


def test_a_planted_square_is_hottest_in_95_of_100_images(trained):
    rng = np.random.default_rng(1)
    X, inside = smooth(50, rng), np.zeros((50, 32, 32), dtype=bool)
    for square, (row, column) in zip(inside, rng.integers(2, 24, (50, 2)), strict=True):
        square[row : row + 6, column : column + 6] = True
    maps = trained.anomaly_map(np.where(inside, X + 0.35, X).astype(np.float32))
    hottest = maps.reshape(50, -1).argmax(axis=1)
    assert inside.reshape(50, -1)[np.arange(50), hottest].mean() >= 0.95


def test_images_with_a_square_are_told_from_clean_ones_by_training(trained):
    rng = np.random.default_rng(2)
    X, odd = smooth(30, rng), smooth(30, rng)
    odd[:, 10:16, 10:16] += 0.35
    both, y = np.concatenate([X, odd]), np.repeat([1, -1], 30)
    trained = copy.deepcopy(trained).set_params(score_by="top1%")
    untrained = clone(trained).set_params(max_epochs=0).fit(X)
    assert auroc(y, -trained.score_samples(both)) > 0.95
    assert auroc(y, -untrained.score_samples(both)) < 0.9


def test_the_hole_reaches_every_pixel():
    for length in (3, 8, 29):
        x = torch.zeros(1, 1, length, length + 1)
        windows = Inpainting(hole=0.3)._windows(x)
        assert windows.any(dim=0).all()
        assert windows.flatten(1).sum(dim=1).unique().numel() == 1


def test_heat_does_not_depend_on_the_chunks(fitted, images):
    expected = fitted.anomaly_map(images)
    fitted.set_params(score_batch_size=5)
    np.testing.assert_allclose(fitted.anomaly_map(images), expected, rtol=1e-4)


def test_the_critic_is_trained_only_with_a_weight(images):
    assert set(Inpainting(**TINY).fit(images).networks_) == {"unet"}
    detector = Inpainting(**TINY, adversarial_weight=0.01).fit(images)
    assert set(detector.networks_) == {"unet", "critic"}
    assert {"critic", "unet"} <= detector.history_[-1].keys()
    table = images.reshape(24, -1)
    Inpainting(**TINY, adversarial_weight=0.01).fit(table).score_samples(table)


def test_a_normalized_map_divides_by_the_usual_heat_of_a_place(images):
    plain = Inpainting(**TINY).fit(images)
    normalized = Inpainting(**TINY, normalize_map=True).fit(images)
    heat = plain.anomaly_map(images)
    usual = heat.mean(axis=0)
    np.testing.assert_allclose(
        normalized.anomaly_map(images), heat / (usual + usual.mean()), rtol=1e-4
    )


def test_superpixels_hold_the_mean_heat_of_their_pixels(fitted, images):
    heat = fitted.anomaly_map(images)
    fitted.set_params(n_segments=6)
    maps = fitted.anomaly_map(images)
    for one, mean, image in zip(heat, maps, images, strict=True):
        segments = superpixels(image, 6)
        for segment in np.unique(segments):
            inside = segments == segment
            np.testing.assert_allclose(mean[inside], one[inside].mean(), rtol=1e-4)


def test_maps_have_the_input_s_size():
    X = np.random.default_rng(0).random((6, 13, 10, 3), dtype=np.float32)
    maps = Inpainting(**TINY).fit(X).anomaly_map(X)
    assert maps.shape == (6, 13, 10)
    assert maps.dtype == np.float32


def test_trimming_and_early_stopping_work_with_a_normalized_map(images):
    params = {"normalize_map": True, "trim": 0.1, "early_stopping": 1}
    detector = Inpainting(**TINY, **params).fit(images)
    assert "validation" in detector.history_[0]
