"""Images through a network in batches: read ahead, looked up, extracted once."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from featad.errors import ImageReadError
from featad.features.cache import FeatureCache
from featad.images import (
    content_hash,
    describe_source,
    map_images,
    read_image,
    reason_of,
)

Launch = Callable[[np.ndarray], Callable[[], np.ndarray]]
"""Starts a batch of pixels; what it returns waits for the features."""


@dataclass
class _Image:
    rows: list[int]  # several where the input holds the same image again
    pixels: np.ndarray | None
    key: str | None = None
    known: np.ndarray | None = None


def stream_features(
    sources: Sequence,
    reading: Mapping[str, Any],
    launch: Launch,
    *,
    batch_size: int,
    n_jobs: int | None,
    cache: FeatureCache | None,
    verbose: bool,
) -> Iterator[tuple[Any, np.ndarray | ImageReadError]]:
    """Yield features as they are ready, not in the order of the sources.

    Images are read in threads while the network runs. Only the images of two batches
    and those read ahead are in memory. With a cache, a file is read once for its hash
    and its pixels, and the look-up, the network and the storing of a batch are one step
    that no other process with the same extractor can enter: nothing is extracted twice.

    Parameters
    ----------
    sources : sequence of sources

    reading : mapping
        Arguments of :func:`featad.images.read_image`.

    launch : callable
        Takes float32 (n, height, width, 3).

    batch_size : int

    n_jobs : int or None
        Threads that read.

    cache : FeatureCache or None

    verbose : bool
        Show a progress bar on stderr.

    Yields
    ------
    rows : int or list of int
        Places in ``sources``.

    values : float32 ndarray or ImageReadError
        Features: (n_features,), for all these rows, or (n_rows, n_features).
    """
    batch: list[_Image] = []
    running: deque = deque()
    images = map_images(_reader(reading, cache), sources, n_jobs=n_jobs)
    for index, image in tqdm(
        images, total=len(sources), unit="image", disable=not verbose
    ):
        if isinstance(image, ImageReadError):
            yield index, image
            continue
        if image.known is not None:
            yield index, image.known
            continue
        image.rows = [index]
        same = [other for other in batch if image.key and other.key == image.key]
        if same:
            same[0].rows.append(index)
        else:
            batch.append(image)
        if len(batch) == batch_size:
            yield from _run(batch, launch, cache, running)
            batch = []
    if batch:
        yield from _run(batch, launch, cache, running)
    for rows, collect in running:
        yield rows, collect()


def _reader(reading, cache):
    def read(source):
        if cache is None:
            return _Image([], read_image(source, **reading))
        contents = _contents(source)
        key = content_hash(contents)
        known = cache.get(key)
        if known is not None:
            return _Image([], None, key, known)
        try:
            return _Image([], read_image(contents, **reading), key)
        except ImageReadError as error:  # of bytes, which have no name
            raise ImageReadError(describe_source(source), error.reason) from error

    return read


def _contents(source):
    """Return a file's bytes, other sources as they are."""
    if not isinstance(source, str | os.PathLike):
        return source
    try:
        return Path(source).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise ImageReadError(describe_source(source), reason_of(error)) from error


def _run(batch, launch, cache, running):
    """Yield what is ready: with a cache this batch, else the one before it."""
    if cache is None:
        pixels = np.stack([image.pixels for image in batch])
        running.append(([image.rows[0] for image in batch], launch(pixels)))
        if len(running) > 1:
            rows, collect = running.popleft()
            yield rows, collect()
        return
    with cache.locked():  # whoever waited here may find the work done
        for image in batch:
            image.known = cache.get(image.key)
        missing = [image for image in batch if image.known is None]
        if missing:
            values = launch(np.stack([image.pixels for image in missing]))()
            for image, row in zip(missing, values, strict=True):
                cache.put(image.key, row)
                image.known = row
    for image in batch:
        yield image.rows, image.known
