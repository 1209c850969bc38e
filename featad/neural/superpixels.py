"""Superpixels: an image cut into patches that follow its edges."""

import numpy as np
from sklearn.cluster import KMeans

_ROUNDS = 10


def superpixels(
    image: np.ndarray, n_segments: int = 100, *, compactness: float = 0.1
) -> np.ndarray:
    """Cut an image into about as many patches of similar pixels.

    k-means of color and place together, from the centers of a regular grid.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels)
        In [0, 1].

    n_segments : int, default=100
        Approximate number of patches.

    compactness : float, default=0.1
        Difference in color that counts as much as the side of one patch. Larger values
        make the patches squarer.

    Returns
    -------
    segments : ndarray of shape (height, width), int
        Number of each pixel's patch.

    Notes
    -----
    Differs from the paper: every pixel may join any center, not only those nearby, and
    the parts of a patch need not be connected.

    References
    ----------
    .. [1] Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel
       methods", IEEE TPAMI 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.neural.superpixels import superpixels
    >>> image = np.zeros((8, 8, 1))
    >>> image[:, 4:] = 1
    >>> len(np.unique(superpixels(image, n_segments=4)))
    4
    """
    height, width = image.shape[:2]
    side = max(1.0, np.sqrt(height * width / n_segments))
    rows, columns = _centers(height, side), _centers(width, side)
    y, x = np.indices((height, width)) / side
    points = np.dstack([image, compactness * y, compactness * x])
    centers = points[rows][:, columns].reshape(-1, points.shape[-1])
    kmeans = KMeans(len(centers), init=centers, n_init=1, max_iter=_ROUNDS)
    return kmeans.fit_predict(points.reshape(height * width, -1)).reshape(height, width)


def _centers(length, side):
    """Return the pixels in the middle of parts about as long as ``side``."""
    n_parts = max(1, round(length / side))
    return ((np.arange(n_parts) + 0.5) * length / n_parts).astype(int)
