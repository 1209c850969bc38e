"""Flows: they can be undone, and they know how much they stretch space."""

import math

import pytest
import torch

from featad.neural.flows import Flow, standard_nll
from featad.neural.noise import local_rng


def moved_flow(n_features, **options):
    """Return a flow whose weights are as after a training."""
    with local_rng(0, torch.device("cpu")):
        flow = Flow(n_features, width=16, **options)
        for weight in flow.parameters():
            weight.data += 0.1 * torch.randn_like(weight)
    return flow.requires_grad_(False)


def vectors(n, d, seed=1):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n_features", [1, 2, 5, 32])
def test_the_inverse_undoes_a_flow(n_features):
    flow, u = moved_flow(n_features), vectors(50, n_features)
    v, _ = flow(u)
    assert (v - u).abs().max() > 0.1
    torch.testing.assert_close(flow.inverse(v), u, rtol=0, atol=1e-5)


def test_the_inverse_undoes_a_flow_with_conditions():
    flow, u, places = moved_flow(6, n_condition=3), vectors(50, 6), vectors(50, 3, 2)
    v, _ = flow(u, places)
    torch.testing.assert_close(flow.inverse(v, places), u, rtol=0, atol=1e-5)
    assert (flow.inverse(v, -places) - u).abs().max() > 0.01


@pytest.mark.parametrize("n_features", [1, 6])
def test_the_log_determinant_is_that_of_the_jacobian(n_features):
    flow, u = moved_flow(n_features).double(), vectors(8, n_features).double()
    _, log_det = flow(u)
    for row, expected in zip(u, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(x[None])[0], row)
        found = torch.linalg.slogdet(jacobian[0]).logabsdet
        # rotations are drawn in float32
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
        assert abs(expected) > 1e-3


def test_a_new_flow_is_a_rotation():
    flow, u = Flow(7), vectors(20, 7)
    v, log_det = flow(u)
    torch.testing.assert_close(v.norm(dim=1), u.norm(dim=1))
    assert (log_det == 0).all()


def test_the_density_of_two_features_adds_up_to_one():
    flow = moved_flow(2, n_blocks=2).double()
    axis = torch.linspace(-8, 8, 400, dtype=torch.float64)
    density = torch.exp(-flow.nll(torch.cartesian_prod(axis, axis)))
    assert density.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-3)


def test_the_standard_normal_nll_is_that_of_torch():
    v = vectors(5, 3)
    expected = -torch.distributions.Normal(0.0, 1.0).log_prob(v).sum(dim=1)
    torch.testing.assert_close(standard_nll(v), expected)
    assert standard_nll(torch.zeros(1, 2)).item() == pytest.approx(
        math.log(2 * math.pi)
    )


def test_scales_are_bounded():
    flow = moved_flow(4, n_blocks=1)
    _, log_det = flow(1e6 * vectors(20, 4))
    assert (log_det - flow.log_scale.sum()).abs().max() <= 4 * 1.9
