"""Copies of images are found by their bytes, and told once."""

import shutil
import warnings

import numpy as np
import pytest

from featad.datasets import copies, first_copies, load_folder
from featad.errors import DatasetWarning


def _said(folder):
    """Return the one warning about a folder."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_folder(folder)
    (said,) = [str(w.message) for w in caught if issubclass(w.category, DatasetWarning)]
    return said


def test_copies_under_other_names_are_found(tree):
    root = tree("a.png", "b.png")
    shutil.copy(root / "a.png", root / "c.png")
    paths = [root / name for name in ("b.png", "c.png", "a.png", "missing.png")]
    assert first_copies(paths).tolist() == [0, 1, 1, 3]


def test_files_that_differ_outside_the_sample_are_not_copies(tmp_path):
    content = bytearray(100_000)
    (tmp_path / "a.bin").write_bytes(content)
    content[-1] = 1
    (tmp_path / "b.bin").write_bytes(content)
    assert first_copies([tmp_path / "a.bin", tmp_path / "b.bin"]).tolist() == [0, 1]


def test_files_of_different_sizes_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "_sample", None)
    for size in range(3):
        (tmp_path / f"{size}.bin").write_bytes(bytes(size))
    paths = sorted(tmp_path.iterdir())
    assert first_copies(paths).tolist() == [0, 1, 2]


def test_copies_in_memory_are_found():
    images = np.zeros((3, 4, 4), np.uint8)
    images[1] = 9
    assert first_copies(images).tolist() == [0, 1, 0]
    assert first_copies([]).tolist() == []


def test_copies_in_a_folder_are_told_once_with_names(tree):
    root = tree("a.png", "b.png")
    shutil.copy(root / "a.png", root / "c.png")
    said = _said(root)
    assert "Of the 3 images of data, 1 is a copy of another" in said
    assert said.index("c.png") < said.index("a.png")


def test_copies_in_training_and_test_are_told(tree):
    root = tree("train/good/1.png", "test/good/2.png")
    shutil.copy(root / "train/good/1.png", root / "test/good/3.png")
    assert "Test images that are also training images: 1; first: " in _said(root)


def test_copies_with_both_labels_are_told(tree):
    root = tree("good/1.png", "bad/2.png")
    shutil.copy(root / "good/1.png", root / "bad/3.png")
    assert "Copies with both labels: 1." in _said(root)


@pytest.mark.data
def test_the_copies_in_the_brain_slices_are_found(real_data):
    assert "25 are copies" in _said(real_data / "brain_mri")
