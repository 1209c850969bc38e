"""How much of an image a system sees: what one of its pixels covers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

_LOOKED_AT = 20  # images whose size is read
_NOTABLE = 2  # a smaller ratio of pixels is not worth a line


def scale_note(system: Any, images: Sequence, tile: int | None = None) -> str:
    """Say how large images are to a system, where it sees them much smaller.

    Parameters
    ----------
    system : Pipeline
        Its first step, or that of its members, reads the images.

    images : sequence of paths
        Some of them are opened, none is decoded.

    tile : int or None, default=None
        Side of the tiles that the system is given, in pixels. None: whole images.

    Returns
    -------
    note : str
        Empty if there is nothing to say.
    """
    from featad.systems import iter_parts_and_templates

    reader = next(part for part in iter_parts_and_templates(system) if _reads(part))
    option = "image_size" if "image_size" in reader.get_params() else "size"
    seen = _size_seen(reader, option)
    sizes = [size for size in map(_size_of, _spread(images)) if size]
    if tile is not None:
        sizes = [(tile, tile)]
    if seen is None or not sizes:
        return ""
    height, width = (int(n) for n in np.median(sizes, axis=0))
    down, across = height / seen[0], width / seen[1]
    if max(down, across) < _NOTABLE:
        return ""
    what = "Images" if tile is None else "Tiles"
    tiles = f"--tile {seen[0]}, part by part" if tile is None else "a smaller --tile"
    return (
        f"{what} are {height} x {width} pixels, and the system sees {seen[0]} x "
        f"{seen[1]}: one of its pixels is {down:.1f} x {across:.1f} of yours, and a "
        f"defect of that size may be lost. --set features__{option}=N shows it more, "
        f"and so does {tiles}."
    )


def _reads(part: Any) -> bool:
    return bool({"image_size", "size"} & part.get_params(deep=False).keys())


def _spread(images: Sequence) -> list:
    step = max(1, len(images) // _LOOKED_AT)
    return list(images[::step])[:_LOOKED_AT]


def _size_of(path: Any) -> tuple[int, int] | None:
    """Return height and width of a file, None where fitting will say what is wrong."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception:
        return None


def _size_seen(reader: Any, option: str) -> tuple[int, int] | None:
    """Return the height and width that the first step resizes images to."""
    size = getattr(reader, option, None)
    if size is None and hasattr(reader, "arch"):
        from featad.features.weights import preset

        size = preset(reader.arch, reader.weights).crop_size
    if size is None:
        return None
    height, width = (size, size) if np.ndim(size) == 0 else size
    return int(height), int(width)
