"""From a map of errors to one number."""

import pytest
import torch

from featad.neural.losses import error_map
from featad.neural.scores import (
    REDUCTIONS,
    reduce_map,
    relative_score,
    score_map,
)


@pytest.mark.parametrize(
    ("how", "expected"), [("mean", 0.02), ("max", 2.0), ("top1%", 2.0), ("top2%", 1.0)]
)
def test_maps_are_reduced(how, expected):
    error = torch.zeros(1, 10, 10)
    error[0, 3, 3] = 2
    assert reduce_map(error, how).item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["mse", "l1"])
def test_a_relative_score_is_the_error_over_the_root_of_what_an_image_shows(kind):
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) + 0.1
    error = error_map(kind, torch.zeros_like(x), x)  # of an image rebuilt black
    expected = error.flatten(1).mean(1).sqrt()
    torch.testing.assert_close(relative_score(kind, error, x), expected)


def test_a_black_image_has_a_finite_relative_error():
    x = torch.zeros(1, 1, 4, 4)
    error = error_map("mse", x + 0.1, x)
    assert torch.isfinite(relative_score("mse", error, x)).all()


@pytest.mark.parametrize("how", REDUCTIONS)
def test_a_scale_divides_the_errors_before_they_are_reduced(how):
    error, x = torch.rand(2, 3, 4), torch.rand(2, 1, 3, 4)
    scaled = score_map("l1", error, x, how, in_unit_range=False, scale=4.0)
    plain = score_map("l1", error / 4, x, how, in_unit_range=False)
    torch.testing.assert_close(scaled, plain)


def test_what_is_not_an_image_in_the_unit_range_has_no_relative_score_but_the_mean():
    error, x = torch.rand(2, 5), torch.rand(2, 5)
    score = score_map("mse", error, x, "relative", in_unit_range=False)
    torch.testing.assert_close(score, error.mean(dim=1))
