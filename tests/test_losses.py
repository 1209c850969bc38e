"""Losses against closed forms, bounds and references; one number per sample each."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from featad.neural import losses
from featad.neural.layers import blur


@pytest.fixture
def pair():
    made = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, 16, 16, generator=made), torch.rand(
        4, 3, 16, 16, generator=made
    )


@pytest.mark.parametrize("name", sorted(losses.RECONSTRUCTION))
def test_a_reconstruction_loss_is_zero_for_equal_images_only(name, pair):
    x, other = pair
    loss = losses.RECONSTRUCTION[name]
    assert loss(x, x).abs().max() < 1e-5
    assert loss(x, other).shape == (4,)
    assert loss(x, other).min() > 0.01


@pytest.mark.parametrize("name", sorted(losses.RECONSTRUCTION))
def test_every_loss_has_a_gradient(name, pair):
    x, other = pair
    x = x.clone().requires_grad_()
    losses.RECONSTRUCTION[name](x, other).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().flatten(1).sum(1).min() > 0


@pytest.mark.parametrize("name", sorted(losses.RECONSTRUCTION))
def test_a_sample_does_not_see_the_others(name, pair):
    loss, (x, other) = losses.RECONSTRUCTION[name], pair
    alone = torch.cat([loss(x[i : i + 1], other[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(loss(x, other), alone)


@pytest.mark.parametrize("name", ["mse", "l1", "ssim"])
def test_the_mean_of_an_error_map_is_the_loss(name, pair):
    error = losses.error_map(name, *pair)
    assert error.shape == (4, 16, 16)
    torch.testing.assert_close(
        error.flatten(1).mean(1), losses.RECONSTRUCTION[name](*pair)
    )


def test_a_multi_scale_map_has_the_size_of_the_image(pair):
    assert losses.error_map("ms-ssim", *pair).shape == (4, 16, 16)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (40, 3), (64, 64)])
def test_ssim_works_at_any_size(size):
    x, other = torch.rand(2, 1, *size), torch.rand(2, 1, *size)
    for name in ("ssim", "ms-ssim"):
        assert torch.isfinite(losses.RECONSTRUCTION[name](x, other)).all()
        assert losses.error_map(name, x, other).shape == (2, *size)


def test_ssim_of_two_constants_is_the_luminance_term():
    x, other = torch.full((1, 1, 9, 9), 0.2), torch.full((1, 1, 9, 9), 0.6)
    expected = 1 - (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert losses.ssim_error(x, other).item() == pytest.approx(expected, abs=1e-3)


def test_kl_equals_torch_distributions():
    mean, log_variance = torch.randn(5, 7), torch.randn(5, 7)
    posterior = Normal(mean, torch.exp(0.5 * log_variance))
    expected = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(losses.gaussian_kl(mean, log_variance), expected)


def test_nll_equals_torch_distributions(pair):
    x, target = pair
    expected = -Normal(x, 0.3).log_prob(target).flatten(1).sum(1)
    torch.testing.assert_close(losses.gaussian_nll(x, target, np.log(0.3)), expected)


def test_total_variation_of_a_step_is_its_height_times_its_length():
    x = torch.zeros(2, 1, 4, 6)
    x[1, :, :, 3:] = 0.5
    assert losses.total_variation(x).tolist() == [0.0, 4 * 0.5]


def test_total_variation_ignores_a_constant(pair):
    x = pair[0]
    torch.testing.assert_close(losses.total_variation(x + 3), losses.total_variation(x))


def test_relative_perceptual_error_ignores_a_common_factor(pair):
    one = losses.relative_perceptual_error([pair[0]], [pair[1]])
    scaled = losses.relative_perceptual_error([7 * pair[0]], [7 * pair[1]])
    torch.testing.assert_close(one, scaled)
    assert losses.relative_perceptual_error([pair[0]], [pair[0]]).max() == 0


def test_no_gradient_goes_through_the_denominator(pair):
    target = pair[1].clone().requires_grad_()
    losses.relative_perceptual_error([target * 1.5], [target]).sum().backward()
    # numerator |0.5 t|, denominator constant: the quotient's own gradient would be 0
    assert target.grad.abs().min() > 0


@pytest.mark.parametrize("error", [0.0, 1e-9, 0.01, 1.0, 30.0, 1e6])
def test_losses_that_raise_an_error_are_bounded_below(error):
    error = torch.tensor([error])
    for loss in (losses.abc_error(error), losses.hinge_error(error, 1.0)):
        assert torch.isfinite(loss).all()
        assert loss >= 0


def test_losses_that_raise_an_error_fall_as_it_grows():
    error = torch.linspace(0.01, 0.9, 20)
    for loss in (losses.abc_error(error), losses.hinge_error(error, 1.0)):
        assert (loss.diff() < 0).all()


def test_abc_at_two_is_the_bound_of_images_in_minus_one_to_one():
    assert losses.abc_error(torch.tensor([2.0]), 1.0).item() == pytest.approx(
        0.1454, abs=1e-4
    )


def test_patches_keep_their_gradient():
    error = torch.rand(2, 8, 8, requires_grad=True)
    losses.top_patches(error, size=4, stride=2, n_patches=3).sum().backward()
    assert error.grad.abs().sum() > 0


def test_the_worst_patch_is_found():
    error = torch.zeros(1, 8, 8)
    error[0, 4:, 4:] = 2
    assert losses.top_patches(error, size=4, stride=4, n_patches=1).item() == 2


def test_blurring_keeps_constants_and_sums():
    assert blur(torch.ones(2, 5, 5), 1.0).sub(1).abs().max() < 1e-6
    spot = torch.zeros(1, 1, 21, 21)
    spot[0, 0, 10, 10] = 1
    assert blur(spot, 1.5).sum().item() == pytest.approx(1)
    assert blur(spot, 0) is spot
