"""Descent on a tensor: each sample as if alone, the best place kept."""

import pytest
import torch

from featad.neural.descent import descend, gradient_map

TARGET = torch.tensor([[1.0, -2.0], [0.5, 3.0], [0.0, 0.1]])


def bowl(u):
    return ((u - TARGET[: len(u)]) ** 2).sum(1)


@pytest.mark.parametrize("method", ["adam", "plain"])
def test_the_minimum_is_found(method):
    found = descend(bowl, torch.zeros(3, 2), n_steps=300, lr=0.05, method=method)
    torch.testing.assert_close(found.best, TARGET, atol=0.01, rtol=0)
    torch.testing.assert_close(found.value, bowl(found.best))


def test_a_sample_goes_the_same_way_alone():
    together = descend(bowl, torch.zeros(3, 2), n_steps=7).best
    torch.testing.assert_close(
        descend(bowl, torch.zeros(1, 2), n_steps=7).best, together[:1]
    )


def test_the_best_place_is_kept_when_steps_overshoot():
    found = descend(bowl, TARGET + 0.1, n_steps=20, lr=1.5, method="plain")
    torch.testing.assert_close(found.value, bowl(TARGET + 0.1))
    assert (found.trace.diff(dim=0) <= 0).all()


def test_backtracking_descends_where_plain_steps_overshoot():
    found = descend(
        bowl, TARGET + 1, n_steps=30, lr=1.5, method="plain", backtrack=True
    )
    assert found.value.max() < 1e-3


def test_bounds_and_mask_hold():
    mask = torch.tensor([[1.0, 0.0]])
    start = torch.full((3, 2), 0.25)
    found = descend(bowl, start, n_steps=200, lr=0.05, mask=mask, bounds=(0, 0.4))
    assert (found.best[:, 1] == 0.25).all()
    assert found.best.min() >= 0
    assert found.best.max() <= 0.4


def test_clipping_bounds_the_step():
    found = descend(
        bowl, torch.zeros(3, 2), n_steps=1, lr=1.0, method="plain", clip=0.1
    )
    assert found.best.abs().max() <= 0.1 + 1e-6


def test_the_best_of_several_starts_is_kept_for_each_sample():
    starts = [TARGET + 5, TARGET.clone(), TARGET - 5]
    starts[0][2] = TARGET[2]
    found = descend(bowl, starts, n_steps=0)
    torch.testing.assert_close(found.best, TARGET)


def test_the_learning_rate_may_depend_on_the_step():
    found = descend(bowl, torch.zeros(3, 2), lr=lambda step: 0.0, n_steps=5)
    assert (found.best == 0).all()


def test_a_map_of_the_gradient_sums_its_size_over_channels_inside_no_grad():
    weights = torch.tensor([1.0, -2.0])[:, None, None] * torch.eye(4)
    with torch.no_grad():
        steep = gradient_map(
            lambda x: (weights * x).sum((1, 2, 3)), torch.zeros(3, 2, 4, 4), 0
        )
    torch.testing.assert_close(steep, 3 * torch.eye(4).expand(3, 4, 4))
    assert not steep.requires_grad


def test_the_start_is_left_as_it_was():
    start = torch.zeros(3, 2)
    descend(bowl, start, n_steps=5)
    assert (start == 0).all()
