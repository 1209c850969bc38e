"""Tiles: they cover an image, overlap, and are put together without seams."""

import numpy as np
import pytest

from featad.images.tiles import Stitcher, cut_tiles, tile_corners, tile_grid

SIZES = [(64, 64), (65, 200), (300, 129), (40, 500), (10, 10)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_tiles_cover_every_pixel_and_stay_inside(size, overlap):
    seen = np.zeros(size, dtype=int)
    for row, column in tile_corners(size, 64, overlap):
        seen[row : row + 64, column : column + 64] += 1
        assert row + 64 <= max(64, size[0])
        assert column + 64 <= max(64, size[1])
    assert seen.min() >= 1


def test_neighbors_overlap_by_the_share_at_least():
    for length in range(65, 500):
        columns = [column for _, column in tile_corners((64, length), 64, 0.25)]
        assert np.diff(columns).max() <= 48


def test_an_image_of_one_tile_is_one_tile():
    assert tile_corners((64, 64), 64, 0.5) == [(0, 0)]
    assert tile_grid((64, 65), 64, 0.0) == (1, 2)


def test_tiles_are_the_pixels_at_their_places():
    image = np.random.default_rng(0).random((50, 70, 3))
    corners = tile_corners((50, 70), 32, 0.25)
    for (row, column), tile in zip(corners, cut_tiles(image, corners, 32), strict=True):
        np.testing.assert_array_equal(tile, image[row : row + 32, column : column + 32])
        assert tile.base is None  # the image can be let go


def test_a_small_image_goes_on_as_its_mirror_image():
    image = np.arange(6.0).reshape(2, 3, 1)
    [tile] = cut_tiles(image, [(0, 0)], 4)
    np.testing.assert_array_equal(tile[..., 0], tile[::-1, :, 0])
    np.testing.assert_array_equal(tile[0, :, 0], [0, 1, 2, 2])


@pytest.mark.parametrize("size", SIZES)
def test_a_stitched_image_is_the_image(size):
    image = np.random.default_rng(0).random((*size, 1)).astype(np.float32)
    corners = tile_corners(size, 64, 0.25)
    stitcher = Stitcher(size, 64)
    for corner, tile in zip(corners, cut_tiles(image, corners, 64), strict=True):
        stitcher.add(corner, tile[..., 0])
    found = stitcher.map()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, image[..., 0], rtol=1e-4)


def test_there_is_no_seam_where_tiles_differ():
    corners = tile_corners((64, 112), 64, 0.25)
    stitcher = Stitcher((64, 112), 64)
    for corner, value in zip(corners, [0.0, 1.0], strict=True):
        stitcher.add(corner, value)
    steps = np.diff(stitcher.map()[30])
    assert steps.min() >= 0
    assert steps.max() < 0.2
