"""Growing networks: a new size begins as the one below, and all are there at once."""

import pytest
import torch

from featad.neural.growing import (
    Equalised,
    GrowingCritic,
    GrowingGenerator,
    PixelNorm,
    at_level,
    growth,
    halve,
)

SHAPE, DEPTH = (2, 13, 22), 2


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return GrowingGenerator(SHAPE, 5, DEPTH, width=4)


@pytest.fixture
def critic():
    torch.manual_seed(0)
    return GrowingCritic(SHAPE, DEPTH, width=4)


@pytest.fixture(autouse=True)
def _local_generator():
    with torch.random.fork_rng():
        yield


def enlarged(x):
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def test_a_level_that_is_not_faded_in_is_the_one_below_enlarged(generator):
    z = torch.randn(3, 5)
    for level in (1, 2):
        below = generator(z, level - 1)
        assert torch.equal(generator(z, level, 0.0), enlarged(below))
        assert not torch.equal(generator(z, level, 0.5), enlarged(below))


def test_a_faded_level_lies_between_both(generator):
    z = torch.randn(3, 5)
    new, old = generator(z, 2), generator(z, 2, 0.0)
    torch.testing.assert_close(generator(z, 2, 0.3), 0.3 * new + 0.7 * old)


def test_a_critic_s_new_level_begins_as_the_one_below(critic):
    x = torch.rand(3, 2, 16, 24)
    for below, alpha_0 in zip(
        critic(halve(x), 1), critic(x, 2, alpha=0.0), strict=True
    ):
        assert torch.equal(below, alpha_0)
    assert not torch.equal(critic(halve(x), 1)[0], critic(x, 2, alpha=0.5)[0])


def test_images_have_the_size_of_their_level(generator, critic):
    x = torch.rand(3, *SHAPE)
    for level, size in enumerate([(4, 6), (8, 12), (16, 24)]):
        shown = generator(torch.randn(3, 5), level)
        assert shown.shape == at_level(x, DEPTH, level).shape == (3, 2, *size)
        assert critic(shown, level)[0].shape == (3,)
    assert torch.equal(generator(torch.ones(1, 5)), generator(torch.ones(1, 5), 2))


def test_real_images_are_faded_as_generated_ones_are():
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(at_level(x, 1, 1, 0.0), enlarged(halve(x)))
    assert torch.equal(at_level(x, 1, 1), x)
    assert torch.equal(at_level(x, 1, 0), halve(x))


def test_growth_fades_in_and_trains_each_level_in_turn():
    places = [growth(2, step / 10) for step in range(10)]
    assert [level for level, _ in places] == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    alphas = [1, 1, 0, 0.5, 1, 1, 0, 0.5, 1, 1]
    assert [alpha for _, alpha in places] == pytest.approx(alphas)


def test_at_its_beginning_an_equalised_layer_keeps_the_scale():
    torch.manual_seed(0)
    layer = Equalised(torch.nn.Linear(400, 300), gain=1.0)
    assert layer(torch.randn(50, 400)).std().item() == pytest.approx(1, abs=0.05)
    assert layer.layer.weight.std().item() == pytest.approx(1, abs=0.05)


def test_pixel_norm_gives_every_place_a_mean_square_of_one():
    normed = PixelNorm()(7 * torch.randn(2, 5, 3, 3))
    torch.testing.assert_close((normed**2).mean(dim=1), torch.ones(2, 3, 3))


def test_a_critic_sees_how_much_a_batch_varies(critic):
    one, other = torch.rand(2, 1, 2, 4, 6)
    alone = critic(one.repeat(4, 1, 1, 1), 0)[0]
    assert torch.equal(alone, alone[:1].expand(4))
    mixed = critic(torch.cat([one, other, one, other]), 0)[0]
    assert (mixed[0] - alone[0]).abs() > 1e-4
