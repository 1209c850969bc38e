"""Images that are there more than once: the same bytes, under any name."""

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from featad.datasets.dataset import ImageDataset, hash_or_nothing
from featad.errors import DatasetError, DatasetWarning
from featad.images.sources import SOURCE_TYPES

_SAMPLE = 4096  # bytes that tell most files apart


def first_copies(images: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return, for each image, the position of the first one with the same content.

    Parameters
    ----------
    images : sequence of sources
        Files are compared by their size, then by some bytes in the middle, and only
        then as a whole.

    Returns
    -------
    first : int64 ndarray of shape (n_samples,)
        An image without an earlier copy has its own position: these are groups that
        hold together what must not be split.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.datasets import first_copies
    >>> black, white = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    >>> first_copies([black, white, black.copy()])
    array([0, 1, 0])
    """
    first = np.arange(len(images), dtype=np.int64)
    groups = [list(range(len(images)))]
    for trait in (_size, _sample, hash_or_nothing):
        groups = [alike for group in groups for alike in _alike(group, images, trait)]
    for group in groups:
        first[group] = group[0]
    return first


def _alike(
    group: list[int], images: Any, trait: Callable[[Any], Hashable]
) -> list[list[int]]:
    """Return the positions of images that share a trait with another one."""
    found = defaultdict(list)
    for index in group:
        found[trait(images[index])].append(index)
    found.pop("", None)  # what cannot be read has no copies
    return [alike for alike in found.values() if len(alike) > 1]


def _size(image: Any) -> Hashable:
    if not isinstance(image, SOURCE_TYPES):
        return ""
    if not isinstance(image, str | os.PathLike):
        return "in memory"
    try:
        return os.stat(image).st_size
    except OSError:  # reading it will fail by name
        return ""


def _sample(image: Any) -> Hashable:
    if not isinstance(image, str | os.PathLike):
        return "in memory"
    try:
        with open(image, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _SAMPLE) // 2)
            return file.read(_SAMPLE)
    except OSError:
        return ""


def check_copies(dataset: ImageDataset) -> None:
    """Warn once of copies among the files of a data set; refuse contradictions.

    Raises
    ------
    DatasetError
        If one file is listed as normal and as anomalous.
    """
    first = first_copies(dataset.images)
    copies = np.flatnonzero(first != np.arange(len(first)))
    if len(copies) == 0:
        return
    _refuse_both_labels(dataset, first, copies)
    image = [str(path) for path in dataset.images]
    are = "is a copy of another" if len(copies) == 1 else "are copies of others"
    text = (
        f"Of the {len(first)} images of {dataset.name}, {len(copies)} {are}, byte by "
        f"byte; first: {image[copies[0]]!r} of {image[first[copies[0]]]!r}."
    )
    contradict = copies[dataset.labels[copies] != dataset.labels[first[copies]]]
    if len(contradict):
        text += f" Copies with both labels: {len(contradict)}."
    is_test = dataset.parts == "test"
    leaks = np.flatnonzero(is_test & np.isin(first, first[dataset.parts == "train"]))
    if len(leaks):
        text += (
            f" Test images that are also training images: {len(leaks)}; first: "
            f"{image[leaks[0]]!r}."
        )
    warnings.warn(text, DatasetWarning, stacklevel=3)


def _refuse_both_labels(
    dataset: ImageDataset, first: np.ndarray, copies: np.ndarray
) -> None:
    labels: dict[str, int] = {}
    for index in np.flatnonzero(np.isin(first, first[copies])):
        label = int(dataset.labels[index])
        file = os.path.realpath(dataset.images[index])
        if labels.setdefault(file, label) != label:
            raise DatasetError(
                f"{str(dataset.images[index])!r} is listed in {dataset.name} as normal "
                "and as anomalous. Keep one of the two."
            )
