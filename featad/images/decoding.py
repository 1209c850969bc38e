"""Files, bytes, PIL images and arrays to planes of pixels; see `featad.images.planes`.

Files are opened in `featad.images.files`, and what is deeper than 8 bits is read in
`featad.images.deep`.
"""

import os
from typing import cast

import numpy as np
from PIL import Image

from featad._pixels import white_of
from featad.images.deep import (
    as_eight_bit_rgba,
    deep_color,
    deep_gray,
    deep_gray_alpha,
    has_deep_color,
    is_gray_alpha,
    on_white,
)
from featad.images.files import (
    ONE_PAGE,
    ImageSource,
    Rules,
    Unreadable,
    check_pixels,
)
from featad.images.notes import DAMAGED_EXIF, PAGES, UNUSED_ALPHA, Remarks
from featad.images.opened import is_deep_gray, load, orientation_of
from featad.images.planes import check_range, float_planes, upright
from featad.images.sources import Source, as_bytes, local_path

_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


def decoded(source: Source, rules: Rules, remarks: Remarks) -> list[Image.Image]:
    """Return the upright planes of any source, still at their own size.

    Parameters
    ----------
    source : path-like, bytes-like, PIL image or ndarray

    rules : Rules

    remarks : Remarks
        What is noticed is added.
    """
    if isinstance(source, np.ndarray):
        return _array_planes(source, rules, remarks)
    if isinstance(source, Image.Image):
        return _pil_planes(source, rules, remarks)
    if isinstance(source, str | os.PathLike):
        file = ImageSource(local_path(source), rules, remarks)
    else:
        file = ImageSource(as_bytes(source), rules, remarks)
    try:
        return _file_planes(file, rules, remarks)
    except OSError as error:
        if "truncated" in str(error) and file.mend_end():
            return _file_planes(file, rules, remarks)
        raise


def _file_planes(
    file: ImageSource, rules: Rules, remarks: Remarks
) -> list[Image.Image]:
    if is_gray_alpha(file.head):
        file.source = as_eight_bit_rgba(file.source)
        with file.opened() as image:
            planes = deep_gray_alpha(image, rules, remarks)
        return upright(planes, file.orientation or 1)
    with file.opened() as image:
        if has_deep_color(image):
            planes = deep_color(image, file, rules, remarks)
        else:
            planes = _planes(image, rules, remarks)
        turn = file.orientation or _orientation(image, remarks)
        one_page = image.format in ONE_PAGE
    if not one_page:
        file.look_for_pages()
    return upright(planes, turn)


def _pil_planes(
    image: Image.Image, rules: Rules, remarks: Remarks
) -> list[Image.Image]:
    check_pixels(*image.size, rules.max_pixels)
    if has_deep_color(image):
        raise Unreadable(
            "Pillow would cut its 16-bit colors to 8 bits; pass the path of the "
            "file instead of the opened image"
        )
    if load(image):
        remarks.kinds.add(PAGES)
    planes = _planes(image, rules, remarks)
    return upright(planes, _orientation(image, remarks))


def _orientation(image: Image.Image, remarks: Remarks) -> int:
    turn = orientation_of(image)
    if turn is None:
        remarks.kinds.add(DAMAGED_EXIF)
    return turn or 1


def _planes(image: Image.Image, rules: Rules, remarks: Remarks) -> list[Image.Image]:
    if is_deep_gray(image):
        return deep_gray(image, rules, remarks)
    return _eight_bit_planes(image, rules, remarks)


def _eight_bit_planes(
    image: Image.Image, rules: Rules, remarks: Remarks
) -> list[Image.Image]:
    image.load()
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        channel = image.mode in _WITH_ALPHA
        image = image.convert("RGBA")
        low, high = cast(tuple, image.getextrema())[3]
        if channel and high == 0:
            remarks.kinds.add(UNUSED_ALPHA)
        elif low < 255:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        image = image.convert("RGB")
    if image.mode == "1" or rules.mode == "L":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB"):  # gray stays one plane until it is stacked
        image = image.convert("RGB")
    if rules.max_value is None or rules.max_value >= 255:  # 8 bits hold no more
        return [image]
    values = np.asarray(image)
    values = values.reshape(*values.shape[:2], -1)
    return float_planes(values, rules.mode, rules.max_value)


def _array_planes(
    array: np.ndarray, rules: Rules, remarks: Remarks
) -> list[Image.Image]:
    shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not shaped or 0 in array.shape:
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise Unreadable(
            "expected an array of shape (height, width), (height, width, 1), "
            f"(height, width, 3) or (height, width, 4), got {array.shape}"
            + ("; pass np.moveaxis(array, 0, -1)" if first else "")
        )
    check_pixels(array.shape[1], array.shape[0], rules.max_pixels)
    array = array.reshape(*array.shape[:2], -1)
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint8:
        image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
        return _eight_bit_planes(image, rules, remarks)
    if array.dtype.kind not in "iuf":
        raise Unreadable(f"expected integers, floats or bool, got {array.dtype}")
    if not array.dtype.isnative:  # from another machine or file: the same values
        array = array.astype(array.dtype.newbyteorder("="))
    usual, limit = white_of(array.dtype), rules.max_value
    if limit is None and usual is None:
        raise Unreadable(
            f"{array.dtype} values have no usual range; pass max_value, the value that "
            "is white, such as 255"
        )
    deep = array.dtype == np.uint16
    if limit is None or (deep and limit > 65535):
        limit = cast(float, usual)
    color, alpha = array[..., :3], array[..., 3:]
    if deep and rules.max_value is None:
        remarks.peak = float(color.max())
    if array.shape[2] == 4:
        opaque = limit if alpha.max() <= limit else usual or limit
        check_range(alpha, opaque)
        array = on_white(color, alpha / np.float64(opaque), limit, remarks)
    return float_planes(array, rules.mode, limit)
