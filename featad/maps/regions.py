"""Regions of a map: where they are, how large and how odd."""

from numbers import Integral

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import ndimage

from featad.neural.superpixels import superpixels

COLUMNS = ("region", "top", "left", "height", "width", "area", "peak", "mean", "row",
           "column")  # fmt: skip
"""Columns of a table of regions."""

_SIDE = 256  # pixels: larger images are cut into superpixels at this size


def segment(
    map: ArrayLike,
    image: ArrayLike | None = None,
    *,
    threshold: float = 1.0,
    min_area: float = 0.0005,
    n_superpixels: int | None = None,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the regions of a map that are above a threshold.

    Parameters
    ----------
    map : array-like of shape (height, width)
        High = anomalous; best in the units of `featad.MapScale.ratios`, in which 1 is
        the threshold.

    image : array-like of shape (height, width[, channels]), default=None
        The image, in [0, 1], for superpixels.

    threshold : float, default=1.0
        Pixels above it belong to regions.

    min_area : float or int, default=0.0005
        Regions that are smaller are left out. A float below 1 is a share of the map, an
        int a number of pixels.

    n_superpixels : int or None, default=None
        Cut the image into about so many patches that follow its edges, and give each
        patch the mean of its values, so that regions end where the image has edges.

    Returns
    -------
    regions : int32 ndarray of shape (height, width)
        Number of the region that each pixel belongs to; 0 for none. Pixels that touch,
        at a corner too, belong to one region.

    table : DataFrame
        One row per region, the highest peak first, in pixels of the map: ``region``
        (its number, from 1), ``top``, ``left``, ``height`` and ``width`` of its box,
        ``area``, ``peak`` and ``mean`` of its values, ``row`` and ``column`` of its
        centroid.

    Raises
    ------
    ValueError
        If the map is not two-dimensional or not finite, or superpixels are asked for
        and the image is missing or of another size.

    Examples
    --------
    >>> import numpy as np
    >>> ratios = np.zeros((20, 30))
    >>> ratios[4:8, 10:20] = 3
    >>> regions, table = segment(ratios)
    >>> table[["top", "left", "height", "width", "area", "peak"]].to_numpy().tolist()
    [[4.0, 10.0, 4.0, 10.0, 40.0, 3.0]]
    """
    values = np.asarray(map, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(
            "segment takes one map of shape (height, width), without NaN or infinity; "
            f"got shape {values.shape}."
        )
    if n_superpixels is not None:
        values = _follow(values, image, n_superpixels)
    smallest = min_area
    if not isinstance(min_area, Integral) and min_area < 1:
        smallest = min_area * values.size
    found, n_found = ndimage.label(values > threshold, np.ones((3, 3)))
    numbers = np.arange(1, n_found + 1)
    areas = np.bincount(found.ravel(), minlength=n_found + 1)[1:]
    peaks = ndimage.maximum(values, found, numbers) if n_found else np.zeros(0)
    kept = areas >= smallest
    order = numbers[kept][np.argsort(-np.asarray(peaks)[kept], kind="stable")]
    renumbered = np.zeros(n_found + 1, dtype=np.int32)
    renumbered[order] = np.arange(1, len(order) + 1)
    regions = renumbered[found]
    return regions, _table(values, regions, len(order))


def _table(values: np.ndarray, regions: np.ndarray, n_regions: int) -> pd.DataFrame:
    table = []
    for number, box in enumerate(ndimage.find_objects(regions, n_regions), start=1):
        inside = regions[box] == number
        own = values[box][inside]
        places = np.argwhere(inside).mean(axis=0)
        (top, left), (height, width) = [part.start for part in box], inside.shape
        table.append(
            (number, top, left, height, width, len(own), own.max(), own.mean(),
             top + places[0], left + places[1])
        )  # fmt: skip
    frame = pd.DataFrame(table, columns=list(COLUMNS))
    return frame.astype({name: np.int64 for name in COLUMNS[:6]})


def _follow(values: np.ndarray, image: ArrayLike | None, n_segments: int) -> np.ndarray:
    """Return a map in which each superpixel of the image has one value."""
    pixels = None if image is None else np.asarray(image, dtype=np.float32)
    if pixels is None or pixels.shape[:2] != values.shape:
        raise ValueError(
            "Superpixels need the image of the map: expected one of "
            f"{values.shape[0]} x {values.shape[1]} pixels, got "
            f"{'none' if pixels is None else pixels.shape}."
        )
    pixels = pixels.reshape(*values.shape, -1)
    step = -(-max(values.shape) // _SIDE)
    small = superpixels(pixels[::step, ::step], n_segments)
    patches = small.repeat(step, axis=0).repeat(step, axis=1)
    patches = patches[: values.shape[0], : values.shape[1]]
    means = ndimage.mean(values, patches, np.arange(patches.max() + 1))
    return np.asarray(means)[patches]
