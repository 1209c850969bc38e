"""Maps of what is odd, from any fitted system."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn import ensemble
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from featad._progress import tracked
from featad.base import BaseMetaDetector
from featad.detectors import IsolationForest
from featad.features.leaving_out import cells_of
from featad.maps.contributions import iter_contributions
from featad.maps.occlusion import SLIGHT, iter_occlusions
from featad.maps.views import read_whole, reading_of, views

METHODS = ("auto", "own", "contribution", "occlusion")
"""What ``method`` may be."""

_BATCH = 16  # images whose own maps are made together


def anomaly_maps(
    system: Any, X: Any, *, method: str = "auto", resize: bool = True
) -> np.ndarray | list[np.ndarray]:
    """Return how odd every pixel of images is, from any fitted system.

    Parameters
    ----------
    system : estimator
        A fitted detector, or a pipeline, calibration, trimming or search that ends in
        one. It takes images: tables have no pixels.

    X : array-like or sequence of length n_samples
        What the system takes: images, paths or other sources.

    method : {"auto", "own", "contribution", "occlusion"}, default="auto"
        Where the maps come from.

        - ``"own"``: from the detector, which has ``anomaly_map``.
        - ``"contribution"``: how much each position adds to the score, for features
          that are pooled over the positions of a map. It takes one pass of the network.
        - ``"occlusion"``: how much the score falls when a part of the image is covered,
          for whatever scores images. It takes a hundred passes or more; see
          `occlusion_maps`.
        - ``"auto"``: the first of these that the system has. A forest, whose scores
          move in steps, has no contributions.

    resize : bool, default=True
        Whether maps are brought, bilinearly, to the size of the images in ``X``. False:
        they have the size of what the method sees.

    Returns
    -------
    maps : ndarray of shape (n_samples, height, width), or list of ndarray, float32
        High = anomalous, in units of the method and the system. A list of arrays
        (height, width) if the images have several sizes.

    Raises
    ------
    TypeError
        If the system does not have maps of this method.

    ValueError
        If X is a table.

    ImageReadError
        If an image cannot be read.

    See Also
    --------
    fit_map_scale : One scale for the maps of all images.
    segment : Regions of a map.

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
    return stacked(iter_maps(system, X, method=method, resize=resize))


def iter_maps(
    system: Any, X: Any, *, method: str = "auto", resize: bool = True
) -> Iterator[np.ndarray]:
    """Yield what `anomaly_maps` returns, map by map.

    Parameters
    ----------
    system, X, method, resize
        As for `anomaly_maps`.

    Yields
    ------
    map : float32 ndarray of shape (height, width)
    """
    steps, detector = flattened(system)
    method = map_method(system, method)
    if method == "own":
        maps = _own_maps(steps, detector, X)
    elif method == "contribution":
        maps = iter_contributions(steps, detector, X)
    else:
        first, strength = _first(steps, detector), _strength(detector)
        yield from iter_occlusions(system, first, X, strength=strength, resize=resize)
        return
    if not resize:
        yield from maps
        return
    frames = views(X, reading_of(_first(steps, detector)))
    for view, one in zip(frames, maps, strict=True):
        yield view.in_pixels(one)


def occlusion_maps(
    system: Any,
    X: Any,
    *,
    fill: str = "blur",
    strength: float | None = None,
    n_cells: int = 7,
    n_levels: int = 2,
    refine: float = 0.25,
    batch_size: int = 32,
    resize: bool = True,
) -> np.ndarray | list[np.ndarray]:
    """Return how much the score of images falls where a part of them is covered.

    It works with whatever scores images, and asks nothing but scores of it. The parts
    are the cells of a grid. Those whose cover lowers the score most are then cut into
    four, and each quarter is covered by itself.

    Parameters
    ----------
    system : estimator
        A fitted system that takes images.

    X : array-like or sequence of length n_samples
        What the system takes: images, paths or other sources.

    fill : {"blur", "mean", "gray"}, default="blur"
        What covers a part: the image blurred until no detail is left, its mean color,
        or the middle of its values.

    strength : float in (0, 1] or None, default=None
        Opacity of the cover. A slight one leaves the image much like itself; a full one
        may be odder than what it covers. None: 0.2, or 1 for a forest, whose scores
        move in steps.

    n_cells : int, default=7
        Number of cells down and across.

    n_levels : int, default=2
        Number of grids, each twice as fine as the one before.

    refine : float in (0, 1], default=0.25
        Share of the cells of the first grid that are cut into four, at each level.

    batch_size : int, default=32
        Number of covered images that are scored together.

    resize : bool, default=True
        Whether maps are brought, bilinearly, to the size of the images. False: they
        have one value for each cell of the finest grid.

    Returns
    -------
    maps : ndarray of shape (n_samples, height, width), or list of ndarray, float32
        Fall of the anomaly score, divided by ``strength``, high = anomalous; finer
        grids add to the coarser ones. A list of arrays (height, width) if the images
        have several sizes.

    Raises
    ------
    ValueError
        If X is a table, or a parameter is out of range.

    ImageReadError
        If an image cannot be read.

    Notes
    -----
    **Cost.** One image takes ``1 + n_cells**2 + 4 * round(refine * n_cells**2) *
    (n_levels - 1)`` passes of the system: 98 with the defaults. Nothing of covered
    images is kept in a cache.

    **Strength.** On twelve photographs of transistors and magnetic tiles with defects,
    scored by a Mahalanobis distance on three layers of vgg_mini's first edition at 112
    pixels, the AUROC of the pixels of one photograph is .70 on average with covers of
    strength 0.2, .49 with full ones (``n_levels=1``), and .61 with contributions of
    positions.

    References
    ----------
    .. [1] Zeiler and Fergus, "Visualizing and understanding convolutional networks",
       ECCV 2014.

    Examples
    --------
    >>> import numpy as np
    >>> import featad
    >>> X = np.random.default_rng(0).normal(0.5, 0.02, (30, 16, 16)).clip(0, 1)
    >>> reader = featad.ImageReader(size=8, mode="L", flatten=True)
    >>> system = featad.make_pipeline(reader, featad.KMeansDistance(1)).fit(X)
    >>> X[0, 12:, :4] = 0.9
    >>> [found] = featad.occlusion_maps(system, X[:1], n_cells=4, n_levels=1)
    >>> bool(found[13:, :3].min() > found[:10].max())
    True
    """
    steps, detector = flattened(system)
    options: dict[str, Any] = {
        "fill": fill,
        "strength": _strength(detector) if strength is None else strength,
        "n_cells": n_cells,
        "n_levels": n_levels,
        "refine": refine,
        "batch_size": batch_size,
        "resize": resize,
    }
    return stacked(iter_occlusions(system, _first(steps, detector), X, **options))


def map_method(system: Any, method: str = "auto") -> str:
    """Return the method by which a system has maps, and refuse one that it lacks.

    Parameters
    ----------
    system : estimator
        As for `anomaly_maps`.

    method : str, default="auto"
        One of ``METHODS``.

    Returns
    -------
    method : {"own", "contribution", "occlusion"}

    Examples
    --------
    >>> import featad
    >>> map_method(featad.build("mini-stats-mahalanobis"))
    'contribution'
    >>> map_method(featad.build("pixels-mahalanobis"))
    'occlusion'
    """
    if method not in METHODS:
        raise ValueError(f"method should be one of {METHODS}, got {method!r}.")
    steps, detector = flattened(system)
    has_own = hasattr(detector, "anomaly_map") and (
        len(getattr(detector, "sample_shape_", (0, 0))) > 1
    )
    if method == "own" and not has_own:
        raise TypeError(
            f"{type(detector).__name__} has no anomaly maps of its own. Pass "
            'method="auto", or a detector that rebuilds or judges images, such as '
            "featad.Autoencoder."
        )
    has_cells = bool(steps) and cells_of(steps[0]) is not None
    if method == "contribution" and not has_cells:
        raise TypeError(
            "Contributions are of features that are pooled over the positions of a "
            f"map, but this system begins with {_first(steps, detector)}. Pass "
            'method="occlusion".'
        )
    if method != "auto":
        return method
    if has_own:
        return "own"
    return "contribution" if has_cells and not _is_forest(detector) else "occlusion"


def read_as_seen(system: Any, source: Any) -> np.ndarray:
    """Return an image in its own size, read as a system reads it.

    Parameters
    ----------
    system : estimator
        A fitted system.

    source : path-like, bytes-like, PIL image or ndarray

    Returns
    -------
    image : float32 ndarray of shape (height, width, channels), in [0, 1]
    """
    return read_whole(source, reading_of(_first(*flattened(system))))


def flattened(system: Any) -> tuple[list[Any], Any]:
    """Return the steps of a fitted system before its innermost detector, and that.

    Parameters
    ----------
    system : estimator
        A detector, a pipeline, a calibration, a search, nested or not. What is not
        fitted is taken as it is.

    Returns
    -------
    steps : list of estimator
        Transformers.

    detector : estimator
        A meta-estimator with maps of its own is not opened.
    """
    if isinstance(system, FrozenEstimator):
        return flattened(system.estimator)
    if isinstance(system, Pipeline):
        steps = [s for _, s in system.steps[:-1] if s not in (None, "passthrough")]
        inner, detector = flattened(system[-1])
        return [*steps, *inner], detector
    if not hasattr(system, "anomaly_map"):
        inside = getattr(system, "best_estimator_", None)
        if isinstance(system, BaseMetaDetector):
            inside = getattr(system, "estimator_", system.estimator)
        if inside is not None:
            return flattened(inside)
    return [], system


def stacked(maps: Iterator[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """Return maps as one array, or a list if they have several sizes."""
    found = list(maps)
    return np.stack(found) if len({one.shape for one in found}) == 1 else found


def _first(steps: list, detector: Any) -> Any:
    return steps[0] if steps else detector


def _is_forest(detector: Any) -> bool:
    """Return whether scores move in steps, so that slight changes tell nothing."""
    return isinstance(detector, IsolationForest | ensemble.IsolationForest)


def _strength(detector: Any) -> float:
    return 1.0 if _is_forest(detector) else SLIGHT


def _own_maps(steps: Sequence, detector: Any, X: Any) -> Iterator[np.ndarray]:
    """Yield a detector's own maps, a batch at a time."""
    for start in tracked(range(0, len(X), _BATCH), "map", -(-len(X) // _BATCH)):
        batch = X[start : start + _BATCH]
        n_images = len(batch)
        for step in steps:
            batch = step.transform(batch)
        maps = detector.anomaly_map(batch)
        if len(maps) != n_images:
            raise ValueError(
                f"{n_images} images have {len(maps)} maps: the reader skips some. "
                'Leave unreadable images out of X, or set on_error="raise".'
            )
        yield from maps
