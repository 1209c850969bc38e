"""Large images in overlapping tiles, and maps of tiles as one map again."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from featad._progress import tracked
from featad.errors import ImageReadError
from featad.images.mapping import map_images
from featad.images.read import read_image

Corner = tuple[int, int]
"""Row and column of a tile's first pixel."""


def tile_grid(size: tuple[int, int], tile: int, overlap: float) -> tuple[int, int]:
    """Return in how many rows and columns of tiles an image is covered.

    Parameters
    ----------
    size : (height, width)
        Of the image, in pixels.

    tile : int
        Height and width of a tile.

    overlap : float in [0, 1)
        Least share of a tile that its neighbor covers too.

    Returns
    -------
    rows, columns : int

    Examples
    --------
    >>> tile_grid((3000, 4000), tile=224, overlap=0.25)
    (18, 24)
    """
    step = max(1, math.floor(tile * (1 - overlap)))
    rows, columns = (1 + math.ceil(max(0, n - tile) / step) for n in size)
    return rows, columns


def tile_corners(size: tuple[int, int], tile: int, overlap: float) -> list[Corner]:
    """Return where the tiles of an image begin, row by row.

    Parameters
    ----------
    size, tile, overlap
        As for :func:`tile_grid`.

    Returns
    -------
    corners : list of (row, column)
        Evenly spread: the first tile begins, and the last one ends, with the image.

    Examples
    --------
    >>> tile_corners((10, 25), tile=10, overlap=0.2)
    [(0, 0), (0, 8), (0, 15)]
    """
    starts = [
        np.linspace(0, max(0, n - tile), count).round().astype(int).tolist()
        for n, count in zip(size, tile_grid(size, tile, overlap), strict=True)
    ]
    return [(row, column) for row in starts[0] for column in starts[1]]


def cut_tiles(
    image: np.ndarray, corners: Iterable[Corner], tile: int
) -> Iterator[np.ndarray]:
    """Yield tiles of an image, as copies.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels)

    corners : iterable of (row, column)

    tile : int
        Height and width of a tile. An image that is smaller is continued by its mirror
        image.

    Yields
    ------
    tile : ndarray of shape (tile, tile, channels)
    """
    missing = [(0, max(0, tile - n)) for n in image.shape[:2]]
    if any(after for _, after in missing):
        image = np.pad(image, [*missing, (0, 0)], mode="symmetric")
    for row, column in corners:
        yield image[row : row + tile, column : column + tile].copy()


def in_batches(tiles: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Yield tiles together, at most ``size`` of them: (n, tile, tile, channels)."""
    tiles = iter(tiles)
    while batch := list(islice(tiles, size)):
        yield np.stack(batch)


@dataclass(frozen=True)
class TileReader:
    """Read large images one at a time, so that one is all that memory holds.

    Attributes
    ----------
    tile, overlap
        As for :func:`tile_corners`.

    reading : mapping
        Arguments of :func:`featad.images.read_image`.
    """

    tile: int
    overlap: float
    reading: Mapping[str, Any]

    def read(self, sources: Sequence) -> Iterator[tuple[int, np.ndarray, list[Corner]]]:
        """Yield images, and where their tiles begin.

        Parameters
        ----------
        sources : sequence of sources

        Yields
        ------
        place : int
            In ``sources``.

        image : ndarray of shape (height, width, 3), float32

        corners : list of (row, column)

        Raises
        ------
        ImageReadError
            If an image cannot be read.
        """
        images = map_images(partial(read_image, **self.reading), sources, n_jobs=1)
        for place, image in tracked(images, "image", len(sources)):
            if isinstance(image, ImageReadError):
                raise image
            yield place, image, tile_corners(image.shape[:2], self.tile, self.overlap)


class Stitcher:
    """Put maps of tiles together: where tiles overlap, one fades into the other.

    Parameters
    ----------
    size : (height, width)
        Of the image.

    tile : int
        Height and width of a tile.

    Examples
    --------
    >>> corners = tile_corners((4, 6), tile=4, overlap=0.5)
    >>> stitcher = Stitcher((4, 6), tile=4)
    >>> for corner, value in zip(corners, [0.0, 1.0]):
    ...     stitcher.add(corner, value)
    >>> stitcher.map()[0].round(2)
    array([0.  , 0.  , 0.15, 0.85, 1.  , 1.  ], dtype=float32)
    """

    def __init__(self, size: tuple[int, int], tile: int) -> None:
        self._tile = tile
        self._sum = np.zeros(size, dtype=np.float32)
        self._weight = np.zeros(size, dtype=np.float32)
        ramp = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2
        self._window = np.outer(ramp, ramp).astype(np.float32)

    def add(self, corner: Corner, values: ArrayLike) -> None:
        """Add the map of one tile.

        Parameters
        ----------
        corner : (row, column)
            Where the tile begins.

        values : ndarray of shape (tile, tile), or float
            One number stands for all pixels.
        """
        (row, column), tile = corner, self._tile
        place = np.s_[row : row + tile, column : column + tile]
        height, width = self._sum[place].shape  # less, of an image below a tile
        window = self._window[:height, :width]
        values = np.broadcast_to(values, (tile, tile))
        self._sum[place] += values[:height, :width] * window
        self._weight[place] += window

    def map(self) -> np.ndarray:
        """Return the map of the image, float32 of shape (height, width)."""
        return self._sum / self._weight
