"""Do new images still look like those that set the threshold? Tests of p-values."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from math import ceil

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta, betabinom, ks_2samp

from featad._words import percent

LEVELS = (0.05, 0.1, 0.2, 0.5)
"""Levels at which low p-values are counted."""

_ENOUGH = 30  # samples whose p-values say something about all of them
_EXACT = 10**6  # number of pairs up to which the exact test is quick


@dataclass(frozen=True)
class PValueCheck:
    """How far p-values of good parts are from uniform.

    Attributes
    ----------
    n_samples : int
        Number of p-values.

    level : float
        What counts as a low p-value. It is also the expected share of them.

    n_low : int
        Number of p-values of at most ``level``.

    n_tolerated : int
        The largest number of low p-values that passes.

    mean : float
        Mean p-value; 0.5 is expected.

    probability : float
        How likely p-values at least as far from uniform are, if the parts are like
        those that calibrated the system.

    error : float
        Share of such sets of parts for which ``is_uniform`` is False.
    """

    n_samples: int
    level: float
    n_low: int
    n_tolerated: int
    mean: float
    probability: float
    error: float

    @property
    def is_uniform(self) -> bool:
        """Whether the parts look like those that calibrated the system."""
        return self.probability > self.error


def check_p_values(
    p_values: ArrayLike,
    n_calibration: int,
    *,
    level: float = 0.05,
    error: float = 0.01,
) -> PValueCheck:
    """Test whether p-values of parts known to be good are uniform.

    They are if the parts are like those that calibrated the system: in light, focus,
    position and product. If they are not, neither is the false alarm rate what it was.

    Parameters
    ----------
    p_values : array-like of shape (n_samples,)
        One p-value for each good part, of parts the system was not fitted on.

    n_calibration : int
        Number of normal samples, or groups, that calibrated the system.

    level : float in (0, 1), default=0.05
        What counts as a low p-value.

    error : float in (0, 1), default=0.01
        Share of sets of good parts, like those that calibrated the system, that fail.

    Returns
    -------
    check : PValueCheck

    Raises
    ------
    ValueError
        If there are no p-values, or one is not in (0, 1].

    Notes
    -----
    Two tests share the error equally. The number of low p-values is held against a
    beta-binomial distribution, which knows that a threshold from few samples has an
    uncertain rate. All p-values together are held against those of the calibration by
    a two-sample Kolmogorov-Smirnov test. Both are exact for samples that are
    independent and a system calibrated on one held-out set.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.drift import check_p_values
    >>> check_p_values(np.linspace(0.02, 1, 50), 100).is_uniform
    True
    >>> check = check_p_values(np.linspace(0.01, 0.5, 50), 100)
    >>> check.n_low, check.n_tolerated, check.is_uniform
    (5, 9, False)
    """
    p = np.asarray(p_values, dtype=np.float64).ravel()
    if len(p) == 0 or not ((p > 0) & (p <= 1)).all():
        raise ValueError(
            f"check_p_values needs p-values above 0 and up to 1, but got {len(p)}, "
            f"{((p > 0) & (p <= 1)).sum()} of them in this range."
        )
    low = _low(len(p), n_calibration, 0, level)
    n_low = int((p <= level).sum())
    shape = kolmogorov_smirnov(p, n_calibration)
    return PValueCheck(
        n_samples=len(p),
        level=level,
        n_low=n_low,
        n_tolerated=int(low.isf(error / 2)),
        mean=float(p.mean()),
        probability=float(min(1.0, 2 * min(low.sf(n_low - 1), shape))),
        error=error,
    )


def kolmogorov_smirnov(p_values: ArrayLike, n_calibration: int) -> float:
    """Return how likely p-values at least as far from those of the calibration are.

    Parameters
    ----------
    p_values : array-like of shape (n_samples,)

    n_calibration : int
        Number of normal samples, or groups, that calibrated the system.

    Returns
    -------
    probability : float
        Of the two-sample Kolmogorov-Smirnov test, if the samples are like those that
        calibrated the system.
    """
    p = np.asarray(p_values, dtype=np.float64)
    expected = np.arange(2, n_calibration + 2) / (n_calibration + 1)
    method = "exact" if len(p) * n_calibration <= _EXACT else "asymp"
    return float(ks_2samp(p, expected, method=method).pvalue)


def rate_in_force(target_fpr: float, n_calibration: int) -> float:
    """Return the expected false alarm rate: the target, or what few samples allow.

    Parameters
    ----------
    target_fpr : float in (0, 1)
        The accepted rate.

    n_calibration : int
        Number of samples, or groups, that calibrated the system.

    Returns
    -------
    rate : float
        At least 1 / (n_calibration + 1).
    """
    return max(target_fpr, 1 / (n_calibration + 1))


def needed_samples(target_fpr: float) -> tuple[int, int]:
    """Return how many held-out normal samples a false alarm rate takes.

    Parameters
    ----------
    target_fpr : float in (0, 1)
        The wished rate.

    Returns
    -------
    least : int
        With fewer, the rate in force is higher.

    sure : int
        With these, the true rate is at most twice the wished one in 39 of 40 cases.

    Examples
    --------
    >>> from featad.drift import needed_samples
    >>> needed_samples(0.01)
    (99, 599)
    """
    sizes = ((rank, ceil(rank / target_fpr - 1e-9) - 1) for rank in count(1))
    sure = next(
        n
        for rank, n in sizes
        if n >= rank and beta(rank, n + 1 - rank).ppf(0.975) <= min(2 * target_fpr, 1)
    )
    return ceil(1 / target_fpr - 1e-9) - 1, sure


def hidden_drift(
    n_samples: int,
    n_anomalous: int,
    n_at_most: Mapping[float, int],
    n_calibration: int,
    target_fpr: float,
) -> float | None:
    """Return the level at which samples that pass tell of a drift, if they do.

    Defects raise the number of samples that are called anomalous, and leave the others
    as they are. Another lamp, focus or camera moves all samples towards the threshold,
    also those that stay below it.

    Parameters
    ----------
    n_samples : int
        Number of samples that were scored, good and anomalous.

    n_anomalous : int
        How many are called anomalous.

    n_at_most : dict of float to int
        For each of `LEVELS`, how many p-values are at most as large.

    n_calibration : int
        Number of samples, or groups, that calibrated the system.

    target_fpr : float in (0, 1)
        Samples with p-values up to it are called anomalous.

    Returns
    -------
    level : float or None
        The first of `LEVELS` that is at least twice the false alarm rate, if of the
        samples that pass at least twice the expected share has p-values up to it,
        which chance explains 1 time in 200, and more than half of them are in the
        lower half, which chance explains 1 time in 20.

    Examples
    --------
    >>> from featad.drift import hidden_drift
    >>> hidden_drift(100, 2, {0.05: 31, 0.5: 80}, 200, target_fpr=0.01)
    0.05
    >>> hidden_drift(100, 29, {0.05: 31, 0.5: 65}, 200, target_fpr=0.01)
    """
    rate = rate_in_force(target_fpr, n_calibration)
    level = next((level for level in LEVELS if level >= 2 * rate - 1e-9), None)
    passed = n_samples - n_anomalous
    if level is None or passed == 0:
        return None
    nearly, lower = (n_at_most[at] - n_anomalous for at in (level, 0.5))
    if nearly < 2 * passed * (level - rate) / (1 - rate):
        return None
    chance = _low(passed, n_calibration, rate, level).sf(nearly - 1)
    chance_of_half = _low(passed, n_calibration, rate, 0.5).sf(lower - 1)
    return level if chance < 0.005 and chance_of_half < 0.05 else None


def drift_in_words(
    n_samples: int,
    n_anomalous: int,
    n_at_most: Mapping[float, int],
    n_calibration: int,
    target_fpr: float,
    *,
    units: str = "images",
) -> str | None:
    """Return what is said of samples that do not look like those of the calibration.

    Parameters
    ----------
    n_samples, n_anomalous, n_at_most, n_calibration, target_fpr
        As for `hidden_drift`.

    units : str, default="images"
        What the samples are called.

    Returns
    -------
    sentence : str or None
        None: nothing is wrong, or there are fewer than 30 samples. Where most samples
        are called anomalous, none are left to tell defects from a drift, and it says
        so.

    Examples
    --------
    >>> from featad.drift import drift_in_words
    >>> drift_in_words(100, 2, {0.05: 31, 0.5: 80}, 200, target_fpr=0.01)
    '31 % of the images have p <= 0.05 where 5 % are expected: the camera, the light or
    the parts have changed.'
    """
    if n_samples < _ENOUGH:
        return None
    level = hidden_drift(n_samples, n_anomalous, n_at_most, n_calibration, target_fpr)
    cause = "the camera, the light or the parts have changed"
    if level is None:
        if n_anomalous <= n_samples / 2:
            return None
        rate = rate_in_force(target_fpr, n_calibration)
        return (
            f"{percent(n_anomalous / n_samples)} of the {units} are called anomalous "
            f"where {percent(rate)} of good ones are expected: {cause}, or most of "
            f"these {units} have defects."
        )
    return (
        f"{percent(n_at_most[level] / n_samples)} of the {units} have p <= {level:g} "
        f"where {percent(level)} are expected: {cause}."
    )


def _low(n_samples, n_calibration, above, level):
    """Return the distribution of p-values in (above, level], of those beyond above."""
    units = n_calibration + 1
    return betabinom(n_samples, (level - above) * units, (1 - level) * units)
