"""Running systems on folds: systems in, scores and times out."""

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.base import clone

from featad._progress import tracked
from featad.base import anomaly_scores
from featad.errors import FeatadError
from featad.metrics.scores import check_scores
from featad.model_selection import OneClassKFold, split_samples
from featad.shared_steps import after_shared_steps, fit_steps
from featad.systems import uses_labels

Fold: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Indices of the training and of the test samples."""


@dataclass(frozen=True)
class FoldScores:
    """What one system gave on all folds.

    Attributes
    ----------
    scores : list of ndarray
        For each fold the anomaly scores of its test samples.

    fit_seconds : float
        Seconds to fit, mean over folds, features of the training images included.

    images_per_second : float
        Images scored a second, features included.

    model_mb : float
        Megabytes that the last fitted copy holds, as a model file does before it is
        compressed: networks that are frozen are not in it. NaN where it cannot be
        written.
    """

    scores: list[np.ndarray]
    fit_seconds: float
    images_per_second: float
    model_mb: float


def make_folds(
    cv: Any,
    y: np.ndarray,
    random_state: int | np.random.RandomState | None,
    groups: Any = None,
) -> list[Fold]:
    """Return the folds that ``cv`` stands for.

    Parameters
    ----------
    cv : int, splitter, iterable of (train, test) or None
        As for :func:`featad.compare`.

    y : ndarray of shape (n_samples,)
        Labels: 1 normal, -1 anomalous.

    random_state : int, RandomState instance or None
        Seeds the default folds.

    groups : array-like of shape (n_samples,), default=None
        Samples with equal values stay on one side of each split.

    Returns
    -------
    folds : list of (train, test)

    Raises
    ------
    ValueError
        If there is no fold, one has nothing to train on or lacks a label to test, or
        a group is on both sides of a split.
    """
    if cv is None or isinstance(cv, Integral):
        cv = OneClassKFold(5 if cv is None else int(cv), random_state=random_state)
    folds = split_samples(cv, np.arange(len(y)), y, groups)
    if not folds:
        raise ValueError(
            "compare: cv holds no fold. Pass a splitter or [(train, test)]."
        )
    for number, (train, test) in enumerate(folds, start=1):
        counts = [int((y[test] == label).sum()) for label in (1, -1)]
        if not len(train) or not all(counts):
            raise ValueError(
                f"compare: fold {number} trains on {len(train)} samples and tests "
                f"{counts[0]} normal and {counts[1]} anomalous ones; it needs some of "
                "each. Use OneClassKFold or another split."
            )
    return folds


def drop_unused(
    X: Any, y: np.ndarray, folds: list[Fold]
) -> tuple[Any, np.ndarray, list[Fold]]:
    """Return samples, labels and folds without samples that occur in no fold."""
    used = np.unique(np.concatenate([index for fold in folds for index in fold]))
    if len(used) == len(y):
        return X, y, folds
    renumbered = [
        (np.searchsorted(used, train), np.searchsorted(used, test))
        for train, test in folds
    ]
    return _take(X, used), y[used], renumbered


def run_folds(
    systems: Mapping[str, Any],
    X: Any,
    y: np.ndarray,
    folds: list[Fold],
    on_progress: Callable[[int, int, str], None] | None = None,
    on_system: Callable[[dict[str, FoldScores]], None] | None = None,
) -> dict[str, FoldScores]:
    """Fit and test every system on the same folds.

    Parameters
    ----------
    systems : dict of str to estimator
        Unfitted systems by name; they are cloned, not changed.

    X : sequence of n_samples samples
        What the systems take. Every sample should occur in a fold: first steps that
        learn nothing run over all of them, once for all systems that share them.

    y : ndarray of shape (n_samples,)
        Labels, passed to ``fit``.

    folds : list of (train, test)
        From `make_folds`.

    on_progress : callable or None, default=None
        Called with ``(done, total, name)`` after each fold of each system.

    on_system : callable or None, default=None
        Called with what was found so far after each system.

    Returns
    -------
    found : dict of str to FoldScores
        In the order in which the systems ran.

    Raises
    ------
    FeatadError
        If a system fails; the message names it.
    """
    found: dict[str, FoldScores] = {}

    def rounds(name: str) -> Iterator[tuple[int, Fold]]:
        before, total = len(found) * len(folds), len(systems) * len(folds)
        told = tracked(folds, "fold", total, first=before)
        for number, fold in enumerate(told, start=1):
            yield number, fold
            if on_progress is not None:
                on_progress(before + number, total, name)

    copies = {name: clone(system) for name, system in systems.items()}
    for name, _, rest, features in after_shared_steps(
        copies, _Features(X, 0.0), _run_steps
    ):
        found[name] = _run_one(name, rest, features, y, folds, rounds(name))
        if on_system is not None:
            on_system(found)
        del features  # before the next group makes its own
    return found


class _Features(NamedTuple):
    """What shared steps made, and the seconds an image that they took."""

    X: Any
    seconds: float


def _run_one(
    name: str,
    system: Any,
    features: _Features,
    y: np.ndarray,
    folds: list[Fold],
    rounds: Iterator[tuple[int, Fold]],
) -> FoldScores:
    """Fit and test one system, after its shared steps, on each fold."""
    X, seconds = features
    scores, times = [], []
    for number, (train, test) in rounds:
        with _naming(name, f"fold {number} of {len(folds)}"):
            start = perf_counter()
            fitted = _unfitted(system).fit(_take(X, train), _labels(system, y[train]))
            middle = perf_counter()
            scored = anomaly_scores(fitted, _take(X, test))
            times.append((middle - start, perf_counter() - middle))
            scores.append(check_scores(y[test], scored)[1])
    n_train, n_test = np.array([[len(train), len(test)] for train, test in folds]).T
    fit_times, test_times = np.array(times).T
    return FoldScores(
        scores=scores,
        fit_seconds=float((fit_times + seconds * n_train).mean()),
        images_per_second=float(1 / (test_times.sum() / n_test.sum() + seconds)),
        model_mb=_megabytes(fitted),
    )


def _run_steps(
    steps: Sequence[Any], before: "_Features", name: str
) -> list["_Features"]:
    """Return the features of each step, and the seconds that all took an image.

    Each of the steps that share a pass of a network is charged all of it.
    """
    with _naming(name, type(steps[0]).__name__):
        fit_steps(steps, _take(before.X, [0]))  # loads the network outside the clock
        start = perf_counter()
        made = fit_steps(steps, before.X)
        seconds = before.seconds + (perf_counter() - start) / len(before.X)
    return [_Features(features, seconds) for features in made]


def _unfitted(system: Any) -> Any:
    """Return a copy that learns from all of a training set: the folds choose it."""
    system = clone(system)
    takes = "drop_anomalies" in system.get_params(deep=False)
    return system.set_params(drop_anomalies=False) if takes else system


class _Counter:
    """A file that keeps nothing but its length."""

    def __init__(self) -> None:
        self.n_bytes = 0

    def write(self, data: Any) -> int:
        n_bytes = memoryview(data).nbytes
        self.n_bytes += n_bytes
        return n_bytes


def _megabytes(fitted: Any) -> float:
    """Return the size of a fitted system; NaN if it cannot be pickled."""
    file = _Counter()
    try:
        pickle.dump(fitted, file, protocol=5)
    except (pickle.PicklingError, AttributeError, TypeError):
        return np.nan
    return file.n_bytes / 1e6


def _labels(system: Any, y: np.ndarray) -> np.ndarray | None:
    return None if uses_labels(system) is False else y


def _take(X: Any, index: Any) -> Any:
    if hasattr(X, "iloc"):
        return X.iloc[index]
    if hasattr(X, "shape"):
        return X[index]
    return [X[i] for i in index]


@contextmanager
def _naming(name: str, where: str) -> Iterator[None]:
    try:
        yield
    except FeatadError:  # about an image or the weights, and says which
        raise
    except Exception as error:
        raise FeatadError(
            f"System {name!r} failed in {where}: {type(error).__name__}: {error}"
        ) from error
