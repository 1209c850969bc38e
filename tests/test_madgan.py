"""MADGAN: slices that go on as before are usual, a jump is strange."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from featad.base import anomaly_scores
from featad.datasets.slices import aggregate_scores, slice_windows
from featad.detectors import MADGAN
from featad.metrics import auroc

TINY = {"width": 4, "max_epochs": 2, "device": "cpu", "random_state": 0}
DEPTH, SIZE = 10, 16


def scans(n, rng, jump=0.0):
    """Return volumes of a disc whose radius grows, by ``jump`` more half-way up."""
    place = np.arange(SIZE) - (SIZE - 1) / 2
    volumes = np.empty((n, DEPTH, SIZE, SIZE), dtype=np.float32)
    for volume in volumes:
        row, column = rng.uniform(-1.5, 1.5, 2)
        distance = np.hypot(*np.meshgrid(place - row, place - column, indexing="ij"))
        radius = rng.uniform(1.5, 2.5) + rng.uniform(0.2, 0.35) * np.arange(DEPTH)
        radius[DEPTH // 2 :] += jump
        volume[:] = np.clip(radius[:, None, None] - distance + 0.5, 0, 1)
    return volumes


def repeated_slice(windows):
    """Return the mean squared error of the last given slice taken for the next."""
    given, target = windows[..., 2:3], windows[..., 3:]
    return ((target - given) ** 2).mean(axis=(1, 2, 3))


@pytest.fixture(scope="module")
def trained():
    windows, _ = slice_windows(scans(24, np.random.default_rng(0)))
    return MADGAN(device="cpu", random_state=0, max_epochs=60).fit(windows)


def scored(detector, volumes):
    windows, groups = slice_windows(volumes)
    return aggregate_scores(anomaly_scores(detector, windows), groups)


def test_a_smooth_continuation_is_far_less_strange_than_a_jump(trained):
    rng = np.random.default_rng(1)
    smooth, odd = scans(12, rng), scans(12, rng, jump=2.0)
    assert scored(trained, odd).min() > 5 * scored(trained, smooth).max()


def test_a_small_jump_is_found_by_training_and_not_by_repeating_a_slice(trained):
    rng = np.random.default_rng(1)
    smooth, odd = scans(12, rng), scans(12, rng, jump=0.5)
    both, y = np.concatenate([smooth, odd]), np.repeat([1, -1], 12)
    windows, groups = slice_windows(both)
    untrained = clone(trained).set_params(max_epochs=0).fit(windows)
    repeated = aggregate_scores(repeated_slice(windows), groups)
    assert auroc(y, scored(trained, both)) > 0.98
    assert auroc(y, scored(untrained, both)) < 0.85
    assert auroc(y, repeated) < 0.92


def test_the_score_of_a_scan_does_not_depend_on_the_order_of_scans(trained):
    volumes = scans(5, np.random.default_rng(2), jump=1.0)
    order = [3, 0, 4, 2, 1]
    np.testing.assert_allclose(
        scored(trained, volumes[order]), scored(trained, volumes)[order], rtol=1e-5
    )


def test_the_map_shows_the_guessed_slices_only(trained):
    windows, _ = slice_windows(scans(2, np.random.default_rng(3)))
    x = torch.from_numpy(windows).movedim(-1, 1)
    with torch.no_grad():
        guess = trained.networks_["unet"](x[:, :3])
    error = ((guess - x[:, 3:]) ** 2).mean(dim=1)
    np.testing.assert_allclose(
        trained.anomaly_map(windows), error, rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(
        error.mean(dim=(1, 2)), anomaly_scores(trained, windows), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("n_channels", "n_given", "expected"),
    [(6, None, 3), (5, None, 3), (6, 5, 5), (2, None, 1), (1, None, 1)],
)
def test_the_first_half_rounded_up_is_given(n_channels, n_given, expected):
    X = np.random.default_rng(0).random((6, 8, 8, n_channels), dtype=np.float32)
    detector = MADGAN(n_given=n_given, **TINY).fit(X)
    given, target = detector._split(torch.zeros(1, n_channels, 8, 8))
    assert given.shape[1] == expected
    assert target.shape[1] == max(1, n_channels - expected)
    assert detector.anomaly_map(X).shape == (6, 8, 8)


def test_a_single_channel_is_guessed_from_nothing():
    X = np.random.default_rng(0).random((6, 8, 8), dtype=np.float32)
    detector = MADGAN(**TINY).fit(X)
    blank = torch.zeros(1, 1, 8, 8)
    with torch.no_grad():
        guess = detector.networks_["unet"](blank)[0, 0].numpy()
    np.testing.assert_allclose(detector.anomaly_map(X), (X - guess) ** 2, atol=1e-5)


def test_at_least_one_channel_must_be_left_to_guess(images):
    with pytest.raises(
        ValueError, match=r"MADGAN\(n_given=3\) leaves nothing to guess: samples have 3"
    ):
        MADGAN(n_given=3).fit(images)
    with pytest.raises(ValueError, match=r"samples have 2 features"):
        MADGAN(n_given=2).fit(images.reshape(-1, 2))


def test_the_generator_takes_one_step_in_n_critic(images):
    few = MADGAN(**TINY, n_critic=100).fit(images)
    start = MADGAN(**{**TINY, "max_epochs": 0}).fit(images)
    history = few.history_
    assert "unet" in history[0]
    assert "unet" not in history[1]
    assert history[1]["critic"] != history[0]["critic"]
    assert start.networks_.keys() == few.networks_.keys()


def test_attention_is_an_option(images):
    names = MADGAN(**TINY).fit(images).networks_["unet"].state_dict()
    assert "attention.strength" in names
    plain = MADGAN(**TINY, attention=False).fit(images)
    assert "attention.strength" not in plain.networks_["unet"].state_dict()
