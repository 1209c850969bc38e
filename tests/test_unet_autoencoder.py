"""UNetAutoencoder: full skips copy, corrupted inputs keep them from it."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch.nn import functional as F

from featad.detectors import UNetAutoencoder
from featad.neural.context import Context
from featad.neural.noise import generator

from _probe import to_tensor

TINY = {"width": 4, "depth": 2, "max_epochs": 2, "device": "cpu", "random_state": 0}


def textured(n, rng, size=16):
    coarse = torch.from_numpy(rng.uniform(0.2, 0.8, (n, 1, 4, 4)))
    fine = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    noise = 0.1 * rng.standard_normal((n, size, size))
    return np.clip(fine[:, 0].numpy() + noise, 0, 1).astype(np.float32)


def error_on_noise(corruption):
    """Return the error on white noise as a share of the noise's variance."""
    rng = np.random.default_rng(0)
    detector = UNetAutoencoder(
        skips="all", corruption=corruption, score_by="mean", width=8, depth=2,
        max_epochs=40, device="cpu", random_state=0,
    ).fit(textured(64, rng))  # fmt: skip
    noise = rng.random((32, 16, 16), dtype=np.float32)
    return -detector.score_samples(noise).mean() / noise.var()


def test_full_skips_copy_anything_unless_inputs_are_corrupted():
    copied, repaired = error_on_noise("none"), error_on_noise("noise")
    assert copied < 0.15
    assert repaired > 2 * copied


def test_full_skips_are_warned_of():
    assert "Warning" in UNetAutoencoder.__doc__


def damage(corruption, x, **params):
    detector = UNetAutoencoder(corruption=corruption, **params)
    return detector._corrupted(x, generator(0, x.device))


def test_no_corruption_leaves_the_input(images):
    x = torch.rand(4, 3, 8, 8)
    assert damage("none", x) is x


@pytest.mark.parametrize(("noise", "deviation"), [(0.2, 0.2), (None, 1.5)])
def test_noise_has_its_deviation(noise, deviation):
    x = torch.zeros(20, 1, 32, 32)
    assert damage("noise", x, noise=noise).std() == pytest.approx(deviation, rel=0.05)


def test_tables_get_less_noise():
    assert damage("noise", torch.zeros(500, 9)).std() == pytest.approx(0.5, rel=0.05)


def test_the_reconstruction_is_the_mean_over_the_draws(images):
    detector = UNetAutoencoder(**TINY, n_draws=2).fit(images)
    x = to_tensor(detector, images)
    nets, rng = detector.networks_, generator(0, x.device)
    noise = [torch.randn(x.shape[1:], generator=rng) for _ in range(2)]
    with torch.no_grad():
        expected = sum(nets["unet"](x + 1.5 * one) for one in noise) / 2
        rebuilt = detector._rebuilt(nets, x, Context(generator(0, x.device)))
    torch.testing.assert_close(rebuilt, expected)


def test_an_erased_box_is_a_rectangle_of_one_level_per_image():
    x = torch.full((200, 3, 20, 30), 2.0)
    changed = damage("boxes", x)
    assert (changed <= 2).all()
    box = (changed != 2).any(dim=1)
    rows, columns = box.any(dim=2), box.any(dim=1)
    assert torch.equal(box, rows[:, :, None] & columns[:, None])
    assert 2 <= rows.sum(dim=1).min() <= 3
    assert 9 <= rows.sum(dim=1).max() <= 11
    levels = [image[image != 2].unique().numel() for image in changed]
    assert set(levels) == {1}
    assert changed[box[:, None].expand_as(x)].unique().numel() == 200


def test_a_patch_comes_from_another_image():
    x = torch.arange(6.0)[:, None, None, None].expand(6, 2, 12, 12)
    for k, image in enumerate(damage("patches", x)):
        assert set(image.unique().tolist()) == {float(k), float((k - 1) % 6)}


def test_mixed_damage_leaves_some_images_with_noise_only():
    x = torch.zeros(300, 1, 16, 16)
    changed = damage("mixed", x, noise=0.0).flatten(1).any(dim=1)
    assert 0.2 < changed.float().mean() < 0.45  # patches of zeros change nothing


def test_runs_of_features_are_damaged_in_tables():
    box = damage("boxes", torch.full((50, 12), 2.0)) != 2
    n_edges = (box[:, 1:] != box[:, :-1]).sum(dim=1)
    assert box.any(dim=1).all()
    assert n_edges.max() <= 2


@pytest.mark.parametrize("skips", ["none", "inner", "all"])
def test_the_loss_falls(images, skips):
    history = clone(UNetAutoencoder(skips=skips, **TINY)).set_params(max_epochs=15)
    history = history.fit(images).history_
    assert history[-1]["unet"] < history[0]["unet"]


def test_maps_have_the_input_s_size():
    X = np.random.default_rng(0).random((6, 13, 10, 3), dtype=np.float32)
    maps = UNetAutoencoder(**TINY).fit(X).anomaly_map(X)
    assert maps.shape == (6, 13, 10)
    assert maps.dtype == np.float32


def test_the_mean_of_the_map_is_the_strangeness(images):
    detector = UNetAutoencoder(**TINY, score_by="mean").fit(images)
    np.testing.assert_allclose(
        detector.anomaly_map(images).mean(axis=(1, 2)),
        -detector.score_samples(images),
        rtol=1e-5,
    )


@pytest.mark.parametrize("loss", ["l1", "ssim", "ms-ssim"])
def test_other_losses_train_and_score(images, loss):
    detector = UNetAutoencoder(**TINY, loss=loss).fit(images)
    assert np.isfinite(detector.score_samples(images)).all()


def test_ssim_of_tables_is_refused():
    with pytest.raises(ValueError, match=r"loss='ssim'\) needs images"):
        UNetAutoencoder(loss="ssim").fit(np.random.default_rng(0).random((9, 4)))
