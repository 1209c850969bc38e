"""Anomalous samples are far from every center of a k-means that reads batches."""

from collections.abc import Callable, Iterator

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from threadpoolctl import threadpool_limits

from featad.base import COUNT
from featad.entry import Entry
from featad.nearest import NearestPoint
from featad.streamed import BATCH, StreamedDetector


class MiniBatchKMeansDistance(StreamedDetector):
    """Score a sample by its distance to the nearest cluster, for millions of samples.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of centers, at most ``n_samples``.

    Attributes
    ----------
    centers_ : ndarray of shape (n_clusters, n_features), float32 or float64
        The centers, among whitened samples.

    Notes
    -----
    The strangeness is the Euclidean distance among whitened samples, as that of
    `KMeansDistance` after `featad.ShrunkWhitening`. Centers from k-means of 1,024
    samples become the running means of all samples that are nearest to them [1]_. Three
    passes read the samples: for the covariance, for the centers and for the threshold,
    which "held-out" takes from a part.

    References
    ----------
    .. [1] Sculley, "Web-scale k-means clustering", WWW 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import MiniBatchKMeansDistance
    >>> X = np.random.default_rng(0).normal(size=(5000, 3)) * [1, 2, 3]
    >>> detector = MiniBatchKMeansDistance(2, random_state=0).fit(X)
    >>> detector.predict([[0, 0, 0], [0, 0, 20]])
    array([ 1, -1])
    """

    _entry = Entry(
        "mbkmeans",
        "far from every center of a mini-batch k-means, for millions of images",
        "Sculley 2010",
        grid={"detector__n_clusters": [1, 4, 8, 16]},
        options={"threshold": "held-out"},
    )
    _parameter_constraints: dict = {
        **StreamedDetector._parameter_constraints,
        "n_clusters": [COUNT],
    }

    def __init__(
        self,
        n_clusters=8,
        *,
        contamination=0.05,
        threshold="training",
        random_state=None,
    ):
        super().__init__(
            contamination=contamination, threshold=threshold, random_state=random_state
        )
        self.n_clusters = n_clusters

    def _learn(
        self,
        batches: Callable[[], Iterator[np.ndarray]],
        n_samples: int,
        random: np.random.RandomState,
    ) -> None:
        n_clusters = min(self.n_clusters, n_samples, BATCH)
        with threadpool_limits(1, user_api="openmp"):  # sums in a fixed order
            start = KMeans(n_clusters, n_init=3, random_state=random)
            centers = start.fit(next(batches())).cluster_centers_
            kmeans = MiniBatchKMeans(
                n_clusters,
                init=centers,
                n_init=1,
                reassignment_ratio=0,
                compute_labels=False,
                random_state=random,
            )
            for batch in batches():
                kmeans.partial_fit(batch)
        self.centers_ = kmeans.cluster_centers_

    def _judge(self, whitened: np.ndarray) -> np.ndarray:
        return NearestPoint(self.centers_.astype(np.float64)).query(whitened)[0]
