"""From a file or its bytes to an opened Pillow image: formats, limits, damage."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from PIL import Image, ImageFile

from featad.images import metadata
from featad.images.budget import claim
from featad.images.notes import DAMAGED_EXIF, PAGES, TRUNCATED, Remarks

FORMATS = (
    *("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM"),
    *("JPEG2000", "AVIF"),  # where Pillow is built with them
)
_REDUCED = 254  # TIFF tag: a page that is a smaller copy of another
ONE_PAGE = ("PNG", "JPEG", "BMP", "DIB", "PPM")  # or counted before
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_DESCRIBED = (b"\x89PNG", _JPEG)  # files whose descriptions must not cost the pixels
_HEAD = 144  # bytes by which a format is known
_HEIF = ("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1")
_OTHER_FILES = (  # where the sign stands, the sign, what it is, and what to do
    (0, b"\x93NUMPY", "a NumPy file", "pass the array, numpy.load(path)"),
    (0, b"%PDF", "a PDF file", "export its pages as PNG"),
    (0, b"8BPS", "a Photoshop file", "export it as PNG or TIFF"),
    (128, b"DICM", "a DICOM file", "pass the array, pydicom.dcmread(path).pixel_array"),
    (0, b"\xff\x0a", "a JPEG XL file", "convert it to PNG"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL file", "convert it to PNG"),
    (0, b"<", "text, such as a web page that was saved in its place", "download again"),
)


class Unreadable(Exception):
    """Why a source cannot be read, as a clause; callers add the name of the source."""


@dataclass(frozen=True)
class Rules:
    """How an image is read.

    Attributes
    ----------
    mode : {"RGB", "L"}

    max_value : float or None
        The value that is white.

    max_pixels : int or None
        The largest image that is decoded; None for Pillow's limit.

    truncated : {"raise", "accept"}
        What to do with a JPEG file that lacks its end.

    least : (height, width) or None
        Of the upright image: a JPEG file may be decoded at half, a quarter or an eighth
        of its size if that is not smaller. None: at its own size.
    """

    mode: str = "RGB"
    max_value: float | None = None
    max_pixels: int | None = None
    truncated: str = "raise"
    least: tuple[int, int] | None = None


class ImageSource:
    """A file, or the bytes of one, that can be opened more than once.

    Parameters
    ----------
    source : bytes or Path

    rules : Rules

    remarks : Remarks
        What is noticed is added.
    """

    def __init__(self, source: bytes | Path, rules: Rules, remarks: Remarks) -> None:
        if isinstance(source, Path) and source.is_dir():
            raise Unreadable("it is a folder; list_images(folder) returns its images")
        data = _contents(source)
        self.head = data[:_HEAD]
        if not self.head:
            raise Unreadable("the file is empty")
        self.source = source
        self.orientation: int | None = None
        self._rules, self._remarks = rules, remarks
        if self.head.startswith(_DESCRIBED):
            found = metadata.without_descriptions(data)
            self.source, self.orientation = found.data, found.orientation or 1
            if found.orientation is None:
                remarks.kinds.add(DAMAGED_EXIF)
            if found.n_frames > 1:
                remarks.kinds.add(PAGES)

    def mend_end(self) -> bool:
        """Give a JPEG file ends enough to be decoded as far as it goes, if allowed."""
        allowed = self._rules.truncated == "accept" and self.head.startswith(_JPEG)
        if allowed and TRUNCATED not in self._remarks.kinds:
            self._remarks.kinds.add(TRUNCATED)
            self.source = cast(bytes, self.source) + _JPEG_END * 32
            return True
        return False

    @contextmanager
    def opened(self) -> Iterator[ImageFile.ImageFile]:
        """Open the image, unless it is of no known format or too large."""
        in_memory = isinstance(self.source, bytes)
        with (
            io.BytesIO(cast(bytes, self.source))
            if in_memory
            else cast(Path, self.source).open("rb")
        ) as file:
            image = _identify(cast(BinaryIO, file), self.head)
            check_pixels(*image.size, self._rules.max_pixels)
            claim(image.width * image.height)
            self._shrink(image)
            yield image

    def _shrink(self, image: ImageFile.ImageFile) -> None:
        """Let the decoder shrink a JPEG file, if the rules allow it.

        Only by what divides both sides: then a place in the image is the same share of
        its height and width as before.
        """
        if self._rules.least is None or image.format != "JPEG":
            return
        tall, wide = self._rules.least
        if (self.orientation or 1) > 4:  # it will be turned by a quarter
            tall, wide = wide, tall
        for scale in (8, 4, 2):
            width, height = image.width // scale, image.height // scale
            divides = (width * scale, height * scale) == image.size
            if divides and width >= wide and height >= tall:
                image.draft(None, (width, height))
                return

    def look_for_pages(self) -> None:
        """Note whether there is more than one page or frame."""
        with self.opened() as image:  # anew: looking moves from page to page
            if _has_more_pages(image):
                self._remarks.kinds.add(PAGES)


def _contents(source: bytes | Path) -> bytes:
    """Return all of a file whose descriptions are read apart, else its beginning."""
    if isinstance(source, bytes):
        return source
    with source.open("rb") as file:
        head = file.read(_HEAD)
        return head + file.read() if head.startswith(_DESCRIBED) else head


def _identify(file: BinaryIO, head: bytes) -> ImageFile.ImageFile:
    """Open an image as `PIL.Image.open` does, whose limit of pixels is everybody's."""
    for name in _formats():
        factory, accept = Image.OPEN[name]
        try:
            if accept is None or accept(head[:16]) is True:
                file.seek(0)
                return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
    brand = head[8:12].decode("latin-1") if head[4:8] == b"ftyp" else ""
    if brand in _HEIF:
        return _heif(file)
    if brand in ("avif", "avis"):
        raise Unreadable("it is an AVIF file, which needs Pillow 11.3 or newer")
    for start, sign, what, way_out in _OTHER_FILES:
        if head[start:].startswith(sign):
            raise Unreadable(f"it is {what}, not a readable image; {way_out}")
    known = ", ".join(name for name in _formats() if name != "DIB")
    raise Unreadable(f"not a readable image (supported formats: {known})")


def _formats() -> list[str]:
    """Return the formats that are read: safe ones, and what the user registered."""
    Image.init()
    return _chosen(tuple(Image.OPEN))


@lru_cache
def _chosen(known: tuple[str, ...]) -> list[str]:
    registered = [
        name
        for name in known
        if not getattr(Image.OPEN[name][0], "__module__", "").startswith("PIL.")
    ]
    return [name for name in FORMATS if name in known] + registered


def _heif(file: BinaryIO) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise Unreadable(
            "it is a HEIF file (HEIC), which needs pillow-heif: "
            "pip install 'featad[heif]'"
        ) from None
    file.seek(0)
    return HeifImageFile(file)


def check_pixels(width: int, height: int, max_pixels: int | None = None) -> None:
    """Refuse sizes beyond the limit for safe decoding."""
    limit = Image.MAX_IMAGE_PIXELS if max_pixels is None else max_pixels
    if limit is not None and width * height > limit:
        raise Unreadable(
            f"its {width} x {height} pixels are more than the limit of {limit}, which "
            "guards against decompression bombs; if you trust it, pass "
            f"max_pixels={width * height} (--max-pixels {width * height} on the "
            "command line)"
        )


def _has_more_pages(image: Any) -> bool:
    """Whether there are other pages than smaller copies of the first."""
    if not getattr(image, "is_animated", False):
        return False
    if image.format != "TIFF":
        return True
    page = 1
    while True:
        try:
            image.seek(page)
        except EOFError:
            return False
        if not image.tag_v2.get(_REDUCED, 0) & 1:
            return True
        page += 1
