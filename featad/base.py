"""The contract of every detector: scores, high = normal, and one threshold."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, OutlierMixin
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from featad._options import inherit_options
from featad._sklearn import HasMethods, Interval, RealNotInt, StrOptions
from featad._validation import check_samples, warn_of_anomalies
from featad.machine import without_paths
from featad.systems import last_step, seeded_copy

__all__ = [  # the constraints are here for detectors to import from one place
    "COUNT",
    "NON_NEGATIVE",
    "POSITIVE",
    "BaseDetector",
    "BaseMetaDetector",
    "HasMethods",
    "Interval",
    "RealNotInt",
    "StrOptions",
    "anomaly_scores",
    "anomaly_threshold",
    "as_anomaly_score",
    "without_threshold",
]

COUNT = Interval(Integral, 1, None, closed="left")
NON_NEGATIVE = Interval(Real, 0, None, closed="left")
POSITIVE = Interval(Real, 0, None, closed="neither")


def anomaly_scores(system: Any, X: Any) -> np.ndarray:
    """Return anomaly scores, high = anomalous, of a fitted detector or system.

    Parameters
    ----------
    system : estimator
        Has ``score_samples`` or else ``decision_function``, both high = normal.

    X : array-like or sequence of length n_samples
        What ``system`` takes: a table, images, or paths.

    Returns
    -------
    anomaly_scores : ndarray of shape (n_samples,), float64
        In the detector's own units.

    Raises
    ------
    TypeError
        If ``system`` has neither method.

    Examples
    --------
    >>> from featad import NearestNeighbors, anomaly_scores
    >>> detector = NearestNeighbors(n_neighbors=1).fit([[0.0], [1.0], [2.0]])
    >>> anomaly_scores(detector, [[1.5], [5.0]])
    array([0.5, 3. ])
    """
    for method in ("score_samples", "decision_function"):
        if hasattr(system, method):
            return as_anomaly_score(getattr(system, method)(X))
    raise TypeError(
        "A system needs score_samples or decision_function to score, but "
        f"{type(system).__name__} has neither."
    )


def as_anomaly_score(score: ArrayLike) -> np.ndarray:
    """Turn scores, high = normal, into anomaly scores, high = anomalous.

    Parameters
    ----------
    score : array-like
        On the scale of ``score_samples``: scores, or a threshold.

    Returns
    -------
    anomaly_score : ndarray of the same shape, float64
        The negated score.
    """
    return -np.asarray(score, dtype=np.float64)


def anomaly_threshold(system: Any) -> float:
    """Return the threshold of a fitted system on the scale of anomaly scores.

    Parameters
    ----------
    system : estimator
        A fitted detector, or a pipeline or grid search that ends in one.

    Returns
    -------
    threshold : float
        Anomaly scores above it are anomalous.

    Raises
    ------
    NotFittedError
        If the system is not fitted.

    TypeError
        If its detector has no ``offset_``.

    Examples
    --------
    >>> from featad import KMeansDistance, anomaly_scores, anomaly_threshold
    >>> detector = KMeansDistance(n_clusters=1).fit([[0.0], [1.0], [2.0]])
    >>> anomaly_scores(detector, [[9.0]]) > anomaly_threshold(detector)
    array([ True])
    """
    detector = last_step(system)
    check_is_fitted(detector)
    if not hasattr(detector, "offset_"):
        raise TypeError(
            f"{type(detector).__name__} has no threshold (offset_). Give it one with "
            "featad.calibrate(system)."
        )
    return float(as_anomaly_score(detector.offset_).item())


def without_threshold(system: Any) -> Any:
    """Keep an unfitted system from scoring its training samples for ``offset_``.

    Parameters
    ----------
    system : estimator
        A copy whose scores alone are read. Detectors that are not featad's are left as
        they are.

    Returns
    -------
    system : estimator
        The same object.
    """
    detector = last_step(system)
    if isinstance(detector, BaseDetector):
        detector._has_threshold = False
    return system


class _Threshold:
    """What follows from ``score_samples`` and ``offset_``."""

    score_samples: Callable[[Any], np.ndarray]
    offset_: float

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores, shifted so that the threshold is at zero.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            As for ``score_samples``.

        Returns
        -------
        decision : ndarray of shape (n_samples,), float64
            ``score_samples(X) - offset_``; negative = anomalous.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return 1 for normal and -1 for anomalous samples.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            As for ``score_samples``.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int64
            -1 where the score is below ``offset_``, 1 elsewhere.
        """
        # the condition is this way round so that NaN can never pass for normal
        return np.where(self.decision_function(X) >= 0, 1, -1)


class BaseDetector(_Threshold, OutlierMixin, BaseEstimator):
    """Base of all detectors, for tables and image batches.

    A subclass needs no more than two hooks: ``_fit(X)``, which learns, and
    ``_strangeness(X)``, which returns one number per sample, high = anomalous. Both
    receive a validated float array of shape (n_samples, ...). A subclass with
    parameters of its own has an ``__init__`` that assigns them, ``contamination`` too,
    and their ``_parameter_constraints``.

    Parameters
    ----------
    contamination : float in (0, 0.5], default=0.05
        Fraction of the training samples placed beyond the threshold.

    Attributes
    ----------
    sample_shape_ : tuple of int
        Shape of one sample: (n_features,) or (height, width, channels).

    image_range_ : tuple of (float, float) or None
        Smallest and largest value of the training images, integers read in [0, 1].
        None for tables. Images on another scale are refused.

    n_features_in_ : int
        Product of ``sample_shape_``.

    feature_names_in_ : ndarray of str
        Column names, if ``fit`` was given a data frame.

    offset_ : float
        The threshold on the scale of ``score_samples``, from ``contamination``.

    Notes
    -----
    Docstrings of subclasses are completed with the entries above that they lack.

    Examples
    --------
    >>> from featad import BaseDetector
    >>> class Largest(BaseDetector):
    ...     def _fit(self, X): ...
    ...     def _strangeness(self, X):
    ...         return X.max(axis=1)
    >>> Largest().fit([[0.0], [1.0], [2.0]]).predict([[1.0], [9.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
    }

    _takes_images = True  # False: maps of features, whose values have no scale
    _trains_networks = False  # True: the scores of two fits share no scale
    _has_threshold = True  # False, on a copy: nobody reads its offset_
    _uses_labels: Any = False  # True: fit learns from labels
    _needs_anomalies = False  # True: fit must be given labels

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        inherit_options(cls)

    def __init__(self, *, contamination: float = 0.05) -> None:
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None) -> "BaseDetector":
        """Learn what normal samples look like.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            A table (n_samples, n_features) or images (n_samples, height, width) or
            (n_samples, height, width, channels). Images of uint8, uint16 or bool are
            read in [0, 1], by the largest value of their type.

        y : object, default=None
            Not used.

        Returns
        -------
        self : BaseDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter is out of range, or ``X`` is empty or not finite.
        """
        self._validate_params()
        X = check_samples(self, X, reset=True)
        warn_of_anomalies(self, y)
        self._fit(X)
        self._set_offset(X)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return one score per sample, high = normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples of the shape seen in ``fit``, on the same scale. Gray images may
            have a channel axis of one or none.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            The negated strangeness.

        Raises
        ------
        ValueError
            If the samples have another shape, contain NaN, or are too large to score;
            if images are on another scale than in ``fit``.
        NotFittedError
            If ``fit`` was not called.
        """
        check_is_fitted(self)
        return self._scores(check_samples(self, X, reset=False))

    def __getstate__(self) -> dict:
        return without_paths(super().__getstate__())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = self._needs_anomalies
        return tags

    def _set_offset(self, X: np.ndarray) -> None:
        """Place a share of these normal training samples beyond the threshold."""
        if self._has_threshold:
            share = 100 * self.contamination
            self.offset_ = float(np.percentile(self._training_scores(X), share))

    def _training_scores(self, X: np.ndarray) -> np.ndarray:
        """Return the scores of the training samples that set the threshold."""
        return self._scores(X)

    def _scores(self, X: np.ndarray) -> np.ndarray:
        strangeness = np.asarray(self._strangeness(X), dtype=np.float64)
        finite = np.isfinite(strangeness)
        if not finite.all():
            raise ValueError(
                f"{type(self).__name__} cannot score sample {np.argmin(finite)} of X: "
                "its values overflow. Scale X, for example with StandardScaler."
            )
        return -strangeness


class BaseMetaDetector(_Threshold, MetaEstimatorMixin, OutlierMixin, BaseEstimator):
    """Base of detectors that fit another system, ``estimator``, as ``estimator_``.

    ``X`` is passed on as it is: a table, images, or a sequence of paths. A subclass
    writes ``fit``, which sets ``estimator_`` and ``offset_``, and has a parameter
    ``random_state``.
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "score_samples"])],
        "random_state": ["random_state"],
    }

    @available_if(lambda self: hasattr(self.estimator, "score_samples"))
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the scores of the fitted ``estimator_``, high = normal.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What ``estimator_`` takes.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            In the units of ``estimator_``.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        """
        check_is_fitted(self)
        return np.asarray(self.estimator_.score_samples(X), dtype=np.float64)

    @property
    def n_features_in_(self) -> int:
        """Number of features that ``estimator_`` was fitted on, if it knows."""
        return self._fitted_attribute("n_features_in_")

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Column names that ``estimator_`` was fitted on, if it saw a data frame."""
        return self._fitted_attribute("feature_names_in_")

    def _new_estimator(self) -> Any:
        """Return an unfitted copy of ``estimator`` whose unset seeds are filled in."""
        return seeded_copy(self.estimator, self.random_state)

    def _fitted_attribute(self, name: str) -> Any:
        if "estimator_" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r} before fit."
            )
        return getattr(self.estimator_, name)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.non_deterministic = inner.non_deterministic
        return tags
