"""SymmetricGAN: mirror images score alike, what is on one side only is strange."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch.nn import functional as F

from featad.base import anomaly_scores
from featad.datasets import load_folder
from featad.detectors import SymmetricGAN
from featad.images import ImageReader
from featad.metrics import auroc

TINY = {"width": 4, "max_epochs": 2, "device": "cpu", "random_state": 0}


def symmetric(n, rng, size=16):
    """Return smooth random images, each its own mirror image."""
    coarse = torch.from_numpy(rng.uniform(0.2, 0.6, (n, 1, 4, 2)))
    coarse = torch.cat([coarse, coarse.flip(-1)], dim=-1)
    fine = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    return fine[:, 0].clamp(0, 1).numpy().astype(np.float32)


def with_blobs(X, rng):
    """Return images with a bright square on one side, and where it is."""
    odd, inside = X.copy(), np.zeros(X.shape, dtype=bool)
    for k, (row, column) in enumerate(rng.integers(1, 4, (len(X), 2))):
        column += 8 * (k % 2)
        inside[k, 3 * row : 3 * row + 3, column : column + 3] = True
    odd[inside] += 0.35
    return odd, inside


@pytest.fixture(scope="module")
def trained():
    X = symmetric(64, np.random.default_rng(0))
    return SymmetricGAN(device="cpu", random_state=0, max_epochs=60).fit(X)


def test_a_mirror_image_scores_the_same_and_has_the_mirrored_map(trained):
    X = np.random.default_rng(1).random((5, 16, 16), dtype=np.float32)
    mirrored = X[:, :, ::-1]
    np.testing.assert_allclose(
        trained.score_samples(mirrored), trained.score_samples(X), rtol=1e-5
    )
    np.testing.assert_allclose(
        trained.anomaly_map(mirrored), trained.anomaly_map(X)[:, :, ::-1], rtol=1e-4
    )


def test_symmetric_images_become_almost_free_of_error(trained):
    rng = np.random.default_rng(2)
    X = symmetric(20, rng)
    usual = anomaly_scores(trained, X).mean()
    untrained = clone(trained).set_params(max_epochs=0).fit(X)
    assert usual < 0.05
    assert usual < 0.15 * anomaly_scores(untrained, X).mean()
    halves = np.concatenate([X[:10, :, :8], X[10:, :, 8:]], axis=2)
    assert usual < 0.3 * anomaly_scores(trained, halves).mean()


def test_a_blob_is_hotter_than_its_mirror_place_in_80_of_100_images(trained):
    rng = np.random.default_rng(3)
    odd, inside = with_blobs(symmetric(50, rng), rng)
    maps = trained.anomaly_map(odd)
    hottest = maps.reshape(50, -1).argmax(axis=1)
    assert inside.reshape(50, -1)[np.arange(50), hottest].mean() >= 0.8


def test_blobs_are_found_by_training(trained):
    rng = np.random.default_rng(4)
    X, (odd, _) = symmetric(30, rng), with_blobs(symmetric(30, rng), rng)
    both, y = np.concatenate([X, odd]), np.repeat([1, -1], 30)
    untrained = clone(trained).set_params(max_epochs=0).fit(X)
    assert auroc(y, anomaly_scores(trained, both)) > 0.95
    assert auroc(y, anomaly_scores(untrained, both)) < 0.85


@pytest.mark.parametrize("max_shift", [0, 2])
def test_a_horizontal_line_is_a_vertical_one_of_the_turned_image(max_shift):
    X = np.random.default_rng(0).random((6, 8, 11, 3), dtype=np.float32)
    turned = X.transpose(0, 2, 1, 3)
    vertical = SymmetricGAN(max_shift=max_shift, **TINY).fit(X)
    horizontal = SymmetricGAN(axis="horizontal", max_shift=max_shift, **TINY).fit(
        turned
    )
    np.testing.assert_allclose(
        horizontal.anomaly_map(turned),
        vertical.anomaly_map(X).transpose(0, 2, 1),
        rtol=1e-5,
    )


@pytest.mark.parametrize("width", [10, 11])
def test_the_map_is_made_of_both_guesses(width):
    X = np.random.default_rng(0).random((6, 13, width), dtype=np.float32)
    detector = SymmetricGAN(**TINY).fit(X)
    maps = detector.anomaly_map(X)
    x, half = torch.from_numpy(X)[:, None], -(-width // 2)
    generator = detector.networks_["unet"]
    with torch.no_grad():
        second = generator(x[..., :half])[:, 0].flip(-1).numpy()
        first = generator(x.flip(-1)[..., :half])[:, 0].numpy()
    whole = width // 2  # columns that are in one half only
    first = abs(first - X[:, :, :half])[:, :, :whole]
    second = abs(second - X[:, :, -half:])[:, :, -whole:]
    assert maps.shape == X.shape
    np.testing.assert_allclose(maps[:, :, :whole], first, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(maps[:, :, -whole:], second, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        maps.mean(axis=(1, 2)), anomaly_scores(detector, X), rtol=1e-5
    )


def test_a_moved_image_has_the_moved_map():
    X = np.zeros((12, 10, 20), dtype=np.float32)
    X[:, :, 5:15] = symmetric(12, np.random.default_rng(0), size=10)
    X[:, 4, 6] = 1
    moved = np.roll(X, 2, axis=2)
    detector = SymmetricGAN(max_shift=2, **TINY).fit(X)
    np.testing.assert_allclose(
        detector.anomaly_map(moved)[:, :, 2:],
        detector.anomaly_map(X)[:, :, :-2],
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        detector.score_samples(moved), detector.score_samples(X), rtol=0.05
    )


def test_a_cycle_changes_the_training(images):
    plain = SymmetricGAN(**TINY).fit(images).score_samples(images)
    cycled = SymmetricGAN(**TINY, cycle_weight=50.0).fit(images).score_samples(images)
    assert (plain != cycled).all()


def test_both_networks_are_trained(images):
    history = SymmetricGAN(**{**TINY, "max_epochs": 10}).fit(images).history_
    assert history[-1]["unet"] < history[0]["unet"]
    assert history[-1]["critic"] != history[0]["critic"]


@pytest.mark.data
@pytest.mark.slow
def test_it_finds_tumours_better_than_the_difference_of_the_halves(real_data):
    dataset = load_folder(real_data / "brain_mri", normal="no", anomaly="yes")
    images = ImageReader(size=64, mode="L").fit_transform(dataset.images)
    normal = np.random.default_rng(0).permutation(np.flatnonzero(dataset.labels == 1))
    test = np.setdiff1d(np.arange(len(images)), normal[:70])
    X, y = images[test], dataset.labels[test]
    detector = SymmetricGAN(batch_size=8, max_epochs=30)
    found, before = trained_and_not(detector, images[normal[:70]], X, y)
    difference = abs(X - X[:, :, ::-1]).mean(axis=(1, 2, 3))
    assert found > max(auroc(y, difference), before + 0.04)


def trained_and_not(detector, train, test, y):
    detector.set_params(random_state=0, device="cpu").fit(train)
    untrained = clone(detector).set_params(max_epochs=0).fit(train)
    return [auroc(y, anomaly_scores(one, test)) for one in (detector, untrained)]
