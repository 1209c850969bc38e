"""Whether two systems differ on the same samples: DeLong's test."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata

from featad.metrics.scores import check_scores, check_share


class DelongResult(NamedTuple):
    """Outcome of `delong_test`.

    Attributes
    ----------
    auroc_a : float
        The AUROC of the first system.

    auroc_b : float
        The AUROC of the second one.

    difference : float
        ``auroc_a - auroc_b``.

    interval : tuple of (float, float)
        Of the difference, low and high.

    p_value : float
        Two-sided, of "both are equal".

    Examples
    --------
    >>> from featad.metrics import delong_test
    >>> delong_test([1, 1, -1, -1], [1, 2, 3, 4], [1, 3, 2, 4]).difference
    0.25
    """

    auroc_a: float
    auroc_b: float
    difference: float
    interval: tuple[float, float]
    p_value: float


def delong_test(
    y: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, confidence: float = 0.95
) -> DelongResult:
    """Compare the AUROC of two systems on the same samples.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels: 1 normal, -1 anomalous; at least two of each.

    score_a, score_b : array-like of shape (n_samples,)
        Anomaly scores of the two systems, sample for sample; finite.

    confidence : float in (0, 1), default=0.95
        Coverage of the interval.

    Returns
    -------
    result : DelongResult
        Both areas, their difference with its interval, and a p-value.

    Notes
    -----
    Both the interval and the p-value rest on a normal approximation; with a handful of
    anomalies or an AUROC near 1 they are rough. Where the estimated variance is zero
    (scores that rank all pairs alike, or two constant rankings) the p-value is 1 for
    equal areas and 0 for different ones.

    References
    ----------
    .. [1] DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more
       correlated receiver operating characteristic curves", Biometrics 44, 1988.
    .. [2] Sun and Xu, "Fast implementation of DeLong's algorithm for comparing the
       areas under correlated receiver operating characteristic curves", IEEE Signal
       Processing Letters 21, 2014.

    Examples
    --------
    >>> from featad.metrics import delong_test
    >>> y = [1, 1, 1, 1, -1, -1, -1, -1]
    >>> result = delong_test(y, [1, 2, 3, 5, 4, 6, 7, 8], [1, 6, 3, 5, 4, 2, 7, 8])
    >>> result.auroc_a, result.auroc_b, result.difference
    (0.9375, 0.6875, 0.25)
    >>> round(result.p_value, 3)
    0.221
    """
    check_share(confidence, "confidence")
    y, score_a = check_scores(y, score_a, name="score_a")
    _, score_b = check_scores(y, score_b, name="score_b")
    anomalous = y == -1
    n_anomalous, n_normal = anomalous.sum(), (~anomalous).sum()
    if min(n_anomalous, n_normal) < 2:
        raise ValueError(
            "delong_test needs at least two normal and two anomalous samples, got "
            f"{n_normal} normal and {n_anomalous} anomalous. Add samples."
        )
    # Each sample's share in the area: against how many of the others it ranks correctly
    of_anomalies, of_normals = [], []
    for score in (score_a, score_b):
        rank = rankdata(score)
        among_anomalies = rankdata(score[anomalous])
        among_normals = rankdata(score[~anomalous])
        of_anomalies.append((rank[anomalous] - among_anomalies) / n_normal)
        of_normals.append(1 - (rank[~anomalous] - among_normals) / n_anomalous)
    auroc_a, auroc_b = (float(share.mean()) for share in of_anomalies)
    covariance = np.cov(of_anomalies) / n_anomalous + np.cov(of_normals) / n_normal
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    error = float(np.sqrt(max(variance, 0.0)))
    difference = auroc_a - auroc_b
    if error > 1e-12:
        p_value = float(2 * norm.sf(abs(difference) / error))
    else:
        p_value = float(abs(difference) < 1e-12)
    reach = float(norm.ppf(0.5 + confidence / 2)) * error
    interval = (difference - reach, difference + reach)
    return DelongResult(auroc_a, auroc_b, difference, interval, p_value)
