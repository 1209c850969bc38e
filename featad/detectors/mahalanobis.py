"""Anomalous samples are far from the mean, in shrunk standard deviations."""

from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from featad._validation import check_samples, warn_of_anomalies
from featad.base import BaseDetector, StrOptions
from featad.covariance import estimate
from featad.entry import Entry
from featad.kept_covariance import KeepsCovariance, check_number


class Mahalanobis(KeepsCovariance, BaseDetector):
    """Score a sample by its Mahalanobis distance under a Ledoit-Wolf covariance.

    Parameters
    ----------
    threshold : {"training", "held-out"}, default="training"
        Of which scores of the training samples the threshold is a quantile: of those
        that ``score_samples`` gives them, or of ``held_out_scores_``. With fewer
        samples than features only the second one holds for new samples.

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

    moments_ : dict of str to int, float or ndarray
        What ``partial_fit`` needs to go on.

    held_out_scores_ : ndarray of shape (n_samples,), float64, or None
        Score of each training sample under the covariance of all others, shrunk as that
        of all samples is. None where the others' covariance is not of full rank, and
        after ``partial_fit``. `featad.CalibratedDetector` takes its threshold from
        them.

    Notes
    -----
    The strangeness is the *squared* distance, which has no unit. It equals
    ``sklearn.covariance.LedoitWolf().fit(X_train).mahalanobis(X)``, which inverts the
    covariance in time n_features cubed. Here only its axes are computed, in time
    n_samples * n_features * min(n_samples, n_features), because outside the axes the
    shrunk covariance is a multiple of the identity. Directions without variance are
    ignored, as by a pseudo-inverse.

    Where there are fewer samples than features, all training samples lie about equally
    far from their mean and new samples lie farther. A threshold taken from the training
    scores then calls most new samples anomalous; ``threshold="held-out"`` and
    `featad.calibrate` take it from ``held_out_scores_``, by which a share of about
    ``contamination`` of new normal samples is called anomalous. They have a closed
    form: with n samples, their empirical covariance S, the shrinkage s, the residual
    variance r, C = (1 - s) n / (n - 1) S + r I, u the difference from the mean times
    n / (n - 1) and q = u' C^-1 u, the squared distance to the others is
    q / (1 - (1 - s) q / n).

    Where there are as many samples as features, or more, they are read block by block:
    once for the covariance, and once for the threshold. ``X`` may be a memory-mapped
    file that is larger than the memory, also of float16. Samples that come in parts,
    or never end, go to ``partial_fit``.

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
        options={"threshold": "held-out"},
    )

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "threshold": [StrOptions({"training", "held-out"})],
    }

    def __init__(self, *, contamination=0.05, threshold="training"):
        self.contamination = contamination
        self.threshold = threshold

    _takes_halves = True

    def partial_fit(self, X: Any, y: Any = None) -> "Mahalanobis":
        """Learn from further samples; those of earlier calls, and of ``fit``, count.

        The result is that of ``fit`` on all samples, within rounding. Each call
        computes the axes of an (n_features, n_features) matrix, so pass thousands of
        samples at a time. The threshold is from the scores of the samples of this call.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            As for ``fit``; at least two samples in the first call.

        y : object, default=None
            Not used.

        Returns
        -------
        self : Mahalanobis
            The fitted detector.

        Raises
        ------
        ValueError
            As for ``fit``; if samples have another shape than before.
        """
        self._validate_params()
        n_before = self._n_seen()
        X = check_samples(self, X, reset=not n_before)
        warn_of_anomalies(self, y)
        check_number(self, n_before + len(X))
        table = X.reshape(len(X), -1)
        n_samples = self._add(table)
        held_out = self._covariance().leave_one_out(table, n_samples)
        self.held_out_scores_ = None if held_out is None else -held_out
        self._set_offset(X)
        self.held_out_scores_ = None  # those of all samples are not known
        return self

    def _fit(self, X: np.ndarray) -> None:
        check_number(self, len(X))
        X = X.reshape(len(X), -1)
        self._adopt(*estimate(X))
        held_out = self._covariance().leave_one_out(X)
        self.held_out_scores_ = None if held_out is None else -held_out

    def _training_scores(self, X: np.ndarray) -> np.ndarray:
        if self.threshold == "training":
            return super()._training_scores(X)
        if self.held_out_scores_ is None:
            raise ValueError(
                "Mahalanobis(threshold='held-out') needs more samples that differ: "
                "without one of them, the covariance of the others is not of full "
                "rank. Pass more samples, or threshold='training'."
            )
        return self.held_out_scores_

    def _strangeness(self, X: np.ndarray) -> np.ndarray:
        return self._covariance().squared_lengths(X.reshape(len(X), -1))
