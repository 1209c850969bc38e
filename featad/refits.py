"""Systems fitted once more, on some of the samples, and how copies score the others."""

import warnings
from typing import Any

import numpy as np
from sklearn import get_config, pipeline
from sklearn.svm import OneClassSVM
from sklearn.utils.validation import has_fit_parameter

from featad._sklearn import num_samples, safe_indexing
from featad.base import without_threshold
from featad.systems import last_step


def rows(values: Any, indices: np.ndarray) -> Any:
    """Return some rows of samples or labels, or what was given if that is all of them.

    Parameters
    ----------
    values : sequence of n_samples values or None

    indices : ndarray of int

    Returns
    -------
    rows : sequence of the same kind, or None
    """
    if values is None or np.array_equal(indices, np.arange(num_samples(values))):
        return values
    return safe_indexing(values, indices)


def takes_groups(system: Any) -> bool:
    """Return whether ``fit`` of the detector in which a system ends takes groups."""
    return has_fit_parameter(last_step(system), "groups")


def fit_rows(system: Any, X: Any, y: Any, groups: Any, indices: np.ndarray) -> Any:
    """Fit a system on some of the samples, and on their groups if it takes them.

    Parameters
    ----------
    system : estimator
        A detector or a pipeline that ends in one.

    X, y, groups : sequences of n_samples samples, labels and groups
        All but ``X`` may be None.

    indices : ndarray of int
        The samples to fit on.

    Returns
    -------
    system : estimator
        The same object.
    """
    params = {}
    if groups is not None and takes_groups(system):
        name, part = "groups", system
        if not get_config()["enable_metadata_routing"]:
            while isinstance(part, pipeline.Pipeline):
                step, part = part.steps[-1]
                name = name.removesuffix("groups") + f"{step}__groups"
        params[name] = rows(groups, indices)
    return system.fit(rows(X, indices), rows(y, indices), **params)


def fit_copy(
    fitted: Any, estimator: Any, X: Any, y: Any, groups: Any, train: np.ndarray
) -> tuple[Any, float]:
    """Fit a copy of a system on some of its samples, without warnings.

    Parameters
    ----------
    fitted : estimator
        The system, fitted on all samples; its scale is that of the scores.

    estimator : estimator
        An unfitted copy.

    X, y, groups : sequences of n_samples samples, labels and groups
        All but ``X`` may be None.

    train : ndarray of int
        The samples to fit the copy on.

    Returns
    -------
    copy : estimator
        ``estimator``, fitted; it has no threshold.

    factor : float
        What its scores are multiplied by to be on the scale of ``fitted``.
    """
    copy = without_threshold(_sized_like(fitted, estimator, len(train)))
    with warnings.catch_warnings():
        # the fit on all samples has warned already
        warnings.simplefilter("ignore", UserWarning)
        fit_rows(copy, X, y, groups, train)
    return copy, _unit(fitted) / _unit(copy)


def scores_of_split(
    fitted: Any,
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any,
    train: np.ndarray,
    test: np.ndarray,
) -> np.ndarray:
    """Return how a copy, fitted on ``train`` as by `fit_copy`, scores ``test``."""
    copy, factor = fit_copy(fitted, estimator, X, y, groups, train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        scores = copy.score_samples(rows(X, test))
    return np.asarray(scores, dtype=np.float64) * factor


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
