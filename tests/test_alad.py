"""ALAD: three critics, a score without error where nothing is lost, and real digits."""

import numpy as np
import pytest
import torch

from featad.detectors import ALAD
from featad.neural.context import Context

from _probe import losses_of, to_tensor

TINY = {
    "latent_dim": 3,
    "width": 4,
    "dense": False,
    "device": "cpu",
    "random_state": 0,
}
CRITICS = ("pair_critic", "sample_critic", "code_critic")


@pytest.fixture
def fitted(images):
    return ALAD(**TINY, max_epochs=3).fit(images)


def test_averages_of_the_weights_change_scoring_and_not_training(images):
    options = {**TINY, "max_epochs": 5, "lr": 0.01}
    averaged = ALAD(**options, ema=0.9).fit(images)
    last = ALAD(**options, ema=None).fit(images)
    assert averaged.history_ == last.history_
    assert not np.allclose(averaged.score_samples(images), last.score_samples(images))


def test_the_critics_step_first_then_both_others_against_them(fitted, images):
    steps = [names for names, _, _ in losses_of(fitted, images)]
    assert steps == [*((name,) for name in CRITICS), ("encoder", "decoder")]


@pytest.mark.parametrize("place", range(3))
def test_a_critic_s_loss_reaches_that_critic_alone(fitted, images, place):
    names, loss, nets = list(losses_of(fitted, images))[place]
    loss.mean().backward()
    touched = [
        name
        for name, net in nets.items()
        if any(weight.grad is not None for weight in net.parameters())
    ]
    assert (touched,) == ([*names],)


def test_encoder_and_decoder_want_the_opposite_of_all_three(fitted, images):
    nets, x = fitted.networks_, to_tensor(fitted, images)
    z = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
    t = Context(torch.Generator().manual_seed(0))
    with torch.no_grad():
        *_, (_, loss) = fitted._losses(nets, x, t)
        code, made = nets["encoder"](x), nets["decoder"](z)
        rebuilt, coded = nets["decoder"](code), nets["encoder"](made)
        real = (
            nets["pair_critic"](x, code)[0],
            nets["sample_critic"](torch.cat([x, x], 1))[0],
            nets["code_critic"](torch.cat([z, z], 1))[0],
        )
        fake = (
            nets["pair_critic"](made, z)[0],
            nets["sample_critic"](torch.cat([x, rebuilt], 1))[0],
            nets["code_critic"](torch.cat([z, coded], 1))[0],
        )
    expected = sum(-torch.log(1 - torch.sigmoid(logit)) for logit in real)
    expected = expected - sum(torch.log(torch.sigmoid(logit)) for logit in fake)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("score_by", ["features", "relative", "mean"])
def test_a_perfect_reconstruction_is_not_strange(fitted, images, score_by):
    x = to_tensor(fitted.set_params(score_by=score_by), images)
    with torch.no_grad():
        assert (fitted._difference(fitted.networks_, x, x) == 0).all()
        assert (fitted._difference(fitted.networks_, x, 1 - x) > 0).all()


def test_every_score_compares_a_sample_with_its_reconstruction(fitted, images):
    x, nets = to_tensor(fitted, images), fitted.networks_
    with torch.no_grad():
        rebuilt = nets["decoder"](nets["encoder"](x))
        logit, tap = nets["sample_critic"](torch.cat([x, rebuilt], 1))
        _, own_tap = nets["sample_critic"](torch.cat([x, x], 1))
    error = (x - rebuilt).abs().mean((1, 2, 3))
    expected = {
        "features": (tap - own_tap).abs().mean(1),
        "logit": -torch.log(torch.sigmoid(logit)),
        "relative": error / x.mean((1, 2, 3)).sqrt(),
        "mean": error,
    }
    for score_by, strangeness in expected.items():
        scores = fitted.set_params(score_by=score_by).score_samples(images)
        np.testing.assert_allclose(-scores, strangeness, rtol=1e-4)


def test_maps_are_absolute_errors_of_the_input_s_size():
    X = np.random.default_rng(0).random((6, 13, 10, 3), dtype=np.float32)
    detector = ALAD(**TINY, max_epochs=1).fit(X)
    x, nets = to_tensor(detector, X), detector.networks_
    with torch.no_grad():
        expected = (x - nets["decoder"](nets["encoder"](x))).abs().mean(1)
    assert expected.shape == (6, 13, 10)
    np.testing.assert_allclose(detector.anomaly_map(X), expected, rtol=1e-4)
