"""Planes of pixels: made from values, resized, and stacked into an image.

A *plane* is a PIL image with one 8-bit channel ("L"), three of them ("RGB"), or one
float channel in [0, 1] ("F"). An 8-bit image is one plane; a deeper one is a plane per
channel, because Pillow has no deep color images.
"""

import numpy as np
from PIL import Image

from featad.images.files import Unreadable, check_pixels

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
_GRAY = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as Pillow's own "L"


def float_planes(values: np.ndarray, mode: str, limit: float) -> list[Image.Image]:
    """Scale (H, W, C) values so that ``limit`` becomes 1, one float plane a channel."""
    check_range(values, limit)
    values = values / np.float64(limit)
    if mode == "L" and values.shape[2] == 3:
        values = values @ _GRAY[:, None]
    values = np.clip(values, 0, 1).astype(np.float32)
    return [
        Image.fromarray(np.ascontiguousarray(values[..., channel]))
        for channel in range(values.shape[2])
    ]


def check_range(values: np.ndarray, limit: float) -> None:
    """Refuse values that are not finite, or not from 0 to ``limit``."""
    if not np.isfinite(values).all():
        raise Unreadable("it contains NaN or infinite values")
    low, high = float(values.min()), float(values.max())
    slack = 1e-6 * limit  # what rounding leaves behind
    if low < -slack or high > limit + slack:
        raise Unreadable(
            f"expected values from 0 to {limit:g}, got {low:g} to {high:g}; pass "
            "max_value, the value that is white"
        )


def upright(planes: list[Image.Image], orientation: int) -> list[Image.Image]:
    """Turn planes as an EXIF orientation says."""
    turn = _ORIENTATION.get(orientation)
    return planes if turn is None else [plane.transpose(turn) for plane in planes]


def fit_plane(
    plane: Image.Image,
    size: tuple[int, int],
    crop_from: int | None,
    resample: int,
    max_pixels: int | None = None,
) -> Image.Image:
    """Resize a plane to a size, or resize and crop it as torchvision's presets do."""
    height, width = size
    if crop_from is None:
        return _resized(plane, (width, height), resample)
    short, long = sorted(plane.size)
    longer = int(crop_from * long / short)  # torchvision truncates
    upright = plane.width <= plane.height
    wide, tall = (crop_from, longer) if upright else (longer, crop_from)
    check_pixels(wide, tall, max_pixels)
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
