"""Collections of image sources: listing, naming, hashing, checking, mapping."""

import hashlib
import os
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias, cast

import joblib
import numpy as np
from PIL import Image
from scipy.sparse import issparse

from featad.errors import DatasetError, ImageReadError, ImageReadWarning

EXTENSIONS = frozenset(
    f".{suffix}"
    for suffix in ("bmp", "dib", "gif", "jfif", "jpe", "jpeg", "jpg", "pbm", "pgm")
    + ("png", "pnm", "ppm", "tif", "tiff", "webp")
)
"""Suffixes, in lower case, of the files that :func:`list_images` finds."""

Source: TypeAlias = str | os.PathLike | bytes | Image.Image | np.ndarray
"""What an image can be read from: a path, a file's bytes, a PIL image or an array."""

SOURCE_TYPES = (str, os.PathLike, bytes, Image.Image, np.ndarray)
_KINDS_OF_X = (
    "a list, 1-D array or Series of paths, bytes, PIL images or arrays, or a batch "
    "array of shape (n, height, width, channels) or (n, height, width)"
)


def list_images(folder: str | os.PathLike, *, recursive: bool = True) -> list[Path]:
    """List the image files in a folder, in natural order: 2.png before 10.png.

    Parameters
    ----------
    folder : path-like
        Where to look. Hidden files and folders (names that begin with a dot) are left
        out, links to folders are not followed.

    recursive : bool, default=True
        Whether to look in folders below as well.

    Returns
    -------
    paths : list of Path
        Files whose suffix, in any case, is in ``EXTENSIONS``. They are not opened.

    Raises
    ------
    DatasetError
        If the folder is missing, is a file, cannot be listed or holds no image file.

    Examples
    --------
    >>> from featad import list_images
    >>> list_images("no such folder")
    Traceback (most recent call last):
    featad.errors.DatasetError: There is no folder 'no such folder'.
    """
    folder = Path(folder)
    if not folder.exists():
        raise DatasetError(f"There is no folder {str(folder)!r}.")
    if not folder.is_dir():
        raise DatasetError(
            f"Expected a folder of images, but {str(folder)!r} is a file; pass its "
            "folder, or [path] where a list of images is asked for."
        )
    paths = []
    for parent, folders, files in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [f for f in folders if recursive and not f.startswith(".")]
        paths += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS
        ]
    if not paths:
        raise DatasetError(
            f"There are no images in {str(folder)!r}; looked for files that end in "
            f"{', '.join(sorted(EXTENSIONS))}."
        )
    return sorted(paths, key=natural_key)


def _refuse_folder(error: OSError) -> None:
    reason = error.strerror or str(error)
    raise DatasetError(f"Cannot list {str(error.filename)!r}: {reason}.") from error


def natural_key(path: str | os.PathLike) -> tuple:
    """Return a sort key under which "2.png" comes before "10.png", case aside."""
    parts = tuple(
        tuple(
            int(chunk) if chunk.isdecimal() else chunk
            for chunk in re.split(r"(\d+)", part.casefold())
        )
        for part in Path(path).parts
    )
    return parts, str(path)


def describe_source(source: Source, index: int | None = None) -> str:
    """Name a source in messages and tables.

    Parameters
    ----------
    source : path-like, bytes, PIL image or ndarray
        What to name.

    index : int, default=None
        Its place in the input, which tells sources in memory apart.

    Returns
    -------
    name : str
        The path, or for instance ``"image 3 (ndarray of shape (8, 8, 3))"``.
    """
    if isinstance(source, str | os.PathLike):  # also of bytes that are no UTF-8
        return os.fsencode(source).decode("utf-8", "backslashreplace")
    if isinstance(source, bytes):
        what = f"{len(source)} bytes"
    elif isinstance(source, Image.Image):
        what = f"PIL image of {source.width} x {source.height} pixels, {source.mode}"
    else:
        what = f"{type(source).__name__} of shape {np.shape(source)}"
    return f"image ({what})" if index is None else f"image {index} ({what})"


def content_hash(source: Source) -> str:
    """Return a sha256 that is equal for equal contents.

    Parameters
    ----------
    source : path-like, bytes, PIL image or ndarray
        Of a path, the file is hashed: a path and its file's bytes hash alike. Of an
        array, values, dtype and shape; of a PIL image, pixels, mode, size and what
        changes the way it is read.

    Returns
    -------
    digest : str
        64 hexadecimal digits.

    Raises
    ------
    ImageReadError
        If the file cannot be read.
    """
    digest = hashlib.sha256()
    if isinstance(source, bytes):
        digest.update(source)
    elif isinstance(source, np.ndarray):
        digest.update(f"array {source.dtype.str} {source.shape}".encode())
        digest.update(np.ascontiguousarray(source).tobytes())
    else:
        try:
            if isinstance(source, Image.Image):
                _update_with_pil(digest, source)
            else:
                with open(source, "rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
        except Exception as error:
            raise ImageReadError(describe_source(source), reason_of(error)) from error
    return digest.hexdigest()


def _update_with_pil(digest: Any, image: Image.Image) -> None:
    pixels = image.tobytes()  # loads the image, so that what follows is final
    palette = image.palette.tobytes() if image.palette else b""
    clear, turn = image.info.get("transparency"), image.getexif().get(0x0112, 1)
    digest.update(f"{image.mode} {image.size} {palette!r} {clear} {turn}".encode())
    digest.update(pixels)


def reason_of(error: Exception) -> str:
    """Turn what went wrong into a clause for :class:`ImageReadError`."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return f"{str(error).rstrip('.') or 'no reason given'} ({type(error).__name__})"


def check_sources(X: Any, *, estimator_name: str) -> Sequence:
    """Check that X is a collection of sources, without reading them.

    Parameters
    ----------
    X : list, tuple, 1-D array, Series, or array of shape (n, H, W[, C])
        The sources.

    estimator_name : str
        The class that asks, for messages.

    Returns
    -------
    sources : sequence
        With a length and integer indexing.

    Raises
    ------
    ValueError, TypeError
        If X is one source, a table, a data frame, sparse, empty or of another type.
    """
    name = estimator_name
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUT":
        return cast(Sequence, _checked_batch(X, name))  # it has all that is needed
    if isinstance(X, str | bytes | os.PathLike | Image.Image):
        raise TypeError(
            f"{name} expects {_KINDS_OF_X}; got one {type(X).__name__}. "
            "Pass [source] for a single image."
        )
    if issparse(X):
        raise TypeError(
            f"Sparse data was passed to {name}, but images are dense; {name} expects "
            f"{_KINDS_OF_X}."
        )
    if hasattr(X, "columns"):
        raise TypeError(
            f"{name} expects {_KINDS_OF_X}; got a {type(X).__name__}. Pass the column "
            "that holds the paths, for instance X['path']."
        )
    if not isinstance(X, list | tuple | np.ndarray):
        if getattr(X, "ndim", None) != 1 or not hasattr(X, "to_numpy"):
            raise TypeError(
                f"{name} expects {_KINDS_OF_X}; got {type(X).__name__}. Pass list(X) "
                "if it gives sources one by one."
            )
        X = list(X)  # a pandas Series or Index
    if isinstance(X, np.ndarray) and X.ndim != 1:
        raise ValueError(
            f"{name} expects {_KINDS_OF_X}; got an array of {X.dtype} of shape "
            f"{X.shape}."
        )
    if len(X) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) while a minimum of 1 is required by {name}."
        )
    for index, source in enumerate(X):
        if not isinstance(source, SOURCE_TYPES):
            raise TypeError(
                f"{name} expects {_KINDS_OF_X}; item {index} is a "
                f"{type(source).__name__}."
            )
    return X


def _checked_batch(X: np.ndarray, name: str) -> np.ndarray:
    expected = f"{name} expects {_KINDS_OF_X}"
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported by {name}: {expected}.")
    if X.dtype.kind not in "biuf":
        raise TypeError(f"{expected}; got an array of {X.dtype}.")
    if X.ndim < 2:
        raise ValueError(
            f"{expected}; got a {X.ndim}D array of numbers. Reshape your data to "
            "X[None] if it is one image."
        )
    if X.ndim == 2 and X.shape[1] == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is "
            f"required by {name}."
        )
    if len(X) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is "
            f"required by {name}."
        )
    if X.ndim == 2:
        raise ValueError(
            f"{expected}; got a table of shape {X.shape}. Pass X[None] if it is one "
            "gray image, X.reshape(n, height, width) if its rows are images."
        )
    if X.ndim == 3 and X.shape[2] in (1, 3, 4) and X.shape[1] != X.shape[2]:
        raise ValueError(
            f"{expected}; X.shape={X.shape} looks like a single image. Pass X[None]."
        )
    if X.ndim > 4 or (X.ndim == 4 and X.shape[3] not in (1, 3, 4)):
        raise ValueError(
            f"{expected} with 1, 3 or 4 channels; got an array of shape {X.shape}."
        )
    return X


def map_images(
    read: Callable[[Source], Any], sources: Sequence, *, n_jobs: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Apply a reading function to sources in threads, keeping their order.

    Parameters
    ----------
    read : callable
        Called with one source; decoding and resizing run outside Python's lock.

    sources : sequence
        As :func:`check_sources` returns it.

    n_jobs : int, default=None
        Number of threads; -1 for one a processor. By default one a processor, at most
        eight.

    Yields
    ------
    index : int
        Place of the source in the input, counting up from 0.

    value : object or ImageReadError
        What ``read`` returned, or the :class:`ImageReadError` it raised. Any other
        exception is raised here.

    Notes
    -----
    At most ``3 * n_jobs`` results are held at a time, so memory does not grow with the
    number of sources. The threads end when the iterator does, also when it is closed
    early.

    Examples
    --------
    >>> from featad.images import map_images
    >>> list(map_images(len, [b"ab", b"cde"]))
    [(0, 2), (1, 3)]
    """

    def attempt(index: int) -> Any:
        source = sources[index]
        try:
            return read(source)
        except ImageReadError as error:
            if isinstance(source, str | os.PathLike):
                return error
            return ImageReadError(describe_source(source, index), error.reason)

    n_threads = min(_n_threads(n_jobs), len(sources))
    if n_threads <= 1:
        yield from ((index, attempt(index)) for index in range(len(sources)))
        return
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="featad-images")
    waiting: deque = deque()
    try:
        for index in range(len(sources)):
            waiting.append(pool.submit(attempt, index))
            if len(waiting) == 3 * n_threads:
                yield index + 1 - len(waiting), waiting.popleft().result()
        while waiting:
            yield len(sources) - len(waiting), waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _n_threads(n_jobs: int | None) -> int:
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0; pass None, 1 or more, or -1.")
    n_processors = joblib.cpu_count()
    if n_jobs is None:
        return min(8, n_processors)
    return n_jobs if n_jobs > 0 else max(1, n_processors + 1 + n_jobs)


def settle_unread(
    errors: Sequence[ImageReadError], n_sources: int, on_error: str
) -> None:
    """Warn once about images that could not be read, counting and naming them.

    Parameters
    ----------
    errors : sequence of ImageReadError
        One an image; nothing is said if there are none.

    n_sources : int
        How many images were to be read.

    on_error : {"skip", "nan"}
        What was done about them.

    Raises
    ------
    ImageReadError
        If all were to be skipped: nothing would be left.
    """
    if not errors:
        return
    if on_error == "skip" and len(errors) == n_sources:
        raise none_read(errors)
    verb = "Left out" if on_error == "skip" else "Filled with NaN"
    named = "; ".join(f"{error.source!s} ({error.reason})" for error in errors[:10])
    more = f"; and {len(errors) - 10} more" if len(errors) > 10 else ""
    plural = "image that" if len(errors) == 1 else "images that"
    warnings.warn(
        f"{verb} {len(errors)} {plural} could not be read: {named}{more}.",
        ImageReadWarning,
        stacklevel=3,
    )


def none_read(errors: Sequence[ImageReadError]) -> ImageReadError:
    """Return the error that says that none of the images could be read."""
    first = errors[0]
    return ImageReadError(
        first.source, f"{first.reason}; none of the {len(errors)} images could be read"
    )
