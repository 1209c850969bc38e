"""Images as small WebP data inside a page."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation
from sklearn.utils import gen_batches

from featad.errors import ImageReadError
from featad.images import read_image, read_mask
from featad.maps.regions import segment
from featad.maps.scale import MapScale
from featad.maps.systems import flattened, iter_maps, read_as_seen
from featad.maps.views import reading_of
from featad.plots import overlaid

SIDE = 192
"""Longer side of a picture, in pixels."""

SMALL = 128
"""Longer side where there are many, so that the page stays small."""

THUMBNAIL = 72
"""Longer side of the pictures of training images and of kinds."""

Overlays: TypeAlias = Callable[[list], Sequence[np.ndarray]]
"""Images to pictures (height, width, 3) in [0, 1], their maps drawn over them."""

Reader: TypeAlias = Callable[[Any], np.ndarray]
"""A source to pixels (height, width, channels) in [0, 1]."""

_OUTLINE = np.array([0.0, 0.9, 1.0])
_MANY = 400  # pictures
_BATCH = 16  # images whose maps are made together


def as_url(pixels: np.ndarray, side: int = SIDE) -> str:
    """Return pixels as a small WebP data URL.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3) or (height, width, 1)
        In [0, 1].

    side : int, default=SIDE
        Longer side of the picture.
    """
    colors = np.broadcast_to(pixels[..., :3], (*pixels.shape[:2], 3))
    image = Image.fromarray(np.round(colors * 255).astype(np.uint8))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=72, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def thumbnail(source: Any, reader: Reader = read_image) -> str:
    """Return a picture of the smallest size as a data URL; "" if it is unreadable."""
    try:
        return as_url(reader(source), THUMBNAIL)
    except ImageReadError:
        return ""


def reader_of(system: Any) -> Reader:
    """Return what reads images as a system does.

    Parameters
    ----------
    system : estimator or None
        None, or a system that does not read images itself: as `read_image` does.
    """
    if system is None:
        return read_image
    steps, detector = flattened(system)
    if reading_of(steps[0] if steps else detector) is None:
        return read_image
    return lambda source: read_as_seen(system, source)


def illustrate(
    images: list[dict[str, Any]],
    sources: Mapping[int, Any],
    *,
    masks: Mapping[int, Any] | None = None,
    overlays: Overlays | None = None,
    reader: Reader = read_image,
    earlier: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Add pictures to what is known of images.

    An image that cannot be read gets none: its row of scores tells the reason.

    Parameters
    ----------
    images : list of dict
        Of a summary. Those with a source get ``picture``; ``size`` and ``depth``, as
        text; ``map`` and ``mask`` where there are any.

    sources : dict of int to source
        By position in ``images``.

    masks : dict of int to object, default=None
        What `read_mask` takes, or None.

    overlays : callable or None, default=None
        Draws the map of images.

    reader : callable
        Reads a source.

    earlier : iterable of dict
        What is known of the same images, in the same order, from an earlier summary:
        their pictures are used again.
    """
    masks = {index: mask for index, mask in (masks or {}).items() if mask is not None}
    known = {index: one for index, one in enumerate(earlier) if one.get("picture")}
    n_pictures = len(sources) * (1 + (overlays is not None)) + len(masks)
    side = SIDE if n_pictures <= _MANY else SMALL
    for index, source in sources.items():
        if index in known:
            kept = ("picture", "size", "depth", "mask")
            images[index].update({k: v for k, v in known[index].items() if k in kept})
            continue
        try:
            pixels = reader(source)
            images[index].update(_described(source, pixels))
            images[index]["picture"] = as_url(pixels, side)
            if index in masks:
                outlined = _outlined(
                    pixels, read_mask(masks[index], size=pixels.shape[:2])
                )
                images[index]["mask"] = as_url(outlined, side)
        except ImageReadError:
            continue
    if overlays is None:
        return
    drawn = [index for index in sources if "picture" in images[index]]
    for batch in gen_batches(len(drawn), _BATCH):
        found = overlays([sources[index] for index in drawn[batch]])
        for index, one in zip(drawn[batch], found, strict=True):
            images[index]["map"] = as_url(one, side)


def _described(source: Any, pixels: np.ndarray) -> dict[str, str]:
    """Return the size and the depth of an image, as text."""
    height, width = pixels.shape[:2]
    found = {"size": f"{width} x {height}", "depth": ""}
    if isinstance(source, np.ndarray):
        channels = 1 if source.ndim == 2 else source.shape[2]
        found["depth"] = f"{source.dtype}, {_count(channels, 'channel')}"
    elif not isinstance(source, Image.Image | bytes):
        try:
            with Image.open(source) as file:
                mode = file.mode
        except OSError:  # a format that only featad's reader knows
            return found
        bits = {"1": 1, "I": 32, "F": 32}.get(
            mode, 16 if mode.startswith("I;16") else 8
        )
        channels = len(Image.new(mode, (1, 1)).getbands())
        found["depth"] = f"{_count(bits, 'bit')}, {_count(channels, 'channel')}"
    return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


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
