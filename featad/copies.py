"""Training samples that resemble one another too much for a calibration to hold."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.frozen import FrozenEstimator

from featad._sklearn import num_samples
from featad.datasets import first_copies
from featad.systems import name_sample, split_stateless

LEAST = 20  # samples: too few tell no nearness from chance
MAX_QUERIES = 300
MAX_PRODUCTS = 2e10  # multiplications: a few seconds
MAX_COLUMNS = 4096
SHARE = 0.2  # of the samples, beyond what chance brings
RULES = ((0.1, 0.5), (0.25, 0.1))  # rank of a neighbor, share of what is expected


def warn_of_copies(
    system: Any,
    X: Any,
    splits: list[tuple[np.ndarray, np.ndarray]],
    groups: ArrayLike | None = None,
) -> bool:
    """Warn of training samples that are equal, or nearly so.

    Parameters
    ----------
    system : estimator
        Its first steps make numbers of samples such as paths.

    X : sequence of n_samples samples

    splits : list of (train, test)
        Which samples are held out, and from which others.

    groups : array-like of shape (n_samples,), default=None
        Samples of one group may resemble each other.

    Returns
    -------
    differ : bool
        False if all samples are identical.

    Warns
    -----
    UserWarning
        One sentence: if all samples are identical; else, without groups, if many
        held-out samples have near-copies among those they are held out from; else if
        samples are exact copies of others, outside their own group.
    """
    table = _table(system, X)
    if table is None:
        return True
    if len(table) > 1 and (table[-1] == table[0]).all() and (table == table[0]).all():
        warnings.warn(
            f"All {len(table)} training samples are identical, so nothing can be "
            "learned of what is normal. Check the camera and the files.",
            UserWarning,
        )
        return False
    if groups is None:
        share, pairs = near_copies(table, splits)
        if share:
            warnings.warn(
                f"{share:.0%} of the held-out samples are near-copies of samples that "
                f"they are held out from, such as {_named(pairs, X)}: the threshold is "
                "too tight, and the false alarm rate will be higher than target_fpr. "
                "Pass groups, which say what samples show the same part.",
                UserWarning,
            )
            return True
    pairs = exact_copies(table)
    if groups is not None and len(pairs):
        names = np.asarray(groups)
        pairs = pairs[names[pairs[:, 0]] != names[pairs[:, 1]]]
    if len(pairs):
        warnings.warn(
            f"{len(pairs)} of {len(table)} training samples are exact copies of "
            f"others, such as {_named(pairs, X)}. Remove them, or pass groups that "
            "keep copies together.",
            UserWarning,
        )
    return True


def warn_of_shared_copies(X: Any, splits: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Warn where samples are tested whose copies are trained on.

    Parameters
    ----------
    X : sequence of n_samples samples
        Rows of a table, or images and other sources; files are compared by content.

    splits : list of (train, test)

    Warns
    -----
    UserWarning
        One sentence, with the number of such samples and the first of them.
    """
    if issparse(X):
        return
    rows = _numbers(X)
    pairs = exact_copies(X if rows is None else rows)
    if not len(pairs):
        return
    first = np.arange(num_samples(X))
    first[pairs[:, 1]] = pairs[:, 0]
    shared = [test[np.isin(first[test], first[train])] for train, test in splits]
    shared = [test for test in shared if len(test)]
    if shared:
        tested = np.unique(np.concatenate(shared))
        shown = ", ".join(name_sample(X, index) for index in tested[:3])
        warnings.warn(
            f"{len(tested)} samples, such as {shown}, are tested although exact copies "
            "of them are trained on: figures are too good. Remove copies, or pass "
            "groups that keep them together.",
            UserWarning,
        )


def exact_copies(samples: Any) -> np.ndarray:
    """Return the samples that equal an earlier one.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, ...), or sequence of sources
        Of files, the content is compared. What cannot be read has no copies.

    Returns
    -------
    pairs : ndarray of shape (n_copies, 2), int64
        The first of the equal samples, and the copy.

    Examples
    --------
    >>> exact_copies(np.array([[1.0], [2.0], [1.0]]))
    array([[0, 2]])
    """
    first = first_copies(samples if isinstance(samples, np.ndarray) else list(samples))
    copies = np.flatnonzero(first != np.arange(len(first)))
    return np.stack([first[copies], copies], axis=1)


def near_copies(
    table: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[float, np.ndarray]:
    """Return the held-out samples that lie much too near to a training sample.

    Parameters
    ----------
    table : ndarray of shape (n_samples, ...)

    splits : list of (train, test)
        Indices; a sample on both sides is held out from all others.

    Returns
    -------
    share : float
        Share of near-copies among the held-out samples that were looked at, 0 if that
        can be chance.

    pairs : ndarray of shape (n_pairs, 2), int64
        Training sample and held-out sample.

    Notes
    -----
    Among independent samples, distances to the k-th nearest neighbor grow as k to the
    power of 1 / m, where m is the number of dimensions in which the samples vary. From
    neighbors of higher rank, which are not in the same burst, m and the distance to the
    nearest neighbor are foretold. A sample that is nearer by a factor has a near-copy.
    Short bursts are found by neighbors at a tenth of the ranks and a factor of 2. Long
    ones, which resemble variants of a product, by a quarter and a factor of 10.

    At most 300 samples are looked at, fewer if there are many features.
    """
    n_samples = len(table)
    table = table.reshape(n_samples, -1)
    step = -(-table.shape[1] // MAX_COLUMNS)
    table = table[:, ::step].astype(np.float32)
    table -= table.mean(axis=0)
    n_queries = int(min(MAX_QUERIES, max(32, MAX_PRODUCTS // max(1, table.size))))
    found = list(_neighbors(table, splits, n_queries))
    none = 0.0, np.empty((0, 2), dtype=np.int64)
    if not found:
        return none
    for rank, factor in RULES:
        nearest, here, there = (
            np.concatenate(values)
            for values in zip(*(_ranked(part[1], rank) for part in found), strict=True)
        )
        rise = np.median(np.log(np.maximum(there, 1e-300) / np.maximum(here, 1e-300)))
        k = max(1, int(rank * found[0][1].shape[1])) + 1
        m = max(1.0, np.log((2 * k - 1) / k) / max(rise, 1e-9))
        near = nearest < factor * here * k ** (-1 / m)
        by_chance = 1 - np.exp(-(factor**m))
        if near.mean() > SHARE + by_chance:
            pairs = np.concatenate([part[0] for part in found])
            return float(near.mean()), pairs[near]
    return none


def _neighbors(
    table: np.ndarray, splits: list, n_queries: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs with the nearest, and sorted distances, of held-out samples."""
    square = np.einsum("ij,ij->i", table, table)
    rng = np.random.default_rng(0)
    n_tested = sum(len(test) for _, test in splits)
    for train, test in splits:
        if len(train) < LEAST:
            continue
        n = min(len(test), max(1, round(n_queries * len(test) / n_tested)))
        test = np.sort(rng.choice(test, n, replace=False))
        squared = square[test, None] + square - 2 * table[test] @ table.T
        outside = np.ones(len(table), dtype=bool)
        outside[train] = False
        squared[:, outside] = np.inf
        squared[np.arange(len(test)), test] = np.inf
        nearest = squared.argmin(axis=1)
        squared.sort(axis=1)
        # one less, in case a sample is on both sides
        distances = np.maximum(squared[:, : len(train) - 1], 0, dtype=np.float64)
        yield np.column_stack([nearest, test]), np.sqrt(distances)


def _ranked(distances: np.ndarray, rank: float) -> tuple[np.ndarray, ...]:
    """Return distances to the nearest, at a share of the ranks, and at twice that."""
    n = distances.shape[1]
    here = max(1, int(rank * n))
    return distances[:, 0], distances[:, here], distances[:, min(2 * here, n - 1)]


def _table(system: Any, X: Any) -> np.ndarray | None:
    """Return samples as numbers, None if they are not or a reader skips some."""
    if issparse(X):
        return None
    array = _numbers(X)
    frozen = isinstance(system, FrozenEstimator)
    head, _ = split_stateless(system.estimator if frozen else system)
    if array is None and head is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the fit has warned already
            array = _numbers(head.transform(X))
    return array if array is not None and len(array) == num_samples(X) else None


def _numbers(X: Any) -> np.ndarray | None:
    try:
        array = np.asarray(X)
    except ValueError:  # images of several sizes
        return None
    return array if array.ndim > 1 and array.dtype.kind in "fiub" else None


def _named(pairs: np.ndarray, X: Any) -> str:
    """Return the first pairs by name, where samples are files, or by number."""
    return "; ".join(
        " and ".join(name_sample(X, i) for i in pair) for pair in pairs[:3]
    )
