"""Anomalous samples are far from every k-means center."""

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from featad.base import COUNT, BaseDetector
from featad.entry import Entry


class KMeansDistance(BaseDetector):
    """Score a sample by its distance to the nearest cluster of normal samples.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of centers, at most ``n_samples``.

    random_state : int, RandomState instance or None, default=None
        Seeds the initial centers.

    Attributes
    ----------
    kmeans_ : sklearn.cluster.KMeans
        The fitted clustering.

    Notes
    -----
    The strangeness is the Euclidean distance, in the unit of ``X``. Of three
    clusterings from different k-means++ starts the one with the least inertia is kept.
    The clustering runs on one thread, so that the same seed gives the same centers to
    the last bit. Distances are computed from differences in float64, because
    ``KMeans.transform`` loses small ones.

    References
    ----------
    .. [1] MacQueen, "Some methods for classification and analysis of multivariate
       observations", Berkeley Symposium 1967.

    Examples
    --------
    >>> from featad.detectors import KMeansDistance
    >>> detector = KMeansDistance(n_clusters=2, contamination=0.25, random_state=0)
    >>> detector.fit([[0.0], [0.1], [5.0], [5.2]]).predict([[0.05], [9.0]])
    array([ 1, -1])
    """

    _entry = Entry(
        "kmeans",
        "far from every k-means center",
        "MacQueen 1967",
        grid={"detector__n_clusters": [1, 4, 8, 16]},
        whiten=True,
    )
    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "n_clusters": [COUNT],
        "random_state": ["random_state"],
    }

    def __init__(self, n_clusters=8, *, contamination=0.05, random_state=None):
        self.n_clusters = n_clusters
        self.contamination = contamination
        self.random_state = random_state

    def _fit(self, X: np.ndarray) -> None:
        n_clusters = min(self.n_clusters, len(X))
        self.kmeans_ = KMeans(n_clusters, n_init=3, random_state=self.random_state)
        with threadpool_limits(1, user_api="openmp"):  # sums in a fixed order
            self.kmeans_.fit(X.reshape(len(X), -1))

    def _strangeness(self, X: np.ndarray) -> np.ndarray:
        X = X.reshape(len(X), -1)
        centers = self.kmeans_.cluster_centers_
        nearest = centers[self.kmeans_.predict(X.astype(centers.dtype, copy=False))]
        return np.linalg.norm(X.astype(np.float64) - nearest, axis=1)
