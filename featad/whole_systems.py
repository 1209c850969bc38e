"""What whole systems say of samples: p-values."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from featad.calibration import CalibratedDetector
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
