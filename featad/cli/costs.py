"""What fits on large tables will take, from measured figures.

Seconds of one processor and memory beyond the images: rough on another machine, but of
the right size. They are from whitening and detectors by themselves, on tables of 1,000
to 6,000 samples with 512 to 2,048 features. ``python -m benchmarks.scale`` measures
whole fits, to hold them against.
"""

from typing import Any

from featad.cli.progress import LONG, duration

_PAIRS = {
    "OneClassSVM": 8e-11,
    "LocalOutlierFactor": 9e-11,
    "NearestNeighbors": 1.6e-10,
}
"""Seconds a fit, for each pair of samples and each feature."""

_PRODUCTS, _DECOMPOSED = 2.2e-10, 3.5e-10
"""Seconds of a covariance: a product of two samples' values, an eigenvector's entry."""

_TABLES = 8
"""Peak memory of whitening, in tables of float32 features."""

_FEW = 1000  # images of which no fit takes long


def seconds_of_fit(system: Any, n_samples: int, n_features: int) -> float:
    """Return about how long a fit on features takes; 0 for networks to be trained.

    Parameters
    ----------
    system : estimator
        What follows the features: a detector, or a pipeline that ends in one.

    n_samples, n_features : int
        Size of the table.

    Examples
    --------
    >>> from featad.detectors import Mahalanobis, OneClassSVM
    >>> [round(seconds_of_fit(s, 30_000, 4096)) for s in (Mahalanobis(), OneClassSVM())]
    [135, 295]
    """
    from featad.systems import iter_parts

    small, large = sorted((n_samples, n_features))
    covariance = _PRODUCTS * small**2 * large + _DECOMPOSED * small**3
    seconds = 0.0
    for part in iter_parts(system):
        name = type(part).__name__
        seconds += _PAIRS.get(name, 0.0) * n_samples**2 * n_features
        if name in ("Mahalanobis", "ShrunkWhitening", "PCA", "PCAReconstruction"):
            seconds += covariance
    return seconds


def announcement(
    name: str, system: Any, n_samples: int, n_fits: int | None = None
) -> str | None:
    """Return what fits will take in time and memory; None if less than a minute.

    Parameters
    ----------
    name : str
        The name of the system.

    system : Pipeline
        Unfitted, with the steps of named systems.

    n_samples : int
        Number of images of a fit.

    n_fits : int or None, default=None
        Number of fits. None: those of a calibration with 5 folds.

    Returns
    -------
    text : str or None
        Where the time grows with the square of the number of images, it names a system
        that is faster. Systems that train networks tell their time while they do so.
    """
    from featad.detectors import Mahalanobis
    from featad.systems import iter_parts, only_learner, split_stateless

    features = system.named_steps.get("features")  # an ensemble has none of its own
    tail = split_stateless(system)[1]
    if n_samples < _FEW or not hasattr(features, "get_feature_names_out"):
        return None
    n_features = len(features.get_feature_names_out())
    if n_fits is None:
        n_fits = 1 if isinstance(only_learner(tail), Mahalanobis) else 6
    seconds = n_fits * seconds_of_fit(tail, n_samples, n_features)
    if seconds < LONG:
        return None
    gigabytes = _TABLES * 4 * n_samples * n_features / 1e9
    text = (
        f"{name}: {n_fits} fit{'s' * (n_fits > 1)} on {n_samples:,} images of "
        f"{n_features:,} features, {duration(seconds)} on one processor and about "
        f"{gigabytes:.1g} GB of memory"
    )
    other = seconds_of_fit(Mahalanobis(), n_samples, n_features)
    if not any(type(part).__name__ in _PAIRS for part in iter_parts(tail)):
        return text
    return (
        f"{text}; the time grows with the square of the number of images. "
        f"{name.rpartition('-')[0]}-mahalanobis takes {duration(other)} a fit, and "
        "one fit calibrates it"
    )
