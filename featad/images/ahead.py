"""Reading the files of the next batch while one is worked on."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from featad.images.budget import PixelBudget

Attempt = Callable[[int, Sequence, PixelBudget], Any]
"""Reads the source at a place, once its pixels fit into the budget."""


class Reading:
    """Threads that read sources in their order, ahead of those that are taken.

    Parameters
    ----------
    n_threads : int
    """

    def __init__(self, n_threads: int) -> None:
        self._budget = PixelBudget()
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="featad-images")
        self._waiting: deque[Future] = deque()

    def take(
        self, attempt: Attempt, sources: Sequence, n_taken: int, n_held: int
    ) -> Iterator[tuple[int, Any]]:
        """Yield what comes of sources, one after the other.

        Parameters
        ----------
        attempt : callable
            Reads the source at a place.

        sources : sequence of sources
            Those that were started, if any, are the first ones.

        n_taken : int
            How many are yielded. Some of those that follow are started.

        n_held : int
            Results that are waited for at a time.
        """
        started = len(self._waiting)
        for place in range(n_taken):
            while len(self._waiting) < n_held and started < len(sources):
                job = self._pool.submit(attempt, started, sources, self._budget)
                self._waiting.append(job)
                started += 1
            yield place, self._waiting.popleft().result()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@dataclass
class _Started:
    read: Callable
    place: int  # of the first source that is read, and not taken yet
    reading: Reading


class ReadAhead:
    """The files of a run that is worked on in batches.

    Where `map_images` is given one batch after the other, it reads some files of the
    next one at the end of each, so that no thread waits for what is done between them.

    Parameters
    ----------
    sources : sequence of sources
        Of the whole run. Only files are read ahead.

    Examples
    --------
    >>> from contextlib import closing
    >>> from featad.images import ReadAhead
    >>> with closing(ReadAhead(["a.png", "b.png"])) as ahead, ahead.given():
    ...     pass  # score a.png, then b.png
    """

    def __init__(self, sources: Sequence) -> None:
        self._sources = sources
        self._place = 0  # of the last batch
        self._started: list[_Started] = []

    @contextmanager
    def given(self) -> Iterator[None]:
        """Let this thread read on after each batch."""
        token = _given.set(self)
        try:
            yield
        finally:
            _given.reset(token)

    def find(self, batch: Sequence) -> int | None:
        """Return the place of a batch in the run, None where it is not of this run.

        Parameters
        ----------
        batch : sequence of sources
            Not before the last one that was found.
        """
        if not all(isinstance(source, str | os.PathLike) for source in batch):
            return None
        for place in range(self._place, len(self._sources) - len(batch) + 1):
            here = (self._sources[place + i] for i in range(len(batch)))
            if all(_is_same(*pair) for pair in zip(here, batch, strict=True)):
                self._place = place
                return place
        return None

    def take(
        self,
        read: Callable,
        attempt: Attempt,
        place: int,
        n_taken: int,
        n_held: int,
        n_threads: int,
    ) -> Iterator[tuple[int, Any]]:
        """Yield what comes of the batch at a place, and begin with the next one.

        Parameters
        ----------
        read : callable
            The threads that began with a batch go on for an equal function only.

        attempt, n_taken, n_held
            Reads one source; how many are yielded, and waited for at a time.

        place : int
            From `find`.

        n_threads : int
            If none have begun.
        """
        reading = self._resumed(read, place) or Reading(n_threads)
        rest = _Rest(self._sources, place)
        try:
            yield from reading.take(attempt, rest, n_taken, n_held)
        except BaseException:  # also where the caller stops
            reading.close()
            raise
        self._started.append(_Started(read, place + n_taken, reading))

    def _resumed(self, read: Callable, place: int) -> Reading | None:
        for started in self._started:
            if started.read == read:
                self._started.remove(started)
                if started.place == place:
                    return started.reading
                started.reading.close()
                break
        return None

    def close(self) -> None:
        """End all threads."""
        for started in self._started:
            started.reading.close()
        self._started = []


@dataclass(frozen=True)
class _Rest(Sequence):
    """The sources of a run from a place on."""

    sources: Sequence
    place: int

    def __len__(self) -> int:
        return len(self.sources) - self.place

    def __getitem__(self, index: Any) -> Any:
        return self.sources[self.place + index]


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


_given: ContextVar[ReadAhead | None] = ContextVar("read_ahead", default=None)


def given_run() -> ReadAhead | None:
    """Return what this thread was given, None outside of a run in batches."""
    return _given.get()
