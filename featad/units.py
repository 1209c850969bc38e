"""Scores of different detectors in common units, from held-out normal samples."""

import numpy as np

UNITS = ("p-value", "robust")

_TAIL = 0.1  # share of the held-out samples whose excess fixes the tail
_LEAST = 10  # held-out samples in that tail, where there are so many
_SPREAD = 2 * 0.6744897501960817  # quartiles of a normal distribution lie so far apart


def in_units(strangeness: np.ndarray, held_out: np.ndarray, units: str) -> np.ndarray:
    """Return how strange samples are beside held-out normal ones.

    Parameters
    ----------
    strangeness : ndarray of any shape
        High = anomalous.

    held_out : ndarray of shape (n,)
        The strangeness of normal samples that the detector has not seen.

    units : {"p-value", "robust"}
        ``"robust"``: distance from the median, over the distance between the quartiles,
        which is scaled to be 1 for the standard deviation of a normal distribution.
        ``"p-value"``: minus the decimal logarithm of the share of normal samples that
        are at least as strange.

    Returns
    -------
    values : ndarray of the same shape, float64
        High = anomalous.

    Examples
    --------
    >>> import numpy as np
    >>> held_out = np.random.default_rng(0).exponential(5.0, 10_000)
    >>> in_units(5.0 * np.log([10, 100, 10**6]), held_out, "p-value").round(1)
    array([1., 2., 6.])
    >>> in_units(np.array([0.0, 2.0]), np.array([-1.0, 0.0, 1.0]), "robust").round(2)
    array([0.  , 2.7])
    """
    strangeness = np.asarray(strangeness, dtype=np.float64)
    if units == "p-value":
        return _surprise(strangeness, np.sort(held_out))
    center, spread = center_and_spread(held_out)
    return (strangeness - center) / spread


def center_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Return the median, and the distance of the quartiles as a standard deviation.

    Parameters
    ----------
    values : ndarray of any shape

    Returns
    -------
    center, spread : float
        The spread is never 0.

    Examples
    --------
    >>> center, spread = center_and_spread(np.random.default_rng(0).normal(size=10**4))
    >>> round(center, 1), round(spread, 1)
    (-0.0, 1.0)
    """
    low, center, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(center), _positive((high - low) / _SPREAD, values)


def _surprise(strangeness: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Return minus the decimal logarithm of the share that is at least as strange.

    The share is interpolated between held-out samples. Beyond the highest tenth of them
    the logarithm goes on as a straight line, the tail of an exponential distribution
    with the mean excess of that tenth, so that samples beyond all of them differ.
    """
    n = len(held_out)
    n_tail = min(max(round(_TAIL * n), _LEAST), max(1, n // 2))
    bulk, first = np.unique(held_out[: n - n_tail], return_index=True)
    surprise = -np.log10((n - first) / n)
    excess = _positive((held_out[n - n_tail :] - bulk[-1]).mean(), held_out)
    beyond = surprise[-1] + (strangeness - bulk[-1]) / excess / np.log(10)
    inside = np.interp(strangeness, bulk, surprise)
    return np.where(strangeness > bulk[-1], beyond, inside)


def _positive(spread: float, held_out: np.ndarray) -> float:
    """Return a spread, or the least that numbers of this size can have."""
    size = float(np.abs(held_out).max()) or 1.0
    return max(float(spread), np.finfo(np.float64).eps * size)
