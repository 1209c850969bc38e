"""Reading many images in threads, and what to do about those that cannot be read."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, cast

import joblib
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from featad._sklearn import output_container
from featad.errors import ImageReadError, ImageReadWarning
from featad.images.budget import PixelBudget
from featad.images.notes import Notes, taker
from featad.images.sources import Source, describe_source


def map_images(
    read: Callable[[Source], Any],
    sources: Sequence,
    *,
    n_jobs: int | None = None,
    n_ahead: int = 0,
) -> Iterator[tuple[int, Any]]:
    """Apply a reading function to sources in threads, keeping their order.

    Parameters
    ----------
    read : callable
        Called with one source. Decoding and resizing release Python's lock.

    sources : sequence
        As :func:`check_sources` returns it.

    n_jobs : int, default=None
        Number of threads. -1 is one per processor; the default is one per processor,
        but at most eight.

    n_ahead : int, default=0
        How many results are held at a time at least, if there are several threads: as
        many as are taken together, so that no thread waits for the one that takes them.

    Yields
    ------
    index : int
        Position of the source in the input, counting from 0.

    value : object or ImageReadError
        What ``read`` returned, or the :class:`ImageReadError` it raised. Any other
        exception is raised here.

    Notes
    -----
    At most ``3 * n_jobs`` or ``n_ahead`` results are held at a time, and the files
    being decoded hold no more than 2^27 pixels, or one is decoded at a time; so memory
    does not grow with the number of sources. The threads end with the iterator, even if
    it is closed early. What :func:`read_image` notices is told once, at the end.

    Examples
    --------
    >>> from featad.images import map_images
    >>> list(map_images(len, [b"ab", b"cde"]))
    [(0, 2), (1, 3)]
    """
    outer, budget = taker(), PixelBudget()
    notes = Notes() if outer is None else outer

    def attempt(index: int) -> Any:
        source = sources[index]
        try:
            with notes.taken(index, source), budget.reading():
                return read(source)
        except ImageReadError as error:
            if isinstance(source, str | os.PathLike):
                return error
            return ImageReadError(describe_source(source, index), error.reason)

    n_threads = min(_n_threads(n_jobs), len(sources))
    if n_threads <= 1:
        yield from ((index, attempt(index)) for index in range(len(sources)))
    else:
        n_held = max(3 * n_threads, n_ahead)
        yield from _in_threads(attempt, len(sources), n_threads, n_held)
    if outer is None:
        notes.tell()


def _in_threads(
    attempt: Callable[[int], Any], n_sources: int, n_threads: int, n_held: int
) -> Iterator[tuple[int, Any]]:
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="featad-images")
    waiting: deque = deque()
    try:
        for index in range(n_sources):
            waiting.append(pool.submit(attempt, index))
            if len(waiting) == n_held:
                yield index + 1 - len(waiting), waiting.popleft().result()
        while waiting:
            yield n_sources - len(waiting), waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _n_threads(n_jobs: int | None) -> int:
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0; pass None, 1 or more, or -1.")
    n_processors = joblib.cpu_count()
    if n_jobs is None:
        return min(8, n_processors)
    return n_jobs if n_jobs > 0 else max(1, n_processors + 1 + n_jobs)


def gather(
    stream: Iterator[tuple[Any, np.ndarray | ImageReadError]],
    shape: tuple[int, ...],
    dtype: np.dtype,
    on_error: str,
    n_rows: int | None = None,
) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Yield what streams in for images in the order of the sources, some at a time.

    Parameters
    ----------
    stream : iterator
        Of a place, or a list of places, and an array for all these images or one for
        each, or the error of one; in any order. `map_images` is one. It is closed.

    shape : tuple of int
        Number of images, then the shape of the array of one.

    dtype : numpy.dtype

    on_error : {"raise", "skip", "nan"}
        What to do about images that cannot be read.

    n_rows : int or None, default=None
        Images of which arrays are yielded together. None: all.

    Yields
    ------
    block : ndarray of that type
        A row for each image, except for those that were skipped.

    rows : list of int
        The images that have a row.

    Raises
    ------
    ImageReadError
        If an image cannot be read and ``on_error`` is "raise", or if all images would
        be skipped.
    """
    n_images, *of_one = shape
    n_rows = n_rows or n_images
    waiting: dict[int, Any] = {}  # for those before them
    unread: list[ImageReadError] = []
    rows: list[int] = []
    place = 0
    with closing(cast(Generator, stream)):  # at once: an error may keep it for long
        for places, values in stream:
            if isinstance(values, ImageReadError):
                if on_error == "raise":
                    raise values
                waiting[places] = values
            elif isinstance(places, int):
                waiting[places] = values
            else:
                each = np.broadcast_to(values, (len(places), *of_one))
                waiting.update(zip(places, each, strict=True))
            while place in waiting:
                found = waiting.pop(place)
                is_unread = isinstance(found, ImageReadError)
                if is_unread:
                    unread.append(found)
                if not is_unread or on_error == "nan":
                    if not rows:
                        n_left = min(n_rows, n_images - place)
                        block = np.empty((n_left, *of_one), dtype)
                    block[len(rows)] = np.nan if is_unread else found
                    rows.append(place)
                place += 1
                if len(rows) == n_rows:
                    yield block, rows
                    rows = []
    warn_unreadable(unread, n_images, on_error)
    if rows:
        yield block[: len(rows)], rows


def label_rows(
    transformer: BaseEstimator, values: np.ndarray, rows: Sequence[int], X: Any
) -> Any:
    """Return the rows that are left after some were skipped, under their own index.

    Parameters
    ----------
    transformer : estimator
        Its ``set_output`` says whether a data frame is wanted.

    values : ndarray of shape (n_rows, n_features)
        The rows that are left.

    rows : sequence of int
        Their places in ``X``.

    X : sequence of sources
        What was given to ``transform``.

    Returns
    -------
    values : ndarray or DataFrame
        A data frame, if wanted, has those labels of the Series ``X`` that are left;
        for other inputs the places. Its columns have their names, for steps that see
        it before scikit-learn has named them.

    Examples
    --------
    >>> import numpy as np
    >>> from featad import FilterBankFeatures
    >>> from featad.images import label_rows
    >>> features = FilterBankFeatures(pooling="max").set_output(transform="pandas")
    >>> sources = ["a.png", "unreadable.png", "c.png"]
    >>> label_rows(features, np.zeros((2, 16)), [0, 2], sources).index.tolist()
    [0, 2]
    """
    if values.ndim != 2 or output_container(transformer) != "pandas":
        return values
    index = X.index if isinstance(X, pd.Series) else pd.RangeIndex(len(X))
    try:
        names = cast(Any, transformer).get_feature_names_out()
    except ValueError:  # a reader without a size does not know them
        names = None
    return pd.DataFrame(values, index=index[list(rows)], columns=names)


def warn_unreadable(
    errors: Sequence[ImageReadError], n_sources: int, on_error: str
) -> None:
    """Warn once about images that could not be read, counting and naming them.

    Parameters
    ----------
    errors : sequence of ImageReadError
        One per image. Without any, there is no warning.

    n_sources : int
        Number of images in the input.

    on_error : {"skip", "nan"}
        What was done with the unreadable images.

    Raises
    ------
    ImageReadError
        If every image would be skipped, so that none is left.

    Examples
    --------
    >>> import warnings
    >>> from featad.errors import ImageReadError
    >>> from featad.images import warn_unreadable
    >>> error = ImageReadError("a.png", "the file is empty")
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warn_unreadable([error], 3, "skip")
    >>> len(told)
    1
    """
    if not errors:
        return
    if on_error == "skip" and len(errors) == n_sources:
        raise all_unreadable(errors)
    verb = "Left out" if on_error == "skip" else "Filled with NaN"
    named = "; ".join(f"{error.source!s} ({error.reason})" for error in errors[:10])
    more = f"; and {len(errors) - 10} more" if len(errors) > 10 else ""
    plural = "image that" if len(errors) == 1 else "images that"
    warnings.warn(
        f"{verb} {len(errors)} {plural} could not be read: {named}{more}.",
        ImageReadWarning,
        stacklevel=3,
    )


def all_unreadable(errors: Sequence[ImageReadError]) -> ImageReadError:
    """Return the error to raise when none of the images can be read."""
    first = errors[0]
    return ImageReadError(
        first.source, f"{first.reason}; none of the {len(errors)} images could be read"
    )
