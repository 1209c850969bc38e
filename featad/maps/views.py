"""How a system sees an image: its own copy, and which part of the image that is."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from featad.errors import ImageReadError
from featad.images import check_sources, map_images, read_image

_READER = ("size", "mode", "max_value", "max_pixels", "truncated", "decode")


@dataclass(frozen=True)
class View:
    """One image as the first step of a system reads it.

    Attributes
    ----------
    size : (height, width)
        Of the image itself.

    read : (height, width)
        To which the whole image is resized.

    box : tuple of int
        Top, left, height and width of the part of that which the system sees. The rest
        is cropped.

    pixels : ndarray of shape (height, width[, channels]) or None
        What the system can be given in place of the image; of the size ``read``.
    """

    size: tuple[int, int]
    read: tuple[int, int]
    box: tuple[int, int, int, int]
    pixels: Any = None

    def in_pixels(self, seen: np.ndarray) -> np.ndarray:
        """Bring a map of what the system sees to the size of the image.

        Parameters
        ----------
        seen : float32 ndarray of shape (rows, columns)

        Returns
        -------
        map : float32 ndarray of shape (height, width)
            Where the system sees nothing, it is the lowest value of the map.
        """
        top, left, height, width = self.box
        if self.read != (height, width):
            whole = np.full(self.read, seen.min(), np.float32)
            part = slice(top, top + height), slice(left, left + width)
            whole[part] = resized(seen, (height, width))
            seen = whole
        return resized(seen, self.size)


def reading_of(step: Any) -> dict[str, Any] | None:
    """Return how a step reads images, as arguments of `read_image`.

    Parameters
    ----------
    step : estimator
        The first step of a system.

    Returns
    -------
    reading : dict or None
        None: the step takes arrays, and does not read images.
    """
    if hasattr(step, "_how_to_read"):
        return step._how_to_read()
    params = step.get_params(deep=False) if hasattr(step, "get_params") else {}
    if "max_pixels" not in params:
        return None
    return {name: params[name] for name in _READER if name in params}


def views(
    X: Any, reading: dict[str, Any] | None, *, pixels: bool = False
) -> Iterator[View]:
    """Yield how a system sees each image.

    Parameters
    ----------
    X : array-like or sequence of sources

    reading : dict or None
        From `reading_of`. None: arrays are taken as they are.

    pixels : bool, default=False
        Whether the pixels are wanted.

    Raises
    ------
    ImageReadError
        If an image cannot be read.

    ValueError
        If X is a table.
    """
    if reading is None and is_numeric(X):
        if X.ndim < 3:
            raise ValueError(
                f"Maps are of images, but X is a table of shape {X.shape}. Pass the "
                "whole system, with the step that reads the images, and the images."
            )
        for image in X:
            shape = image.shape[:2]
            yield View(shape, shape, (0, 0, *shape), image)
        return
    sources = check_sources(X, estimator_name="anomaly_maps")
    look = partial(_view, reading=reading or {}, pixels=pixels)
    for _, view in map_images(look, sources):
        if isinstance(view, ImageReadError):
            raise view
        yield view


def read_whole(source: Any, reading: dict[str, Any] | None) -> np.ndarray:
    """Return an image in its own size, with the colors that a system sees.

    Parameters
    ----------
    source : path-like, bytes-like, PIL image or ndarray

    reading : dict or None
        From `reading_of`.

    Returns
    -------
    image : float32 ndarray of shape (height, width, channels), in [0, 1]
    """
    limits = {k: v for k, v in (reading or {}).items() if k in _READER[1:]}
    return read_image(source, **limits)


def is_numeric(X: Any) -> bool:
    """Return whether X is an array of numbers."""
    return isinstance(X, np.ndarray) and X.dtype.kind not in "OUT"


def resized(one: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a map in another size, bilinear.

    Parameters
    ----------
    one : ndarray of shape (rows, columns)

    size : (height, width)
    """
    if one.shape == size:
        return one
    image = Image.fromarray(np.ascontiguousarray(one, np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))


def _view(source: Any, reading: dict[str, Any], pixels: bool) -> View:
    image = read_whole(source, reading)
    size = image.shape[:2]
    read, box = _read_as(size, reading)
    if not pixels:
        return View(size, read, box)
    if read != size:
        how = {k: v for k, v in reading.items() if k != "crop_from"}
        image = read_image(source, **how | {"size": read})
    if reading.get("max_value") is not None:  # which the system divides by
        image = image * np.float32(reading["max_value"])
    return View(size, read, box, image)


def _read_as(size: tuple[int, int], reading: dict[str, Any]) -> tuple[Any, Any]:
    """Return the size to which an image is resized, and the part that is seen."""
    wanted = reading.get("size")
    if wanted is None:
        return size, (0, 0, *size)
    tall, wide = (wanted, wanted) if np.ndim(wanted) == 0 else wanted
    crop_from = reading.get("crop_from")
    if crop_from is None:
        return (tall, wide), (0, 0, tall, wide)
    longer = int(crop_from * max(size) / min(size))  # as featad.images.planes
    read = (longer, crop_from) if size[0] >= size[1] else (crop_from, longer)
    top, left = round((read[0] - tall) / 2), round((read[1] - wide) / 2)
    return read, (top, left, tall, wide)
