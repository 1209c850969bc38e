"""PIL images: loaded by one of several threads, and what decides how they are read."""

import os
import threading
from typing import Any
from weakref import WeakValueDictionary

from PIL import Image

from featad.images.metadata import orientation

BITS, PHOTOMETRIC, MAX_SAMPLE = 258, 262, 281  # TIFF tags that deep pixels depend on
_TILES = "_featad_tiles"  # attribute in which an image keeps what Pillow forgets

_locks: WeakValueDictionary[int, threading.Lock] = WeakValueDictionary()
_guard = threading.Lock()


def load(image: Image.Image) -> bool:
    """Load the pixels of an image, which Pillow reads from its file at first use.

    Parameters
    ----------
    image : PIL image
        Other threads may be given it at the same time.

    Returns
    -------
    has_more_pages : bool
        Whether it stands on the first of several pages or frames.
    """
    with _guard:
        lock = _locks.get(id(image))
        if lock is None:
            lock = _locks[id(image)] = threading.Lock()
    with lock:
        if getattr(image, "tile", None):
            setattr(image, _TILES, tiles_of(image)[:1])
        image.load()
        try:
            return bool(getattr(image, "is_animated", False)) and image.tell() == 0
        except (OSError, ValueError, AttributeError):  # its file is closed
            return False


def tiles_of(image: Image.Image) -> Any:
    """Return how a file holds an image, the first part at least, also after `load`."""
    return getattr(image, "tile", None) or getattr(image, _TILES, ())


def is_deep_gray(image: Image.Image) -> bool:
    """Whether an image has one channel of 16 or 32 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def is_scaled_ppm(image: Image.Image) -> bool:
    """Whether a PPM or PGM file says which value is white: it is scaled to 65535."""
    tiles = tiles_of(image)
    return bool(tiles) and tiles[0][0].startswith("ppm") and tiles[0][3][-1] < 65535


def orientation_of(image: Image.Image) -> int | None:
    """Return the orientation of a loaded image, 1 to 8; None if its EXIF is damaged."""
    if image.format == "TIFF":
        return 1  # Pillow turns it while it is loaded
    exif = image.info.get("exif")
    xmp = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp")
    return orientation(exif if isinstance(exif, bytes) else None, xmp)


def _forget_locks() -> None:
    """Start a forked process without the locks that its parent's threads held."""
    global _guard, _locks
    _guard, _locks = threading.Lock(), WeakValueDictionary()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)
