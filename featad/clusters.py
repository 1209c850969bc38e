"""Scoring on the workers of a Dask cluster: batches go out, results come in order."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from itertools import islice
from typing import Any

from sklearn.base import BaseEstimator

from featad.batches import Attempt, Batch, iter_batches
from featad.cluster_work import Model, as_it_is, score_partition, versions
from featad.errors import ClusterError, ImageReadError, MissingExtraError
from featad.images import Notes, describe_source, local_path
from featad.resuming import Known

ANSWER = 10.0
"""Seconds in which a scheduler has to answer, and to have a worker."""

PATIENCE = 60.0
"""Seconds that a run waits for a worker after it has lost all of them."""

PARTITION = 256
"""Images that a worker is given at a time, at most, unless a batch is larger."""

_AHEAD = 3  # partitions that the workers have at a time, for each of their threads
_LOOK = 2.0  # seconds between two looks for workers


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a scheduler.

    Parameters
    ----------
    address : str
        Such as ``"tcp://10.0.0.1:8786"``, or host and port.

    Yields
    ------
    client : dask.distributed.Client

    Raises
    ------
    MissingExtraError
        If Dask is not installed.

    ClusterError
        If no scheduler answers.
    """
    distributed = _distributed()
    try:
        client = distributed.Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address!r}. Start one with `dask "
            "scheduler`, which prints its address, and workers with `dask worker "
            "ADDRESS`."
        ) from error
    with client:
        yield client


class Workers:
    """The workers of a cluster, who score batches as this process does.

    A partition is a few batches in a row, so that a batch holds the same images as it
    does without workers. Few partitions are with the workers at a time, so that neither
    the scheduler nor this process grows with the number of images.

    Parameters
    ----------
    client : dask.distributed.Client

    system : estimator

    load : callable or None
        Returns the system on a worker, once for each system. None sends ``system``.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.

    TypeError
        If ``client`` is not a client that waits for results.

    ClusterError
        If there are no workers.
    """

    def __init__(
        self,
        client: Any,
        system: BaseEstimator,
        load: Callable[[], BaseEstimator] | None = None,
    ) -> None:
        self._dask = _distributed()
        if not isinstance(client, self._dask.Client) or client.asynchronous:
            raise TypeError(
                "client must be a dask.distributed.Client that is not asynchronous, "
                f"but is a {type(client).__name__}. Pass Client(address)."
            )
        self._client = client
        self._address = client.scheduler.address
        self._system = system
        self._load = load
        try:
            client.wait_for_workers(1, timeout=ANSWER)
        except self._dask.TimeoutError:
            raise ClusterError(self._has_no_workers(ANSWER)) from None
        self._check_packages()

    def _check_packages(self):
        """Refuse workers without featad: they would end when they are given work."""
        found = self._client.run(find_spec, "featad", on_error="return")
        for worker, spec in found.items():
            if spec is None or isinstance(spec, Exception):
                raise ClusterError(
                    f"The worker at {worker} does not have featad. Install it on all "
                    "machines, in the same version."
                )

    def attempts(
        self,
        sources: Sequence[Any],
        places: Sequence[int],
        batch_size: int,
        on_error: str,
        known: Known | None,
        notes: Notes,
    ) -> Iterator[tuple[list[str], Attempt]]:
        """Yield the names of each batch, in order, and what came of it.

        Parameters
        ----------
        sources : sequence of sources

        places : sequence of int
            See `featad.batches.iter_batches`.

        batch_size : int

        on_error : {"skip", "raise"}

        known : Known or None
            The batches of earlier runs.

        notes : Notes
            Takes what the workers notice about images.
        """
        waiting: deque[tuple[list[Batch], Any]] = deque()
        submit = self._submitter(on_error, known)
        try:
            for partition in self._partitions(sources, places, batch_size):
                waiting.append((partition, submit(partition)))
                if len(waiting) >= _AHEAD * self._n_threads():
                    yield from self._first(waiting, notes)
            while waiting:
                yield from self._first(waiting, notes)
        except _losses() as error:
            raise ClusterError(
                f"The connection to the Dask scheduler at {self._address} was lost. "
                "What was scored is written."
            ) from error
        finally:
            for _, task in waiting:
                task.release()

    def _partitions(self, sources, places, batch_size):
        """Yield lists of batches: not large, and several for each thread."""
        n_batches = len(sources) // batch_size
        are_files = len(sources) and isinstance(sources[0], str | os.PathLike)
        most = PARTITION // batch_size if are_files else 1
        n_together = max(1, min(most, n_batches // (2 * _AHEAD * self._n_threads())))
        batches = iter_batches(sources, places, batch_size)
        while partition := list(islice(batches, n_together)):
            yield partition

    def _submitter(self, on_error, known):
        """Return what hands a partition to the workers.

        The model and the known batches are results of tasks, so that they are made
        again if the worker that holds them is lost.
        """
        import dask

        model = Model.of(self._system, self._load)
        with dask.config.set(
            {"distributed.admin.large-graph-warning-threshold": "1TB"}
        ):
            model = self._client.submit(as_it_is, model, pure=False)
            known = self._client.submit(as_it_is, known, pure=False)
        expected = versions()

        def submit(partition):
            sent = [[names, [*map(_sent, sources)]] for names, sources in partition]
            return self._client.submit(
                score_partition, model, known, sent, on_error, expected, pure=False
            )

        return submit

    def _first(self, waiting, notes):
        """Yield the results of the first partition that is waiting, and remove it."""
        partition, task = waiting[0]
        done = self._result(partition, task)
        waiting.popleft()
        task.release()
        for remark in done.remarks:
            notes.add(*remark)
        # an error that ends the run ends the partition, too
        for batch, found in zip(partition, done.attempts, strict=False):
            yield batch.names, found

    def _result(self, partition, task):
        """Return what a worker has made of a partition."""
        try:
            done = self._wait(task)
        except self._dask.KilledWorker as error:
            first, last = partition[0].names[0], partition[-1].names[-1]
            raise ClusterError(
                "Workers died one after another while they had the images from "
                f"{first} to {last}, or the next ones. Their logs may say why. If "
                "memory was short, lower the batch size, give the workers more memory, "
                "or leave out the largest images."
            ) from error
        except ModuleNotFoundError as error:
            raise ClusterError(
                f"A Dask worker cannot import {error.name!r}. Install on all machines "
                "what is installed on this one, in the same versions."
            ) from error
        if done.sees_nothing:
            for source in (s for batch in partition for s in batch.sources):
                if isinstance(source, str | os.PathLike) and os.path.exists(source):
                    raise ClusterError(
                        f"The worker at {done.worker} does not see the file "
                        f"{describe_source(source)!r}. Put the images into a folder "
                        "that all machines have under the same name, such as a network "
                        "drive."
                    )
        return done

    def _wait(self, task):
        """Return a result, but do not wait for ever if there are no workers."""
        last_seen = time.monotonic()
        while True:
            try:
                return task.result(timeout=_LOOK)
            except self._dask.TimeoutError:
                now = time.monotonic()
                if self._client.nthreads():
                    last_seen = now
                elif now - last_seen > PATIENCE:
                    raise ClusterError(self._has_no_workers(PATIENCE)) from None

    def _n_threads(self):
        return max(1, sum(self._client.nthreads().values()))

    def _has_no_workers(self, seconds):
        return (
            f"The Dask scheduler at {self._address} has had no workers for "
            f"{seconds:.0f} s. Start some with `dask worker {self._address}`."
        )


def _sent(source):
    """Return a source as a worker takes it: paths are absolute."""
    if isinstance(source, memoryview | BytesIO):  # neither pickles as it is
        return bytes(source) if isinstance(source, memoryview) else source.getvalue()
    if not isinstance(source, str | os.PathLike):
        return source
    try:
        return os.path.abspath(local_path(source))
    except ImageReadError:  # the worker says the same
        return os.fsdecode(source)


def _losses():
    """Return what Dask raises where the connection to the scheduler is lost."""
    from distributed.client import CancelledError, ClosedClientError

    return OSError, CancelledError, ClosedClientError


def _distributed():
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError(
            "A cluster needs Dask: pip install 'featad[dask]'."
        ) from error
    return distributed
