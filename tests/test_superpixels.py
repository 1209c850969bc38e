"""Superpixels follow edges, and are about as many as asked for."""

import numpy as np
import pytest

from featad.neural.superpixels import superpixels


@pytest.mark.parametrize("shape", [(8, 8, 1), (20, 33, 3), (3, 5, 1)])
def test_every_pixel_has_one_of_about_as_many_segments(shape):
    image = np.random.default_rng(0).random(shape)
    segments = superpixels(image, n_segments=12)
    assert segments.shape == shape[:2]
    assert 6 <= len(np.unique(segments)) <= 20


def test_segments_do_not_cross_a_strong_edge():
    image = np.zeros((24, 24, 3))
    rows, columns = np.indices((24, 24))
    image[rows + columns > 25] = 1
    segments = superpixels(image, n_segments=20)
    dark, bright = (set(segments[image[..., 0] == level]) for level in (0, 1))
    assert not dark & bright


def test_a_flat_image_is_cut_into_a_regular_grid():
    segments = superpixels(np.zeros((12, 12, 1)), n_segments=9)
    sizes = np.bincount(segments.ravel())
    assert len(sizes) == 9
    assert 9 <= sizes.min() <= sizes.max() <= 25


def test_segments_repeat():
    image = np.random.default_rng(1).random((16, 16, 1))
    np.testing.assert_array_equal(superpixels(image), superpixels(image))
