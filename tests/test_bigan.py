"""BiGAN: pairs, averages of weights, its score, and real digits."""

import numpy as np
import pytest
import torch

from featad.detectors import BiGAN
from featad.neural.context import Context

from _probe import to_tensor

TINY = {
    "latent_dim": 3,
    "width": 4,
    "dense": False,
    "device": "cpu",
    "random_state": 0,
}


@pytest.fixture
def fitted(images):
    return BiGAN(**TINY, max_epochs=3).fit(images)


def passed(detector, images):
    x, nets = to_tensor(detector, images), detector.networks_
    with torch.no_grad():
        code = nets["encoder"](x)
        rebuilt = nets["decoder"](code)
        (_, tap), (logit, other) = (
            nets["critic"](x, code),
            nets["critic"](rebuilt, code),
        )
    return x, rebuilt, (tap - other).abs().mean(1), torch.nn.functional.softplus(-logit)


def test_averages_of_the_weights_change_scoring_and_not_training(images):
    options = {**TINY, "max_epochs": 5, "lr": 0.01}
    averaged = BiGAN(**options, ema=0.9).fit(images)
    last = BiGAN(**options, ema=None).fit(images)
    assert averaged.history_ == last.history_
    assert not np.allclose(averaged.score_samples(images), last.score_samples(images))


def test_the_critic_steps_first_then_both_others_against_it(fitted, images):
    x, t = to_tensor(fitted, images), Context(torch.Generator().manual_seed(0))
    steps = [names for names, _ in fitted._losses(fitted.networks_, x, t)]
    assert steps == [("critic",), ("encoder", "decoder")]


def test_the_critic_s_loss_reaches_the_critic_alone(images):
    detector = BiGAN(**TINY, max_epochs=0).fit(images)
    nets = detector.networks_
    for net in nets.values():
        net.requires_grad_(True)
    t = Context(torch.Generator().manual_seed(0))
    _, loss = next(detector._losses(nets, to_tensor(detector, images), t))
    loss.mean().backward()
    touched = {
        name: any(w.grad is not None for w in net.parameters())
        for name, net in nets.items()
    }
    assert touched == {"encoder": False, "decoder": False, "critic": True}


def test_the_critic_judges_a_sample_with_its_code(fitted, images):
    x, nets = to_tensor(fitted, images), fitted.networks_
    with torch.no_grad():
        code = nets["encoder"](x)
        own, other = nets["critic"](x, code)[0], nets["critic"](x, code.flip(0))[0]
    assert not torch.allclose(own, other)


@pytest.mark.parametrize("critic_score", ["features", "logit"])
@pytest.mark.parametrize("score_by", ["relative", "mean"])
def test_the_score_weighs_error_and_critic(fitted, images, critic_score, score_by):
    x, rebuilt, features, logit = passed(fitted, images)
    error = (x - rebuilt).abs().mean((1, 2, 3))
    error = error / x.mean((1, 2, 3)).sqrt() if score_by == "relative" else error
    odd = features if critic_score == "features" else logit
    fitted.set_params(critic_score=critic_score, score_by=score_by, critic_weight=0.3)
    expected = 0.7 * error + 0.3 * odd
    np.testing.assert_allclose(-fitted.score_samples(images), expected, rtol=1e-4)


def test_maps_are_absolute_errors_of_the_input_s_size():
    X = np.random.default_rng(0).random((6, 13, 10, 3), dtype=np.float32)
    detector = BiGAN(**TINY, max_epochs=1).fit(X)
    x, rebuilt, *_ = passed(detector, X)
    maps = detector.anomaly_map(X)
    assert maps.shape == (6, 13, 10)
    np.testing.assert_allclose(maps, (x - rebuilt).abs().mean(1), rtol=1e-4)
