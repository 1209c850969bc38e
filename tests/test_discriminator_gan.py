"""Discriminator as detector: its logit, its slope, its memory, and real digits."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from featad.base import anomaly_scores
from featad.detectors import DiscriminatorGAN
from featad.detectors.discriminator_gan import _N_PAST
from featad.metrics import auroc
from featad.neural.detector import Context

from _probe import to_tensor

TINY = {"latent_dim": 2, "width": 4, "max_epochs": 3, "device": "cpu"}


def build(**options):
    return DiscriminatorGAN(**{**TINY, "random_state": 0, **options})


@pytest.fixture
def fitted(images):
    return build().fit(images)


def test_the_strangeness_is_minus_the_logit(fitted, images):
    logit = fitted.networks_["critic"](to_tensor(fitted, images))[0]
    np.testing.assert_allclose(fitted.score_samples(images), logit.detach(), rtol=1e-5)


def test_confident_scores_do_not_tie(images):
    detector = build().fit(images)
    with torch.no_grad():
        for weight in detector.networks_["critic"].head.parameters():
            weight.mul_(1e4)  # a sigmoid would be 0 or 1 for all
    assert len(np.unique(detector.score_samples(images))) == len(images)


def test_the_discriminator_learns_to_tell_real_from_generated(images):
    history = build(max_epochs=60, lr=1e-3).fit(images).history_
    assert history[-1]["critic"] < history[0]["critic"]


def test_both_networks_take_a_step_in_every_batch(images):
    start = build(max_epochs=0).fit(images).networks_
    end = build(max_epochs=1, ema=None).fit(images).networks_
    for name, net in end.items():
        before = list(start[name].parameters())
        moved = [(a != b).any() for a, b in zip(net.parameters(), before, strict=True)]
        assert all(moved)


@pytest.mark.parametrize(
    "options",
    [{"replay": 0.0}, {"replay": 1.0}, {"spectral_norm": True}, {"ema": None},
     {"label_smoothing": 0.1}, {"dense": False}, {"depth": 0}],
    ids=str,
)  # fmt: skip
def test_every_option_changes_the_scores_and_leaves_them_finite(
    fitted, images, options
):
    scores = build(**options).fit(images).score_samples(images)
    assert np.isfinite(scores).all()
    assert not np.allclose(scores, fitted.score_samples(images))


def test_the_discriminator_is_shown_old_generated_samples():
    detector, seen = build(replay=0.5), []
    generator = detector_networks(detector)["generator"]
    for step in range(1200):
        fake = torch.full((16, 5), float(step))
        shown = detector._with_past(generator, fake, context(step))
        assert len(shown) == 16
        seen.append(shown[:, 0])
    assert (seen[0] == 0).all()  # nothing old is there yet
    assert (seen[-1] == 1199).sum() == 8
    past = generator.past[:, 0]
    assert len(past) == _N_PAST
    quarters = np.histogram(past, bins=4, range=(0, 1200))[0] / _N_PAST
    assert quarters.min() > 0.15  # of all the training, not of its end


def test_without_replay_nothing_is_kept():
    detector = build(replay=0.0)
    generator = detector_networks(detector)["generator"]
    fake = torch.rand(16, 5)
    assert detector._with_past(generator, fake, context(0)) is fake
    assert len(generator.past) == 0


def detector_networks(detector):
    detector.input_mean_, detector.input_scale_ = np.zeros(5), np.ones(5)
    detector.sample_shape_ = (5,)
    return detector._networks((5,))


def context(step):
    return Context(torch.Generator().manual_seed(step), step=step)


def test_what_is_replayed_is_not_kept_after_training(fitted):
    assert len(fitted.networks_["generator"].past) == 0
    assert "past" not in fitted.networks_["generator"].state_dict()


def test_smoothed_labels_hold_the_logits_back(images):
    def confidence(label_smoothing):
        detector = build(label_smoothing=label_smoothing, max_epochs=80, lr=3e-3)
        return detector.fit(images).score_samples(images).mean()

    assert confidence(0.3) < confidence(0.0)


def test_spectral_norm_bounds_the_slope(images):
    detector = build(spectral_norm=True, dense=True, max_epochs=60, lr=1e-2)
    logits = detector.fit(images).score_samples(images)
    rise = np.abs(np.subtract.outer(logits, logits))
    flat = images.reshape(24, -1)
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    assert (rise <= 1.05 * distance + 1e-4).all()


def test_the_map_is_the_slope_of_the_logit(images):
    detector = build(map_sigma=0.0).fit(images[..., :1])
    X, step = images[:3, ..., :1].astype(np.float64), 1e-5
    for net in detector.networks_.values():
        net.double()
    x = torch.from_numpy(X).permute(0, 3, 1, 2)
    maps = detector._map_of(detector.networks_, x, None)
    moved = x.clone()
    moved[:, :, 2, 5] += step
    rise = detector._strangeness_of(detector.networks_, moved, None)
    rise = rise - detector._strangeness_of(detector.networks_, x, None)
    expected = (rise / step).abs().detach()
    torch.testing.assert_close(maps[:, 2, 5], expected, rtol=1e-3, atol=1e-6)


def test_maps_have_the_size_of_the_image(images):
    maps = build(max_epochs=1).fit(images[:, :7, :5]).anomaly_map(images[:, :7, :5])
    assert maps.shape == (24, 7, 5)
    assert (maps >= 0).all()


@pytest.mark.data
@pytest.mark.slow
def test_it_is_better_than_chance_and_than_untrained_on_zeros(zeros):
    train, X, y = zeros
    found, before = [], []
    for seed in range(3):
        detector = DiscriminatorGAN(random_state=seed)
        untrained = clone(detector).set_params(max_epochs=0)
        found.append(auroc(y, anomaly_scores(detector.fit(train), X)))
        before.append(auroc(y, anomaly_scores(untrained.fit(train), X)))
    assert np.mean(found) > 0.8
    assert min(found) > max(0.6, *before)
