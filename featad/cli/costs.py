"""What fits on large tables will take, from measured figures.

Seconds of one processor and memory beyond the images: rough on another machine, but of
the right size. They are from whitening and detectors by themselves, on tables of 1,000
to 6,000 samples with 512 to 2,048 features. ``python -m benchmarks.scale`` measures
whole fits, to hold them against.
"""

import math
import warnings
from typing import Any

import numpy as np

from featad.cli.progress import LONG, duration

_PAIRS = {
    "OneClassSVM": 8e-11,
    "LocalOutlierFactor": 9e-11,
    "NearestNeighbors": 1.6e-10,
}
"""Seconds a fit, for each pair of samples and each feature."""

_COVARIANCES = {
    "Mahalanobis": 1,
    "ShrunkWhitening": 1,
    "PCA": 1,
    "PCAReconstruction": 1,
    "MiniBatchKMeansDistance": 3,  # whitens all samples as well
    "NystroemSVM": 3,
}
"""Times of a covariance that a fit takes."""

_PRODUCTS, _DECOMPOSED = 2.2e-10, 3.5e-10
"""Seconds of a covariance: a product of two samples' values, an eigenvector's entry."""

_TABLES = 3.5
"""Peak memory of a fit, in tables of float32 features."""

_FEW = 1000  # images of which no fit takes long
_MUCH = 0.5  # gigabytes


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
        seconds += _COVARIANCES.get(name, 0) * covariance
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
        that is faster. Of detectors of maps, memory alone is told, from half a gigabyte
        on. Systems that train networks tell their time while they do so.
    """
    from featad.detectors import Mahalanobis
    from featad.patch_detector import PatchDetector
    from featad.systems import iter_parts, last_step, only_learner, split_stateless

    features = system.named_steps.get("features")  # an ensemble has none of its own
    tail = split_stateless(system)[1]
    if isinstance(detector := last_step(tail), PatchDetector):
        return _of_maps(name, features, detector, n_samples)
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


def _of_maps(name: str, features: Any, detector: Any, n_samples: int) -> str | None:
    """Return how much memory a fit on maps of features needs; None if it is little."""
    from sklearn.base import clone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights: the fit warns of them
        sized = clone(features).set_params(precision="float32")
        sized.fit(np.zeros((1, 8, 8, 3), dtype=np.uint8))
    height, width = sized.grid_
    shape = n_samples, height, width, sized.n_features_out_
    maps = math.prod(shape) * np.dtype(features.dtype).itemsize
    gigabytes = (2 * maps + detector.memory_of_fit(shape, features.dtype)) / 1e9
    if gigabytes < _MUCH:
        return None
    return (
        f"{name}: {n_samples:,} images at {height} x {width} positions of {shape[-1]} "
        f"features; the fit needs up to {gigabytes:.1f} GB of memory"
    )
