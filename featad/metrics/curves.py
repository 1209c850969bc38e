"""ROC curves of one or more folds, and how sure they are."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_curve

from featad.metrics.scores import auroc, bootstrap_counts, cumulated, of_draws


def mean_roc(
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the mean ROC curve of folds, and its area, the mean of theirs.

    Parameters
    ----------
    folds : sequence of (y, anomaly_score)
        As for `featad.metrics.auroc`.

    Returns
    -------
    fpr : ndarray of shape (n_points,)
        Share of normal samples that are called anomalous.

    tpr : ndarray of shape (n_points,)
        Share of anomalies found. Of one fold, the curve is scikit-learn's.

    area : float
        The mean AUROC of the folds.

    Notes
    -----
    Each curve is a line with upright pieces; so is the mean, with two points at every
    share of normal samples at which a curve goes up: where it arrives and where it
    leaves.

    Examples
    --------
    >>> import numpy as np
    >>> fold = np.array([1, 1, -1, -1]), np.array([0.1, 0.4, 0.3, 0.9])
    >>> fpr, tpr, area = mean_roc([fold])
    >>> fpr.tolist(), tpr.tolist(), area
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0], 0.75)
    """
    area = float(np.mean([auroc(*fold) for fold in folds]))
    curves = [roc_curve(np.asarray(y) == -1, score)[:2] for y, score in folds]
    if len(curves) == 1:
        return *curves[0], area
    shares = np.unique(np.concatenate([fpr for fpr, _ in curves]))
    # where several points share a place, np.interp takes the last: here, reversed, the
    # lowest, and there the highest
    arrives = [np.interp(-shares, -fpr[::-1], tpr[::-1]) for fpr, tpr in curves]
    leaves = [np.interp(shares, fpr, tpr) for fpr, tpr in curves]
    tpr = np.stack([np.mean(arrives, axis=0), np.mean(leaves, axis=0)], axis=1).ravel()
    return np.repeat(shares, 2), tpr, area


def roc_draws(
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    places: Sequence[np.ndarray],
    labels: np.ndarray,
    shares: np.ndarray,
    *,
    n_bootstrap: int = 1000,
    random_state: int | np.random.RandomState | None = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean ROC curve over the folds, and its area, for bootstrap draws.

    Parameters
    ----------
    folds : sequence of (y, anomaly_score)
        As for `mean_roc`.

    places : sequence of ndarray
        For each sample of each fold, its place in ``labels``.

    labels : ndarray of shape (n_drawn,)
        Labels of what is drawn: samples, or groups of them.

    shares : ndarray of shape (n_shares,)
        Shares of normal samples at which the curves are asked for.

    n_bootstrap : int, default=1000
        Number of draws.

    random_state : int, RandomState instance or None, default=0
        Seeds the draws.

    Returns
    -------
    areas : ndarray of shape (n_bootstrap,)
        NaN where no fold has both labels in a draw.

    found : ndarray of shape (n_bootstrap, n_shares)
        Highest share of anomalies found at each of ``shares``, likewise.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([1, 1, -1, -1])
    >>> fold = labels, np.array([0.1, 0.2, 0.8, 0.9])
    >>> areas, found = roc_draws([fold], [np.arange(4)], labels, [0.0], n_bootstrap=3)
    >>> areas.tolist(), found.shape
    ([1.0, 1.0, 1.0], (3, 1))
    """
    areas, found = [], []
    for counts in bootstrap_counts(labels, n_bootstrap, random_state):
        drawn = [counts[:, place] for place in places]
        areas.append(
            _mean([of_draws(auroc, *f, c) for f, c in zip(folds, drawn, strict=True)])
        )
        found.append(
            _mean([_at(shares, *f, c) for f, c in zip(folds, drawn, strict=True)])
        )
    return np.concatenate(areas), np.concatenate(found)


def _at(
    shares: np.ndarray, y: np.ndarray, score: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return the share of anomalies found in each draw at shares of normal samples."""
    tp, fp = (count.astype(float) for count in cumulated(y, score, counts))
    both = (tp[:, -1] > 0) & (fp[:, -1] > 0)
    found = np.full((len(counts), len(shares)), np.nan)
    for i in np.flatnonzero(both):
        found[i] = np.interp(shares, fp[i] / fp[i, -1], tp[i] / tp[i, -1])
    return found


def _mean(of_folds: list[np.ndarray]) -> np.ndarray:
    """Return the mean over the folds in which a draw has both labels."""
    return np.ma.masked_invalid(of_folds).mean(axis=0).filled(np.nan)
