"""Data sets from folders and CSV files."""

import csv
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featad.datasets.dataset import ImageDataset, hash_or_nothing
from featad.errors import DatasetError
from featad.images import list_images

_PAIRS = (
    ("normal", "anomaly"),
    ("normal", "anomalous"),
    ("normal", "abnormal"),
    ("good", "bad"),
    ("good", "defect"),
    ("good", "defective"),
    ("ok", "nok"),
    ("ok", "ng"),
    ("no", "yes"),
)
_LABELS = {"1": 1, "1.0": 1, "-1": -1, "-1.0": -1}
_LABELS |= {name: 1 for pair in _PAIRS for name in pair[:1] if name != "no"}
_LABELS |= {name: -1 for pair in _PAIRS for name in pair[1:] if name != "yes"}


def load_folder(
    path: str | os.PathLike, *, normal: str | None = None, anomaly: str | None = None
) -> ImageDataset:
    """Find the images of a data set, with labels and parts from its folders.

    Parameters
    ----------
    path : path-like
        One of

        - a folder with ``train/good``, ``test/good``, ``test/<kind>`` and, optionally,
          ``ground_truth/<kind>`` (the layout of MVTec AD);
        - a folder with two folders, one of normal and one of anomalous images;
        - any other folder: all images in it and below are normal;
        - a CSV file with the columns ``path`` (relative to the file) and ``label`` (1
          or normal, -1 or anomalous), and optionally ``split`` or ``part`` (train or
          test), ``mask``, ``kind``, ``group`` (images that belong together) and
          ``sha256``, which the files must match.

    normal, anomaly : str, default=None
        Names of the two folders. None recognizes the usual pairs: normal and anomaly,
        good and bad, ok and nok, no and yes, and a few more.

    Returns
    -------
    dataset : ImageDataset
        ``images`` are paths. None of them is opened.

    Raises
    ------
    DatasetError
        If the folder or file is missing, contains no images, or has another layout.

    References
    ----------
    .. [1] Bergmann et al., "MVTec AD", CVPR 2019 (the first layout).

    Examples
    --------
    >>> from featad import load_folder
    >>> load_folder("no such folder")
    Traceback (most recent call last):
    featad.errors.DatasetError: There is no folder 'no such folder'.
    """
    path = Path(path)
    if path.is_file():
        return _load_manifest(path)
    if (normal is None) != (anomaly is None):
        raise DatasetError("Name both folders, normal=... and anomaly=..., or neither.")
    if normal is not None:
        return _load_two(path, normal, anomaly)
    if (path / "train").is_dir() and (path / "test").is_dir():
        return _load_mvtec(path)
    folders = {p.name.lower(): p.name for p in path.glob("*/")} if path.is_dir() else {}
    for pair in _PAIRS:
        if all(name in folders for name in pair):
            return _load_two(path, *(folders[name] for name in pair))
    images = list_images(path)
    _refuse_mixture(path, images)
    return _dataset(path.name, images, "good", "")


def _dataset(name, images, kind, part):
    """Return a data set; ``kind`` and ``part`` hold for all images, or are lists."""
    kinds = np.array([kind] * len(images) if isinstance(kind, str) else kind)
    parts = np.array([part] * len(images) if isinstance(part, str) else part)
    labels = np.where(kinds == "good", 1, -1).astype(np.int64)
    return ImageDataset(name, list(images), labels, parts, kinds)


def _refuse_mixture(path, images):
    """Refuse to take all images as normal if subfolders say that they are not."""
    below = [image.relative_to(path).parts[:-1] for image in images]
    names = {part.lower() for parts in below for part in parts}
    telling = sorted(names & {"test", "ground_truth", "bad", "defect", "anomaly"})
    if "good" in names and len({parts[:1] for parts in below}) > 1:
        telling.append("good beside other folders")
    if telling:
        raise DatasetError(
            f"{str(path)!r} does not contain normal images only: below it is "
            f"{telling[0]}. Pass the folder of normal images, the folder that contains "
            "train and test, or the names of two folders (normal, anomaly)."
        )


def _load_two(path, normal, anomaly):
    images, kinds = [], []
    for name, kind in ((normal, "good"), (anomaly, anomaly)):
        found = list_images(path / name)
        images += found
        kinds += [kind] * len(found)
    return _dataset(path.name, images, kinds, "")


def _load_mvtec(path):
    if not (path / "train" / "good").is_dir():
        raise DatasetError(
            f"{str(path)!r} has train and test, but no train/good with normal images."
        )
    images = list_images(path / "train" / "good")
    kinds, parts = ["good"] * len(images), ["train"] * len(images)
    masks = [None] * len(images)
    for image in list_images(path / "test"):
        kind = image.relative_to(path / "test").parts[0]
        if image.parent == path / "test":
            raise DatasetError(
                f"{str(image)!r} is directly in test. Move it to test/good, or to a "
                "folder named after its defect."
            )
        images.append(image)
        kinds.append(kind)
        parts.append("test")
        masks.append(_mask_of(image, path / "ground_truth" / kind))
    found = _dataset(path.name, images, kinds, parts)
    if all(mask is None for mask in masks):
        return found
    return dataclasses.replace(found, masks=masks)


def _mask_of(image, folder):
    for stem in (f"{image.stem}_mask", image.stem):
        for suffix in (".png", image.suffix, ".bmp", ".tif"):
            if (folder / f"{stem}{suffix}").is_file():
                return folder / f"{stem}{suffix}"
    return None


def _load_manifest(path):
    rows = _read_rows(path)
    if not all(row["path"] for row in rows):
        raise DatasetError(f"{str(path)!r} has rows with an empty path.")
    images = [path.parent / row["path"] for row in rows]
    labels = _manifest_labels(path, [row["label"] for row in rows])
    parts = [_part(path, row) for row in rows]
    if any(parts) and not all(parts):
        raise DatasetError(
            f"{parts.count('')} of the {len(rows)} rows of {str(path)!r} have no "
            "split. Fill in all of them (train or test) or none."
        )
    _check_files(path, images, [row.get("sha256", "") for row in rows])
    usual = ["good" if label == 1 else "anomaly" for label in labels]
    kinds = [row.get("kind") or kind for row, kind in zip(rows, usual, strict=True)]
    masks = [path.parent / row["mask"] if row.get("mask") else None for row in rows]
    return ImageDataset(
        name=path.name,
        images=images,
        labels=labels,
        parts=np.array(parts),
        kinds=np.array(kinds),
        masks=masks if any(masks) else None,
        groups=_groups(path, rows),
    )


def _read_rows(path) -> Sequence[dict[str, str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [str(name).strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            rows = [
                {k: (v or "").strip() for k, v in row.items() if k} for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"Cannot read {str(path)!r} as CSV: {error}.") from error
    missing = [name for name in ("path", "label") if name not in columns]
    if missing:
        raise DatasetError(
            f"{str(path)!r} has no column {missing[0]!r}. A manifest has the columns "
            "path,label[,split][,mask]."
        )
    if not rows:
        raise DatasetError(f"{str(path)!r} lists no images.")
    return rows


def _manifest_labels(path, texts):
    names = [text.lower() for text in texts]
    if set(names) <= {"0", "1", "0.0", "1.0"} and set(names) & {"0", "0.0"}:
        raise DatasetError(
            f"{str(path)!r} has labels 0 and 1. Labels are 1 (normal) and -1 "
            "(anomalous). If 1 means anomalous, replace 1 by -1 and then 0 by 1."
        )
    unknown = [text for text in texts if text.lower() not in _LABELS]
    if unknown:
        raise DatasetError(
            f"{str(path)!r} has the label {unknown[0]!r}. Labels are 1 (or normal, "
            "good, ok) and -1 (or anomalous, anomaly, bad, defect, nok)."
        )
    return np.array([_LABELS[name] for name in names], dtype=np.int64)


def _part(path, row):
    part = (row.get("split") or row.get("part") or "").lower()
    if part not in ("train", "test", ""):
        raise DatasetError(
            f"{str(path)!r} has the split {part!r}. Expected train, test or empty."
        )
    return part


def _groups(path, rows):
    groups = [row.get("group", "") for row in rows]
    if any(groups) and not all(groups):
        raise DatasetError(
            f"{groups.count('')} of the {len(rows)} rows of {str(path)!r} have no "
            "group. Fill in all of them or none; an image that belongs to no other has "
            "a group of its own."
        )
    return np.array(groups) if any(groups) else None


def _check_files(path, images, hashes):
    missing = [image for image in images if not image.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing)} of the {len(images)} images listed in {str(path)!r} are "
            f"missing; first: {str(missing[0])!r}."
        )
    for image, expected in zip(images, hashes, strict=True):
        if expected and hash_or_nothing(image) != expected:
            raise DatasetError(
                f"{str(image)!r} is not the image recorded in {str(path)!r}: its "
                "sha256 differs."
            )
