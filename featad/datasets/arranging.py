"""From the files of a folder and a layout to a data set."""

import os
from collections import defaultdict
from functools import cache
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
    masks_of = [beside.get(one.path) or folder.take(one.below) for one in found]
    listing.leave_out(_UNUSED, folder.unused)
    if layout.beside:
        found = [
            one._replace(kind=_kind_by(masks))
            for one, masks in zip(found, masks_of, strict=True)
        ]
    _refuse_missing(listing, layout, found, masks_of)
    kinds = np.array([one.kind for one in found])
    return ImageDataset(
        name=listing.folder.name,
        images=[one.path for one in found],
        labels=np.where(kinds == "good", 1, -1).astype(np.int64),
        parts=np.array([one.place.part for one in found]),
        kinds=kinds,
        masks=list(map(_one_or_all, masks_of)) if any(masks_of) else None,
        left_out=listing.left_out,
    )


class _Fate(NamedTuple):
    """What becomes of the images of one folder."""

    folder: Folder
    mask_folder: Folder | None
    place: Place | None


def _sort(
    listing: Listing, layout: Layout, beside: set[Path]
) -> tuple[list[_Found], list[tuple[Path, Folder]]]:
    """Return the images with their places, and the masks with their paths."""

    @cache
    def fate_of(parent: str) -> _Fate:
        folder = Path(parent).relative_to(listing.folder).parts
        return _Fate(folder, layout.mask_folder_of(folder), layout.place_of(folder))

    found, masks, outside = [], [], []
    for path in listing.images:
        folder, mask_folder, place = fate_of(os.path.dirname(path))
        if mask_folder is not None:
            masks.append((path, (*folder[len(mask_folder) :], path.name)))
        elif place is None:
            _refuse_stray(path, folder, layout)
            outside.append(path)
        elif not beside or path not in beside:
            below = (*folder[max(0, depth(place) - 1) :], path.name)
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
    if not listing.real:
        return found
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


def _refuse_missing(
    listing: Listing,
    layout: Layout,
    found: list[_Found],
    masks_of: list[tuple[Path, ...]],
) -> None:
    """Refuse anomalous images without a mask, or any, where masks tell the labels."""
    wanted = [
        (one.path, masks)
        for one, masks in zip(found, masks_of, strict=True)
        if layout.beside or one.kind != "good"
    ]
    missing = [path for path, masks in wanted if not masks]
    has_masks = len(missing) < len(wanted) or _has_mask_folder(listing, layout)
    if missing and has_masks:
        raise DatasetError(
            f"{len(missing)} of the {len(wanted)} images of {str(listing.folder)!r} "
            "that need a mask have none; first: "
            f"{missing[0].relative_to(listing.folder).as_posix()!r}. A mask is called "
            "as its image, or ends in _mask, _GT, _label or .bm. Add those that are "
            "missing, or move the masks to another folder to do without any."
        )


def _one_or_all(masks: tuple[Path, ...]) -> Path | tuple[Path, ...] | None:
    return masks[0] if len(masks) == 1 else masks or None
