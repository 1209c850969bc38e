"""What files say besides their pixels: read here, and kept from Pillow.

Pillow refuses an image, or warns, because of a damaged or a long description of it. So
it is given JPEG and PNG files without any, and the one thing that matters to the
pixels, the orientation, is read here.
"""

import re
import zlib
from dataclasses import dataclass

ORIENTATION = 0x0112  # tag of EXIF
_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_JPEG_PIXELS = {0xD9, 0xDA}  # end of the image, start of its pixels
_JPEG_DESCRIPTIONS = {0xFE, *range(0xE1, 0xF0)} - {0xEE}  # Adobe's tells the colors
_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_PNG_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_LONGEST_TEXT = 1 << 20  # bytes: what a text may hide when it is decompressed


@dataclass(frozen=True)
class Described:
    """A file without its descriptions, and what they said.

    Attributes
    ----------
    data : bytes
        The file, its pixels untouched.

    orientation : int or None
        From 1 to 8, as in EXIF; None where the description of it is damaged.

    n_frames : int
        Of an animated PNG; 1 elsewhere.
    """

    data: bytes
    orientation: int | None = 1
    n_frames: int = 1


def without_descriptions(data: bytes) -> Described:
    """Return a JPEG or PNG file without EXIF, profiles, texts and further frames."""
    return _of_png(data) if data.startswith(b"\x89PNG") else _of_jpeg(data)


def orientation(exif: bytes | None, xmp: bytes | str | None = None) -> int | None:
    """Return the orientation that EXIF or else XMP declares, from 1 to 8.

    Parameters
    ----------
    exif : bytes or None
        With or without the ``Exif`` header, which some programs write twice.

    xmp : bytes, str or None

    Returns
    -------
    orientation : int or None
        1 where nothing is declared; None if the EXIF is damaged.
    """
    turn = _exif_orientation(exif) if exif else 0
    if turn == 0 and xmp:
        text = xmp.encode() if isinstance(xmp, str) else xmp
        found = re.search(rb'tiff:Orientation(?:="|>)([1-8])', text)
        turn = int(found[1]) if found else 0
    return 1 if turn == 0 else turn


def _exif_orientation(exif: bytes) -> int | None:
    """Return 1 to 8, 0 if there is none, None if the data are damaged."""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II": "little", b"MM": "big"}.get(exif[:2])
    if order is None or len(exif) < 10:
        return None

    def number(start: int, size: int) -> int:
        return int.from_bytes(exif[start : start + size], order)  # type: ignore[arg-type]

    first = number(4, 4)
    if first < 8 or first + 2 > len(exif):
        return None
    for entry in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        if entry + 12 > len(exif):
            return None
        if number(entry, 2) == ORIENTATION:
            turn = number(entry + 8, 2)
            return turn if 0 <= turn <= 8 else None
    return 0


def _of_jpeg(data: bytes) -> Described:
    kept, exif, xmp = [data[:2]], b"", b""
    place = 2
    while data[place : place + 1] == b"\xff" and place + 4 <= len(data):
        marker = data[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        if marker in _JPEG_PIXELS:
            break
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        end = place + 2 + (0 if marker in _JPEG_WITHOUT_LENGTH else length)
        segment = data[place:end]
        if marker not in _JPEG_DESCRIPTIONS:
            kept.append(segment)
        elif marker == 0xE1 and segment[4:8] == b"Exif":
            exif += segment[10:] if exif else segment[4:]  # a long one is in pieces
        elif marker == 0xE1 and segment[4:].startswith(_XMP_IN_JPEG):
            xmp = segment[4 + len(_XMP_IN_JPEG) :]
        place = end
    return Described(b"".join([*kept, data[place:]]), orientation(exif, xmp))


def _of_png(data: bytes) -> Described:
    kept, exif, xmp, n_frames = [data[:8]], b"", b"", 1
    place = 8
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        kind, content = data[place + 4 : place + 8], data[place + 8 : end - 4]
        if kind in _PNG_PIXELS:
            kept.append(data[place:end])
        elif kind == b"eXIf":
            exif = content
        elif kind == b"acTL":
            n_frames = int.from_bytes(content[:4], "big")
        elif kind in _PNG_TEXTS:
            key, _, text = content.partition(b"\0")
            if key == b"XML:com.adobe.xmp":
                xmp = text
            elif key in (b"Raw profile type exif", b"Raw profile type APP1"):
                exif = exif or _raw_profile(kind, text)
        place = end
    if place < len(data):
        kept.append(data[place:])
    return Described(b"".join(kept), orientation(exif, xmp), n_frames)


def _raw_profile(kind: bytes, text: bytes) -> bytes:
    """Return the EXIF that ImageMagick writes as text: a name, a length, digits."""
    try:
        if kind == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], _LONGEST_TEXT)
        return bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))
    except (zlib.error, ValueError):
        return b"damaged"
