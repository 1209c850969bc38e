"""Thresholds with a known false alarm rate, from normal samples alone."""

import warnings
from math import ceil, floor
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn import pipeline
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.svm import OneClassSVM
from sklearn.utils import indexable
from sklearn.utils.validation import check_is_fitted

from featad._sklearn import num_samples, safe_indexing
from featad._validation import CONVERT, check_labels, shorten
from featad.base import BaseMetaDetector, HasMethods, Interval
from featad.pipeline import Pipeline
from featad.systems import last_step, only_learner, split_stateless


class CalibratedDetector(BaseMetaDetector):
    """Give a system p-values, and a threshold with a chosen false alarm rate.

    The system is fitted on all samples. Its threshold comes from scores of held-out
    normal samples, which copies of the system did not see in ``fit``. It therefore
    holds for new images, unlike a quantile of the training scores. Anomalies are not
    used for it.

    Parameters
    ----------
    estimator : estimator
        A detector or a pipeline that ends in one; has ``fit`` and ``score_samples``.
        It is cloned; the object itself is never fitted.

    target_fpr : float in (0, 1), default=0.01
        Accepted share of normal samples that are called anomalous.

    cv : int or splitter, default=5
        Number of folds of the normal samples, at most one per sample; or an object
        whose ``split(X, y)`` yields training and test indices. It may hold out each
        normal sample at most once. A number is not used where one fit is enough, see
        Notes.

    random_state : int, RandomState instance or None, default=None
        Shuffles the normal samples before they are folded, and seeds every
        ``random_state`` inside ``estimator`` that is None.

    Attributes
    ----------
    estimator_ : estimator
        The system, fitted on all samples.

    calibration_scores_ : ndarray of shape (n_calibration,), float64
        Scores of held-out normal samples, ascending.

    offset_ : float
        The threshold on the scale of ``score_samples``.

    n_features_in_ : int
        Number of features, if ``estimator_`` knows it.

    feature_names_in_ : ndarray of str
        Column names, if ``estimator_`` was given a data frame.

    Warns
    -----
    UserWarning
        If there are too few normal samples for ``target_fpr``; the message says how
        many are needed and which rate holds instead. Also if ``y`` cannot be used.

    Notes
    -----
    With n calibration scores, the p-value of a sample is (1 + the number of calibration
    scores that are not above its score) / (n + 1). A sample is called anomalous exactly
    when its p-value is at most ``target_fpr``. For new normal samples, the probability
    of that is at most ``target_fpr``, on average over calibration sets.

    ``X`` is passed on as it is: a table, images, a data frame, a Series or a list of
    paths. Put feature extraction that learns nothing in front of this detector, not
    inside it, so that it runs once instead of ``cv + 1`` times: see `calibrate`.

    A detector that knows how each training sample scores under a fit on the others,
    as `Mahalanobis` does, says so by its attribute ``held_out_scores_`` (n_samples,).
    Where nothing is learned before it, the system is fitted once and calibrated by
    these scores. A splitter is followed all the same, since its folds may keep images
    of one part together.

    Differs from the paper: the p-values of [1]_ and [2]_ come from one held-out set
    and are exactly valid. Here, as in [3]_, every fold is held out in turn, and new
    samples are scored by a system fitted on all samples. This uses every sample and is
    approximately valid; it errs on the safe side if fitting on more samples raises
    scores. It assumes that scores of fits on most and on all samples are comparable.
    Scores of a one-class SVM grow with the number of samples and are rescaled to those
    of the fit on all samples. PCA that keeps a share of the variance keeps the same
    number of components in every fold.

    References
    ----------
    .. [1] Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005.
    .. [2] Bates, Candès, Lei, Romano and Sesia, "Testing for outliers with conformal
       p-values", Annals of Statistics 51, 2023.
    .. [3] Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial
       Intelligence 74, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.calibration import CalibratedDetector
    >>> from featad.detectors import KMeansDistance
    >>> X = np.random.default_rng(0).normal(size=(199, 2))
    >>> detector = CalibratedDetector(
    ...     KMeansDistance(random_state=0), target_fpr=0.05, random_state=0
    ... )
    >>> detector.fit(X).predict([[0, 0], [9, 9]])
    array([ 1, -1])
    >>> detector.p_values([[9, 9]])
    array([0.005])
    """

    _parameter_constraints: dict = {
        **BaseMetaDetector._parameter_constraints,
        "target_fpr": [Interval(Real, 0, 1, closed="neither")],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split"])],
    }

    def __init__(self, estimator, *, target_fpr=0.01, cv=5, random_state=None):
        self.estimator = estimator
        self.target_fpr = target_fpr
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "CalibratedDetector":
        """Fit the system on all samples and its threshold on held-out normal ones.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What the estimator takes: a table, images, or paths.

        y : array-like of shape (n_samples,), default=None
            1 normal, -1 anomalous, 0 unlabeled. None means that all are normal. All
            samples and labels go to the estimator's ``fit``; only normal samples
            calibrate. If ``y`` contains no -1, it is not used for calibration, as in
            scikit-learn's detectors; a warning says so unless all labels are 1.

        Returns
        -------
        self : CalibratedDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If ``y`` contains -1 and other values than 1 and 0, there are fewer than 2
            normal samples, ``cv`` holds out no normal sample or the same one twice, or
            a score is not a number.
        """
        self._validate_params()
        estimator = self._new_estimator().fit(X, y)  # bad input fails here, as a whole
        X, y = indexable(X, y)
        labels = _calibration_labels(y, num_samples(X))
        scores = self._known_scores(estimator, labels)
        if scores is None:
            scores = self._out_of_fold_scores(estimator, X, y, labels)
        self._calibrate(scores)
        self.estimator_ = estimator
        return self

    def p_values(self, X: Any) -> np.ndarray:
        """Return the p-value of each sample under the hypothesis that it is normal.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            As for ``score_samples``.

        Returns
        -------
        p_values : ndarray of shape (n_samples,), float64
            Between 1 / (n_calibration + 1) and 1; low = anomalous.
        """
        return self.p_values_from_scores(self.score_samples(X))

    def p_values_from_scores(self, scores: ArrayLike) -> np.ndarray:
        """Return the p-values that belong to scores of ``score_samples``.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Scores, high = normal.

        Returns
        -------
        p_values : ndarray of shape (n_samples,), float64
            Between 1 / (n_calibration + 1) and 1; low = anomalous. NaN where the score
            is NaN.
        """
        check_is_fitted(self)
        not_above = np.searchsorted(self.calibration_scores_, scores, side="right")
        p_values = (1 + not_above) / (1 + len(self.calibration_scores_))
        return np.where(np.isnan(scores), np.nan, p_values)

    def _known_scores(self, fitted: Any, labels: np.ndarray) -> np.ndarray | None:
        """Return held-out scores of normal samples, where one fit knows them."""
        scores = getattr(only_learner(fitted), "held_out_scores_", None)
        if scores is None or not isinstance(self.cv, Integral):
            return None
        if len(scores) != len(labels) or (labels == 1).sum() < 2:
            return None
        return scores[labels == 1]

    def _out_of_fold_scores(
        self, fitted: Any, X: Any, y: Any, labels: np.ndarray
    ) -> np.ndarray:
        """Return scores of normal samples under refits on the other folds."""
        scores = []
        for train, test in self._folds(X, y, labels):
            fold = _sized_like(fitted, self._new_estimator(), len(train))
            fold.fit(safe_indexing(X, train), _rows(y, train))
            unit = _unit(fitted) / _unit(fold)
            scores.append(unit * fold.score_samples(safe_indexing(X, test)))
        return np.concatenate(scores).astype(np.float64)

    def _folds(self, X: Any, y: Any, labels: np.ndarray) -> list:
        """Return training indices and those of held-out normal samples, per fold."""
        normal = np.flatnonzero(labels == 1)
        if len(normal) < 2:
            raise ValueError(
                "CalibratedDetector needs at least 2 normal samples (label 1), got "
                f"{len(normal)} sample{'s' * (len(normal) != 1)}."
            )
        everything = np.arange(len(labels))
        if isinstance(self.cv, Integral):  # anomalies stay in the training part
            n_splits = min(self.cv, len(normal))
            cv = KFold(n_splits, shuffle=True, random_state=self.random_state)
            tests = [normal[test] for _, test in cv.split(normal)]
            return [(np.setdiff1d(everything, test), test) for test in tests]
        folds = [
            (everything[train], np.intersect1d(everything[test], normal))
            for train, test in self.cv.split(X, y)
        ]
        folds = [(train, test) for train, test in folds if len(test)]
        held_out = np.concatenate([normal[:0], *(test for _, test in folds)])
        if len(held_out) == 0 or len(np.unique(held_out)) < len(held_out):
            raise ValueError(
                f"cv={self.cv} must hold out normal samples, each at most once, but it "
                f"holds out {len(np.unique(held_out))} of {len(normal)}, "
                f"{len(held_out)} times in all."
            )
        return folds

    def _calibrate(self, scores: np.ndarray) -> None:
        if np.isnan(scores).any():
            raise ValueError(
                f"{type(self.estimator).__name__} gave {np.isnan(scores).sum()} of "
                f"{len(scores)} held-out normal samples a score that is not a number."
            )
        n = len(scores)
        rank = floor(self.target_fpr * (n + 1))
        if (rank + 1) / (n + 1) <= self.target_fpr:  # lost to rounding
            rank += 1
        if rank == 0:
            warnings.warn(
                f"{n} held-out normal samples are too few for target_fpr="
                f"{self.target_fpr}, which needs {ceil(1 / self.target_fpr) - 1}; the "
                f"threshold has a false alarm rate of {1 / (n + 1):.3g} instead.",
                UserWarning,
            )
        self.calibration_scores_ = np.sort(scores)
        self.offset_ = float(self.calibration_scores_[max(rank, 1) - 1])


def calibrate(
    system: Any,
    *,
    target_fpr: float = 0.01,
    cv: Any = 5,
    random_state: Any = None,
) -> Pipeline:
    """Return an unfitted copy of a system whose last step is calibrated.

    Leading steps that learn nothing, such as feature extraction, stay in front and run
    once per image. The rest is wrapped in a `CalibratedDetector`.

    Parameters
    ----------
    system : estimator
        A detector or a pipeline that ends in one.

    target_fpr : float in (0, 1), default=0.01
        Accepted share of normal samples that are called anomalous.

    cv : int or splitter, default=5
        Folds of the normal samples, see `CalibratedDetector`.

    random_state : int, RandomState instance or None, default=None
        Shuffles the normal samples before they are folded, and seeds every
        ``random_state`` inside the wrapped part that is None.

    Returns
    -------
    calibrated : Pipeline
        The steps that learn nothing, then ``"detector"``, a `CalibratedDetector`.

    Raises
    ------
    ValueError
        If the last step of ``system`` is calibrated already.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import Normalizer
    >>> from featad.detectors import KMeansDistance
    >>> system = calibrate(make_pipeline(Normalizer(), PCA(2), KMeansDistance()))
    >>> list(system.named_steps)
    ['normalizer', 'detector']
    """
    if isinstance(last_step(system), CalibratedDetector):
        raise ValueError(
            "The system is calibrated already. Set the parameters of its "
            "CalibratedDetector, or pass the system without it."
        )
    head, tail = split_stateless(system)
    detector = CalibratedDetector(
        clone(tail), target_fpr=target_fpr, cv=cv, random_state=random_state
    )
    if head is None:
        return Pipeline([("detector", detector)])
    steps = [*clone(head).steps, ("detector", detector)]
    return Pipeline(
        steps,
        memory=system.memory,
        verbose=system.verbose,
        drop_anomalies=getattr(system, "drop_anomalies", True),
    )


def _calibration_labels(y: Any, n_samples: int) -> np.ndarray:
    """Return labels, 1 = used to calibrate; warn if ``y`` cannot be used."""
    found = [1] if y is None else list(dict.fromkeys(np.asarray(y).ravel().tolist()))
    if -1 in found:
        return check_labels(y, n_samples=n_samples, allow_unlabeled=True)
    if found != [1]:
        warnings.warn(
            f"y holds {shorten(found)} but no -1; labels are 1 (normal), -1 "
            f"(anomalous) and 0 (unlabeled). y is not used to calibrate: all "
            f"{n_samples} samples count as normal. {CONVERT}",
            UserWarning,
        )
    return np.ones(n_samples, dtype=np.int64)


def _unit(system: Any) -> float:
    """Return what the scores of a fitted system are proportional to.

    It is 1, except for a one-class SVM, which weighs its kernels by coefficients whose
    sum, nu * n_samples, grows with the training set.
    """
    detector = last_step(system)
    if hasattr(detector, "estimator_"):
        return _unit(detector.estimator_)
    return (
        float(detector.dual_coef_.sum()) if isinstance(detector, OneClassSVM) else 1.0
    )


def _sized_like(fitted: Any, system: Any, n_samples: int) -> Any:
    """Give PCA in an unfitted system the number of components of a fitted copy.

    With a share of the variance, each fold would choose another number, and scores of
    different folds could not be compared.
    """
    if isinstance(system, pipeline.Pipeline):
        for (_, mine), (_, theirs) in zip(system.steps, fitted.steps, strict=True):
            _sized_like(theirs, mine, n_samples)
    components = getattr(fitted, "components_", ())
    if len(components) and isinstance(getattr(system, "n_components", None), float):
        system.set_params(n_components=max(1, min(len(components), n_samples - 1)))
    return system


def _rows(y: Any, indices: np.ndarray) -> Any:
    return None if y is None else safe_indexing(y, indices)
