"""A scikit-learn Pipeline that learns what is normal from normal samples."""

import warnings
from typing import Any

import numpy as np
from sklearn import pipeline
from sklearn.neighbors import LocalOutlierFactor
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from featad._sklearn import (
    final_estimator_has,
    name_estimators,
    num_samples,
    safe_indexing,
)
from featad._validation import check_no_words
from featad.systems import last_step, naming_samples, uses_labels


class Pipeline(pipeline.Pipeline):
    """Fit the steps on the samples that ``y`` does not call anomalous.

    scikit-learn's searches refit their best pipeline on all of ``X``, whatever ``cv``
    left out: with a plain ``Pipeline`` the winner learns the anomalies as well, and
    scores of new images are worthless. This one leaves out the samples whose label is
    -1, before the first step sees them. A detector that learns from labeled anomalies
    gets all samples.

    Everything else is scikit-learn's :class:`~sklearn.pipeline.Pipeline`.

    Parameters
    ----------
    steps : list of (name, estimator)
        Transformers, then a detector.

    transform_input : list of str, default=None
        Names of ``fit`` parameters that the steps transform like ``X``.

    memory : str, joblib.Memory or None, default=None
        Where fitted transformers are kept.

    verbose : bool, default=False
        Whether each step's time is printed.

    drop_anomalies : bool, default=True
        Whether samples labeled -1 are left out. False: the steps learn from all
        samples, to study what a contaminated training set costs.

    Attributes
    ----------
    named_steps : Bunch
        The steps, by name.

    Examples
    --------
    >>> from featad import KMeansDistance, Pipeline
    >>> X, y = [[0.0], [0.1], [9.0]], [1, 1, -1]
    >>> system = Pipeline([("detector", KMeansDistance(n_clusters=1))]).fit(X, y)
    >>> float(system["detector"].kmeans_.cluster_centers_[0, 0])
    0.05
    """

    def __init__(
        self,
        steps,
        *,
        transform_input=None,
        memory=None,
        verbose=False,
        drop_anomalies=True,
    ):
        super().__init__(
            steps, transform_input=transform_input, memory=memory, verbose=verbose
        )
        self.drop_anomalies = drop_anomalies

    def fit(self, X: Any, y: Any = None, **params: Any) -> "Pipeline":
        """Fit all steps, one after the other.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What the first step takes.

        y : array-like of shape (n_samples,), default=None
            1 normal, -1 anomalous, 0 unlabeled. Samples labeled -1 are left out unless
            the detector learns from them. Where no label is -1, all samples are taken.

        **params : dict
            As for scikit-learn's pipelines. Arrays of length n_samples are cut like
            ``X``.

        Returns
        -------
        self : Pipeline
            The fitted pipeline.

        Raises
        ------
        ValueError
            If all labels are -1, or labels are words.
        """
        uses = uses_labels(self)
        if self.drop_anomalies and not uses:
            X, y, params = _without_anomalies(X, y, params)
        elif uses is False:
            y = None
        with naming_samples(X):
            super().fit(X, y, **params)
        warn_of_infinite_density(self)
        return self

    def __getitem__(self, ind: Any) -> Any:
        part = super().__getitem__(ind)
        if isinstance(ind, slice):
            part.drop_anomalies = self.drop_anomalies
        return part

    @available_if(final_estimator_has("score_samples"))
    def score_samples(self, X: Any) -> np.ndarray:
        """Score samples; high = normal.

        Where the first step has ``transform_in_blocks``, as features of networks have,
        the other steps see one block of samples at a time, and memory does not grow
        with their number. So do ``decision_function`` and ``predict``.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What the first step takes.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
        """
        return self._in_blocks("score_samples", X)

    @available_if(final_estimator_has("decision_function"))
    def decision_function(self, X: Any, **params: Any) -> np.ndarray:
        """Return scores minus the threshold: negative = anomalous.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What the first step takes.

        **params : dict
            As for scikit-learn's pipelines.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
        """
        return self._in_blocks("decision_function", X, **params)

    @available_if(final_estimator_has("predict"))
    def predict(self, X: Any, **params: Any) -> np.ndarray:
        """Label samples.

        Parameters
        ----------
        X : array-like or sequence of length n_samples
            What the first step takes.

        **params : dict
            As for scikit-learn's pipelines.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            1 normal, -1 anomalous.
        """
        return self._in_blocks("predict", X, **params)

    def _in_blocks(self, method: str, X: Any, **params: Any) -> np.ndarray:
        blocks = getattr(self.steps[0][1], "transform_in_blocks", None)
        if blocks is None or len(self.steps) == 1 or params:
            return getattr(super(), method)(X, **params)
        check_is_fitted(self)
        score = getattr(self[1:], method)
        return np.concatenate([score(block) for block in blocks(X)])

    @available_if(final_estimator_has("predict"))
    def fit_predict(self, X: Any, y: Any = None, **params: Any) -> np.ndarray:
        """Fit all steps, then label all samples.

        Parameters
        ----------
        X, y, **params
            As for :meth:`fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int64
            1 normal, -1 anomalous; also of the samples that were left out of the fit.
        """
        return self.fit(X, y, **params).predict(X)


def make_pipeline(*steps: Any, memory: Any = None, verbose: bool = False) -> Pipeline:
    """Return a :class:`Pipeline` of steps that are named after their classes.

    Parameters
    ----------
    *steps : estimators
        Transformers, then a detector.

    memory : str, joblib.Memory or None, default=None
        Where fitted transformers are kept.

    verbose : bool, default=False
        Whether each step's time is printed.

    Returns
    -------
    system : Pipeline
        Its steps are named after their classes, in lower case.

    Examples
    --------
    >>> from sklearn.preprocessing import Normalizer
    >>> from featad import KMeansDistance, make_pipeline
    >>> list(make_pipeline(Normalizer(), KMeansDistance()).named_steps)
    ['normalizer', 'kmeansdistance']
    """
    return Pipeline(name_estimators(steps), memory=memory, verbose=verbose)


def warn_of_infinite_density(system: Any) -> None:
    """Warn of copies that spoil scikit-learn's local outlier factor.

    Parameters
    ----------
    system : estimator
        A fitted system. scikit-learn warns only where ``novelty`` is False.
    """
    detector = last_step(system)
    if not isinstance(detector, LocalOutlierFactor) or not detector.novelty:
        return
    if detector.negative_outlier_factor_.min() < -1e7:
        warnings.warn(
            "More training samples are identical than LocalOutlierFactor(n_neighbors="
            f"{detector.n_neighbors}) looks at: their density is infinite, and the "
            "scores around them mean nothing. Remove the copies, or raise n_neighbors "
            "above their number.",
            UserWarning,
        )


def _without_anomalies(X, y, params):
    check_no_words(y)
    labels = None if y is None else np.asarray(y)
    if labels is None or not (labels == -1).any():
        return X, y, params
    kept = np.flatnonzero(labels != -1)
    if not len(kept):
        raise ValueError(
            f"Pipeline.fit needs normal samples, but all {len(labels)} labels are -1 "
            "(anomalous). Labels are 1 for normal samples."
        )
    n_samples = num_samples(X)
    params = {
        name: safe_indexing(value, kept) if _has_length(value, n_samples) else value
        for name, value in params.items()
    }
    return safe_indexing(X, kept), safe_indexing(y, kept), params


def _has_length(value, n):
    return hasattr(value, "__len__") and not isinstance(value, str) and len(value) == n
