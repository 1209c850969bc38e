"""Anomalous samples have a patch that is far from every k-means center of patches."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from scipy.sparse import csr_array
from sklearn.cluster import KMeans
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits
from typing_extensions import Unpack

from featad._progress import tracked
from featad.base import COUNT
from featad.entry import Entry
from featad.nearest import NearestPoint
from featad.patch_detector import PatchDetector, PatchOptions


class PatchKMeans(PatchDetector):
    """Judge every position of a map by its distance to the nearest cluster of patches.

    Parameters
    ----------
    n_clusters : int, default=64
        Number of centers, at most the number of patches.

    max_patches : int, default=50_000
        Centers are learned from this many patches, drawn at random, or from all if
        there are fewer.

    random_state : int, RandomState instance or None, default=None
        Draws the patches and the initial centers.

    Attributes
    ----------
    centers_ : ndarray of shape (n_clusters, n_features), float32 or float64
        The centers.

    Notes
    -----
    The strangeness of a position is the Euclidean distance to the nearest center, in
    the unit of the features. One clustering from k-means++ runs on one thread, so that
    the same seed gives the same centers to the last bit. In a last round, the centers
    become the means of all patches that are nearest to them.

    For ``held_out_scores_``, the patches of a sample are taken out of these means.

    This is the plainest detector of patches. On magnetic tiles its AUROC is .73, where
    `PatchMemory` and `PatchGaussian` have .92.

    References
    ----------
    .. [1] MacQueen, "Some methods for classification and analysis of multivariate
       observations", Berkeley Symposium 1967.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import PatchKMeans
    >>> maps = np.random.default_rng(0).normal(size=(30, 6, 5, 4))
    >>> detector = PatchKMeans(8, smoothing=0, random_state=0).fit(maps)
    >>> maps[0, 2, 3] = 9
    >>> [int(i) for i in np.argwhere(detector.anomaly_map(maps[:1])[0] > 8)[0]]
    [2, 3]
    """

    _entry = Entry(
        "kmeans",
        "made of patches that are far from every k-means center",
        "MacQueen 1967",
        grid={"detector__n_clusters": [16, 64, 256]},
        options={"threshold": "held-out"},
        takes=("patches",),
    )
    _parameter_constraints: dict = {
        **PatchDetector._parameter_constraints,
        "n_clusters": [COUNT],
        "max_patches": [COUNT],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters=64,
        *,
        max_patches=50_000,
        random_state=None,
        **options: Unpack[PatchOptions],
    ):
        super().__init__(**options)
        self.n_clusters = n_clusters
        self.max_patches = max_patches
        self.random_state = random_state

    def _fit_maps(self, X: np.ndarray) -> Iterable[np.ndarray] | None:
        random = check_random_state(self.random_state)
        patches = X.reshape(-1, X.shape[-1])
        if len(patches) > self.max_patches:
            drawn = random.choice(len(patches), self.max_patches, replace=False)
            patches = patches[np.sort(drawn)]
        drawn = patches.astype(np.result_type(patches, np.float32), copy=False)
        n_clusters = min(self.n_clusters, len(drawn))
        seed = random.randint(2**31 - 1)
        with threadpool_limits(1, user_api="openmp"):  # sums in a fixed order
            kmeans = KMeans(n_clusters, n_init=1, random_state=seed).fit(drawn)
        found = kmeans.cluster_centers_
        labels = NearestPoint(found).query(X.reshape(-1, X.shape[-1]))[1]
        labels = labels.reshape(len(X), -1)
        sums, counts = np.zeros(found.shape), np.zeros(n_clusters)
        for one, its_labels in zip(X, labels, strict=True):
            its_sums, its_counts = _sums(one, its_labels, n_clusters)
            sums += its_sums
            counts += its_counts
        kept = counts > 0
        found[kept] = sums[kept] / counts[kept, None]
        self.centers_ = found
        return self._held_out(X, labels, sums, counts) if len(X) > 1 else None

    def _bytes_of_fit(self, shape: tuple[int, ...], dtype: np.dtype) -> int:
        *positions, n_features = shape
        n_patches = math.prod(positions)
        n_drawn = min(n_patches, self.max_patches)
        itemsize = np.result_type(dtype, np.float32).itemsize
        clustered = n_drawn * (4 * n_features * itemsize + 20 * 8)
        centers = 6 * min(self.n_clusters, n_drawn) * n_features * 8
        one_sample = 4 * n_patches // shape[0] * n_features * 8
        return clustered + centers + one_sample + 32 * n_patches

    def _held_out(self, X, labels, sums, counts) -> Iterator[np.ndarray]:
        for i in tracked(range(len(X)), "sample", len(X)):
            its_sums, its_counts = _sums(X[i], labels[i], len(counts))
            left = counts - its_counts
            centers = (sums - its_sums)[left > 0] / left[left > 0, None]
            distances = _distances(X[i : i + 1], centers.astype(self.centers_.dtype))
            yield self._score_of_map(distances)

    def _map(self, X: np.ndarray) -> np.ndarray:
        return _distances(X, self.centers_)


def _distances(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return the distance (n, height, width) of each position to the nearest center."""
    distances, _ = NearestPoint(centers).query(X.reshape(-1, X.shape[-1]))
    return distances.reshape(X.shape[:3])


def _sums(maps: np.ndarray, labels: np.ndarray, n_clusters: int):
    """Return the sum and the number of the patches in each cluster, in float64."""
    ones = np.ones(len(labels))
    rows = np.arange(len(labels) + 1)
    members = csr_array((ones, labels, rows), shape=(len(labels), n_clusters))
    patches = maps.reshape(len(labels), -1).astype(np.float64)
    return members.T @ patches, np.bincount(labels, minlength=n_clusters)
