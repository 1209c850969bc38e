"""Anomalous samples are far from the mean, in shrunk standard deviations."""

import numpy as np
from sklearn.decomposition import PCA

from featad.base import BaseDetector
from featad.entry import Entry


class Mahalanobis(BaseDetector):
    """Score a sample by its Mahalanobis distance under a Ledoit-Wolf covariance.

    Parameters
    ----------
    contamination : float in (0, 0.5], default=0.05
        Fraction of the training samples placed beyond the threshold.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,), float64
        Mean of the training samples.

    shrinkage_ : float in [0, 1]
        Weight of the multiple of the identity in the covariance.

    components_ : ndarray of shape (n_components, n_features), float64
        Axes of the covariance, at most ``min(n_samples, n_features)``, unit length.

    variances_ : ndarray of shape (n_components,), float64
        Variance of the shrunk covariance along each axis, descending.

    residual_variance_ : float
        Variance of the shrunk covariance in every direction outside the axes.

    sample_shape_ : tuple of int
        Shape of one sample.

    n_features_in_ : int
        Product of ``sample_shape_``.

    feature_names_in_ : ndarray of str
        Column names, where ``fit`` saw a data frame.

    offset_ : float
        The threshold on the scale of ``score_samples``.

    Notes
    -----
    The strangeness is the *squared* distance, which has no unit. It equals
    ``sklearn.covariance.LedoitWolf().fit(X_train).mahalanobis(X)``, which inverts the
    covariance in time n_features cubed. Here only its axes are computed, in time
    n_samples * n_features * min(n_samples, n_features), because outside the axes the
    shrunk covariance is a multiple of the identity. Directions without variance are
    ignored, as by a pseudo-inverse.

    References
    ----------
    .. [1] Ledoit and Wolf, "A well-conditioned estimator for large-dimensional
       covariance matrices", Journal of Multivariate Analysis 88, 2004.
    .. [2] Rippel, Mertens and Merhof, "Modeling the distribution of normal data in
       pre-trained deep features for anomaly detection", ICPR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import Mahalanobis
    >>> X = np.random.default_rng(0).normal(size=(50, 2)) * [1, 10]
    >>> Mahalanobis().fit(X).predict([[0, 20], [20, 0]])
    array([ 1, -1])
    """

    _entry = Entry(
        "mahalanobis",
        "far from the mean, in units of the shrunk covariance",
        "Ledoit and Wolf 2004; Rippel et al. 2021",
        grid={"reduce": ["passthrough", PCA(0.97), PCA(0.997)]},
        stats=True,
    )

    def __init__(self, *, contamination=0.05):
        self.contamination = contamination

    def _fit(self, X: np.ndarray) -> None:
        n_samples = len(X)
        if n_samples < 2:
            raise ValueError(
                "Mahalanobis needs at least 2 samples to estimate a covariance, got "
                "1 sample."
            )
        X = X.reshape(n_samples, -1).astype(np.float64)
        n_features = X.shape[1]
        solver = "covariance_eigh" if n_samples > n_features else "full"
        with np.errstate(invalid="ignore"):  # 0 / 0 where all samples are equal
            pca = PCA(svd_solver=solver).fit(X)
        variances = pca.explained_variance_ * (n_samples - 1) / n_samples
        norms = np.einsum("ij,ij->i", X - pca.mean_, X - pca.mean_)
        self.location_, self.components_ = pca.mean_, pca.components_
        self.shrinkage_ = _shrinkage(variances, norms, n_features)
        self.residual_variance_ = self.shrinkage_ * variances.sum() / n_features
        self.variances_ = (1 - self.shrinkage_) * variances + self.residual_variance_

    def _strangeness(self, X: np.ndarray) -> np.ndarray:
        X = X.reshape(len(X), -1) - self.location_
        along = (X @ self.components_.T) ** 2
        outside = np.einsum("ij,ij->i", X, X) - along.sum(axis=1)
        outside = np.maximum(outside, 0)  # 0 where rounding leaves less
        if len(self.components_) == X.shape[1]:
            outside = np.zeros_like(outside)
        return along @ self._inverse(self.variances_) + outside * self._inverse(
            self.residual_variance_
        )

    def _inverse(self, variances: np.ndarray | float) -> np.ndarray:
        """Return 1 / variances, and 0 for those that are 0 within rounding."""
        variances = np.asarray(variances)
        floor = self.variances_.max() * self.location_.size * np.finfo(np.float64).eps
        kept = variances > floor
        return np.divide(1.0, variances, out=np.zeros_like(variances), where=kept)


def _shrinkage(variances: np.ndarray, norms: np.ndarray, n_features: int) -> float:
    """Return Ledoit and Wolf's shrinkage from the spectrum and the squared norms.

    The sums over entries of the covariance in the paper are sums over its eigenvalues,
    ``variances`` (n_components,), and over the samples, ``norms`` (n_samples,).
    """
    n_samples = len(norms)
    squared = np.sum(variances**2)  # of all entries of the covariance
    distance = squared - variances.sum() ** 2 / n_features  # to the identity's multiple
    error = (np.mean(norms**2) - squared) / n_samples
    if n_features == 1 or distance <= 0 or error <= 0:
        return 0.0
    return float(min(error / distance, 1.0))
