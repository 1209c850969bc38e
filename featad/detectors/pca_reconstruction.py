"""Anomalous samples are poorly rebuilt from the principal components."""

from numbers import Integral

import numpy as np
from sklearn.decomposition import PCA

from featad._blocks import row_blocks
from featad.base import COUNT, BaseDetector, Interval, RealNotInt, StrOptions
from featad.entry import Entry

_FOLDS = 5  # of the threshold "held-out"; each holds out every fifth sample


class PCAReconstruction(BaseDetector):
    """Score a sample by what is lost when it is rebuilt from its principal components.

    Parameters
    ----------
    n_components : int or float in (0, 1), default=0.97
        Number of components, or the share of the variance they must explain. At most
        ``n_features - 1`` are kept, because with all of them nothing is ever lost.

    threshold : {"training", "held-out"}, default="training"
        Of which scores of the training samples the threshold is a quantile: of those
        that ``score_samples`` gives them, or of those they have under as many
        components of the other samples, found in five more fits. With fewer samples
        than features only the second one holds for new samples.

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
        options={"threshold": "held-out"},
    )
    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "n_components": [
            COUNT,
            Interval(RealNotInt, 0, 1, closed="neither"),
        ],
        "threshold": [StrOptions({"training", "held-out"})],
    }

    def __init__(self, n_components=0.97, *, contamination=0.05, threshold="training"):
        self.n_components = n_components
        self.contamination = contamination
        self.threshold = threshold

    def _fit(self, X: np.ndarray) -> None:
        X = X.reshape(len(X), -1)
        self.mean_, self.components_ = _principal_axes(X, self.n_components)

    def _strangeness(self, X: np.ndarray) -> np.ndarray:
        return _residuals(X.reshape(len(X), -1), self.mean_, self.components_)

    def _training_scores(self, X: np.ndarray) -> np.ndarray:
        if self.threshold == "training":
            return super()._training_scores(X)
        if len(X) == 1:
            raise ValueError(
                "PCAReconstruction(threshold='held-out') needs at least 2 samples, got "
                "1 sample."
            )
        X = X.reshape(len(X), -1)
        scores = np.empty(len(X))
        for fold in range(min(_FOLDS, len(X))):
            held_out = np.arange(len(X)) % _FOLDS == fold
            axes = _principal_axes(X[~held_out], max(1, len(self.components_)))
            scores[held_out] = -_residuals(X[held_out], *axes)
        return scores


def _principal_axes(
    X: np.ndarray, n_components: int | float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the samples and their main directions."""
    X = X.astype(np.float64, copy=False)
    solver = "covariance_eigh" if X.shape[0] > X.shape[1] else "full"
    if isinstance(n_components, Integral):
        n_components = min(n_components, *X.shape)
    with np.errstate(invalid="ignore"):  # 0 / 0 where all samples are equal
        pca = PCA(n_components, svd_solver=solver).fit(X)
    variances = pca.explained_variance_
    noise = np.finfo(X.dtype).eps * max(X.shape) * variances[0]
    return pca.mean_, pca.components_[variances > noise][: X.shape[1] - 1]


def _residuals(X: np.ndarray, mean: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Return the squared distance of each sample from the plane of the components."""
    residual = np.empty(len(X))
    for rows in row_blocks(*X.shape):
        centered = X[rows] - mean
        kept = centered @ components.T
        residual[rows] = np.einsum("ij,ij->i", centered, centered)
        residual[rows] -= np.einsum("ij,ij->i", kept, kept)
    return np.maximum(residual, 0)  # 0 where rounding leaves less
