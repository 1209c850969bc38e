"""Several systems as one: their scores in units of held-out normal scores."""

from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OutlierMixin, clone
from sklearn.utils import Tags, check_random_state, get_tags, indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from featad._progress import within
from featad._sklearn import NamedEstimators
from featad.base import (
    Interval,
    RealNotInt,
    StrOptions,
    _Threshold,
    as_anomaly_score,
)
from featad.conformal import HeldOutScores
from featad.holding_out import fit_and_hold_out
from featad.map_units import has_maps, is_table, map_unit, mean_maps
from featad.refits import rows
from featad.shared_steps import after_shared_steps, fit_steps, rejoin, transform_steps
from featad.systems import seeded_copy, uses_labels
from featad.units import UNITS, in_units


class ScoreEnsemble(_Threshold, OutlierMixin, NamedEstimators):
    """Score a sample by what several systems say, each in its own usual units.

    Systems score in units of their own. Here every score is compared with scores that
    the same system gives normal samples it has not seen, and only then are systems
    averaged. Their features may differ.

    Parameters
    ----------
    estimators : list of (str, estimator)
        Detectors, or pipelines that end in one, by name. They are cloned, not fitted.
        ``"drop"`` in the place of an estimator leaves it out.

    combine : {"mean", "max"}, default="mean"
        ``"mean"``: a sample is anomalous if the systems agree that it is. ``"max"``: if
        any of them is sure.

    units : {"p-value", "robust"}, default="p-value"
        ``"p-value"``: minus the decimal logarithm of the share of normal samples that
        are at least as strange; beyond most held-out samples the logarithm goes on as a
        straight line. ``"robust"``: the distance from the median of normal samples over
        that between their quartiles, scaled as a standard deviation.

    weights : array-like of shape (n_estimators,), default=None
        What the value of each system is multiplied by, dropped ones included. None: 1.

    target_fpr : float in (0, 1), default=0.05
        Accepted share of normal samples that are called anomalous.

    cv : int, float, splitter, iterable of (train, test) or None, default=None
        Which normal samples are held out, as for `CalibratedDetector`. None: 5 folds,
        or a share of 0.3 for each system that trains networks.

    n_jobs : int, default=None
        Number of processes that fit copies. None is one.

    random_state : int, RandomState instance or None, default=None
        Shuffles the samples, or groups, before they are held out, and seeds every
        ``random_state`` inside the systems that is None.

    Attributes
    ----------
    members_ : dict of str to estimator
        The fitted systems.

    member_held_out_scores_ : ndarray of shape (n_samples, n_members), float64
        Score of each sample of ``fit`` by each system when it was held out, NaN where
        it was not. High = normal.

    held_out_scores_ : ndarray of shape (n_samples,), float64
        The same, combined. `CalibratedDetector` takes its threshold from them.

    offset_ : float
        The threshold on the scale of ``score_samples``, from ``held_out_scores_``.

    map_units_ : dict of str to (float, float)
        Of each system that has maps: the median and the spread of the pixels of
        held-out normal maps.

    n_features_in_, feature_names_in_
        Those of the first system, if it knows them.

    Warns
    -----
    UserWarning
        As of `CalibratedDetector`.

    Notes
    -----
    Each system is fitted on all samples, and copies of it on the folds, unless it knows
    how each training sample scores under a fit on the others, as `Mahalanobis` does.
    ``featad.calibrate(ensemble)`` needs no further fit and adds p-values.

    First steps that learn nothing, such as the features of a frozen network, run once
    for all systems that share them.

    With ``units="p-value"`` and ``combine="mean"`` this is Fisher's method [1]_, with
    ``combine="max"`` Tippett's. Systems are not independent, so that the sum has no
    p-value of its own; the threshold comes from the combined held-out scores.

    References
    ----------
    .. [1] Fisher, "Statistical methods for research workers", 4th edition, 1932.

    Examples
    --------
    >>> import numpy as np
    >>> from featad import KMeansDistance, Mahalanobis, ScoreEnsemble
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> ensemble = ScoreEnsemble(
    ...     [("near", KMeansDistance()), ("far", Mahalanobis())], random_state=0
    ... )
    >>> ensemble.fit(X).predict([[0, 0], [9, 9]])
    array([ 1, -1])
    >>> ensemble.set_params(near__n_clusters=2).get_params()["near__n_clusters"]
    2
    """

    _parameter_constraints: dict = {
        "estimators": [list],
        "combine": [StrOptions({"mean", "max"})],
        "units": [StrOptions(set(UNITS))],
        "weights": ["array-like", None],
        "target_fpr": [Interval(Real, 0, 1, closed="neither")],
        "cv": ["cv_object", Interval(RealNotInt, 0, 1, closed="neither")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    # with metadata routing, fit(X, groups=...) of a pipeline or search reaches fit
    __metadata_request__fit = {"groups": True}

    def __init__(
        self,
        estimators,
        *,
        combine="mean",
        units="p-value",
        weights=None,
        target_fpr=0.05,
        cv=None,
        n_jobs=None,
        random_state=None,
    ):
        self.estimators = estimators
        self.combine = combine
        self.units = units
        self.weights = weights
        self.target_fpr = target_fpr
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any = None, *, groups: ArrayLike | None = None
    ) -> "ScoreEnsemble":
        """Fit the systems, and find how they score held-out normal samples.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What all systems take: a table, images, or paths.

        y : array-like of shape (n_samples,), default=None
            1 normal, -1 anomalous, 0 unlabeled, as for `CalibratedDetector`.

        groups : array-like of shape (n_samples,), default=None
            What each sample shows: the part, the patient, the scan. Samples with equal
            values are held out together.

        Returns
        -------
        self : ScoreEnsemble
            The fitted ensemble.

        Raises
        ------
        ValueError
            If ``estimators`` or ``weights`` are not usable, there are fewer than 2
            normal samples or groups, no sample is held out by all systems, or a system
            rejects ``X``.
        """
        self._validate_params()
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        systems = self._systems(None if self.random_state is None else seed)
        self._weights()
        X, y, groups = indexable(X, y, groups)
        how = {
            "cv": self.cv,
            "random_state": seed,  # all systems hold out the same samples
            "n_jobs": self.n_jobs,
            "owner": type(self).__name__,
        }
        members: dict[str, Any] = {}
        held_out: dict[str, np.ndarray] = {}
        map_units: dict[str, tuple[float, float]] = {}
        for rest in after_shared_steps(systems, X, fit_steps):
            with within("system", len(members), len(systems)):
                fitted, scores = fit_and_hold_out(
                    partial(clone, rest.system),
                    rest.X,
                    y,
                    groups,
                    tells_copies=not members,  # once is enough
                    **how,
                )
                if has_maps(fitted) and not is_table(rest.X):
                    normal = np.flatnonzero(~np.isnan(scores))
                    unit = map_unit(fitted, rest.X, groups, normal, seed)
                    map_units[rest.name] = unit
            members[rest.name] = rejoin(systems[rest.name], rest.steps, fitted)
            held_out[rest.name] = scores
            del rest  # before other features are made
        self.members_ = {name: members[name] for name in systems}
        self.member_held_out_scores_ = np.column_stack([held_out[n] for n in systems])
        self.held_out_scores_ = self._combined(self.member_held_out_scores_)
        known = np.flatnonzero(~np.isnan(self.held_out_scores_))
        if not len(known):
            raise ValueError(
                f"{type(self).__name__}: no normal sample is held out from all systems "
                f"with cv={self.cv!r}. Pass a number of folds."
            )
        found = HeldOutScores.of(self.held_out_scores_[known], rows(groups, known))
        self.offset_ = found.threshold(self.target_fpr)
        self.map_units_ = map_units
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the combined scores, high = normal.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What the systems take.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            In ``units``; the negated mean, or maximum, over the systems.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        """
        check_is_fitted(self)
        return self._combined(self._scores(X))

    def member_scores(self, X: Any) -> np.ndarray:
        """Return what each system says by itself, in common units, high = normal.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What the systems take.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_members), float64
            In ``units``, without weights; in the order of ``members_``.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        """
        check_is_fitted(self)
        return as_anomaly_score(self._in_units(self._scores(X)))

    @available_if(lambda self: any(map(has_maps, self._kept().values())))
    def anomaly_map(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Return how strange every pixel is to the systems that have maps.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            Images, as the systems take them.

        Returns
        -------
        maps : ndarray of shape (n_samples, height, width), or list of ndarray, float32
            Weighted mean of the systems' maps, each in units of its normal maps: 0 for
            a typical pixel, 1 for one spread above it. As large as the images; a list
            if they have several sizes.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        """
        check_is_fitted(self)
        weights = dict(zip(self.members_, self._weights(), strict=True))
        systems = {name: self.members_[name] for name in self.map_units_}
        return mean_maps(systems, X, self.map_units_, weights)

    @property
    def n_features_in_(self) -> int:
        """Number of features that the first system was fitted on, if it knows."""
        if "members_" not in vars(self):
            raise AttributeError("There are no n_features_in_ before fit.")
        return next(iter(self.members_.values())).n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Column names that the first system was fitted on, if it saw a data frame."""
        if "members_" not in vars(self):
            raise AttributeError("There are no feature_names_in_ before fit.")
        return next(iter(self.members_.values())).feature_names_in_

    @property
    def _uses_labels(self) -> bool:
        return any(uses_labels(system) for system in self._kept().values())

    def _scores(self, X: Any) -> np.ndarray:
        """Return the scores of all systems in their own units."""
        found = {
            rest.name: rest.system.score_samples(rest.X)
            for rest in after_shared_steps(self.members_, X, transform_steps)
        }
        return np.column_stack([found[name] for name in self.members_])

    def _combined(self, scores: np.ndarray) -> np.ndarray:
        values = self._in_units(scores) * self._weights()
        values = values.mean(axis=1) if self.combine == "mean" else values.max(axis=1)
        return as_anomaly_score(values)

    def _in_units(self, scores: np.ndarray) -> np.ndarray:
        """Return strangeness in common units from scores in those of the systems."""
        columns = as_anomaly_score(scores).T
        held_out = as_anomaly_score(self.member_held_out_scores_).T
        known = [column[~np.isnan(column)] for column in held_out]
        return np.column_stack(
            [
                in_units(column, normal, self.units)
                for column, normal in zip(columns, known, strict=True)
            ]
        )

    def _kept(self) -> dict[str, Any]:
        return {name: system for name, system in self.estimators if system != "drop"}

    def _systems(self, seed: int | None) -> dict[str, Any]:
        """Return unfitted copies of the systems by name, unset seeds filled in."""
        expected = (
            f"{type(self).__name__} expects estimators=[(name, system), ...], with "
            "detectors or pipelines that end in one"
        )
        for item in self.estimators:
            if not (isinstance(item, tuple | list) and len(item) == 2):
                raise ValueError(f"{expected}; got {item!r} among them.")
            if item[1] != "drop" and not hasattr(item[1], "score_samples"):
                raise ValueError(
                    f"{expected}; {item[0]!r} is a {type(item[1]).__name__}, which has "
                    "no score_samples."
                )
        self._validate_names([name for name, _ in self.estimators])
        systems = self._kept()
        if not systems:
            raise ValueError(f"{expected}; got none.")
        return {name: seeded_copy(system, seed) for name, system in systems.items()}

    def _weights(self) -> np.ndarray:
        """Return the weights of the systems that are not dropped."""
        kept = [system != "drop" for _, system in self.estimators]
        if self.weights is None:
            return np.ones(sum(kept))
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.shape != (len(kept),) or not (weights >= 0).all():
            raise ValueError(
                f"{type(self).__name__} expects weights of 0 or more, one for each of "
                f"its {len(kept)} estimators, got {self.weights!r}."
            )
        if not weights[kept].any():
            raise ValueError(f"{type(self).__name__}: all weights are 0.")
        return weights[kept]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = [get_tags(system) for system in self._kept().values()]
        if inner:
            tags.input_tags = inner[0].input_tags
        tags.non_deterministic = any(found.non_deterministic for found in inner)
        return tags
