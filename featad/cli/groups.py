"""The option that says which images show the same part."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from featad.cli import options
from featad.errors import DatasetError

if TYPE_CHECKING:  # importing it takes seconds, which `--help` need not
    from featad.datasets import ImageDataset


def add_groups(parser: argparse.ArgumentParser) -> None:
    """Add ``--groups``."""
    parser.add_argument(
        "--groups",
        metavar="HOW",
        help="which images show the same part, such as views, repeated photographs or "
        "slices. 'folder': those in one folder. A regular expression for file names: "
        "those with the same first (...), or the same match; '(.+)_view' puts "
        "a17_view1.png and a17_view2.png together. 'minutes=N': a part ends where no "
        "file was modified for N minutes; copying files may give them the time of the "
        "copy, which `cp -p` and most archives do not",
    )


def grouped(dataset: ImageDataset, by: str | None) -> ImageDataset:
    """Return the data set with the groups of `add_groups`, or those it has.

    Raises
    ------
    DatasetError
        If they put all images into one group.
    """
    from featad.datasets import find_groups

    if by is None:
        return dataset
    groups = find_groups(dataset.images, by)
    n_groups, n_images = len(set(groups)), len(groups)
    if n_groups == 1 < n_images:
        hint = " Were the files copied?" if by.startswith("minutes=") else ""
        raise DatasetError(
            f"--groups {by} puts all {n_images} images into one group, {groups[0]!r}. "
            f"Two groups or more are needed.{hint}"
        )
    if n_groups == n_images:
        options.log(f"warning: --groups {by} finds no images that belong together")
    return dataclasses.replace(dataset, groups=groups)
