"""Figures of merit from labels and anomaly scores.

Labels are 1 (normal) and -1 (anomalous); anomaly scores are high where a sample is
anomalous, as :func:`featad.anomaly_scores` gives them. Anomalies are the positives.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from featad._validation import check_labels

_DRAWS_AT_ONCE = 2_000_000  # samples drawn in one go: bounds the memory


def auroc(y: ArrayLike, anomaly_score: ArrayLike) -> float:
    """Return the area under the ROC curve.

    It is the chance that an anomaly scores above a normal sample, ties counting half.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels: 1 normal, -1 anomalous. Both must occur.

    anomaly_score : array-like of shape (n_samples,)
        High where a sample is anomalous; finite.

    Returns
    -------
    auroc : float
        Between 0 and 1; 0.5 is chance.

    Raises
    ------
    ValueError
        If a label is not 1 or -1, one label is missing, a score is NaN or infinite, or
        the lengths differ. This holds for all functions of this module.

    Examples
    --------
    >>> from featad.metrics import auroc
    >>> auroc([1, 1, -1, -1], [0.1, 0.4, 0.3, 0.9])
    0.75
    """
    return _figure(_auroc, y, anomaly_score)


def average_precision(y: ArrayLike, anomaly_score: ArrayLike) -> float:
    """Return the average precision, the anomalies being the positives.

    Parameters
    ----------
    y, anomaly_score : array-like of shape (n_samples,)
        As in :func:`auroc`.

    Returns
    -------
    average_precision : float
        Between 0 and 1; chance is the share of anomalies.

    Examples
    --------
    >>> from featad.metrics import average_precision
    >>> round(average_precision([1, 1, -1, -1], [0.1, 0.4, 0.3, 0.9]), 4)
    0.8333
    """
    return _figure(_average_precision, y, anomaly_score)


def f1_max(y: ArrayLike, anomaly_score: ArrayLike) -> float:
    """Return the best F1 score over all thresholds, the anomalies being the positives.

    The threshold is chosen with the labels, so the figure is an upper bound of what a
    threshold set beforehand reaches.

    Parameters
    ----------
    y, anomaly_score : array-like of shape (n_samples,)
        As in :func:`auroc`.

    Returns
    -------
    f1 : float
        Between 0 and 1; calling all samples anomalous already gives
        ``2 * share / (1 + share)``, where ``share`` is that of the anomalies.

    Examples
    --------
    >>> from featad.metrics import f1_max
    >>> f1_max([1, 1, -1, -1], [0.1, 0.4, 0.3, 0.9])
    0.8
    """
    return _figure(_f1_max, y, anomaly_score)


def tpr_at_fpr(y: ArrayLike, anomaly_score: ArrayLike, fpr: float = 0.01) -> float:
    """Return the highest share of anomalies found at a limited false-alarm rate.

    Only thresholds that occur in the data are used, without interpolation. With fewer
    than ``1 / fpr`` normal samples, no false alarm is allowed at all.

    Parameters
    ----------
    y, anomaly_score : array-like of shape (n_samples,)
        As in :func:`auroc`.

    fpr : float in [0, 1], default=0.01
        Largest share of normal samples that may be called anomalous.

    Returns
    -------
    tpr : float
        Share of the anomalies found, between 0 and 1.

    Examples
    --------
    >>> from featad.metrics import tpr_at_fpr
    >>> tpr_at_fpr([1, 1, -1, -1], [0.1, 0.4, 0.3, 0.9], fpr=0.0)
    0.5
    """
    check_share(fpr, "fpr", closed=True)
    return _figure(lambda tp, fp: _tpr_at_fpr(tp, fp, fpr), y, anomaly_score)


def bootstrap_interval(
    metric: Callable[[np.ndarray, np.ndarray], float],
    y: ArrayLike,
    anomaly_score: ArrayLike,
    *,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
) -> tuple[float, float]:
    """Return a percentile bootstrap interval of a figure.

    Normal and anomalous samples are drawn separately, so each draw has as many of both
    as the data. The interval holds for new samples scored by the same fitted system. It
    says nothing about fitting the system again.

    Parameters
    ----------
    metric : callable
        ``metric(y, anomaly_score) -> float``. :func:`auroc`,
        :func:`average_precision`, :func:`f1_max` and :func:`tpr_at_fpr` are computed
        for many draws at once; any other is called once per draw.

    y, anomaly_score : array-like of shape (n_samples,)
        As in :func:`auroc`.

    n_bootstrap : int, default=1000
        Number of draws.

    confidence : float in (0, 1), default=0.95
        Share of the draws inside the interval.

    random_state : int, RandomState instance or None, default=0
        Seeds the draws.

    Returns
    -------
    low, high : float
        Ends of the interval.

    References
    ----------
    .. [1] Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.

    Examples
    --------
    >>> from featad.metrics import auroc, bootstrap_interval
    >>> y = [1] * 20 + [-1] * 20
    >>> low, high = bootstrap_interval(auroc, y, range(40))
    >>> low, high
    (1.0, 1.0)
    """
    check_share(confidence, "confidence")
    y, score = check_scores(y, anomaly_score)
    draws = [
        of_draws(metric, y, score, counts)
        for counts in bootstrap_counts(y, n_bootstrap, random_state)
    ]
    tail = 50 * (1 - confidence)
    low, high = np.percentile(np.concatenate(draws), [tail, 100 - tail])
    return float(low), float(high)


def check_scores(
    y: ArrayLike,
    anomaly_score: ArrayLike,
    *,
    name: str = "anomaly_score",
    needs_both: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (int; 1 and -1, both present) and finite scores, one per label."""
    score = np.asarray(anomaly_score, dtype=np.float64)
    if score.ndim != 1:
        raise ValueError(
            f"{name} should have shape (n_samples,), got shape {score.shape}. "
            "Pass one score per sample."
        )
    y = check_labels(y, n_samples=len(score), needs_both=needs_both)
    n_wrong = int((~np.isfinite(score)).sum())
    if n_wrong:
        raise ValueError(
            f"{name} should be finite, got {n_wrong} NaN or infinite values among "
            f"{len(score)}. Leave those samples out of y and {name}, for instance "
            f"with np.isfinite({name})."
        )
    return y, score


def bootstrap_counts(
    y: np.ndarray, n_bootstrap: int, random_state: int | np.random.RandomState | None
) -> Iterator[np.ndarray]:
    """Draw samples with replacement, normal and anomalous ones apart.

    Yields int arrays of shape (n_draws, n_samples), how often each sample was drawn,
    until there are ``n_bootstrap`` rows. ``y`` holds labels as :func:`check_scores`
    returns them.
    """
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap should be at least 1, got {n_bootstrap}.")
    rng = check_random_state(random_state)
    step = max(1, _DRAWS_AT_ONCE // len(y))
    for start in range(0, n_bootstrap, step):
        n_draws = min(step, n_bootstrap - start)
        counts = np.zeros((n_draws, len(y)), dtype=np.int64)
        for label in (1, -1):
            members = np.flatnonzero(y == label)
            drawn = members[rng.randint(len(members), size=(n_draws, len(members)))]
            drawn += len(y) * np.arange(n_draws)[:, None]
            counts += np.bincount(drawn.ravel(), minlength=counts.size).reshape(
                counts.shape
            )
        yield counts


def of_draws(
    metric: Callable, y: np.ndarray, score: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return a figure for each draw of :func:`bootstrap_counts`.

    ``counts`` has shape (n_draws, n_samples), the result (n_draws,). The AUROC is NaN
    where a draw holds only one label.
    """
    if metric in _FROM_CURVE:
        return _FROM_CURVE[metric](*cumulated(y, score, counts))
    drawn = (np.repeat(np.arange(len(y)), row) for row in counts)
    return np.array([metric(y[index], score[index]) for index in drawn], dtype=float)


def _figure(of_curve: Callable, y: ArrayLike, anomaly_score: ArrayLike) -> float:
    y, score = check_scores(y, anomaly_score)
    return float(of_curve(*cumulated(y, score, np.ones((1, len(y)), dtype=int)))[0])


def cumulated(
    y: np.ndarray, score: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count anomalies and normals at or above each distinct score, highest first.

    Returns two arrays of shape (n_draws, n_distinct + 1), from none to all samples.
    """
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))  # last of each tie
    curves = []
    for label in (-1, 1):
        running = np.cumsum(counts[:, order] * (y[order] == label), axis=1)[:, last]
        curves.append(np.pad(running, ((0, 0), (1, 0))))
    return curves[0], curves[1]


def _auroc(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    area = (np.diff(fp) * (tp[:, 1:] + tp[:, :-1])).sum(axis=1) / 2
    pairs = tp[:, -1] * fp[:, -1]
    return np.divide(area, pairs, out=np.full(len(tp), np.nan), where=pairs > 0)


def _average_precision(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    precision = tp[:, 1:] / np.maximum(tp + fp, 1)[:, 1:]
    return (np.diff(tp) * precision).sum(axis=1) / tp[:, -1]


def _f1_max(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    return (2 * tp / (tp + fp + tp[:, -1:])).max(axis=1)


def _tpr_at_fpr(tp: np.ndarray, fp: np.ndarray, fpr: float = 0.01) -> np.ndarray:
    # A hair above, so that 0.07 * 100 normals allow 7 false alarms in floating point
    allowed = fp <= fpr * fp[:, -1:] * (1 + 1e-12)
    return (tp * allowed).max(axis=1) / tp[:, -1]


_FROM_CURVE = {
    auroc: _auroc,
    average_precision: _average_precision,
    f1_max: _f1_max,
    tpr_at_fpr: _tpr_at_fpr,
}


def check_share(value: float, name: str, *, closed: bool = False) -> None:
    """Raise ValueError unless a value lies between 0 and 1 (ends allowed if closed)."""
    if not (0 <= value <= 1 if closed else 0 < value < 1):
        ends = "[0, 1]" if closed else "(0, 1)"
        raise ValueError(f"{name} should be in {ends}, got {value!r}.")
