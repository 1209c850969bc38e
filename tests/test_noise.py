"""Noise and generators: local, and the same for every place in a batch."""

import torch

from featad.neural.noise import (
    add_noise,
    local_rng,
    random_boxes,
    same_noise,
    sample_code,
)

CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_local_rng_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    with local_rng(3, CPU):
        first = torch.rand(2)
    with local_rng(3, CPU):
        assert torch.equal(torch.rand(2), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_does_not_depend_on_the_place_in_the_batch():
    one = same_noise(1, (4,), seeded())
    many = same_noise(3, (4,), seeded())
    assert (many == one).all()


def test_added_noise_has_its_deviation():
    noisy = add_noise(torch.full((200, 50), 3.0), 0.5, seeded())
    assert abs(noisy.mean() - 3) < 0.02
    assert abs(noisy.std() - 0.5) < 0.02


def test_codes_have_the_mean_and_the_variance_of_their_gaussians():
    mean, log_variance = torch.full((4000, 1), 2.0), torch.full((4000, 1), -1.0)
    code = sample_code(mean, log_variance, seeded())
    assert abs(code.mean() - 2) < 0.05
    assert abs(code.var().log() + 1) < 0.1


def test_a_box_has_a_side_within_its_bounds_and_lies_inside():
    boxes = random_boxes(torch.zeros(50, 3, 20, 10), (0.2, 0.5), seeded())
    assert boxes.shape == (50, 1, 20, 10)
    rows, columns = (boxes.any(dim=axis).sum(dim=-1) for axis in (3, 2))
    assert rows.min() >= 4
    assert rows.max() <= 10
    assert columns.min() >= 2
    assert columns.max() <= 5
    assert torch.equal(boxes.sum(dim=(2, 3)), rows * columns)  # one box, no holes
