"""Masks: where an image is anomalous, from files and arrays of any kind."""

import os
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from featad.errors import ImageReadError
from featad.images.sources import (
    SOURCE_TYPES,
    Contents,
    Source,
    as_bytes,
    describe_source,
    local_path,
    reason_of,
)

_FEW = 32  # class numbers stay below it, gray values of masks do not


def read_mask(
    source: Source | Sequence[Source],
    *,
    threshold: float | None = None,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Read where an image is anomalous, as True and False.

    Parameters
    ----------
    source : path-like, bytes, PIL image, ndarray, or list or tuple of them
        A mask: an image, or an array of shape (H, W), (H, W, 1), (H, W, 3) or
        (H, W, 4). Of several masks, the union is taken.

    threshold : float, default=None
        Values above it are anomalous, in units of the file: 0 takes every pixel that is
        not black. None takes values above half of the largest one, so that the traces
        of JPEG compression and soft edges do not count. If the largest value is below
        32, it takes every value above 0: these are numbers of classes.

    size : (height, width), default=None
        Resize to this size, such as that of an anomaly map: a pixel is anomalous if
        half of what it shows is.

    Returns
    -------
    mask : bool ndarray of shape (height, width)
        True where the image is anomalous.

    Raises
    ------
    ImageReadError
        If the source cannot be read, is not a mask, or if several masks differ in size.

    Notes
    -----
    The value of a colored pixel is that of its strongest channel. Transparent pixels
    are not anomalous.

    Examples
    --------
    >>> import numpy as np
    >>> from featad import read_mask
    >>> read_mask(np.array([[0, 3, 250, 255]], dtype=np.uint8))
    array([[False, False,  True,  True]])
    >>> read_mask(np.array([[0, 1, 2]], dtype=np.uint8))
    array([[False,  True,  True]])
    """
    if isinstance(source, list | tuple):
        masks = [read_mask(one, threshold=threshold, size=size) for one in source]
        shapes = {mask.shape for mask in masks}
        if len(shapes) != 1:
            raise ImageReadError(
                ", ".join(map(describe_source, source)),
                f"masks of one image must have one size, got {sorted(shapes)}",
            )
        return np.logical_or.reduce(masks)
    if not isinstance(source, SOURCE_TYPES):
        raise TypeError(
            "source must be a path, bytes, a PIL image or an array, or a list of them, "
            f"got {type(source).__name__}."
        )
    try:
        values = _values(source)
    except Exception as error:
        raise ImageReadError(describe_source(source), reason_of(error)) from error
    mask = values > (_usual_threshold(values) if threshold is None else threshold)
    if size is not None and mask.shape != tuple(size):
        height, width = size
        gray = Image.fromarray(mask.astype(np.float32), mode="F")
        mask = np.asarray(gray.resize((width, height), Image.Resampling.BILINEAR)) > 0.5
    return mask


def _usual_threshold(values: np.ndarray) -> float:
    highest = float(values.max(initial=0))
    is_count = values.dtype.kind in "iu" and highest < _FEW
    return 0.0 if is_count else highest / 2


def _values(source: Source) -> np.ndarray:
    """Return one number per pixel, of the strongest channel, 0 where transparent."""
    pixels = source if isinstance(source, np.ndarray) else _pixels(source)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] > 4):
        raise ValueError(
            "expected a mask of shape (height, width), or with 1 to 4 channels, got "
            f"{pixels.shape}"
        )
    if not np.isfinite(pixels).all():
        raise ValueError("it contains NaN or infinity")
    if pixels.ndim == 2:
        return pixels
    n_colors = pixels.shape[2] - (pixels.shape[2] in (2, 4))
    values = pixels[..., :n_colors].max(axis=2)
    clear = pixels[..., -1] == 0
    unused = n_colors == pixels.shape[2] or clear.all()
    return values if unused else np.where(clear, 0, values)


def _pixels(source: str | os.PathLike | Contents | Image.Image) -> np.ndarray:
    if isinstance(source, Image.Image):
        return _upright(source)
    file: Any
    if isinstance(source, str | os.PathLike):
        file = local_path(source)
    else:
        file = BytesIO(as_bytes(source))
    try:
        with Image.open(file) as image:
            return _upright(image)
    except UnidentifiedImageError:
        raise ValueError("not a readable image") from None


def _upright(image: Image.Image) -> np.ndarray:
    with suppress(Exception):  # damaged metadata do not cost the pixels
        image = ImageOps.exif_transpose(image)
    if image.mode in ("P", "PA"):
        clear = image.mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if clear else "RGB")
    elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    return np.asarray(image)
