"""How much of an image a system sees: what its pixels and its positions cover."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from featad.features import BackboneFeatures, PatchFeatures
from featad.features.base import as_tuple
from featad.systems import iter_parts_and_templates

_Pair: TypeAlias = tuple[float, float]  # down and across
_ONE = (1.0, 1.0)
_LOOKED_AT = 20  # images whose size is read
_NOTABLE = 2  # a smaller ratio of pixels is not worth a line


def scale_note(system: Any, images: Sequence, tile: int | None = None) -> str:
    """Say how large images are to a system, and what one position of its maps sees.

    The size is told where the system sees images much smaller. What a position of the
    network sees is told with it, and always of systems of patches.

    Parameters
    ----------
    system : Pipeline
        Its first step, or that of its first member, reads the images.

    images : sequence of paths
        Some of them are opened, none is decoded.

    tile : int or None, default=None
        Side of the tiles that the system is given, in pixels. None: whole images.

    Returns
    -------
    note : str
        Empty if there is nothing to say.
    """
    reader = next(part for part in iter_parts_and_templates(system) if _reads(part))
    option = "image_size" if "image_size" in reader.get_params() else "size"
    seen = _size_seen(reader, option)
    sizes = [size for size in map(_size_of, _spread(images)) if size]
    if tile is not None:
        sizes = [(tile, tile)]
    if seen is None or not sizes:
        return ""
    height, width = (int(n) for n in np.median(sizes, axis=0))
    ratios = height / seen[0], width / seen[1]
    notes = []
    if max(ratios) >= _NOTABLE:
        what = "Images" if tile is None else "Tiles"
        way = f"--tile {seen[0]}, part by part" if tile is None else "a smaller --tile"
        notes.append(
            f"{what} are {height} x {width} pixels, and the system sees {seen[0]} x "
            f"{seen[1]}: one of its pixels is {ratios[0]:.1f} x {ratios[1]:.1f} of "
            "yours, and a defect of that size may be lost. "
            f"--set features__{option}=N shows it more, and so does {way}."
        )
    if isinstance(reader, PatchFeatures):
        notes.append(_note_on_maps(reader, ratios))
    elif notes and isinstance(reader, BackboneFeatures):
        notes += _notes_on_layers(reader, seen, ratios)
    return " ".join(notes)


def _reads(part: Any) -> bool:
    return bool({"image_size", "size"} & part.get_params(deep=False).keys())


def _note_on_maps(reader: PatchFeatures, ratios: _Pair) -> str:
    """Return what a position of the maps sees, and how far apart positions are."""
    view, step = reader.field_of_view, reader.stride
    return (
        f"One position of its maps sees {_pixels(view)} of its pixels, which are "
        f"{_pixels(view, ratios)} of yours; the next position is {_pixels(step)} "
        f"further, {_pixels(step, ratios)} of yours."
    )


def _notes_on_layers(
    reader: BackboneFeatures, seen: _Pair, ratios: _Pair
) -> Iterator[str]:
    """Yield what a position of the layers sees, where they have positions."""
    from featad.features.receptive import receptive_fields

    fields = receptive_fields(
        reader.arch, as_tuple(reader.layer), reader.weights
    ).values()
    views = {tuple(np.minimum(field.size, seen)) for field in fields if field}
    if views:
        ends = sorted({min(views), max(views)})
        its, yours = (" to ".join(_pixels(v, r) for v in ends) for r in (_ONE, ratios))
        yield (
            f"One position of its layers sees {its} of its pixels, which are {yours} "
            "of yours."
        )


def _pixels(size: _Pair, ratios: _Pair = _ONE) -> str:
    return f"{size[0] * ratios[0]:.0f} x {size[1] * ratios[1]:.0f}"


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
