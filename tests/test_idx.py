"""IDX files are read as written; damaged ones are refused."""

import gzip
import struct

import numpy as np
import pytest

from featad.datasets.idx import load_idx, read_idx
from featad.errors import DatasetError


def _idx(array, code=8):
    head = bytes([0, 0, code, array.ndim])
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


IMAGES = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
LABELS = np.array([0, 1, 2], dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for prefix in ("train", "t10k"):
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(_idx(IMAGES))
        data = gzip.compress(_idx(LABELS), mtime=0)
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_array_is_read_as_written_gzipped_or_not(pack, tmp_path):
    (tmp_path / "a").write_bytes(pack(_idx(IMAGES)))
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), IMAGES)


def test_wider_types_come_in_native_byte_order(tmp_path):
    array = np.array([[1, -2], [300, 4]], dtype=">i4")
    (tmp_path / "a").write_bytes(_idx(array, code=12))
    result = read_idx(tmp_path / "a")
    np.testing.assert_array_equal(result, array)
    assert result.dtype == np.int32


@pytest.mark.parametrize("part", ["train", "test"])
def test_both_parts_are_found_by_their_official_names(part, folder):
    images, labels = load_idx(folder, part)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not an IDX file"),
        (b"hello world", "is not an IDX file"),
        (_idx(IMAGES)[:-1], "declares an array of shape"),
        (_idx(IMAGES) + b"x", "declares an array of shape"),
        (b"\0\0\x08\x03\0\0", "is not an IDX file"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "declares an array of shape"),
        (gzip.compress(_idx(IMAGES), mtime=0)[:-9], "Cannot read"),
    ],
)
def test_a_damaged_file_is_refused(data, said, tmp_path):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(DatasetError, match=said):
        read_idx(tmp_path / "a")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(DatasetError, match=r"no train-images-idx3-ubyte\[.gz\]"):
        load_idx(tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="There is no folder"):
        load_idx(tmp_path / "none")


def test_several_subsets_are_refused_rather_than_guessed(tmp_path):
    for name in ("train5k", "train6k"):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(_idx(IMAGES))
    with pytest.raises(DatasetError, match="2 files have a similar name"):
        load_idx(tmp_path)


def test_images_and_labels_of_different_number_are_refused(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(_idx(IMAGES[:2]))
    with pytest.raises(DatasetError, match="2 train images, but 3 labels"):
        load_idx(folder)


def test_labels_that_are_a_single_number_are_refused(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\0\x07")
    with pytest.raises(DatasetError, match="an array of 1 axes.* but holds one of 0"):
        load_idx(folder)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "part", "n"),
    [
        ("mnist", "train", 5000),
        ("mnist", "test", 10000),
        ("fashion_mnist", "train", 60000),
        ("fashion_mnist", "test", 10000),
    ],
)
def test_real_files_are_read_whole(name, part, n, real_data):
    images, labels = load_idx(real_data / name, part)
    assert images.shape == (n, 28, 28)
    assert images.dtype == np.uint8
    assert set(labels.tolist()) == set(range(10))
