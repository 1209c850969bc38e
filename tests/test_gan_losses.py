"""Losses of generators and critics, against numbers worked out by hand."""

import pytest
import torch

from featad.neural import gan_losses


@pytest.mark.parametrize("kind", ["bce", "ls", "wgan", "hinge"])
def test_adversarial_losses_reward_the_right_side(kind):
    logit = torch.tensor([[-0.5, -0.5], [0.5, 0.5]])
    for real in (True, False):
        low, high = gan_losses.adversarial(logit, real=real, kind=kind)
        assert (low > high) == real


@pytest.mark.parametrize("kind", ["bce", "ls", "wgan", "hinge"])
def test_a_generator_learns_from_a_critic_it_deceives(kind):
    logit = torch.tensor([3.0], requires_grad=True)
    gan_losses.generator_loss(logit, kind).backward()
    assert logit.grad.abs() > 1e-2
    if kind == "hinge":  # Lim and Ye, 2017
        assert logit.grad == -1


def test_a_critic_s_hinge_stops_at_the_margin():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.5])
    found = gan_losses.critic_loss(real, fake, "hinge")
    torch.testing.assert_close(found, torch.tensor([0.0, 2.0]))


def test_adversarial_bce_equals_the_cross_entropy():
    logit = torch.randn(6)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logit, torch.ones(6), reduction="none"
    )
    torch.testing.assert_close(gan_losses.adversarial(logit, real=True), expected)


def test_the_gradient_penalty_of_a_linear_critic_is_exact():
    real, fake = torch.rand(5, 2, 3), torch.rand(5, 2, 3)
    weight = torch.randn(2, 3)
    found = gan_losses.gradient_penalty(lambda x: (x * weight).sum((1, 2)), real, fake)
    torch.testing.assert_close(found, ((weight.norm() - 1) ** 2).expand(5))


def test_the_gradient_penalty_is_taken_between_real_and_generated_samples():
    places = []

    def critic(x):
        places.append(x.detach())
        return (x**2).sum(1)

    rng = torch.Generator().manual_seed(0)
    gan_losses.gradient_penalty(critic, torch.ones(50, 2), torch.zeros(50, 2), rng)
    share = places[0]
    assert (share[:, 0] == share[:, 1]).all()  # one share for all of a sample
    assert len(share[:, 0].unique()) == 50
    assert 0 <= share.min() < 0.1
    assert 0.9 < share.max() <= 1


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_the_gradient_penalty_trains_the_critic_only(scale):
    weight = torch.full((3,), scale, requires_grad=True)
    fake = torch.rand(4, 3, requires_grad=True)
    with torch.no_grad():
        found = gan_losses.gradient_penalty(
            lambda x: x @ weight, torch.rand(4, 3), fake
        )
    found.sum().backward()
    assert fake.grad is None
    assert torch.isfinite(weight.grad).all()
    assert (weight.grad != 0).all() == (scale > 0)


def test_dispersion_falls_as_samples_spread():
    x = torch.tensor([[0.0, 0.0], [2.0, 2.0]])  # each 1 from the mean
    assert float(gan_losses.dispersion(x)) == pytest.approx(1.0)
    assert float(gan_losses.dispersion(2 * x)) == pytest.approx(0.5)
    image = x[:, :, None, None].repeat(1, 1, 5, 5)
    assert float(gan_losses.dispersion(image)) == pytest.approx(
        1.0
    )  # whatever the size
    assert torch.isfinite(gan_losses.dispersion(torch.zeros(3, 2)))


def test_a_wasserstein_critic_is_told_by_the_difference_of_its_values_and_its_slope():
    real, fake = torch.rand(5, 3), torch.rand(5, 3, requires_grad=True)
    weight = torch.tensor([2.0, 0.0, 0.0])  # a slope of 2: a penalty of 1
    loss = gan_losses.wasserstein_critic_loss(
        lambda x: x @ weight, real, fake, gp_weight=10.0, drift=0.5
    )
    expected = fake @ weight - real @ weight + 10 + 0.5 * (real @ weight) ** 2
    torch.testing.assert_close(loss, expected.detach())
    assert not loss.requires_grad
