"""Images and what is known about them, and records of the images a run used."""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from featad._whole_files import replacing
from featad.errors import DatasetError, ImageReadError
from featad.images import Rule, Source, content_hash

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, repr=False)
class ImageDataset:
    """Images and what is known about them, with one entry per image in every field.

    Attributes
    ----------
    name : str
        A name to show to people.

    images : list of Path, or ndarray of shape (n_samples, height, width[, 3])
        The images, in a form that every system takes.

    labels : int64 ndarray of shape (n_samples,)
        1 normal, -1 anomalous.

    parts : ndarray of str, shape (n_samples,)
        ``"train"``, ``"validation"`` or ``"test"``, or ``""`` if the data set has no
        split of its own.

    kinds : ndarray of str, shape (n_samples,)
        What is in the image, such as ``"good"`` or ``"crack"``.

    masks : list, or None
        For each image, what :func:`read_mask` takes: the path of its mask, a tuple of
        several paths, a bool ndarray of shape (height, width), or None. None if the
        data set has no masks.

    left_out : dict of Rule to list of Path
        The files of its folder that are not in the data set, by the rule that left them
        out.

    groups : ndarray of str, shape (n_samples,), or None
        What an image belongs to, such as a part that was photographed several times:
        images of one group stay together in splits. None if nothing is known.

    Examples
    --------
    >>> from featad import make_spots_and_lines
    >>> parts = make_spots_and_lines(4, 2, size=32)
    >>> len(parts), len(parts.part("train")), parts.labels.tolist()
    (6, 4, [1, 1, 1, 1, 1, -1])
    """

    name: str
    images: Any
    labels: np.ndarray
    parts: np.ndarray
    kinds: np.ndarray
    masks: list | None = None
    left_out: dict[Rule, list[Path]] = field(default_factory=dict)
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        n_normal = int((self.labels == 1).sum())
        facts = [f"{n_normal} normal and {len(self) - n_normal} anomalous images"]
        if self.has_split:
            names = [name for name in PARTS if (self.parts == name).any()]
            facts += [f"{(self.parts == name).sum()} in {name}" for name in names]
        kinds = sorted(set(map(str, self.kinds)))
        more = ", ..." if len(kinds) > 8 else ""
        facts.append(f"kinds {', '.join(kinds[:8])}{more}")
        if self.masks is not None:
            n_masks = sum(mask is not None for mask in self.masks)
            facts.append(f"{n_masks} with masks")
        if self.groups is not None:
            facts.append(f"{len(set(self.groups.tolist()))} groups")
        return f"<{type(self).__name__} {self.name!r}: {'; '.join(facts)}>"

    @property
    def has_split(self) -> bool:
        """Whether the data set has training and test parts of its own."""
        return bool((self.parts != "").any())

    def part(self, name: str) -> "ImageDataset":
        """Return the images of one part, such as ``"train"``."""
        chosen = np.flatnonzero(self.parts == name)
        if len(chosen) == 0:
            known = ", ".join(sorted(set(self.parts.tolist()) - {""})) or "no parts"
            raise DatasetError(f"{self.name} has no part {name!r}; it has {known}.")
        return self.select(chosen)

    def select(self, which: ArrayLike) -> "ImageDataset":
        """Return a subset of the images, given by indices or by a bool mask."""
        chosen = np.arange(len(self))[np.asarray(which)]
        images = self.images
        return dataclasses.replace(
            self,
            images=images[chosen]
            if isinstance(images, np.ndarray)
            else [images[i] for i in chosen],
            labels=self.labels[chosen],
            parts=self.parts[chosen],
            kinds=self.kinds[chosen],
            masks=None if self.masks is None else [self.masks[i] for i in chosen],
            groups=None if self.groups is None else self.groups[chosen],
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a table with the columns path, sha256, label, part and kind.

        The path of an image in memory is its position, such as ``image-00012``. There
        is a column ``group`` if the data set has groups.
        """
        in_memory = isinstance(self.images, np.ndarray)
        frame = pd.DataFrame(
            {
                "path": [
                    f"image-{i:05}" if in_memory else str(Path(image).resolve())
                    for i, image in enumerate(self.images)
                ],
                "sha256": [hash_or_nothing(image) for image in self.images],
                "label": self.labels,
                "part": self.parts,
                "kind": self.kinds,
            }
        )
        return frame if self.groups is None else frame.assign(group=self.groups)


def save_split(dataset: ImageDataset, path: str | os.PathLike) -> Path:
    """Record which images a run used, so that it can be repeated.

    Parameters
    ----------
    dataset : ImageDataset
        The images used.

    path : path-like
        The CSV file to write, with the columns path, sha256, label and part,
        and group if the data set has groups.
        `load_folder` reads it, and refuses it if an image has changed.

    Returns
    -------
    path : Path
        The file that was written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import featad
    >>> path = pathlib.Path(tempfile.mkdtemp(), "split.csv")
    >>> written = featad.save_split(featad.make_spots_and_lines(2, 2, size=32), path)
    >>> path.read_text().splitlines()[0]
    'path,sha256,label,part'
    """
    path = Path(path)
    frame = dataset.to_frame().drop(columns="kind")
    with replacing(path) as part:
        frame.to_csv(part, index=False, lineterminator="\n")
    return path


def hash_or_nothing(image: Source) -> str:
    """Return the sha256 of an image, "" if it cannot be read."""
    try:
        return content_hash(image)
    except ImageReadError:  # it will fail again, by name, where it is read
        return ""
