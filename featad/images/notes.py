"""What readers notice about images: said once for a whole run, not once an image."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock

from featad._pixels import white_in_use
from featad.errors import ImageWarning
from featad.images.sources import Source, describe_source

_log = logging.getLogger("featad")

PAGES = "pages"
UNUSED_ALPHA = "alpha"
TRUNCATED = "truncated"
DAMAGED_EXIF = "exif"
BINARY = "binary"
_SAID = {
    PAGES: "Read {n} with several pages or frames ({names}), of which only the first "
    "is seen. To see the others, pass each as an image of its own.",
    UNUSED_ALPHA: "Read {n} with an alpha channel that is zero everywhere ({names}). "
    "It is taken as unused, so the colors are read as they are.",
    BINARY: "Read {n} whose 8-bit pixels are 0 and 1 only ({names}): nearly black. "
    "Pass max_value=1 (--max-value 1 on the command line) if 1 is white.",
    TRUNCATED: "Read {n} without the last bytes ({names}). What is missing is gray.",
    DAMAGED_EXIF: "Read {n} with damaged EXIF data ({names}). The pixels are read as "
    "they are stored, not turned.",
}


@dataclass
class Remarks:
    """What was noticed about one image.

    Attributes
    ----------
    kinds : set of str
        PAGES, UNUSED_ALPHA, BINARY, TRUNCATED and DAMAGED_EXIF, as they apply.

    peak : float or None
        The largest value of a 16-bit image whose range nobody declared.
    """

    kinds: set[str] = field(default_factory=set)
    peak: float | None = None


class Notes:
    """What was noticed about the images of a run, until it is told.

    Images are read by several threads, and a run may read an image more than once: a
    file counts once.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.images import Notes, read_image
    >>> notes = Notes()
    >>> with notes.taken():
    ...     for peak in (200, 210):
    ...         _ = read_image(np.full((2, 2), peak, np.uint16))
    >>> notes.tell()  # doctest: +SKIP
    ImageWarning: The brightest of 2 images of 16 bits uses 8 of them ...
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._forget()

    def _forget(self) -> None:
        self._names: dict[str, dict[str, int]] = {}  # by kind: names and places
        self._deep: set[int] = set()  # hashes of names: all 16-bit images are counted
        self._first_deep: tuple[int, str] | None = None
        self._peak = 0.0

    @contextmanager
    def taken(
        self, index: int | None = None, source: Source | None = None
    ) -> Iterator[None]:
        """Take the notes of what this thread reads meanwhile.

        Parameters
        ----------
        index : int or None, default=None
            Place of the image in the input, which tells those in memory apart.

        source : path-like, bytes-like, PIL image or ndarray, default=None
            The image in the input, which is named also where its bytes are read. None:
            what is read is named.
        """
        token = _taker.set((self, index, source))
        try:
            yield
        finally:
            _taker.reset(token)

    def add(self, name: str, remarks: Remarks, index: int = 0) -> None:
        """Add what was noticed about one image, at its place in the input."""
        with self._lock:
            for kind in remarks.kinds:
                self._names.setdefault(kind, {}).setdefault(name, index)
            if remarks.peak is not None:
                first = self._first_deep
                self._first_deep = min(first or (index, name), (index, name))
                self._deep.add(hash(name))
                self._peak = max(self._peak, remarks.peak)

    def tell(self) -> None:
        """Warn once of each kind, with the number of images and the first names.

        Damaged EXIF data are no reason to doubt the pixels: they are logged, so that
        an image is read even where warnings are errors.
        """
        with self._lock:
            first = self._first_deep[1] if self._first_deep else ""
            deep = _depth_sentence(self._peak, len(self._deep), first)
            said = {
                kind: _SAID[kind].format(n=_count(len(names)), names=_first(names))
                for kind, names in self._names.items()
            }
            self._forget()
        if DAMAGED_EXIF in said:
            _log.warning(said.pop(DAMAGED_EXIF))
        for sentence in [*([deep] if deep else []), *said.values()]:
            warnings.warn(sentence, ImageWarning, stacklevel=3)


_taker: ContextVar[tuple[Notes, int | None, Source | None] | None] = ContextVar(
    "notes", default=None
)


def taker() -> Notes | None:
    """Return who takes the notes of this thread, None if nobody does."""
    taking = _taker.get()
    return None if taking is None else taking[0]


def note(source: Source, remarks: Remarks) -> None:
    """Add remarks to the notes of this thread; without any, tell them at once."""
    if not remarks.kinds and remarks.peak is None:
        return
    notes, index, given = _taker.get() or (Notes(), None, None)
    name = describe_source(source if given is None else given, index)
    notes.add(name, remarks, index or 0)
    if taker() is None:
        notes.tell()


def _depth_sentence(peak: float, n_images: int, first: str) -> str:
    white = white_in_use(peak)
    if white is None:
        return ""
    which = f"The brightest of {n_images} 16-bit images" if n_images > 1 else "An image"
    return (
        f"{which} uses {white.bit_length()} of 16 bits (largest value {peak:g}), so "
        f"pixels are read {65535 // white} times too dark (first: {first}). Pass "
        f"max_value={white} "
        f"(--max-value {white} on the command line), or 65535 if they are that dark."
    )


def _count(n_images: int) -> str:
    return f"{n_images} image{'' if n_images == 1 else 's'}"


def _first(places: dict[str, int], limit: int = 3) -> str:
    names = sorted(places, key=lambda name: places[name])
    shown = ", ".join(names[:limit])
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return f"first: {shown}{more}"
