"""Which of many points is the nearest, by products of matrices."""

import numpy as np

from featad._blocks import row_blocks, widened

_BATCH_VALUES = 2**19  # products held at a time: they fit into the cache of a processor


class NearestPoint:
    """Find the nearest of given points.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_features), float32 or float64

    variance : float in (0, 1] or None, default=None
        The nearest point is looked for along as many principal axes of the points as
        have this share of their variance, which takes less time; what lies outside them
        counts as one more axis. None: along all, which finds the nearest point exactly.

    Notes
    -----
    The nearest point has the largest product with a row, less half its own squared
    length. A further column makes that one product of matrices, which is most of the
    time. The distance is then computed again from differences in all features, because
    the products lose small distances. Points whose distances differ by less than the
    rounding of the products may be taken for one another.
    """

    def __init__(self, points: np.ndarray, variance: float | None = None):
        self._center = points.mean(axis=0)  # short vectors, little rounding
        self._points = points - self._center
        self._axes = None if variance is None else _axes(self._points, variance)
        columns = self._keys(self._points).T
        columns[-1] = np.einsum("ij,ij->j", columns[:-1], columns[:-1]) / -2
        self._columns = np.ascontiguousarray(columns)

    def query(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the distance to the nearest point of each row, and its index.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float16, float32 or float64

        Returns
        -------
        distances : ndarray of shape (n,), float32 or float64

        indices : ndarray of shape (n,), int64
        """
        row_size = max(self._columns.shape[1], X.shape[1])
        dtype = np.result_type(X, self._points)
        indices = np.empty(len(X), dtype=np.int64)
        distances = np.empty(len(X), dtype=dtype)
        for rows in row_blocks(len(X), row_size, _BATCH_VALUES):
            batch = widened(X[rows]) - self._center
            nearest = (self._keys(batch) @ self._columns).argmax(axis=1)
            indices[rows] = nearest
            batch -= self._points[nearest]
            distances[rows] = np.einsum("ij,ij->i", batch, batch)
        return np.sqrt(distances), indices

    def _keys(self, centered: np.ndarray) -> np.ndarray:
        """Return what is multiplied: rows, or their axes and the rest, and ones."""
        ones = np.ones((len(centered), 1), dtype=centered.dtype)
        if self._axes is None:
            return np.hstack([centered, ones])
        along = centered @ self._axes
        squares = np.einsum("ij,ij->i", centered, centered)
        outside = squares - np.einsum("ij,ij->i", along, along)
        outside = np.sqrt(np.maximum(outside, 0))
        return np.hstack([along, outside[:, None], ones])


def _axes(centered: np.ndarray, variance: float) -> np.ndarray | None:
    """Return principal axes as columns; None where most of them are needed."""
    values, vectors = np.linalg.eigh(centered.T @ centered)
    shares = np.cumsum(values[::-1]) / max(values.sum(), np.finfo(values.dtype).tiny)
    n_axes = int(np.searchsorted(shares, variance)) + 1
    return vectors[:, ::-1][:, :n_axes] if n_axes < len(values) / 2 else None
