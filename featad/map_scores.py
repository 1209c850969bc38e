"""The one rule by which a map of what is anomalous becomes a score, and smoothing."""

import numpy as np
from scipy.ndimage import gaussian_filter

REDUCTIONS = ("mean", "top1%", "max")
"""What ``score_by`` calls the ways from a map to a score."""


def n_largest(how: str, n_values: int) -> int:
    """Return how many of the largest values of a map are averaged to its score.

    Parameters
    ----------
    how : {"mean", "max"} or "top<share>%"
        ``"mean"`` takes all values, ``"max"`` takes one, and ``"top1%"`` takes the
        largest hundredth, but at least one.

    n_values : int
        Number of values of one map.

    Returns
    -------
    n_largest : int

    Examples
    --------
    >>> [n_largest(how, 784) for how in ("mean", "top1%", "max")]
    [784, 8, 1]
    """
    if how == "mean":
        return n_values
    if how == "max":
        return 1
    share = float(how.removeprefix("top").removesuffix("%")) / 100
    return max(1, round(share * n_values))


def reduce_maps(maps: np.ndarray, how: str) -> np.ndarray:
    """Return one score per map.

    Parameters
    ----------
    maps : ndarray of shape (n_maps, ...)
        High = anomalous.

    how : {"mean", "max"} or "top<share>%"
        See :func:`n_largest`.

    Returns
    -------
    strangeness : ndarray of shape (n_maps,), float64
        Mean of the largest values of each map, high = anomalous.

    Examples
    --------
    >>> reduce_maps(np.array([[0.0, 1.0, 2.0, 9.0]]), "top50%")
    array([5.5])
    """
    values = maps.reshape(len(maps), -1)
    n_values = values.shape[1]
    first = n_values - n_largest(how, n_values)
    if first > 0:
        values = np.partition(values, first, axis=1)[:, first:]
    return values.mean(axis=1, dtype=np.float64)


def smooth_maps(maps: np.ndarray, sigma: float) -> np.ndarray:
    """Return maps blurred by a Gaussian filter.

    Parameters
    ----------
    maps : ndarray of shape (n_maps, height, width)

    sigma : float
        Standard deviation of the filter, in positions of the map. 0 leaves the maps as
        they are. Beyond the border, a map is its own mirror image.

    Returns
    -------
    maps : ndarray of the same shape and type
    """
    if sigma == 0:
        return maps
    return gaussian_filter(maps, sigma, axes=(1, 2))


def as_maps(X: np.ndarray) -> np.ndarray:
    """Return samples as (n, height, width, n_features): a row is one position."""
    if X.ndim == 2:
        return X[:, None, None]
    return X[..., None] if X.ndim == 3 else X
