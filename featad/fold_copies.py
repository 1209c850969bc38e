"""Copies of a system that are fitted on fewer samples: of its size, on its scale."""

from typing import Any

from sklearn import pipeline
from sklearn.svm import OneClassSVM

from featad.systems import last_step


def score_unit(system: Any) -> float:
    """Return what the scores of a fitted system are proportional to.

    Parameters
    ----------
    system : estimator
        A fitted detector, or a pipeline or meta-estimator that ends in one.

    Returns
    -------
    unit : float
        1, except for a one-class SVM, which weighs its kernels by coefficients whose
        sum, nu * n_samples, grows with the training set.
    """
    detector = last_step(system)
    if hasattr(detector, "estimator_"):
        return score_unit(detector.estimator_)
    return (
        float(detector.dual_coef_.sum()) if isinstance(detector, OneClassSVM) else 1.0
    )


def sized_like(fitted: Any, system: Any, n_samples: int) -> Any:
    """Give PCA in an unfitted system the number of components of a fitted copy.

    With a share of the variance, each fold would choose another number, and scores of
    different folds could not be compared.

    Parameters
    ----------
    fitted : estimator
        The system, fitted on all samples.

    system : estimator
        An unfitted copy, which is changed.

    n_samples : int
        Number of samples that the copy will be fitted on.

    Returns
    -------
    system : estimator
        The same object.
    """
    if isinstance(system, pipeline.Pipeline):
        for (_, mine), (_, theirs) in zip(system.steps, fitted.steps, strict=True):
            sized_like(theirs, mine, n_samples)
    components = getattr(fitted, "components_", ())
    if len(components) and isinstance(getattr(system, "n_components", None), float):
        system.set_params(n_components=max(1, min(len(components), n_samples - 1)))
    return system
