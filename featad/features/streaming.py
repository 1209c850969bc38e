"""Images through a network in batches: read ahead, looked up, extracted once."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from featad._progress import tracked
from featad.errors import ImageReadError
from featad.features.cache import Cache
from featad.images import (
    content_hash,
    describe_source,
    local_path,
    map_images,
    read_image,
    reason_of,
)

_PATIENCE = 8  # batches of known images that a batch waits for its last ones

Launch = Callable[[np.ndarray], Callable[[], np.ndarray]]
"""Starts a batch of pixels; what it returns waits for the features."""


_Ready = tuple[list[int], np.ndarray]  # rows, and the features of all or of each


@dataclass
class _Image:
    pixels: np.ndarray
    key: str = ""  # in the cache
    rows: list[int] = field(default_factory=list)  # several where it occurs again


def stream_features(
    sources: Sequence,
    reading: Mapping[str, Any],
    launch: Launch,
    *,
    batch_size: int,
    n_jobs: int | None,
    cache: Cache | None,
    verbose: bool,
) -> Iterator[tuple[Any, np.ndarray | ImageReadError]]:
    """Yield features as they are ready, not in the order of the sources.

    Images are read in threads while the network runs, a batch ahead. The images in
    memory are those of some batches and those that the threads hold (`map_images`),
    however many sources there are. With a cache, a file is read once for its hash and
    its pixels, and the look-up, the network and the storing of a batch are one step
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

    cache : FeatureCache, JointCache or None

    verbose : bool
        Show a progress bar on stderr.

    Yields
    ------
    rows : int or list of int
        Places in ``sources``.

    values : ndarray or ImageReadError
        Features of an image, for all these rows, or of one image for each of them.
    """
    batch: list[_Image] = []
    running: deque[tuple[list[int], Callable[[], np.ndarray]]] = deque()
    if cache is None:
        run = partial(_run_plain, launch=launch, running=running)
        read: Callable = partial(_read, reading)
    else:
        run = partial(_run_cached, launch=launch, cache=cache)
        read = partial(_find_or_read, reading, cache)
    images = map_images(read, sources, n_jobs=n_jobs, n_ahead=batch_size)
    shown = tqdm(images, total=len(sources), unit="image", disable=not verbose)
    for index, image in tracked(shown, "image", len(sources)):
        if isinstance(image, _Image):
            same = [other for other in batch if image.key and other.key == image.key]
            if not same:
                batch.append(image)
            (same or [image])[0].rows.append(index)
        else:  # an error, or known features
            yield index, image
        n_behind = index - batch[0].rows[0] if batch else 0
        if len(batch) == batch_size or n_behind >= _PATIENCE * batch_size:
            yield from run(batch)
            batch = []
    if batch:
        yield from run(batch)
    for rows, collect in running:
        yield rows, collect()


def _read(reading: Mapping[str, Any], source: Any) -> _Image:
    return _Image(read_image(source, **reading))


def _find_or_read(
    reading: Mapping[str, Any], cache: Cache, source: Any
) -> _Image | np.ndarray:
    """Return the features of a source from the cache, or read it."""
    contents = _contents(source)
    key = content_hash(contents)
    known = cache.get(key)
    if known is not None:
        return known
    try:
        return _Image(read_image(contents, **reading), key)
    except ImageReadError as error:  # of bytes, which have no name
        raise ImageReadError(describe_source(source), error.reason) from error


def _contents(source: Any) -> Any:
    """Return a file's bytes, other sources as they are."""
    if not isinstance(source, str | os.PathLike):
        return source
    try:
        return local_path(source).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise ImageReadError(describe_source(source), reason_of(error)) from error


def _run_plain(batch: list[_Image], launch: Launch, running: deque) -> Iterator[_Ready]:
    """Start a batch, and yield the one before it, which ran meanwhile."""
    pixels = np.stack([image.pixels for image in batch])
    running.append(([image.rows[0] for image in batch], launch(pixels)))
    if len(running) > 1:
        rows, collect = running.popleft()
        yield rows, collect()


def _run_cached(batch: list[_Image], launch: Launch, cache: Cache) -> Iterator[_Ready]:
    """Yield a batch, image by image, once it is complete and stored."""
    with cache.locked():  # whoever waited here may find the work done
        found = ((image.key, cache.get(image.key)) for image in batch)
        known = {key: row for key, row in found if row is not None}
        missing = [image for image in batch if image.key not in known]
        if missing:
            values = launch(np.stack([image.pixels for image in missing]))()
            for image, row in zip(missing, values, strict=True):
                known[image.key] = cache.put(image.key, row)
    for image in batch:
        yield image.rows, known[image.key]
