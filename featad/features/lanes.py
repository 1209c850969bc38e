"""Batches, or parts of one, through a network in threads that work side by side."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

_MOST = 4  # lanes; more threads than that work together within each
_LEAST = 2  # images of a part: torch rounds one alone in another way
_BESIDE = 2  # batches that run side by side, where a network uses all threads by itself
_here = threading.local()


def run_in_lanes(
    run: Callable[[np.ndarray], np.ndarray], batch: np.ndarray
) -> Callable[[], np.ndarray]:
    """Start a function of images on the parts of a batch.

    Threads that work on one image wait for one another after every layer. Where they
    share the processor's cores with threads that decode, or with other programs, all of
    them wait for the slowest. Threads that each have images of their own do not. What
    an image gives does not depend on the number of lanes either.

    Parameters
    ----------
    run : callable
        Takes images of the batch, and returns a row for each.

    batch : ndarray of shape (n, ...)

    Returns
    -------
    collect : callable
        Waits, and returns the rows (n, ...) of all images, or raises what ``run``
        raised. One image alone is run by all of torch's threads, before this returns.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.features.lanes import run_in_lanes
    >>> run_in_lanes(lambda images: 2 * images, np.arange(5))()
    array([0, 2, 4, 6, 8])
    """
    n_threads = torch.get_num_threads()
    if n_threads < 2 or len(batch) < _LEAST:
        rows = run(batch)
        return lambda: rows
    n_lanes = _n_lanes(n_threads)
    pool = _pool(n_lanes, n_threads)
    n_parts = min(n_lanes, len(batch) // _LEAST)
    parts = [pool.submit(run, part) for part in np.array_split(batch, n_parts)]
    return lambda: np.concatenate([part.result() for part in parts])


def run_beside(
    run: Callable[[np.ndarray], np.ndarray], batch: np.ndarray
) -> Callable[[], np.ndarray]:
    """Start a function of images on a whole batch.

    For networks that share threads out by themselves, as in OpenVINO. What torch does
    before and after runs beside the network of another batch.

    Parameters
    ----------
    run, batch
        As for `run_in_lanes`.

    Returns
    -------
    collect : callable
        Waits, and returns the rows of all images, or raises what ``run`` raised.
    """
    n_threads = torch.get_num_threads()
    if n_threads < _BESIDE:
        rows = run(batch)
        return lambda: rows
    return _pool(_BESIDE, n_threads).submit(run, batch).result


def total_threads() -> int:
    """Return torch's number of threads; in a lane, that of all lanes together."""
    return getattr(_here, "n_threads", None) or torch.get_num_threads()


def _n_lanes(n_threads: int) -> int:
    """Return how many lanes, of equal numbers of threads, leave the fewest threads."""
    lanes = range(2, min(n_threads, _MOST) + 1)
    return max(lanes, key=lambda n: (n_threads // n * n, n))


@lru_cache(maxsize=4)
def _pool(n_lanes: int, n_threads: int) -> ThreadPoolExecutor:
    """Return lanes that stay for the whole process; idle ones cost nothing."""

    def begin() -> None:
        _here.n_threads = n_threads
        torch.get_num_threads()  # sets the usual number, which the next line changes
        _openmp().limit(limits=n_threads // n_lanes)  # of this thread alone

    return ThreadPoolExecutor(n_lanes, "featad-network", begin)


@cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
