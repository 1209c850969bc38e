"""Data sets: from folders and files, and generated ones."""

from featad.datasets.copies import first_copies
from featad.datasets.dataset import ImageDataset, save_split
from featad.datasets.folders import load_folder
from featad.datasets.groups import find_groups
from featad.datasets.idx import load_idx, read_idx
from featad.datasets.samples import (
    load_digits_images,
    make_spots_and_lines,
    one_vs_rest,
)
from featad.datasets.slices import aggregate_scores, slice_windows
from featad.datasets.writing import save_folder

__all__ = [
    "ImageDataset",
    "aggregate_scores",
    "find_groups",
    "first_copies",
    "load_digits_images",
    "load_folder",
    "load_idx",
    "make_spots_and_lines",
    "one_vs_rest",
    "read_idx",
    "save_folder",
    "save_split",
    "slice_windows",
]
