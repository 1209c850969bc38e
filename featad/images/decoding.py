"""Files, bytes, PIL images and arrays to planes of pixels: every rule of decoding.

A *plane* is a PIL image with one 8-bit channel ("L"), three of them ("RGB"), or one
float channel in [0, 1] ("F"). An 8-bit image is one plane; a deeper one is a plane per
channel, because Pillow has no deep color images.
"""

import io
import sys
import zlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import BinaryIO, TypeGuard, cast

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM")
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}
_TRANSPOSE = Image.Transpose
_ORIENTATION = {
    2: _TRANSPOSE.FLIP_LEFT_RIGHT,
    3: _TRANSPOSE.ROTATE_180,
    4: _TRANSPOSE.FLIP_TOP_BOTTOM,
    5: _TRANSPOSE.TRANSPOSE,
    6: _TRANSPOSE.ROTATE_270,
    7: _TRANSPOSE.TRANSVERSE,
    8: _TRANSPOSE.ROTATE_90,
}
_EXIF_ORIENTATION = 0x0112
_BITS, _PHOTOMETRIC, _MAX_SAMPLE, _PLANAR = 258, 262, 281, 284  # TIFF tags
_GRAY = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as Pillow's own "L"
_LOW_BYTE = {
    "16B": "16L",
    "16L": "16B",
    "16N": "16B" if sys.byteorder == "little" else "16L",
}


class Unreadable(Exception):
    """Why a source cannot be read, as a clause; callers add the name of the source."""


def decode(
    source: str | PathLike | bytes | Image.Image | np.ndarray,
    mode: str,
    max_value: float | None,
) -> list[Image.Image]:
    """Return the upright planes of any source, still at their own size."""
    if isinstance(source, np.ndarray):
        return _array_planes(source, mode, max_value)
    if isinstance(source, Image.Image):
        if _has_deep_color(source):
            raise Unreadable(
                "Pillow would cut its 16-bit colors to 8 bits; pass the path of the "
                "file instead of the opened image"
            )
        return _image_planes(source, lambda: source, mode, max_value)
    file = source if isinstance(source, bytes) else Path(source)
    if isinstance(file, Path) and file.is_dir():
        raise Unreadable("it is a folder; list_images(folder) returns its images")
    head = _head(file)
    if not head:
        raise Unreadable("the file is empty")
    if head.startswith(b"\x89PNG") and head[24:] == b"\x10\x04":
        with open_image(_as_eight_bit_rgba(file)) as image:
            return _deep_gray_alpha(image, mode, max_value)
    with open_image(file) as image:
        return _image_planes(image, lambda: open_image(file), mode, max_value)


def _head(source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        return source[:26]
    with source.open("rb") as file:
        return file.read(26)


def open_image(source: bytes | Path) -> ImageFile.ImageFile:
    """Open an image of a known format, unless it is too large to decode safely."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise Unreadable(
            f"not a readable image (supported formats: {', '.join(FORMATS)})"
        ) from None
    except Image.DecompressionBombError:
        raise Unreadable(too_large()) from None
    check_pixels(*image.size)
    return image


def check_pixels(width: int, height: int) -> None:
    """Refuse sizes beyond Pillow's own limit for safe decoding."""
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise Unreadable(too_large(f"{width} x {height} pixels are "))


def too_large(found: str = "it has ") -> str:
    """Return the reason for an image beyond Pillow's limit, with the way out."""
    return (
        f"{found}more than Pillow's limit of {Image.MAX_IMAGE_PIXELS} pixels, which "
        "guards against decompression bombs; raise PIL.Image.MAX_IMAGE_PIXELS if you "
        "trust it"
    )


def _image_planes(
    image: Image.Image, reopen: Callable, mode: str, max_value: float | None
) -> list[Image.Image]:
    if _has_deep_color(image):
        limit = _limit(image, max_value)
        planes = _deep_planes(_deep_color(image, reopen, limit), mode, limit)
    elif image.mode in ("I", "F") or image.mode.startswith("I;16"):
        limit = _limit(image, max_value)
        planes = _deep_planes(_deep_gray(image, limit), mode, limit)
    else:
        planes = _eight_bit_planes(image, mode, max_value)
    return _upright(planes, image)


def _upright(planes: list[Image.Image], image: Image.Image) -> list[Image.Image]:
    """Apply the EXIF orientation (TIFF is upright once loaded)."""
    turn = _ORIENTATION.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    return planes if turn is None else [plane.transpose(turn) for plane in planes]


def _eight_bit_planes(
    image: Image.Image, mode: str, max_value: float | None
) -> list[Image.Image]:
    image.load()
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        if cast(tuple, image.getextrema())[3][0] < 255:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        image = image.convert("RGB")
    if image.mode == "1" or mode == "L":
        image = image.convert("L")
    elif image.mode != "L":  # gray stays one plane until the channels are stacked
        image = image.convert("RGB")
    if max_value in (None, 255):
        return [image]
    values = np.asarray(image)
    return _deep_planes(values.reshape(*values.shape[:2], -1), mode, max_value)


def _has_deep_color(image: Image.Image) -> TypeGuard[ImageFile.ImageFile]:
    """Whether Pillow would drop the low bytes of a 16-bit color image."""
    tiles = getattr(image, "tile", ())
    if not tiles or image.mode == "F" or image.mode.startswith("I"):
        return False
    codec, arguments = tiles[0][0], tiles[0][3]
    if codec == "ppm":
        return arguments[1] > 255 and arguments[0] == "RGB"
    raw_mode = arguments if isinstance(arguments, str) else (arguments or ("",))[0]
    return ";16" in str(raw_mode) or 16 in getattr(image, "tag_v2", {}).get(_BITS, ())


def _deep_color(
    image: ImageFile.ImageFile, reopen: Callable, limit: float
) -> np.ndarray:
    """Read 16-bit colors: one decoding gives the high bytes, another the low ones."""
    if image.tile[0][0] == "ppm":
        return _deep_ppm(image)
    if getattr(image, "tag_v2", {}).get(_PLANAR) == 2:
        raise Unreadable(
            "16-bit TIFF files with separate planes are not supported; store the "
            "channels together (PlanarConfiguration 1)"
        )
    with reopen() as again:
        again.tile = [(*tile[:3], _low_byte_arguments(tile[3])) for tile in again.tile]
        low = np.asarray(again)
    values = (np.asarray(image).astype(np.uint16) << 8) | low
    if image.mode in ("RGB", "RGBX"):
        values = values[..., :3]
        clear = image.info.get("transparency")  # one color that stands for "clear"
        if isinstance(clear, tuple):
            values[(values == np.array(clear)).all(axis=2)] = limit
        return values
    color, last = values[..., :-1], values[..., -1:] / 65535.0
    if image.mode == "RGBA":
        return color * last + limit * (1 - last)
    if image.mode == "CMYK":
        return limit * (1 - color / 65535.0) * (1 - last)
    raise Unreadable(f"16-bit images of mode {image.mode} are not supported")


def _deep_ppm(image: ImageFile.ImageFile) -> np.ndarray:
    _, _, offset, arguments = image.tile[0]
    _, largest = cast(tuple, arguments)
    file = cast(BinaryIO, image.fp)  # open until the pixels are loaded
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


def _as_eight_bit_rgba(source: bytes | Path) -> bytes:
    """Rename the pixels of a 16-bit gray + alpha PNG: four bytes each, like RGBA."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    header = data[12:24] + b"\x08\x06" + data[26:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


def _deep_gray_alpha(
    image: Image.Image, mode: str, max_value: float | None
) -> list[Image.Image]:
    limit = 65535 if max_value is None else max_value
    pairs = np.asarray(image).view(">u2").astype(np.float64)  # (H, W, 2)
    gray, alpha = pairs[..., :1], pairs[..., 1:] / 65535
    return _upright(
        _deep_planes(gray * alpha + limit * (1 - alpha), mode, limit), image
    )


def _deep_gray(image: Image.Image, limit: float) -> np.ndarray:
    values = np.asarray(image)[..., None]
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:  # white is zero
        values = limit - values.astype(np.float64)
    clear = image.info.get("transparency")
    return np.where(values == clear, limit, values) if clear is not None else values


def _limit(image: Image.Image, max_value: float | None) -> float:
    """Return the value that is white: given, declared by the file, or the type's."""
    if max_value is not None:
        return max_value
    if image.mode == "F":
        return 1.0
    if image.mode == "I" and image.format not in ("PNG", "PPM"):
        raise Unreadable(
            "32-bit and signed integers have no standard range; pass max_value, the "
            "value that is white"
        )
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (16,))[0]
    declared = np.min(tags.get(_MAX_SAMPLE, 65535))
    # some writers store the largest value found there; only 2^k - 1 declares a range
    is_a_range = 255 < declared < 65535 and (declared + 1) & declared == 0
    return int(declared) if is_a_range else 2 ** min(bits, 16) - 1


def _array_planes(
    array: np.ndarray, mode: str, max_value: float | None
) -> list[Image.Image]:
    shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not shaped or 0 in array.shape:
        raise Unreadable(
            "expected an array of shape (height, width), (height, width, 1), "
            f"(height, width, 3) or (height, width, 4), got {array.shape}"
        )
    check_pixels(array.shape[1], array.shape[0])
    array = array.reshape(*array.shape[:2], -1)
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint8:
        image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
        return _eight_bit_planes(image, mode, max_value)
    if array.dtype != np.uint16 and array.dtype.kind != "f":
        raise Unreadable(
            f"expected uint8, uint16, bool or float values, got {array.dtype}; convert "
            "with .astype(np.uint8) if they range from 0 to 255"
        )
    usual = 65535 if array.dtype == np.uint16 else 1.0
    limit = usual if max_value is None else max_value
    if array.shape[2] == 4:
        _check_range(array, limit)
        color, alpha = array[..., :3], array[..., 3:] / np.float64(limit)
        array = color * alpha + limit * (1 - alpha)
    return _deep_planes(array, mode, limit)


def _deep_planes(values: np.ndarray, mode: str, limit: float) -> list[Image.Image]:
    """Scale (H, W, C) values so that ``limit`` becomes 1, one float plane a channel."""
    _check_range(values, limit)
    values = values / np.float64(limit)
    if mode == "L" and values.shape[2] == 3:
        values = values @ _GRAY[:, None]
    values = np.clip(values, 0, 1).astype(np.float32)
    return [
        Image.fromarray(np.ascontiguousarray(values[..., channel]))
        for channel in range(values.shape[2])
    ]


def _check_range(values: np.ndarray, limit: float) -> None:
    if not np.isfinite(values).all():
        raise Unreadable("it contains NaN or infinite values")
    low, high = float(values.min()), float(values.max())
    slack = 1e-6 * limit  # what rounding leaves behind
    if low < -slack or high > limit + slack:
        raise Unreadable(
            f"expected values from 0 to {limit:g}, got {low:g} to {high:g}; pass "
            "max_value, the value that is white"
        )


def fit_plane(
    plane: Image.Image, size: tuple[int, int], crop_from: int | None, resample: int
) -> Image.Image:
    """Resize a plane to a size, or resize and crop it as torchvision's presets do."""
    height, width = size
    if crop_from is None:
        return _resized(plane, (width, height), resample)
    short, long = sorted(plane.size)
    longer = int(crop_from * long / short)  # torchvision truncates
    upright = plane.width <= plane.height
    wide, tall = (crop_from, longer) if upright else (longer, crop_from)
    check_pixels(wide, tall)
    plane = _resized(plane, (wide, tall), resample)
    top, left = round((tall - height) / 2), round((wide - width) / 2)
    return plane.crop((left, top, left + width, top + height))


def _resized(plane: Image.Image, size: tuple[int, int], resample: int) -> Image.Image:
    return plane if plane.size == size else plane.resize(size, resample)


def stack_planes(planes: list[Image.Image], mode: str) -> np.ndarray:
    """Return planes as float32 (H, W, C) in [0, 1]."""
    if planes[0].mode == "F":
        image = np.stack([np.asarray(plane) for plane in planes], axis=-1)
        image = np.clip(image, 0, 1)  # bicubic and Lanczos overshoot
    else:
        image = np.asarray(planes[0], dtype=np.float32) / np.float32(255)
        image = image.reshape(*image.shape[:2], -1)
    if mode == "RGB" and image.shape[2] == 1:
        image = image.repeat(3, axis=2)
    return image
