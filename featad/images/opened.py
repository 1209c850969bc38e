"""PIL images that were opened elsewhere, and that several threads may be given."""

import os
import threading
from weakref import WeakValueDictionary

from PIL import Image

from featad.images.metadata import orientation

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
        image.load()
        try:
            return bool(getattr(image, "is_animated", False)) and image.tell() == 0
        except (OSError, ValueError, AttributeError):  # its file is closed
            return False


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
