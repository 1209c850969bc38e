"""Anomalous samples are far from their nearest normal neighbors."""

import numpy as np
from sklearn import neighbors

from featad._blocks import row_blocks
from featad.base import COUNT, BaseDetector, StrOptions
from featad.entry import Entry

_SAME = 1e-3  # of the usual distance to the nearest neighbor


class NearestNeighbors(BaseDetector):
    """Score a sample by the distance to its nearest neighbors among the normal ones.

    Parameters
    ----------
    n_neighbors : int, default=1
        Number of neighbors, at most ``n_samples - 1``; see ``n_neighbors_``.

    distance : {"kth", "mean"}, default="kth"
        Distance to the farthest of the neighbors, or mean distance to them.

    Attributes
    ----------
    samples_ : ndarray of shape (n_samples, n_features)
        The training samples.

    n_neighbors_ : int
        Number of neighbors used.

    tolerance_ : float
        Distance up to which a sample is considered to be a training sample itself.

    Notes
    -----
    The strangeness is a Euclidean distance, in the unit of ``X``. scikit-learn finds
    the neighbors; their distances are then computed again from differences in float64,
    because the fast formula loses small distances.

    A training sample is not its own neighbor. Otherwise all training samples would have
    a nearest distance of 0, the threshold would be meaningless, and no anomaly among
    them could be found. A detector cannot know where a sample comes from, so the
    nearest neighbor is ignored if it is the same sample within rounding, that is, not
    farther than ``tolerance_``: a thousandth of the median distance between a training
    sample and its nearest other one. This is far more than float32, and a matrix
    product whose rounding depends on the batch, can move a sample; in more than a few
    dimensions it is far less than the distance between different samples. A median is
    not affected by anomalies. If a training sample occurs several times, only one copy
    is ignored.

    Differs from the paper, which ignores no neighbor of a new sample that happens to
    equal a training sample.

    References
    ----------
    .. [1] Ramaswamy, Rastogi and Shim, "Efficient algorithms for mining outliers from
       large data sets", SIGMOD 2000 (k-th distance).
    .. [2] Angiulli and Pizzuti, "Fast outlier detection in high dimensional spaces",
       PKDD 2002 (sum of the distances).

    Examples
    --------
    >>> from featad.detectors import NearestNeighbors
    >>> detector = NearestNeighbors(contamination=0.25)
    >>> detector.fit([[0.0], [1.0], [2.0], [9.0]]).score_samples([[0.5], [9.0]])
    array([-0.5, -7. ])
    """

    _entry = Entry(
        "knn",
        "far from its nearest normal neighbor",
        "Ramaswamy et al. 2000; Bergman et al. 2020",
        grid={
            "detector__n_neighbors": [1, 5],
        },
        whiten=True,
    )
    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "n_neighbors": [COUNT],
        "distance": [StrOptions({"kth", "mean"})],
    }

    def __init__(self, n_neighbors=1, *, distance="kth", contamination=0.05):
        self.n_neighbors = n_neighbors
        self.distance = distance
        self.contamination = contamination

    def _fit(self, X: np.ndarray) -> None:
        self.samples_ = X.reshape(len(X), -1).copy()
        self.n_neighbors_ = min(self.n_neighbors, max(1, len(X) - 1))
        nearest = self._distances(self.samples_, 2)[:, -1]  # the other, not itself
        apart = nearest[nearest > 0]  # copies say nothing about what is usual
        self.tolerance_ = _SAME * float(np.median(apart)) if len(apart) else 0.0

    def _strangeness(self, X: np.ndarray) -> np.ndarray:
        k = self.n_neighbors_
        distances = self._distances(X.reshape(len(X), -1), k + 1)
        if distances.shape[1] > k:  # one to spare: leave out itself or the farthest
            itself = distances[:, :1] <= self.tolerance_
            distances = np.where(itself, distances[:, 1:], distances[:, :k])
        return distances.mean(axis=1) if self.distance == "mean" else distances[:, -1]

    def _distances(self, X: np.ndarray, n_neighbors: int) -> np.ndarray:
        """Return the ascending distances (n, n_neighbors) to the nearest samples."""
        samples = self.samples_
        n_neighbors = min(n_neighbors, len(samples))
        search = neighbors.NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute")
        search.fit(samples)
        distances = np.empty((len(X), n_neighbors))
        for rows in row_blocks(*X.shape):
            batch = X[rows].astype(np.float64)
            nearest = search.kneighbors(
                X[rows].astype(samples.dtype, copy=False), return_distance=False
            )
            for column in range(n_neighbors):
                difference = batch - samples[nearest[:, column]]
                distances[rows, column] = np.linalg.norm(difference, axis=1)
        return np.sort(distances, axis=1)
