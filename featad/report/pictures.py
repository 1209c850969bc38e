"""Images as small WebP data inside a page."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation

from featad.errors import ImageReadError
from featad.images import read_image, read_mask
from featad.maps.regions import segment
from featad.maps.scale import MapScale
from featad.maps.systems import iter_maps, read_as_seen
from featad.plots import overlaid

SIDE = 192
"""Longer side of a picture, in pixels."""

Overlays: TypeAlias = Callable[[list], Sequence[np.ndarray]]
"""Images to pictures (height, width, 3) in [0, 1], their maps drawn over them."""

_OUTLINE = np.array([0.0, 0.9, 1.0])


def as_url(pixels: np.ndarray) -> str:
    """Return pixels (height, width, 3), float in [0, 1], as a small WebP data URL."""
    image = Image.fromarray(np.round(pixels * 255).astype(np.uint8))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=75, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def pictures_of(
    source: Any, mask: Any = None, overlays: Overlays | None = None
) -> dict[str, str]:
    """Return the pictures of an image as data URLs.

    Parameters
    ----------
    source : source
        A path, bytes, a PIL image or an array.

    mask : object, default=None
        What `read_mask` takes.

    overlays : callable or None, default=None
        Draws the map of images.

    Returns
    -------
    pictures : dict
        ``picture``; ``size``, in pixels; ``map`` and ``mask`` where there are any.
        Empty if the image cannot be read: its row of scores tells the reason.
    """
    try:
        pixels = read_image(source)
    except ImageReadError:
        return {}
    height, width = pixels.shape[:2]
    found = {"picture": as_url(pixels), "size": f"{width} x {height}"}
    if overlays is not None:
        found["map"] = as_url(overlays([source])[0])
    if mask is not None:
        found["mask"] = as_url(_outlined(pixels, read_mask(mask)))
    return found


def overlay(image: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Return an image (height, width, 3) with its map and its regions drawn on it.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels)
        In [0, 1].

    ratios : ndarray of shape (height, width)
        The map in units of `featad.MapScale.ratios`.
    """
    regions, _ = segment(ratios)
    return _outlined(overlaid(image, ratios), regions > 0)


def _outlined(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return an image with the border of a mask drawn on it."""
    width = max(1, round(max(mask.shape) / SIDE * 1.5))
    border = binary_dilation(mask, iterations=width) & ~mask
    return np.where(border[..., None], _OUTLINE, pixels)


def overlays_of(system: Any, scale: MapScale) -> Overlays:
    """Return what draws the maps of a system over images, in the colors of all maps.

    Parameters
    ----------
    system : estimator
        A fitted system.

    scale : MapScale
        Of its maps.

    Returns
    -------
    overlays : callable
    """

    def draw(sources: list) -> list[np.ndarray]:
        found = iter_maps(system, sources, method=scale.method)
        return [
            overlay(read_as_seen(system, source), scale.ratios(one))
            for source, one in zip(sources, found, strict=True)
        ]

    return draw
