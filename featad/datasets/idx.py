"""IDX files, the format of MNIST and Fashion-MNIST, gzipped or not."""

import gzip
import os
import zlib
from pathlib import Path

import numpy as np

from featad.errors import DatasetError

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Read an IDX file.

    Parameters
    ----------
    path : path-like
        The file. Its first bytes tell whether it is gzipped.

    Returns
    -------
    array : ndarray
        With the shape and type given in the file's header, in native byte order.

    Raises
    ------
    DatasetError
        If the file is missing, is not an IDX file, or does not have the length that
        its header gives.

    References
    ----------
    .. [1] LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998:
       the file format.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from featad.datasets import read_idx
    >>> path = pathlib.Path(tempfile.mkdtemp(), "labels")
    >>> path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))  # uint8, 1 axis of 3
    11
    >>> read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"Cannot read {str(path)!r}: {error}.") from error
    n_axes = data[3] if len(data) >= 4 else 0
    if data[:2] != b"\0\0" or len(data) < 4 + 4 * n_axes or data[2] not in _TYPES:
        raise DatasetError(
            f"{str(path)!r} is not an IDX file: it begins with {data[:4]!r}."
        )
    shape = tuple(np.frombuffer(data, ">u4", n_axes, offset=4).tolist())
    dtype = np.dtype(_TYPES[data[2]])
    found = len(data) - 4 - 4 * n_axes
    expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if found != expected:
        raise DatasetError(
            f"{str(path)!r} is damaged: its header declares an array of shape {shape}, "
            f"{expected} bytes, but {found} bytes follow."
        )
    values = np.frombuffer(data, dtype, offset=4 + 4 * n_axes).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def load_idx(
    folder: str | os.PathLike, part: str = "train"
) -> tuple[np.ndarray, np.ndarray]:
    """Read the images and labels of an MNIST-like data set.

    Parameters
    ----------
    folder : path-like
        Contains ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and
        ``t10k-...``, with or without ``.gz``. For a part of the training set, the first
        word may be longer: ``train5k-images-idx3-ubyte.gz``.

    part : {"train", "test"}, default="train"
        Which part to read.

    Returns
    -------
    images : uint8 ndarray of shape (n_samples, height, width)
        Gray values, 0 to 255.

    labels : uint8 ndarray of shape (n_samples,)
        The class of each image.

    Raises
    ------
    DatasetError
        If a file is missing or damaged, several files match, or the numbers of images
        and labels differ.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from featad import load_idx
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name, values in {
    ...     "images-idx3": [8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 9, 9, 0],
    ...     "labels-idx1": [8, 1, 0, 0, 0, 1, 7],
    ... }.items():
    ...     path = folder / f"train-{name}-ubyte"
    ...     n_bytes = path.write_bytes(bytes([0, 0, *values]))
    >>> images, labels = load_idx(folder)
    >>> images.shape, labels
    ((1, 2, 2), array([7], dtype=uint8))
    """
    prefixes = {"train": "train", "test": "t10k"}
    if part not in prefixes:
        raise ValueError(f"part must be 'train' or 'test', but is {part!r}.")
    folder = Path(folder)
    images = _read(folder, prefixes[part], "images-idx3-ubyte", n_axes=3)
    labels = _read(folder, prefixes[part], "labels-idx1-ubyte", n_axes=1)
    if len(images) != len(labels):
        raise DatasetError(
            f"{str(folder)!r} has {len(images)} {part} images, but {len(labels)} "
            "labels."
        )
    return images, labels


def _read(folder, prefix, kind, n_axes):
    path = _find(folder, prefix, kind)
    values = read_idx(path)
    if values.ndim != n_axes:
        raise DatasetError(
            f"{str(path)!r} should hold an array of {n_axes} axes, as its name says, "
            f"but holds one of {values.ndim}. Is it damaged?"
        )
    return values


def _find(folder, prefix, kind):
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {str(folder)!r}.")
    for name in (f"{prefix}-{kind}", f"{prefix}-{kind}.gz"):
        if (folder / name).exists():
            return folder / name
    near = [p for p in sorted(folder.glob(f"{prefix}*-{kind}*")) if p.is_file()]
    if len(near) != 1:
        found = f"{len(near)} files have a similar name" if near else "none is similar"
        raise DatasetError(
            f"There is no {prefix}-{kind}[.gz] in {str(folder)!r}, and {found}."
        )
    return near[0]
