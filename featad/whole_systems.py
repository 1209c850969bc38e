"""What whole systems say of samples: p-values, and maps of what is strange."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from featad.calibration import CalibratedDetector
from featad.errors import ImageReadError
from featad.images import read_image
from featad.images.mapping import map_images
from featad.images.sources import check_sources
from featad.systems import last_step


def p_values(system: Any, X: Any, *, groups: ArrayLike | None = None) -> np.ndarray:
    """Return p-values of samples, or groups of them, from a calibrated system.

    Parameters
    ----------
    system : estimator
        A fitted `CalibratedDetector`, or a pipeline or search that ends in one.

    X : array-like or sequence of length n_samples
        What the system takes.

    groups : array-like of shape (n_samples,), default=None
        The part that each sample shows. None: each sample is judged by itself.

    Returns
    -------
    p_values : ndarray of shape (n_samples,) or (n_groups,), float64
        Low = anomalous. Those of groups are in the order of ``numpy.unique(groups)``.

    Raises
    ------
    TypeError
        If the system is not calibrated.

    Examples
    --------
    >>> import featad
    >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0]]
    >>> system = featad.calibrate(featad.Mahalanobis(), target_fpr=0.2).fit(X)
    >>> featad.p_values(system, [[2.0], [30.0]]).round(2)
    array([1.  , 0.17])
    """
    detector = last_step(system)
    if not isinstance(detector, CalibratedDetector):
        raise TypeError(
            f"p_values needs a calibrated system, but this one ends in "
            f"{type(detector).__name__}. Fit featad.calibrate(system) instead."
        )
    return detector.p_values_from_scores(system.score_samples(X), groups=groups)


def anomaly_maps(
    system: Any, X: Any, *, resize: bool = True
) -> np.ndarray | list[np.ndarray]:
    """Return how strange every pixel of images is, from a whole system.

    Parameters
    ----------
    system : estimator
        A fitted detector with ``anomaly_map``, or a pipeline, calibration or search
        that ends in one.

    X : array-like or sequence of length n_samples
        What the system takes: images, paths or other sources.

    resize : bool, default=True
        Whether maps are brought, bilinearly, to the size of the images in ``X``. False:
        they have the size that the detector sees.

    Returns
    -------
    maps : ndarray of shape (n_samples, height, width), or list of ndarray, float32
        High = anomalous. A list of arrays (height, width) if the images have several
        sizes.

    Raises
    ------
    TypeError
        If the detector has no maps, as those of tables have none.
    ImageReadError
        If an image cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> import featad
    >>> X = np.random.default_rng(0).random((6, 20, 24, 3))
    >>> reader = featad.ImageReader(size=8)
    >>> detector = featad.Autoencoder(2, width=4, max_epochs=1)
    >>> system = featad.make_pipeline(reader, detector).fit(X)
    >>> featad.anomaly_maps(system, X).shape
    (6, 20, 24)
    """
    detector, seen = _detector_and_input(system, X)
    if not hasattr(detector, "anomaly_map"):
        raise TypeError(
            f"{type(detector).__name__} has no anomaly maps. Detectors that rebuild or "
            "judge images have them, such as featad.Autoencoder."
        )
    maps = detector.anomaly_map(seen)
    if not resize:
        return maps
    sizes = _sizes(X)
    if len(sizes) != len(maps):
        raise ValueError(
            f"{len(X)} images have {len(maps)} maps: the reader skips some. Leave "
            'unreadable images out of X, or set on_error="raise".'
        )
    resized = [_resized(one, size) for one, size in zip(maps, sizes, strict=True)]
    return np.stack(resized) if len(set(sizes)) == 1 else resized


def _detector_and_input(system: Any, X: Any) -> tuple[Any, Any]:
    """Return the innermost detector of a fitted system, and what it is given."""
    for name in ("best_estimator_", "estimator_"):
        if hasattr(system, name) and not hasattr(system, "anomaly_map"):
            return _detector_and_input(getattr(system, name), X)
    if isinstance(system, FrozenEstimator):
        return _detector_and_input(system.estimator, X)
    if isinstance(system, Pipeline):
        for _, step in system.steps[:-1]:
            X = X if step in (None, "passthrough") else step.transform(X)
        return _detector_and_input(system[-1], X)
    return system, X


def _sizes(X: Any) -> list[tuple[int, int]]:
    """Return height and width of each image."""
    if isinstance(X, np.ndarray) and X.ndim > 2:
        return [X.shape[1:3]] * len(X)
    sources = check_sources(X, estimator_name="anomaly_maps")
    sizes = []
    for _, size in map_images(lambda source: read_image(source).shape[:2], sources):
        if isinstance(size, ImageReadError):
            raise size
        sizes.append(size)
    return sizes


def _resized(one: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if one.shape == size:
        return one
    image = Image.fromarray(one).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)
