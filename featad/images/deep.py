"""Images of more than 8 bits: their values, which Pillow would cut, and their white."""

import sys
import zlib
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard, cast

import numpy as np
from PIL import Image, ImageFile

from featad.images.files import ImageSource, Rules, Unreadable
from featad.images.notes import UNUSED_ALPHA, Remarks
from featad.images.opened import (
    BITS,
    MAX_SAMPLE,
    PHOTOMETRIC,
    is_scaled_ppm,
    tiles_of,
)
from featad.images.planes import float_planes

_PLANAR = 284  # TIFF tag
_LOW_BYTE = {
    "16B": "16L",
    "16L": "16B",
    "16N": "16B" if sys.byteorder == "little" else "16L",
}


def deep_gray(image: Image.Image, rules: Rules, remarks: Remarks) -> list[Image.Image]:
    """Return the plane of an image with one channel of 16 or 32 bits."""
    limit, declared = _white(image, rules.max_value)
    values = np.asarray(image)[..., None]
    if not declared:
        remarks.peak = float(values.max())
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0:  # white is zero
        values = limit - values.astype(np.float64)
    clear = image.info.get("transparency")
    if clear is not None:
        values = np.where(values == clear, limit, values)
    return float_planes(values, rules.mode, limit)


def deep_color(
    image: ImageFile.ImageFile, source: ImageSource, rules: Rules, remarks: Remarks
) -> list[Image.Image]:
    """Return the planes of a file with 16-bit colors."""
    limit, declared = _white(image, rules.max_value)
    values = _deep_values(image, source)
    if image.mode == "CMYK":
        inks = values / 65535.0
        values = limit * (1 - inks[..., :3]) * (1 - inks[..., 3:])
        return float_planes(values, rules.mode, limit)
    if image.mode not in ("RGB", "RGBX", "RGBA"):
        raise Unreadable(f"16-bit images of mode {image.mode} are not supported")
    values, alpha = values[..., :3], values[..., 3:] / 65535.0
    if not declared:
        remarks.peak = float(values.max())
    clear = image.info.get("transparency")  # one color that stands for "clear"
    if isinstance(clear, tuple):
        values = np.where((values == clear).all(axis=2, keepdims=True), limit, values)
    if image.mode == "RGBA":
        values = on_white(values, alpha, limit, remarks)
    return float_planes(values, rules.mode, limit)


def deep_gray_alpha(
    image: Image.Image, rules: Rules, remarks: Remarks
) -> list[Image.Image]:
    """Return the plane of what `as_eight_bit_rgba` renamed."""
    pairs = np.asarray(image).view(">u2").astype(np.float64)  # (H, W, 2)
    gray, alpha = pairs[..., :1], pairs[..., 1:] / 65535
    limit = 65535 if rules.max_value is None else min(rules.max_value, 65535)
    if rules.max_value is None:
        remarks.peak = float(gray.max())
    return float_planes(on_white(gray, alpha, limit, remarks), rules.mode, limit)


def on_white(
    color: np.ndarray, alpha: np.ndarray, limit: float, remarks: Remarks
) -> np.ndarray:
    """Compose colors on white, unless their alpha is zero everywhere: unused."""
    if not alpha.any():
        remarks.kinds.add(UNUSED_ALPHA)
        return color
    return color * alpha + limit * (1 - alpha)


def is_gray_alpha(head: bytes) -> bool:
    """Whether a file is a PNG of 16-bit gray and alpha, which Pillow cuts to 8."""
    return head.startswith(b"\x89PNG") and head[24:26] == b"\x10\x04"


def as_eight_bit_rgba(source: bytes | Path) -> bytes:
    """Rename the pixels of a 16-bit gray + alpha PNG: four bytes each, like RGBA."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    header = data[12:24] + b"\x08\x06" + data[26:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


def has_deep_color(image: Image.Image) -> TypeGuard[ImageFile.ImageFile]:
    """Whether Pillow would drop the low bytes of a 16-bit color image."""
    tiles = tiles_of(image)
    if not tiles or image.mode == "F" or image.mode.startswith("I"):
        return False
    codec, arguments = tiles[0][0], tiles[0][3]
    if codec == "ppm":
        return arguments[1] > 255 and arguments[0] == "RGB"
    raw_mode = arguments if isinstance(arguments, str) else (arguments or ("",))[0]
    return ";16" in str(raw_mode) or 16 in getattr(image, "tag_v2", {}).get(BITS, ())


def _deep_values(image: ImageFile.ImageFile, source: ImageSource) -> np.ndarray:
    """Read 16-bit colors: one decoding gives the high bytes, another the low ones."""
    with source.opened() as again:
        if again.tile[0][0] == "ppm":
            return _deep_ppm(again)
        if getattr(again, "tag_v2", {}).get(_PLANAR) == 2:
            raise Unreadable(
                "16-bit TIFF files with separate planes are not supported; store the "
                "channels together (PlanarConfiguration 1)"
            )
        tiles: list[Any] = again.tile
        tiles[:] = [(*tile[:3], _low_byte_arguments(tile[3])) for tile in tiles]
        low = np.asarray(again)
    return (np.asarray(image).astype(np.uint16) << 8) | low


def _deep_ppm(image: ImageFile.ImageFile) -> np.ndarray:
    _, _, offset, arguments = image.tile[0]
    _, largest = cast(tuple, arguments)
    file = cast(BinaryIO, image.fp)
    size = image.height * image.width * 3
    file.seek(offset)
    values = np.frombuffer(file.read(2 * size), ">u2")
    if values.size < size:
        raise Unreadable("the file is truncated")
    return values.reshape(image.height, image.width, 3) * (65535.0 / largest)


def _low_byte_arguments(arguments: str | tuple) -> str | tuple:
    """Name the other byte order, so that Pillow keeps the low byte of each value."""
    if not isinstance(arguments, str):
        return (_low_byte_arguments(arguments[0]), *arguments[1:])
    channels, _, depth = arguments.partition(";")
    if depth not in _LOW_BYTE:
        raise Unreadable(f"its 16-bit layout {arguments!r} is not supported")
    return f"{channels};{_LOW_BYTE[depth]}"


def _white(image: Image.Image, max_value: float | None) -> tuple[float, bool]:
    """Return the value that is white, and whether anybody declared it.

    What is given holds up to the largest value that the pixels can have: a system for
    12 bits in 16 reads an 8-bit image by its own range.
    """
    if image.mode == "F":
        return (1.0 if max_value is None else max_value), True
    if image.mode == "I" and image.format not in ("PNG", "PPM"):
        if max_value is None:
            raise Unreadable(
                "32-bit and signed integers have no standard range; pass max_value, "
                "the value that is white"
            )
        return max_value, True
    if is_scaled_ppm(image):
        return 65535, True
    tags = getattr(image, "tag_v2", {})
    largest = 2 ** min(tags.get(BITS, (16,))[0], 16) - 1
    if max_value is not None:
        return min(max_value, largest), True
    declared = np.min(tags.get(MAX_SAMPLE, 65535))
    # some writers store the largest value found there; only 2^k - 1 declares a range
    if 255 < declared < 65535 and (declared + 1) & declared == 0:
        return int(declared), True
    return largest, largest < 65535
