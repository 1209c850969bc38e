"""From the files of a folder and a layout to a data set."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from featad.datasets.dataset import ImageDataset
from featad.datasets.layouts import Folder, Layout, Place, depth, kind_of
from featad.datasets.mask_files import MaskFolder, masks_beside
from featad.errors import DatasetError
from featad.images import Listing, Rule, read_mask

_UNUSED = Rule("mask without an image", "masks without images")


class _Found(NamedTuple):
    """An image, where it belongs, and its path from the folder of its kind on."""

    path: Path
    place: Place
    kind: str
    below: Folder


def arrange(listing: Listing, layout: Layout) -> ImageDataset:
    """Give every image of a listing its place in a data set, or leave it out.

    Parameters
    ----------
    listing : Listing
        What is in the folder. What is left out here is recorded in it.

    layout : Layout
        How the folder is laid out.

    Returns
    -------
    dataset : ImageDataset

    Raises
    ------
    DatasetError
        If an image is where its kind is unknown, if a link gives an image two labels,
        or if there are masks, but not of every anomalous image.
    """
    beside = masks_beside(listing.images)
    found, masks = _sort(listing, layout, {m for ms in beside.values() for m in ms})
    found = _without_repeats(listing, found)
    folder = MaskFolder(masks)
    masks_of = {
        one.path: beside.get(one.path) or folder.take(one.below) for one in found
    }
    listing.leave_out(_UNUSED, folder.unused)
    if layout.beside:
        found = [one._replace(kind=_kind_by(masks_of[one.path])) for one in found]
    kinds = np.array([one.kind for one in found])
    has_masks = any(masks_of.values())
    if has_masks or _has_mask_folder(listing, layout):
        wanted = [one.path for one in found if layout.beside or one.kind != "good"]
        _refuse_missing(listing, wanted, [p for p in wanted if not masks_of[p]])
    return ImageDataset(
        name=listing.folder.name,
        images=[one.path for one in found],
        labels=np.where(kinds == "good", 1, -1).astype(np.int64),
        parts=np.array([one.place.part for one in found]),
        kinds=kinds,
        masks=[_one_or_all(masks_of[one.path]) for one in found] if has_masks else None,
        left_out=listing.left_out,
    )


def _sort(
    listing: Listing, layout: Layout, beside: set[Path]
) -> tuple[list[_Found], list[tuple[Path, Folder]]]:
    """Return the images with their places, and the masks with their paths."""
    found, masks, outside = [], [], []
    for path in listing.images:
        *names, name = path.relative_to(listing.folder).parts
        folder = tuple(names)
        mask_folder = layout.mask_folder_of(folder)
        place = layout.place_of(folder)
        if mask_folder is not None:
            masks.append((path, (*folder[len(mask_folder) :], name)))
        elif place is None:
            _refuse_stray(path, folder, layout)
            outside.append(path)
        elif path not in beside:
            below = (*folder[max(0, depth(place) - 1) :], name)
            found.append(_Found(path, place, kind_of(place, folder), below))
    places = layout.shown()
    listing.leave_out(
        Rule(f"image outside {places}", f"images outside {places}"), outside
    )
    found.sort(key=lambda one: layout.places.index(one.place))
    return found, masks


def _refuse_stray(path: Path, folder: Folder, layout: Layout) -> None:
    """Refuse an image in a folder whose subfolders are named after defects."""
    if layout.place_of((*folder, "")) is not None:
        raise DatasetError(
            f"{str(path)!r} is directly in {folder[-1]}. Move it to {folder[-1]}/good, "
            "or to a folder named after its defect."
        )


def _without_repeats(listing: Listing, found: list[_Found]) -> list[_Found]:
    """Leave out links to an image of the same part and label."""
    alike = defaultdict(list)
    for one in found:
        alike[one.place.part, one.kind == "good"].append(one.path)
    kept = {path for paths in alike.values() for path in listing.without_repeats(paths)}
    return [one for one in found if one.path in kept]


def _kind_by(masks: tuple[Path, ...]) -> str:
    return "anomaly" if any(read_mask(mask).any() for mask in masks) else "good"


def _has_mask_folder(listing: Listing, layout: Layout) -> bool:
    folders = (path.relative_to(listing.folder).parts for path in listing.folders)
    return any(layout.mask_folder_of(folder) is not None for folder in folders)


def _refuse_missing(listing: Listing, wanted: list[Path], missing: list[Path]) -> None:
    if not missing:
        return
    raise DatasetError(
        f"{len(missing)} of the {len(wanted)} images of {str(listing.folder)!r} that "
        "need a mask have none; first: "
        f"{missing[0].relative_to(listing.folder).as_posix()!r}. A mask is called as "
        "its image, or ends in _mask, _GT, _label or .bm. Add those that are missing, "
        "or move the masks to another folder to do without any."
    )


def _one_or_all(masks: tuple[Path, ...]) -> Path | tuple[Path, ...] | None:
    return masks[0] if len(masks) == 1 else masks or None
