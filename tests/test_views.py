"""Views are seeded, fit any image, and change what their names say."""

import pytest
import torch

from featad.neural.views import SHIFTS, VIEWS, fixed_crops, random_views, shifted

SHAPES = [(6, 3, 9, 7), (6, 1, 8, 8), (6, 5, 4, 4), (6, 1, 1, 1), (6, 10)]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def samples(shape):
    return torch.rand(shape, generator=rng(7))


@pytest.mark.parametrize("kind", VIEWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_view_has_the_shape_of_the_sample(kind, shape):
    x = random_views(samples(shape), [kind], rng(), min_crop=0.25)
    assert x.shape == shape
    assert x.isfinite().all()


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_generators_give_equal_views(shape):
    x, kinds = samples(shape), tuple(VIEWS)
    first, same, other = (
        random_views(x, kinds, rng(seed), min_crop=0.25) for seed in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_views_leave_the_samples_and_the_global_generator_alone():
    x = samples(SHAPES[0])
    before, state = x.clone(), torch.get_rng_state()
    random_views(x, tuple(VIEWS), rng(), min_crop=0.25)
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_flip_mirrors_some_images_left_and_right():
    x = samples((20, 1, 4, 4))
    views = random_views(x, ["flip"], rng(), min_crop=1)
    mirrored = (views == x.flip(3)).flatten(1).all(dim=1)
    assert ((views == x).flatten(1).all(dim=1) ^ mirrored).all()
    assert 0 < mirrored.sum() < 20


def test_a_crop_shows_a_part_that_is_not_smaller_than_asked_for():
    ramp = torch.linspace(0, 1, 64).expand(50, 1, 64, 64)
    views = random_views(ramp, ["crop"], rng(), min_crop=0.25)
    width = views.amax(dim=(1, 2, 3)) - views.amin(dim=(1, 2, 3))
    assert width.min() > (0.25 * 3 / 4) ** 0.5 - 0.03
    assert width.max() <= 1
    assert width.std() > 0.05


def test_a_crop_of_a_row_hides_some_of_its_features():
    views = random_views(torch.ones(200, 10), ["crop"], rng(), min_crop=0.5)
    assert set(views.unique().tolist()) == {0, 1}
    assert views.mean() == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("kind", ["gray", "blur", "flip"])
def test_a_row_has_no_colors_and_no_neighbors(kind):
    x = samples((6, 10))
    assert torch.equal(random_views(x, [kind], rng(), min_crop=1), x)


def test_gray_views_have_equal_channels():
    x = samples((40, 3, 4, 4))
    views = random_views(x, ["gray"], rng(), min_crop=1)
    gray = (views == views[:, :1]).flatten(1).all(dim=1)
    assert 0 < gray.sum() < 20
    assert torch.equal(views[~gray], x[~gray])


def test_an_image_of_one_channel_has_no_gray_view():
    x = samples((10, 1, 4, 4))
    assert torch.equal(random_views(x, ["gray"], rng(), min_crop=1), x)


def test_fixed_crops_are_at_the_same_place_in_all_samples():
    x = samples((1, 3, 9, 7)).expand(4, -1, -1, -1)
    crops = list(fixed_crops(x, 3, rng()))
    assert all(torch.equal(crop, crop[:1].expand_as(crop)) for crop in crops)
    assert not torch.equal(crops[0], crops[1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", SHIFTS)
def test_shifted_copies_begin_with_the_sample(kind, shape):
    x = samples(shape)
    copies = shifted(x, kind, rng())
    assert copies.shape == (SHIFTS[kind], *shape)
    assert torch.equal(copies[0], x)


def test_without_a_shift_there_is_the_sample_alone():
    x = samples(SHAPES[0])
    assert torch.equal(shifted(x, None, rng()), x[None])


def test_copies_are_turned_by_quarters():
    x = samples((2, 1, 4, 4))
    _, quarter, half, _ = shifted(x, "rotate", rng())
    assert torch.equal(quarter, x.rot90(1, (2, 3)))
    assert torch.equal(half, x.flip(2, 3))


def test_cut_copies_exchange_halves():
    x = samples((2, 1, 4, 4))
    _, right, below, _ = shifted(x, "cutperm", rng())
    assert torch.equal(right, torch.cat([x[..., 2:], x[..., :2]], dim=3))
    assert torch.equal(below, torch.cat([x[:, :, 2:], x[:, :, :2]], dim=2))


def test_copies_with_alike_noise_do_not_depend_on_the_batch():
    x = samples(SHAPES[0])
    batch = shifted(x, "noise", rng(), alike=True)
    alone = shifted(x[3:4], "noise", rng(), alike=True)
    assert torch.equal(batch[:, 3:4], alone)
