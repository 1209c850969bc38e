"""Pooled features of an image without one cell of it, for every cell of a grid."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, cast

import numpy as np

from featad.errors import ImageReadError
from featad.features.backbone import BackboneFeatures
from featad.features.base import as_tuple
from featad.features.filters import FilterBankFeatures
from featad.features.pooling import POOLING, normalize_blocks
from featad.images import map_images, read_image
from featad.images.read import checked_size


def pool_without_cells(
    maps: np.ndarray, pooling: Sequence[str], grid: tuple[int, int]
) -> np.ndarray:
    """Pool maps over all positions, and over all but those of each cell.

    The maps are gone through once, however many cells there are.

    Parameters
    ----------
    maps : float ndarray of shape (channels, height, width)

    pooling : sequence of {"mean", "std", "max"}
        As for `POOLING`.

    grid : (rows, columns)
        Cells of the map; at most one for each position, and two or more in all.

    Returns
    -------
    features : float32 ndarray of shape (1 + rows * columns, n_statistics * channels)
        The first row is the whole map's, the others are in the order of the cells.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.array([[[1.0, 2.0], [3.0, 6.0]]])
    >>> pool_without_cells(maps, ["mean", "max"], (2, 2))
    array([[3.       , 6.       ],
           [3.6666667, 6.       ],
           [3.3333333, 6.       ],
           [3.       , 6.       ],
           [2.       , 3.       ]], dtype=float32)
    """
    starts = [_starts(n, cells) for n, cells in zip(maps.shape[1:], grid, strict=True)]
    ends = zip(starts, maps.shape[1:], strict=True)
    down, across = (np.diff(first, append=n) for first, n in ends)
    kept = maps[0].size - np.outer(down, across).ravel()
    blocks = [_WITHOUT[name](maps, starts, kept) for name in pooling]
    return np.concatenate(blocks).T.astype(np.float32)


def _starts(length: int, n_cells: int) -> np.ndarray:
    """Return the first position of each cell."""
    return np.arange(n_cells) * length // n_cells


def _per_cell(reduce: np.ufunc, maps: np.ndarray, starts: list) -> np.ndarray:
    """Return the sum, or another reduction, of each cell: (channels, cells)."""
    rows = reduce.reduceat(maps, starts[0], axis=1)
    return reduce.reduceat(rows, starts[1], axis=2).reshape(len(maps), -1)


def _mean(maps, starts, kept):
    mean = maps.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    moved = -_per_cell(np.add, maps - mean, starts) / kept
    return np.hstack([mean[:, 0], mean[:, 0] + moved])


def _std(maps, starts, kept):
    apart = maps - maps.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    moved = -_per_cell(np.add, apart, starts) / kept
    squares = _per_cell(np.add, np.square(apart), starts)
    total = squares.sum(axis=1, keepdims=True)
    variance = (total - squares) / kept - np.square(moved)
    return np.sqrt(np.hstack([total / maps[0].size, variance.clip(0)]))


def _max(maps, starts, kept):
    highest = _per_cell(np.maximum, maps, starts)
    second, first = np.partition(highest, -2, axis=1)[:, -2:].T[..., None]
    return np.hstack([first, np.where(highest == first, second, first)])


_WITHOUT: dict[str, Callable] = dict(zip(POOLING, (_mean, _std, _max), strict=True))


def cells_of(features: Any) -> tuple[int, int] | None:
    """Return the finest grid whose cells can be left out of features.

    Parameters
    ----------
    features : estimator
        The first step of a system.

    Returns
    -------
    grid : (rows, columns) or None
        None: the features are not pooled from maps of positions, or all layers' maps
        are a single position.
    """
    if isinstance(features, FilterBankFeatures):
        shapes: Any = [(1, *cast(tuple, checked_size(features.size)))]
    elif isinstance(features, BackboneFeatures):
        size = features._reading()["size"]
        shapes = list(features._checked_extractor().shapes(size).values())
        if any(len(shape) != 3 for shape in shapes):
            return None
    else:
        return None
    rows, columns = np.min(shapes, axis=0)[1:].tolist()
    return (rows, columns) if rows * columns > 1 else None


def features_without_cells(
    features: Any, X: Sequence, grid: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Yield the features of each image, and those of it without each cell of a grid.

    Parameters
    ----------
    features : BackboneFeatures or FilterBankFeatures

    X : sequence of sources

    grid : (rows, columns)
        At most those of `cells_of`.

    Yields
    ------
    table : float32 ndarray of shape (1 + rows * columns, n_features)
        The first row is what ``transform`` returns.

    Raises
    ------
    ImageReadError
        If an image cannot be read.
    """
    pooling = as_tuple(features.pooling)
    for maps in _maps_of_images(features, X):
        blocks = [pool_without_cells(layer, pooling, grid) for layer in maps]
        table = np.hstack(blocks)
        if getattr(features, "normalize", False):
            normalize_blocks(table, [block.shape[1] for block in blocks])
        yield table


def _maps_of_images(features: Any, X: Sequence) -> Iterator[list[np.ndarray]]:
    """Yield for each image the maps (channels, height, width) that are pooled."""
    if isinstance(features, FilterBankFeatures):
        for _, responses in _read(features.responses, X):
            yield [response[None] for response in responses]
        return
    extractor = features._checked_extractor()
    images = _read(partial(read_image, **features._how_to_read()), X)
    while batch := [image for _, image in islice(images, 8)]:
        layers = extractor.layers(np.stack(batch), features._rounding())
        yield from (list(maps) for maps in zip(*layers, strict=True))


def _read(read: Callable, X: Sequence) -> Iterator[tuple[int, Any]]:
    for index, result in map_images(read, X):
        if isinstance(result, ImageReadError):
            raise result
        yield index, result
