"""Files, bytes, PIL images and arrays to planes of pixels: every rule of decoding.

A *plane* is a PIL image with one 8-bit channel ("L"), three of them ("RGB"), or one
float channel in [0, 1] ("F"). An 8-bit image is one plane; a deeper one is a plane per
channel, because Pillow has no deep colour images.
"""

import io
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

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
_GREY = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as Pillow's own "L"
_LOW_BYTE = {
    "16B": "16L",
    "16L": "16B",
    "16N": "16B" if sys.byteorder == "little" else "16L",
}


class Unreadable(Exception):
    """Why a source cannot be read, as a clause; callers add the name of the source."""


def decode(source: object, mode: str, max_value: float | None) -> list[Image.Image]:
    """Return the upright planes of any source, still at their own size."""
    if isinstance(source, np.ndarray):
        return _array_planes(source, mode, max_value)
    if isinstance(source, Image.Image):
        if _has_deep_colour(source):
            raise Unreadable(
                "Pillow would cut its 16-bit colours to 8 bits; pass the path of the "
                "file instead of the opened image"
            )
        return _image_planes(source, lambda: source, mode, max_value)
    if isinstance(source, bytes):
        return _file_planes(lambda: io.BytesIO(source), mode, max_value)
    path = Path(os.fspath(source))
    if path.is_dir():
        raise Unreadable("it is a folder; list_images(folder) gives its images")
    return _file_planes(lambda: open(path, "rb"), mode, max_value)


def _file_planes(open_file: Callable, mode: str, max_value: float | None) -> list:
    with open_file() as file:
        head = file.read(26)
        if not head:
            raise Unreadable("the file is empty")
        if head.startswith(b"\x89PNG") and head[24:] == b"\x10\x04":
            file.seek(0)
            return _deep_grey_alpha_png(file.read(), mode, max_value)
        file.seek(0)
        with open_image(file) as image, open_file() as again:
            return _image_planes(image, lambda: open_image(again), mode, max_value)


def open_image(file: io.BufferedIOBase) -> Image.Image:
    """Open an image of a known format, unless it is too large to decode safely."""
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise Unreadable(
            f"it is not an image in a format known here ({', '.join(FORMATS)})"
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
    """Say that a limit of Pillow stands in the way, and how to lift it."""
    return (
        f"{found}more than Pillow's limit of {Image.MAX_IMAGE_PIXELS} pixels, which "
        "guards against decompression bombs; raise PIL.Image.MAX_IMAGE_PIXELS if you "
        "trust it"
    )


def _image_planes(
    image: Image.Image, reopen: Callable, mode: str, max_value: float | None
) -> list:
    if _has_deep_colour(image):
        values = _deep_colour(image, reopen)
        planes = _deep_planes(values, mode, _limit(image, 65535, max_value))
    elif image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values, limit = _deep_grey(image, max_value)
        planes = _deep_planes(values, mode, limit)
    else:
        planes = _eight_bit_planes(image, mode, max_value)
    turn = _ORIENTATION.get(image.getexif().get(_EXIF_ORIENTATION))
    return planes if turn is None else [plane.transpose(turn) for plane in planes]


def _eight_bit_planes(image: Image.Image, mode: str, max_value: float | None) -> list:
    image.load()
    if image.mode in ("LA", "PA", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "RGBa"):
        image = image.convert("RGBA")
        if image.getextrema()[3][0] < 255:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        image = image.convert("RGB")
    if image.mode == "1" or mode == "L":
        image = image.convert("L")
    elif image.mode != "L":  # grey stays one plane until the channels are stacked
        image = image.convert("RGB")
    if max_value in (None, 255):
        return [image]
    values = np.asarray(image)
    return _deep_planes(values.reshape(*values.shape[:2], -1), mode, max_value)


def _has_deep_colour(image: Image.Image) -> bool:
    """Whether Pillow is about to drop the low bytes of a 16-bit colour image."""
    if image.mode.startswith("I"):
        return False
    bits = getattr(image, "tag_v2", {}).get(_BITS, ())
    return any(16 in _sample_bits(tile) for tile in getattr(image, "tile", ())) or (
        bool(getattr(image, "tile", ())) and image.mode != "F" and 16 in bits
    )


def _sample_bits(tile: tuple) -> tuple[int, ...]:
    codec, arguments = tile[0], tile[3]
    raw_mode = arguments if isinstance(arguments, str) else (arguments or ("",))[0]
    deep_ppm = codec == "ppm" and arguments[1] > 255 and raw_mode == "RGB"
    return (16,) if deep_ppm or ";16" in str(raw_mode) else (8,)


def _deep_colour(image: Image.Image, reopen: Callable) -> np.ndarray:
    """Read 16-bit colours: one decoding gives the high bytes, another the low ones."""
    codec, _, offset, arguments = image.tile[0]
    if codec == "ppm":
        again = reopen()
        again.fp.seek(offset)
        shape = (image.height, image.width, 3)
        data = again.fp.read(2 * np.prod(shape, dtype=int))
        if len(data) < 2 * np.prod(shape, dtype=int):
            raise Unreadable("the file is truncated")
        values = np.frombuffer(data, ">u2").reshape(shape)
        return np.asarray(values / (arguments[1] / 65535.0))
    if getattr(image, "tag_v2", {}).get(_PLANAR) == 2:
        raise Unreadable(
            "16-bit TIFF files with separate planes are not supported; store the "
            "channels together (PlanarConfiguration 1)"
        )
    again = reopen()
    again.tile = [(*tile[:3], _low_byte_arguments(tile[3])) for tile in again.tile]
    high, low = np.asarray(image).astype(np.uint16), np.asarray(again)
    values = (high << 8) | low
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple):  # one colour stands for "clear"
        values[(values == np.array(key)).all(axis=2)] = 65535
        return values
    if image.mode in ("RGB", "RGBX"):
        return values[..., :3]
    scaled = values / 65535.0
    if image.mode == "RGBA":
        return 65535 * _on_white(scaled)
    if image.mode == "CMYK":
        return 65535 * (1 - scaled[..., :3]) * (1 - scaled[..., 3:])
    raise Unreadable(f"16-bit images of mode {image.mode} are not supported")


def _low_byte_arguments(arguments: str | tuple) -> str | tuple:
    """Name the other byte order, so that Pillow keeps the low byte of each value."""
    if not isinstance(arguments, str):
        return (_low_byte_arguments(arguments[0]), *arguments[1:])
    channels, _, depth = arguments.partition(";")
    if depth not in _LOW_BYTE:
        raise Unreadable(f"its 16-bit layout {arguments!r} is not supported")
    return f"{channels};{_LOW_BYTE[depth]}"


def _deep_grey_alpha_png(data: bytes, mode: str, max_value: float | None) -> list:
    """Read 16-bit grey with alpha: four bytes a pixel, so the layout of 8-bit RGBA."""
    header = data[12:24] + b"\x08\x06" + data[26:29]
    checksum = zlib.crc32(header).to_bytes(4, "big")
    with open_image(io.BytesIO(data[:12] + header + checksum + data[33:])) as image:
        pairs = np.asarray(image).view(">u2") / 65535.0  # (H, W, 2)
        limit = 65535 if max_value is None else max_value
        planes = _deep_planes(65535 * _on_white(pairs), mode, limit)
        turn = _ORIENTATION.get(image.getexif().get(_EXIF_ORIENTATION))
    return planes if turn is None else [plane.transpose(turn) for plane in planes]


def _deep_grey(image: Image.Image, max_value: float | None) -> tuple[np.ndarray, float]:
    file_format = image.format
    values = np.asarray(image)
    if image.mode == "F":
        limit = _limit(image, 1.0, max_value)
    elif image.mode != "I" or file_format in ("PNG", "PPM"):
        limit = _limit(image, 65535, max_value)
    elif max_value is None:
        raise Unreadable(
            "integers of 32 bits, or with a sign, have no usual range; give max_value, "
            "the value that is white"
        )
    else:
        limit = max_value
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:  # white is zero
        values = limit - values.astype(np.float64)
    key = image.info.get("transparency")
    if isinstance(key, int):
        values = np.where(values == key, limit, values)
    return values[..., None], limit


def _limit(image: Image.Image, usual: float, max_value: float | None) -> float:
    """Return the value that is white: given, declared by the file, or the type's."""
    if max_value is not None:
        return max_value
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (16,))[0]
    if usual == 65535 and bits < 16:
        return 2**bits - 1
    declared = tags.get(_MAX_SAMPLE, usual)
    declared = max(declared) if isinstance(declared, tuple) else declared
    # some writers store the largest value found; only 2^k - 1 declares a range
    is_a_range = 255 < declared < usual and (declared + 1) & declared == 0
    return declared if is_a_range else usual


def _array_planes(array: np.ndarray, mode: str, max_value: float | None) -> list:
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
            "with .astype(np.uint8) if they reach from 0 to 255"
        )
    usual = 65535 if array.dtype == np.uint16 else 1.0
    limit = usual if max_value is None else max_value
    if array.shape[2] == 4:
        _check_range(array, limit)
        array = limit * _on_white(array / limit)
    return _deep_planes(array, mode, limit)


def _deep_planes(values: np.ndarray, mode: str, limit: float) -> list[Image.Image]:
    """Scale (H, W, C) values so that ``limit`` becomes 1, one float plane a channel."""
    _check_range(values, limit)
    values = values / np.float64(limit)
    if mode == "L" and values.shape[2] == 3:
        values = values @ _GREY[:, None]
    values = np.clip(values, 0, 1).astype(np.float32)
    return [
        Image.fromarray(np.ascontiguousarray(values[..., channel]))
        for channel in range(values.shape[2])
    ]


def _check_range(values: np.ndarray, limit: float) -> None:
    if not np.isfinite(values).all():
        raise Unreadable("it holds NaN or infinite values")
    low, high = float(values.min()), float(values.max())
    slack = 1e-6 * limit  # what rounding leaves behind
    if low < -slack or high > limit + slack:
        raise Unreadable(
            f"expected values from 0 to {limit:g}, got {low:g} to {high:g}; give "
            "max_value, the value that is white"
        )


def _on_white(values: np.ndarray) -> np.ndarray:
    """Compose (H, W, C + 1) values in [0, 1], alpha last, on white."""
    alpha = values[..., -1:]
    return values[..., :-1] * alpha + (1 - alpha)


def fit_plane(
    plane: Image.Image, size: tuple[int, int], crop_from: int | None, resample: int
) -> Image.Image:
    """Resize a plane to (height, width), or as torchvision's presets do and crop."""
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
