"""Which of many points is the nearest: exact, by products of matrices."""

import numpy as np
from sklearn.utils import gen_batches

_BATCH_VALUES = 2**19  # products held at a time: they fit into the cache of a processor


class NearestPoint:
    """Find the nearest of given points.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_features), float32 or float64

    Notes
    -----
    The nearest point has the largest product with a row, less half its own squared
    length. A further column makes that one product of matrices, which is all the time
    it takes. The distance is then computed again from differences, because the products
    lose small distances. Points whose distances differ by less than the rounding of the
    products may be taken for one another.
    """

    def __init__(self, points: np.ndarray):
        self.points = points
        self._center = points.mean(axis=0)  # short vectors, little rounding
        centered = points - self._center
        half = np.einsum("ij,ij->i", centered, centered) / 2
        self._columns = np.vstack([centered.T, -half])  # (n_features + 1, n_points)

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
        n_features, n_points = self._columns.shape[0] - 1, self._columns.shape[1]
        size = max(1, _BATCH_VALUES // max(n_points, n_features))
        dtype = np.result_type(X, self._columns)
        rows_and_1 = np.ones((min(size, len(X)), n_features + 1), dtype=dtype)
        indices = np.empty(len(X), dtype=np.int64)
        distances = np.empty(len(X), dtype=dtype)
        for rows in gen_batches(len(X), size):
            batch = X[rows]
            n = len(batch)
            np.subtract(batch, self._center, out=rows_and_1[:n, :-1])
            nearest = (rows_and_1[:n] @ self._columns).argmax(axis=1)
            indices[rows] = nearest
            difference = batch - self.points[nearest]
            distances[rows] = np.einsum("ij,ij->i", difference, difference)
        return np.sqrt(distances), indices
