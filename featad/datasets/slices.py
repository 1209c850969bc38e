"""Scans (stacks of slices): windows of adjacent slices, and scores of whole scans.

A detector sees a window of slices as one image, with the slices on its channel axis.
Because a scan yields several windows, this runs before a pipeline, not inside it.
"""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_REDUCE: dict[str, Callable] = {
    "mean": np.mean,
    "median": np.median,
    "min": np.min,
    "max": np.max,
}


def slice_windows(
    scans: Sequence[Any],
    groups: ArrayLike | None = None,
    *,
    n_slices: int = 6,
    step: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return every window of adjacent slices of each scan, and the scan it is from.

    Parameters
    ----------
    scans : sequence of arrays, or ndarray of shape (n_slices_in_all, height, width[, \
channels])
        Without ``groups``, the scans, each of shape (depth, height, width[, channels]).
        Their depths may differ. With ``groups``, all slices in one array.

    groups : array-like of shape (n_slices_in_all,), default=None
        The scan of each slice. The slices of a scan keep their order; they need not be
        adjacent in the array.

    n_slices : int, default=6
        Number of slices in a window, at least 1.

    step : int, default=1
        Number of slices from the start of one window to the start of the next.

    Returns
    -------
    windows : ndarray of shape (n_windows, height, width, n_slices * channels)
        Ordered by scan, as their first slices are ordered, and by slice within a scan.
        The channels of a window's first slice come first.

    groups : ndarray of shape (n_windows,)
        The scan of each window: its value in ``groups``, or its position in ``scans``.
        No window contains slices of two scans.

    Raises
    ------
    ValueError
        If there is no scan, a scan has fewer slices than a window, or slices differ in
        shape.

    See Also
    --------
    aggregate_scores : From the scores of windows to those of scans.
    OneClassKFold : Takes ``groups``, so that a scan is never on both sides of a split.

    Examples
    --------
    From scans to windows, to scores of windows, to scores of scans; then a
    cross-validation that splits between scans, not within them:

    >>> import numpy as np
    >>> from featad import PCAReconstruction, aggregate_scores, slice_windows
    >>> rng = np.random.default_rng(0)
    >>> scans = [rng.random((depth, 8, 8)) for depth in (7, 9, 8, 7)]
    >>> windows, groups = slice_windows(scans, n_slices=6)
    >>> windows.shape, groups
    ((11, 8, 8, 6), array([0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3]))
    >>> scores = PCAReconstruction(2).fit(windows).score_samples(windows)
    >>> aggregate_scores(scores, groups).shape
    (4,)

    >>> from featad import OneClassKFold
    >>> y = np.where(groups == 3, -1, 1)
    >>> for train, test in OneClassKFold(3, random_state=0).split(windows, y, groups):
    ...     print(np.unique(groups[train]), np.unique(groups[test]))
    [0 1] [2 3]
    [0 2] [1 3]
    [1 2] [0 3]
    """
    for name, value in (("n_slices", n_slices), ("step", step)):
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(
                f"slice_windows: {name} should be an integer of at least 1, "
                f"got {value!r}."
            )
    names, volumes = _scans(scans, groups)
    windows = []
    for name, volume in zip(names, volumes, strict=True):
        if len(volume) < n_slices:
            raise ValueError(
                f"slice_windows: n_slices={n_slices}, but scan {name} has only "
                f"{len(volume)} slices. Lower n_slices or leave out the scan."
            )
        starts = range(0, len(volume) - n_slices + 1, step)
        windows += [np.concatenate(volume[i : i + n_slices], axis=-1) for i in starts]
    counts = [(len(volume) - n_slices) // step + 1 for volume in volumes]
    return np.stack(windows), np.repeat(names, counts)


def aggregate_scores(
    scores: ArrayLike, groups: ArrayLike, how: str = "mean"
) -> np.ndarray:
    """Combine the scores of each scan's windows into one score per scan.

    Parameters
    ----------
    scores : array-like of shape (n_windows,)
        Scores, high = normal, or anomaly scores, high = anomalous.

    groups : array-like of shape (n_windows,)
        The scan of each window, from :func:`slice_windows`, in any order.

    how : {"mean", "median", "min", "max"}, default="mean"
        The strangest window counts with ``"min"`` for scores and with ``"max"`` for
        anomaly scores.

    Returns
    -------
    scan_scores : ndarray of shape (n_scans,), float64
        In the order of ``numpy.unique(groups)``.

    Raises
    ------
    ValueError
        If the lengths differ or ``how`` has another value.

    Examples
    --------
    >>> from featad import aggregate_scores
    >>> aggregate_scores([1.0, 5.0, 3.0], ["b", "a", "b"])
    array([5., 2.])
    """
    if how not in _REDUCE:
        raise ValueError(
            f"aggregate_scores: how should be one of {', '.join(_REDUCE)}, got {how!r}."
        )
    scores, groups = np.asarray(scores, dtype=np.float64), np.asarray(groups)
    if scores.ndim != 1 or scores.shape != groups.shape:
        raise ValueError(
            "aggregate_scores takes one score and one group for each window, got "
            f"scores.shape={scores.shape} and groups.shape={groups.shape}."
        )
    names, place = np.unique(groups, return_inverse=True)
    return np.array([_REDUCE[how](scores[place == k]) for k in range(len(names))])


def _scans(scans, groups):
    """Return the names of the scans and each as (depth, height, width, channels)."""
    if groups is None:
        names, volumes = np.arange(len(scans)), [np.asarray(scan) for scan in scans]
    else:
        slices, groups = np.asarray(scans), np.asarray(groups)
        if groups.shape != slices.shape[:1]:
            raise ValueError(
                "slice_windows: groups must hold one value for each slice, got "
                f"groups.shape={groups.shape} and scans.shape={slices.shape}."
            )
        found, first = np.unique(groups, return_index=True)
        names = found[np.argsort(first)]
        volumes = [slices[groups == name] for name in names]
    shapes = {volume.shape[1:] for volume in volumes}
    if len(shapes) != 1 or len(next(iter(shapes))) not in (2, 3):
        raise ValueError(
            "slice_windows takes scans of shape (depth, height, width[, channels]) "
            "whose slices all have one shape, got slices of shape "
            f"{', '.join(map(str, sorted(shapes))) or 'none'}."
        )
    return names, [v[..., None] if v.ndim == 3 else v for v in volumes]
