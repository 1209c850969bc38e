"""Anomalous samples are poorly rebuilt from the principal components."""

from numbers import Integral

import numpy as np
from sklearn.decomposition import PCA

from featad.base import COUNT, BaseDetector, Interval, RealNotInt
from featad.entry import Entry


class PCAReconstruction(BaseDetector):
    """Score a sample by what is lost when it is rebuilt from its principal components.

    Parameters
    ----------
    n_components : int or float in (0, 1), default=0.97
        Number of components, or the share of the variance they must explain. At most
        ``n_features - 1`` are kept, because with all of them nothing is ever lost.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,), float64
        Mean of the training samples.

    components_ : ndarray of shape (n_components, n_features), float64
        The main directions, orthogonal and of unit length.

    Notes
    -----
    The strangeness is the squared length of the residual ``x - rebuilt(x)``, in the
    squared unit of ``X``: the squared distance from the mean minus the squared length
    of the projection. Components without variance are dropped too, so that for a single
    sample, or equal ones, the distance from the mean remains.

    References
    ----------
    .. [1] Jackson and Mudholkar, "Control procedures for residuals associated with
       principal component analysis", Technometrics 21, 1979.

    Examples
    --------
    >>> from featad.detectors import PCAReconstruction
    >>> detector = PCAReconstruction(n_components=1, contamination=0.25)
    >>> detector.fit([[0, 0], [1, 1.1], [2, 1.9], [3, 3]]).predict([[4, 4], [0, 3]])
    array([ 1, -1])
    """

    _entry = Entry(
        "pca",
        "poorly rebuilt from the principal components",
        "Shyu et al. 2003",
        grid={"detector__n_components": [0.8, 0.9, 0.97]},
    )
    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "n_components": [
            COUNT,
            Interval(RealNotInt, 0, 1, closed="neither"),
        ],
    }

    def __init__(self, n_components=0.97, *, contamination=0.05):
        self.n_components = n_components
        self.contamination = contamination

    def _fit(self, X: np.ndarray) -> None:
        X = X.reshape(len(X), -1).astype(np.float64)
        solver = "covariance_eigh" if X.shape[0] > X.shape[1] else "full"
        n_components = self.n_components
        if isinstance(n_components, Integral):
            n_components = min(n_components, *X.shape)
        with np.errstate(invalid="ignore"):  # 0 / 0 where all samples are equal
            pca = PCA(n_components, svd_solver=solver).fit(X)
        self.mean_ = pca.mean_
        variances = pca.explained_variance_
        noise = np.finfo(X.dtype).eps * max(X.shape) * variances[0]
        kept = pca.components_[variances > noise]
        self.components_ = kept[: X.shape[1] - 1]

    def _strangeness(self, X: np.ndarray) -> np.ndarray:
        X = X.reshape(len(X), -1) - self.mean_
        kept = X @ self.components_.T
        residual = np.einsum("ij,ij->i", X, X) - np.einsum("ij,ij->i", kept, kept)
        return np.maximum(residual, 0)  # 0 where rounding leaves less
