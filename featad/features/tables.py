"""Features of many images in one file, from which detectors read them in blocks."""

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import gen_batches

from featad._sklearn import num_samples, safe_indexing
from featad._whole_files import replacing

_IMAGES = 1024  # that are described together
_DTYPES = ("float32", "float16")


def features_to_file(
    features: Any, X: Any, path: str | os.PathLike, *, dtype: str = "float32"
) -> np.ndarray:
    """Write the features of images to a .npy file, and open it without reading it.

    Only some images' features are in memory at a time. `Mahalanobis`,
    `MiniBatchKMeansDistance` and `NystroemSVM` learn from the file block by block, so
    that neither the images nor their features need to fit into the memory.

    Parameters
    ----------
    features : transformer
        Fitted, or one that learns nothing, such as ``system["features"]`` of a named
        system. Columns of other steps may be added by a pipeline of transformers.

    X : sequence of n_samples sources, or array of images
        What it takes.

    path : path-like
        The file. It is there once it is whole; an older one is replaced.

    dtype : {"float32", "float16"}, default="float32"
        Type of the values. "float16" takes half the space and keeps three digits.

    Returns
    -------
    table : numpy.memmap of shape (n_samples, n_features), read-only
        ``numpy.load(path, mmap_mode="r")``. Fewer rows if images were skipped.

    Raises
    ------
    ValueError
        If ``dtype`` is another type, ``X`` is empty, or a value is too large for
        float16.

    ImageReadError
        If an image cannot be read, and ``on_error`` of the features is "raise".

    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import featad
    >>> parts = featad.make_spots_and_lines(20, 4, size=32)
    >>> system = featad.build("mini-stats-mbkmeans", image_size=32)
    >>> features = system["features"].fit(parts.images)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = os.path.join(folder, "table.npy")
    ...     table = featad.features_to_file(features, parts.images, file)
    ...     table.shape
    ...     fitted = system[1:].fit(table[parts.labels == 1])  # system is fitted, too
    (24, 3456)
    >>> system.predict(parts.images).shape
    (24,)
    """
    if dtype not in _DTYPES:
        raise ValueError(f"dtype should be one of {_DTYPES}, got {dtype!r}.")
    if num_samples(X) == 0:
        raise ValueError("features_to_file needs images, but X is empty.")
    n_rows = 0
    with replacing(path) as part, open(part, "wb") as file:
        for block in _blocks(features, X):
            values = _converted(np.asarray(block), dtype)
            if not n_rows:
                _write_header(file, values, num_samples(X))
            file.write(values.data)
            n_rows += len(values)
        file.seek(0)
        _write_header(file, values, n_rows)
    return np.load(path, mmap_mode="r")


def _blocks(features: Any, X: Any) -> Iterator[Any]:
    """Yield features of some images at a time.

    Our own features go through all images once, which tells a block without a readable
    image from images none of which can be read.
    """
    if hasattr(features, "transform_in_blocks"):
        yield from features.transform_in_blocks(X)
    elif hasattr(features, "_blocks"):
        yield from features._blocks(X, _IMAGES)
    elif _is_pipeline(features):
        for block in _blocks(features[0], X):
            yield features[1:].transform(block)
    else:
        for places in gen_batches(num_samples(X), _IMAGES):
            part = safe_indexing(X, np.arange(places.start, places.stop))
            yield features.transform(part)


def _is_pipeline(features: Any) -> bool:
    """Whether features are made by a transformer, and changed by others."""
    is_several = isinstance(features, Pipeline) and len(features) > 1
    return is_several and hasattr(features[0], "transform")  # it may be "passthrough"


def _converted(values: np.ndarray, dtype: str) -> np.ndarray:
    little = np.dtype(dtype).newbyteorder("<")
    with np.errstate(over="ignore"):  # refused here
        converted = np.ascontiguousarray(values, dtype=little)
    is_finite = np.isfinite(values)
    if (np.isinf(converted) & is_finite).any():
        raise ValueError(
            f"A feature of {np.abs(values[is_finite]).max():.3g} is too large for "
            f"{dtype}. Pass dtype='float32', or scale the features."
        )
    return converted


def _write_header(file: BinaryIO, values: np.ndarray, n_rows: int) -> None:
    """Write the head of a .npy file; its length does not depend on ``n_rows``."""
    described = {
        "descr": np.lib.format.dtype_to_descr(values.dtype),
        "fortran_order": False,
        "shape": (n_rows, *values.shape[1:]),
    }
    np.lib.format.write_array_header_2_0(file, described)
