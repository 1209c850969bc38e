"""Maps of several systems in common units, those of normal maps."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

from featad.maps import anomaly_maps
from featad.refits import fit_rows, rows
from featad.systems import iter_parts_and_templates, trains_networks, uses_labels
from featad.units import center_and_spread

_LEARNED, _SEEN = 200, 32  # samples that fix a unit


def has_maps(system: Any) -> bool:
    """Return whether some part of a system says how strange every pixel is."""
    parts = iter_parts_and_templates(system)
    return any(hasattr(part, "anomaly_map") for part in parts)


def is_table(X: Any) -> bool:
    """Return whether samples are rows, which have no pixels."""
    return np.ndim(rows(X, np.array([0]))) == 2


def map_unit(
    system: Any, X: Any, groups: Any, normal: np.ndarray, seed: int
) -> tuple[float, float]:
    """Return median and spread of maps of normal samples that were held out.

    Parameters
    ----------
    system : estimator
        Fitted. A copy of it is fitted on some of the samples, 200 at most, which bounds
        what that takes. One that trains networks or learns from labels is not copied:
        it makes the maps itself.

    X, groups : sequences of n_samples samples and groups
        ``groups`` may be None.

    normal : ndarray of int
        The normal samples that were held out to calibrate.

    seed : int
        Draws the samples.

    Returns
    -------
    center, spread : float
    """
    kind = ShuffleSplit if groups is None else GroupShuffleSplit
    splitter = kind(1, test_size=0.3, random_state=seed)
    train, test = next(splitter.split(normal, groups=rows(groups, normal)))
    if not trains_networks(system) and not uses_labels(system):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the fit on all has warned
            learned = normal[train[:_LEARNED]]
            system = fit_rows(clone(system), X, None, groups, learned)
    maps = anomaly_maps(system, rows(X, normal[test[:_SEEN]]), resize=False)
    return center_and_spread(np.stack(list(maps)))


def mean_maps(
    systems: Mapping[str, Any],
    X: Any,
    units: Mapping[str, tuple[float, float]],
    weights: Mapping[str, float],
) -> np.ndarray | list[np.ndarray]:
    """Return the mean of the maps of systems, each in its own unit.

    Parameters
    ----------
    systems : mapping of str to estimator
        Fitted systems that have maps.

    X : sequence of n_samples images

    units : mapping of str to (float, float)
        From `map_unit`.

    weights : mapping of str to float
        If all are 0, the systems count alike.

    Returns
    -------
    maps : ndarray of shape (n_samples, height, width), or list of ndarray, float32
        As large as the images; a list if they have several sizes.

    Raises
    ------
    ValueError
        If there are no systems.
    """
    if not systems:
        raise ValueError(
            "anomaly_map needs images, but ScoreEnsemble was fitted on a table."
        )
    total = sum(weights[name] for name in systems)
    if total == 0:
        weights, total = dict.fromkeys(systems, 1.0), len(systems)
    found: list[np.ndarray] = []
    for name, system in systems.items():
        center, spread = units[name]
        factor = np.float32(weights[name] / total / spread)
        maps = [factor * (one - np.float32(center)) for one in anomaly_maps(system, X)]
        found = [a + b for a, b in zip(found, maps, strict=True)] if found else maps
    return np.stack(found) if len({one.shape for one in found}) == 1 else found
