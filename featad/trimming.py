"""Contaminated training sets: fit, leave out the strangest samples, fit again."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import indexable

from featad._sklearn import num_samples, safe_indexing
from featad.base import BaseMetaDetector, Interval


class TrimmedDetector(BaseMetaDetector):
    """Fit a system without the strangest share of its training samples.

    Each round fits a copy of the system on the kept samples, scores all samples, and
    keeps all but the share ``contamination`` with the lowest scores. A sample that was
    left out can return in a later round.

    Parameters
    ----------
    estimator : estimator
        A detector or a pipeline that ends in one; has ``fit`` and ``score_samples``.
        It is cloned; the object itself is never fitted.

    contamination : float in (0, 0.5], default=0.05
        Share of the training samples that are assumed to be anomalies. They are left
        out of the last fit and lie beyond the threshold.

    n_rounds : int, default=3
        Maximum number of rounds. They end early if the kept samples stay the same.

    random_state : int, RandomState instance or None, default=None
        Seeds every ``random_state`` inside ``estimator`` that is None.

    Attributes
    ----------
    estimator_ : estimator
        The system, fitted on the kept samples.

    kept_ : ndarray of shape (n_samples,), bool
        Which training samples ``estimator_`` was fitted on.

    offset_ : float
        The threshold on the scale of ``score_samples``: the ``contamination``
        quantile of the scores of all training samples.

    n_features_in_ : int
        Number of features, if ``estimator_`` knows it.

    feature_names_in_ : ndarray of str
        Column names, if ``estimator_`` was given a data frame.

    Notes
    -----
    ``X`` is passed on as it is: a table, images, a data frame, a Series or a list of
    paths. A system that can reproduce each training sample, such as
    `PCAReconstruction` with many components, hides the anomalies among them. Trim with
    few components or a neighbor distance instead.

    Differs from the paper: the rounds are the concentration steps of [1]_, with any
    detector's score in place of the Mahalanobis distance. They start once, from all
    samples, instead of from many small subsets.

    References
    ----------
    .. [1] Rousseeuw and Van Driessen, "A fast algorithm for the minimum covariance
       determinant estimator", Technometrics 41, 1999.

    Examples
    --------
    >>> from featad.detectors import KMeansDistance
    >>> from featad.trimming import TrimmedDetector
    >>> X = [[0.0], [1.0], [2.0], [3.0], [50.0]]
    >>> system = TrimmedDetector(KMeansDistance(1), contamination=0.2)
    >>> system.fit(X).kept_
    array([ True,  True,  True,  True, False])
    """

    _parameter_constraints: dict = {
        **BaseMetaDetector._parameter_constraints,
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, estimator, *, contamination=0.05, n_rounds=3, random_state=None):
        self.estimator = estimator
        self.contamination = contamination
        self.n_rounds = n_rounds
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "TrimmedDetector":
        """Fit the system on what remains without the strangest samples.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What the estimator takes: a table, images, or paths.

        y : array-like of shape (n_samples,), default=None
            Passed to the estimator's ``fit``, without the samples left out.

        Returns
        -------
        self : TrimmedDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter is out of range, or the estimator rejects ``X``.
        """
        self._validate_params()
        estimator = self._new_estimator().fit(X, y)  # bad input fails here, as a whole
        scores = np.asarray(estimator.score_samples(X), dtype=np.float64)
        X, y = indexable(X, y)
        n_samples = num_samples(X)
        n_dropped = round(self.contamination * n_samples)
        kept = np.ones(n_samples, dtype=bool)
        for _ in range(self.n_rounds):
            before = kept
            kept = np.ones(n_samples, dtype=bool)
            kept[np.argsort(scores, kind="stable")[:n_dropped]] = False
            if (kept == before).all():
                break
            rows = np.flatnonzero(kept)
            estimator = self._new_estimator().fit(
                safe_indexing(X, rows), None if y is None else safe_indexing(y, rows)
            )
            scores = np.asarray(estimator.score_samples(X), dtype=np.float64)
        self.estimator_ = estimator
        self.kept_ = kept
        self.offset_ = float(np.percentile(scores, 100 * self.contamination))
        return self
