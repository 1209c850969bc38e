"""Thresholds with a known false alarm rate, from normal samples alone."""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import indexable
from sklearn.utils.validation import check_is_fitted

from featad.base import BaseMetaDetector, Interval, RealNotInt
from featad.conformal import HeldOutScores
from featad.holding_out import fit_and_hold_out
from featad.pipeline import Pipeline
from featad.refits import rows
from featad.systems import last_step, split_stateless


class CalibratedDetector(BaseMetaDetector):
    """Give a system p-values, and a threshold with a chosen false alarm rate.

    The threshold comes from scores of held-out normal samples, by systems that did not
    see them in ``fit``. It therefore holds for new images, unlike a quantile of the
    training scores. Anomalies are not used for it.

    Parameters
    ----------
    estimator : estimator
        A detector or a pipeline that ends in one; has ``fit`` and ``score_samples``.
        It is cloned; the object itself is never fitted. A ``FrozenEstimator`` is not
        fitted at all: all normal samples calibrate what it holds.

    target_fpr : float in (0, 1), default=0.01
        Accepted share of normal samples that are called anomalous.

    cv : int, float, splitter, iterable of (train, test) or None, default=None
        Which normal samples are held out. A number of folds, at most one for each
        sample or group: the system is fitted on all samples, and copies of it score
        each fold after a fit on the others. A share in (0, 1): the system is fitted on
        the rest. A splitter, or its splits: copies are fitted on them; each normal
        sample may be held out at most once. None: 5 folds, or a share of 0.3 where the
        detector trains networks.

    random_state : int, RandomState instance or None, default=None
        Shuffles the samples, or groups, before they are held out, and seeds every
        ``random_state`` inside ``estimator`` that is None.

    n_jobs : int, default=None
        Number of processes that fit copies. None is one.

    Attributes
    ----------
    estimator_ : estimator
        The fitted system.

    offset_ : float
        The threshold on the scale of ``score_samples``.

    false_alarm_interval_ : tuple of float
        Ends of the 95 % interval of the true false alarm rate of this threshold.

    n_calibration_ : int
        Number of held-out normal samples, or of their groups.

    held_out_scores_ : ndarray of shape (n_samples,), float64
        Score of each sample of ``fit`` when it was held out, NaN where it was not.

    calibration_indices_ : ndarray of int
        Where ``held_out_scores_`` holds a score.

    calibration_scores_ : ndarray of float64
        These scores, ascending.

    calibration_weights_ : ndarray of float64
        What each of them counts for: 1 / the number of held-out samples of its group.

    calibration_group_scores_ : ndarray of shape (n_groups,), float64
        The smallest held-out score of each group, ascending.

    largest_group_ : int
        Number of held-out samples in the largest group.

    n_features_in_, feature_names_in_
        Those of ``estimator_``, if it knows them.

    Warns
    -----
    UserWarning
        If there are too few normal samples for ``target_fpr``, ``y`` cannot be used,
        samples are identical, copies or, without ``groups``, near-copies of others, or
        nearly all held-out scores are equal.

    Notes
    -----
    With n held-out scores, the p-value of a sample is (1 + the number of held-out
    scores that are not above its score) / (n + 1). A sample is called anomalous exactly
    when its p-value is at most ``target_fpr``. For new normal samples, the probability
    of that is at most ``target_fpr``, on average over calibration sets. For one set the
    true rate differs from it; ``false_alarm_interval_`` says how much. Parameters such
    as ``contamination`` and ``nu`` of the detector do not set this rate.

    **Groups.** Photographs of one part, frames of one video and slices of one patient
    resemble each other. A fold that holds out some of them and trains on others is too
    easy, and the threshold too tight. Pass ``groups``. Then n counts groups, and each
    score weighs 1 / the number of held-out samples of its group. The p-value of a
    sample holds for a sample of a new group [4]_, [5]_. The p-value of a new group, by
    ``p_values(X, groups=groups)``, compares its smallest score with the smallest score
    of each held-out group. It holds where groups have about as many samples as in
    ``fit``.

    **Shares or folds.** With a share, the very system that scores new samples is
    calibrated, as in [1]_ and [2]_: exactly, for every detector. Folds use every sample
    twice, as in [3]_, and are approximately valid, on the safe side if fitting on more
    samples raises scores. Scores of fits on most and on all samples must be comparable.
    Those of networks that are trained anew, against a critic above all, are not. Scores
    of a one-class SVM grow with the number of samples and are rescaled. PCA that keeps
    a share of the variance keeps the same number of components in every fold.

    **Fits.** ``X`` is passed on as it is: a table, images, a data frame, a Series or a
    list of paths. Put feature extraction that learns nothing in front of this detector,
    so that it runs once and not once for each fit: see `calibrate`. A detector that
    knows how each training sample scores under a fit on the others, as `Mahalanobis`
    does, says so by its attribute ``held_out_scores_`` (n_samples,). Where nothing is
    learned before it and there are no groups, folds are not needed: the system is
    fitted once and calibrated by these scores.

    References
    ----------
    .. [1] Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005.
    .. [2] Bates, Candès, Lei, Romano and Sesia, "Testing for outliers with conformal
       p-values", Annals of Statistics 51, 2023.
    .. [3] Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial
       Intelligence 74, 2015.
    .. [4] Lee, Barber and Willett, "Distribution-free inference with hierarchical
       data", arXiv 2306.06342, 2023: each group has the weight of one.
    .. [5] Dunn, Wasserman and Ramdas, "Distribution-free prediction sets for two-layer
       hierarchical models", Journal of the American Statistical Association 118, 2022.

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
    >>> detector.set_threshold(target_fpr=0.1).false_alarm_interval_
    (0.06..., 0.14...)
    """

    _parameter_constraints: dict = {
        **BaseMetaDetector._parameter_constraints,
        "target_fpr": [Interval(Real, 0, 1, closed="neither")],
        "cv": ["cv_object", Interval(RealNotInt, 0, 1, closed="neither")],
        "n_jobs": [Integral, None],
    }

    # with metadata routing, fit(X, groups=...) of a pipeline or search reaches fit
    __metadata_request__fit = {"groups": True}

    def __init__(
        self, estimator, *, target_fpr=0.01, cv=None, random_state=None, n_jobs=None
    ):
        self.estimator = estimator
        self.target_fpr = target_fpr
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self, X: Any, y: Any = None, *, groups: ArrayLike | None = None
    ) -> "CalibratedDetector":
        """Fit the system, and its threshold on held-out normal samples.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What the estimator takes: a table, images, or paths.

        y : array-like of shape (n_samples,), default=None
            1 normal, -1 anomalous, 0 unlabeled. None means that all are normal. Only
            normal samples calibrate. Samples labeled -1 are left out of the fit unless
            the estimator learns from labels. If it does not and ``y`` contains no -1,
            all samples calibrate; a warning says so unless all labels are 1.

        groups : array-like of shape (n_samples,), default=None
            What each sample shows: the part, the patient, the scan. Samples with equal
            values are held out together and together count as one.

        Returns
        -------
        self : CalibratedDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If ``y`` contains -1 and other values than 1 and 0, there are fewer than 2
            normal samples or groups, ``cv`` tears a group, holds out no normal sample
            or the same one twice, or a score is not a number.
        """
        self._validate_params()
        X, y, groups = indexable(X, y, groups)
        how = {name: getattr(self, name) for name in ("cv", "random_state", "n_jobs")}
        estimator, held_out = fit_and_hold_out(self._new_estimator, X, y, groups, **how)
        index = np.flatnonzero(~np.isnan(held_out))
        found = HeldOutScores.of(held_out[index], rows(groups, index))
        self.estimator_ = estimator
        self.held_out_scores_ = held_out
        self.calibration_indices_ = index
        self.calibration_scores_ = found.scores
        self.calibration_weights_ = found.weights
        self.calibration_group_scores_ = found.group_scores
        self.largest_group_ = found.largest_group
        self.n_calibration_ = found.n_units
        self._set_offset()
        return self

    def set_threshold(self, *, target_fpr: float) -> "CalibratedDetector":
        """Set the threshold to another false alarm rate, without fitting again.

        Parameters
        ----------
        target_fpr : float in (0, 1)
            Accepted share of normal samples that are called anomalous.

        Returns
        -------
        self : CalibratedDetector
            With another ``offset_`` and ``target_fpr``.

        Raises
        ------
        ValueError
            If ``target_fpr`` is not in (0, 1).
        NotFittedError
            If ``fit`` was not called.
        """
        check_is_fitted(self)
        CalibratedDetector(self.estimator, target_fpr=target_fpr)._validate_params()
        self.target_fpr = target_fpr
        self._set_offset()
        return self

    def set_params(self, **params: Any) -> "CalibratedDetector":
        """Set parameters. Of a fitted detector, ``target_fpr`` moves the threshold."""
        super().set_params(**params)
        if "target_fpr" in params and hasattr(self, "calibration_scores_"):
            self.set_threshold(target_fpr=self.target_fpr)
        return self

    def p_values(self, X: Any, *, groups: ArrayLike | None = None) -> np.ndarray:
        """Return the p-value of each sample, or group, if it were normal.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            As for ``score_samples``.

        groups : array-like of shape (n_samples,), default=None
            The part that each sample shows. None: each sample is judged by itself.

        Returns
        -------
        p_values : ndarray of shape (n_samples,) or (n_groups,), float64
            Between 1 / (n_calibration + 1) and 1; low = anomalous. Those of groups are
            in the order of ``numpy.unique(groups)``.
        """
        return self.p_values_from_scores(self.score_samples(X), groups=groups)

    def p_values_from_scores(
        self, scores: ArrayLike, *, groups: ArrayLike | None = None
    ) -> np.ndarray:
        """Return the p-values that belong to scores of ``score_samples``.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Scores, high = normal.

        groups : array-like of shape (n_samples,), default=None
            As for :meth:`p_values`, which also raises and warns as this does.

        Returns
        -------
        p_values : ndarray of shape (n_samples,) or (n_groups,), float64
            NaN where a score is NaN.

        Raises
        ------
        ValueError
            If groups hold several samples, but there were no groups in ``fit``.

        Warns
        -----
        UserWarning
            If a group holds more samples than any group in ``fit``.
        """
        check_is_fitted(self)
        return self._held_out.p_values(scores, groups)

    @property
    def _held_out(self) -> HeldOutScores:
        return HeldOutScores(
            self.calibration_scores_,
            self.calibration_weights_,
            self.calibration_group_scores_,
            self.largest_group_,
        )

    def _set_offset(self) -> None:
        held_out = self._held_out
        self.offset_ = held_out.threshold(self.target_fpr)
        self.false_alarm_interval_ = held_out.false_alarm_interval(self.offset_)


def calibrate(
    system: Any,
    *,
    target_fpr: float = 0.01,
    cv: Any = None,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> Pipeline:
    """Return an unfitted copy of a system whose last step is calibrated.

    Leading steps that learn nothing, such as feature extraction, stay in front and run
    once per image. The rest is wrapped in a `CalibratedDetector`.

    Parameters
    ----------
    system : estimator
        A detector or a pipeline that ends in one. ``FrozenEstimator(fitted)`` is
        calibrated on new samples as it is, without another fit.

    target_fpr : float in (0, 1), default=0.01
        Accepted share of normal samples that are called anomalous.

    cv : int, float, splitter, iterable of (train, test) or None, default=None
        Which normal samples are held out, see `CalibratedDetector`.

    random_state : int, RandomState instance or None, default=None
        Shuffles the samples before they are held out, and seeds every ``random_state``
        inside the wrapped part that is None.

    n_jobs : int, default=None
        Number of processes that fit copies. None is one.

    Returns
    -------
    calibrated : Pipeline
        The steps that learn nothing, then ``"detector"``, a `CalibratedDetector`. Its
        ``fit`` takes ``detector__groups=``; with scikit-learn's metadata routing, it
        takes ``groups=``.

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
        clone(tail),
        target_fpr=target_fpr,
        cv=list(cv) if isinstance(cv, Iterator) else cv,  # to be gone through twice
        random_state=random_state,
        n_jobs=n_jobs,
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
