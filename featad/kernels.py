"""Kernel matrices by matrix products, and the width that fits the distances."""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.metrics import euclidean_distances

MEDIAN_SAMPLES = 1000
"""From how many samples `median_width` is taken, evenly spread."""


def kernel_values(
    kernel: str, X: np.ndarray, Y: np.ndarray, gamma: float, degree: int, coef0: float
) -> np.ndarray:
    """Return the kernel of all pairs.

    Parameters
    ----------
    kernel : {"linear", "poly", "rbf", "sigmoid"}
        As in `sklearn.svm.OneClassSVM`.

    X, Y : ndarray of shape (n_samples, n_features) and (n_others, n_features), float64
        The samples. If they are one array, "rbf" takes half the products.

    gamma, degree, coef0 : float, int, float
        Parameters of the kernel.

    Returns
    -------
    values : ndarray of shape (n_samples, n_others), float64

    Raises
    ------
    ValueError
        If the values overflow.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0]])
    >>> kernel_values("rbf", X, X, gamma=1.0, degree=3, coef0=0.0).round(2)
    array([[1.  , 0.37],
           [0.37, 1.  ]])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if kernel == "rbf":
            values = _squared_distances(X, Y)
            values *= -gamma
            np.exp(values, out=values)
        else:
            values = X @ Y.T
            if kernel != "linear":
                values *= gamma
                values += coef0
            if kernel == "poly":
                np.power(values, degree, out=values)
            elif kernel == "sigmoid":
                np.tanh(values, out=values)
        finite = np.isfinite(values.sum())
    if not finite:
        raise ValueError(
            f"The kernel {kernel!r} of OneClassSVM overflows on X. Scale X, for "
            "example with StandardScaler."
        )
    return values


def median_width(X: Any) -> float:
    """Return 1 / the median squared distance of two samples, 1 if all are equal.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, n_features)
        The samples, of which at most ``MEDIAN_SAMPLES`` are taken.

    Returns
    -------
    gamma : float

    Examples
    --------
    >>> median_width(np.array([[0.0], [2.0]]))
    0.25
    """
    if issparse(X):
        X = X.tocsr()
    rows = X[spread(X.shape[0])]
    if not issparse(X):
        rows = rows - rows.mean(axis=0)
    squared = euclidean_distances(rows, squared=True)
    squared = squared[np.triu_indices(len(squared), 1)]
    median = np.median(squared) if len(squared) else 0
    if median == 0 and squared.any():  # most samples are equal: take the others
        median = np.median(squared[squared > 0])
    return 1 / float(median) if median > 0 else 1.0


def spread(n_samples: int) -> np.ndarray:
    """Return indices of at most ``MEDIAN_SAMPLES`` samples, evenly spread.

    Parameters
    ----------
    n_samples : int
        How many there are.

    Returns
    -------
    indices : ndarray of int

    Examples
    --------
    >>> spread(3)
    array([0, 1, 2])
    """
    n_rows = min(n_samples, MEDIAN_SAMPLES)
    return np.arange(n_rows) * n_samples // n_rows


def _squared_distances(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    center = Y.mean(axis=0)  # distances stay; products far from 0 lose digits
    same = X is Y
    Y = Y - center
    X = Y if same else X - center  # one array: half the products
    values = X @ Y.T
    values *= -2
    values += np.einsum("ij,ij->i", X, X)[:, None]
    values += np.einsum("ij,ij->i", Y, Y)
    return np.maximum(values, 0, out=values)
