"""A few samples that lie close to all others: greedy k-center selection."""

import numpy as np
from numpy.typing import DTypeLike

from featad._blocks import row_blocks
from featad._progress import within

N_CANDIDATES = 4096
"""Samples among which the next ones are chosen without a look at all others."""

_BATCH_VALUES = 2**20  # products held at a time
_SAME = 1e-6  # of the mean squared length of the samples: closer ones are copies


def greedy_coreset(
    X: np.ndarray,
    n_selected: int,
    *,
    n_projections: int | None = None,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Choose samples one by one, each the farthest from those that are chosen.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float16, float32 or float64
        The samples.

    n_selected : int
        Number of samples to choose. Fewer are chosen if all others are copies of them.

    n_projections : int or None, default=None
        Distances are measured after a random projection to this many dimensions. None,
        or fewer features than that: without projection.

    random_state : RandomState
        Draws the projection and the first sample.

    Returns
    -------
    selected : ndarray of shape (at most n_selected,), int64
        Indices, in the order of choice.

    Notes
    -----
    The choice is that of the greedy algorithm [1]_, without its pass over all samples
    for each one that is chosen. Distances to the chosen samples only shrink, so known
    distances are upper bounds. The candidates are the ``N_CANDIDATES`` samples with the
    largest bounds. The farthest of them is chosen, and the candidates' distances are
    brought up to date, again and again, until another sample could be farther. Then one
    product of matrices brings the distances of all samples up to date. Of 156,800
    patches of magnetic tiles, 1,568 are chosen in nine such rounds.

    Besides ``X``, memory holds what :func:`coreset_bytes` says.

    References
    ----------
    .. [1] Gonzalez, "Clustering to minimize the maximum intercluster distance",
       Theoretical Computer Science 38, 1985.
    """
    X = _projected(X, n_projections, random_state)
    squares = np.einsum("ij,ij->i", X, X)
    distances = np.full(len(X), np.inf, dtype=X.dtype)  # all distances are squared
    copies = _SAME * float(squares.mean())
    n_selected = min(n_selected, len(X))
    chosen = [int(random_state.randint(len(X)))]
    selected: list[int] = []
    while chosen:
        with within("patch", len(selected), n_selected):
            selected += chosen
            _update(distances, X, squares, chosen)
            chosen = _next(distances, X, n_selected - len(selected), copies)
    return np.array(selected)


def coreset_bytes(
    shape: tuple[int, int],
    dtype: DTypeLike,
    n_selected: int,
    n_projections: int | None,
) -> int:
    """Return how much memory :func:`greedy_coreset` needs besides ``X``, at most.

    It is for a copy of the samples, projected, in float32, or float64 if ``X`` is; for
    their lengths and distances; and for the products that are held at a time.

    Parameters
    ----------
    shape, dtype
        Those of ``X``.

    n_selected, n_projections
        As for :func:`greedy_coreset`.
    """
    n_samples, n_features = shape
    n_directions = min(n_features, n_projections or n_features)
    values = n_samples * (n_directions + 6)
    values += (N_CANDIDATES + n_selected) * n_directions * 3 + 4 * _BATCH_VALUES
    return values * np.result_type(dtype, np.float32).itemsize


def _next(distances, X, n_wanted, copies):
    """Return the next samples: as many as the candidates are sure to hold."""
    n_candidates = min(N_CANDIDATES, len(X))
    candidates = np.argpartition(distances, -n_candidates)[-n_candidates:]
    own, points = distances[candidates], X[candidates]
    others = own.min() if n_candidates < len(X) else 0.0
    chosen: list[int] = []
    while len(chosen) < n_wanted:
        farthest = own.argmax()
        if own[farthest] <= copies or own[farthest] < others:
            break
        chosen.append(int(candidates[farthest]))
        difference = points - points[farthest]
        np.minimum(own, np.einsum("ij,ij->i", difference, difference), out=own)
    return chosen


def _update(distances, X, squares, chosen):
    """Let the distances take account of the chosen samples."""
    points, half = X[chosen].T, squares[chosen] / 2
    for rows in row_blocks(len(X), len(chosen), _BATCH_VALUES):
        products = X[rows] @ points
        products -= half
        found = squares[rows] - 2 * products.max(axis=1)
        distances[rows] = np.minimum(distances[rows], np.maximum(found, 0))
    distances[chosen] = 0


def _projected(X, n_projections, random_state):
    """Return the samples from their mean, projected, as float32 or float64."""
    dtype = np.result_type(X, np.float32)
    n_samples, n_features = X.shape
    mean = X.mean(axis=0, dtype=np.float64).astype(dtype)
    if n_projections is None or n_projections >= n_features:
        directions = None
        out = np.empty((n_samples, n_features), dtype=dtype)
    else:
        directions = random_state.normal(size=(n_features, n_projections))
        directions = (directions / np.sqrt(n_projections)).astype(dtype)
        out = np.empty((n_samples, n_projections), dtype=dtype)
    for rows in row_blocks(n_samples, n_features, _BATCH_VALUES):
        centered = X[rows] - mean
        out[rows] = centered if directions is None else centered @ directions
    return out
