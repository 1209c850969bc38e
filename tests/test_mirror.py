"""Mirror: the line is found, halves face each other, maps come back whole."""

import pytest
import torch

from featad.neural.mirror import Mirror


def random(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2])
def test_the_line_is_found_where_the_image_is_most_symmetric(shift):
    half = random(4, 1, 10, 5)
    x = torch.zeros(4, 1, 10, 16)
    x[..., 3 + shift : 13 + shift] = torch.cat([half, half.flip(-1)], dim=-1)
    mirror = Mirror(x, max_shift=2)
    given, target = mirror.halves()
    assert given.shape == (8, 1, 10, 10)
    assert torch.equal(mirror.shift, torch.full((4,), shift))
    torch.testing.assert_close(given, target)


def test_where_every_line_is_as_good_the_middle_is_taken():
    mirror = Mirror(torch.ones(2, 1, 3, 8), max_shift=3)
    assert torch.equal(mirror.shift, torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
def test_halves_are_mirrored_along_the_axis(axis):
    x = random(3, 2, 6, 8)
    given, target = Mirror(x, axis=axis).halves()
    upright = x if axis == "vertical" else x.mT
    half = upright.shape[-1] // 2
    assert torch.equal(given[:3], upright[..., :half])
    assert torch.equal(target[:3], upright.flip(-1)[..., :half])
    assert torch.equal(given[3:], target[:3])


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
@pytest.mark.parametrize("max_shift", [0, 2])
@pytest.mark.parametrize("size", [(6, 8), (7, 9)])
def test_the_targets_themselves_come_back_as_the_samples(axis, max_shift, size):
    x = random(5, 1, *size)
    mirror = Mirror(x, axis=axis, max_shift=max_shift)
    _, target = mirror.halves()
    torch.testing.assert_close(mirror.map_back(target[:, 0]), x[:, 0])


def test_rows_of_a_table_come_back_too():
    x = random(5, 7)
    mirror = Mirror(x)
    torch.testing.assert_close(mirror.map_back(mirror.halves()[1]), x)
