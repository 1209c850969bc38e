"""Systems side by side on the same folds: scores of all folds to one table."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from featad._validation import check_labels
from featad.copies import warn_of_shared_copies
from featad.folds import Fold, drop_unused, make_folds, run_folds
from featad.metrics import (
    auroc,
    average_precision,
    bootstrap_counts,
    check_share,
    delong_test,
    f1_max,
    of_draws,
    tpr_at_fpr,
)

Tested: TypeAlias = list[tuple[np.ndarray, np.ndarray]]
"""Labels and anomaly scores of the test samples, fold by fold."""

_FIGURES = {
    "auroc": auroc,
    "average_precision": average_precision,
    "f1_max": f1_max,
    "tpr_at_fpr_1": tpr_at_fpr,
}
_COLUMNS = [
    "auroc",
    "auroc_low",
    "auroc_high",
    "average_precision",
    "f1_max",
    "tpr_at_fpr_1",
    "fit_seconds",
    "images_per_second",
    "p_delong",
]


def compare(
    systems: Mapping[str, Any],
    X: Any,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    cv: Any = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """Fit and test systems on the same folds: one row a system, best first.

    First steps that learn nothing, such as features of frozen networks, run once for
    all systems that share them, on all images that occur in a fold.

    Parameters
    ----------
    systems : dict of str to estimator
        Unfitted systems by name; they are cloned, not changed. Anything with ``fit``
        and ``score_samples`` or ``decision_function``.

    X : sequence of n_samples samples
        What the systems take: paths or other sources, an image batch, a pandas Series,
        or a table.

    y : array-like of shape (n_samples,)
        Labels: 1 normal, -1 anomalous. Detectors that learn from labels get those of
        the training samples; all others learn from every sample of a training set.

    groups : array-like of shape (n_samples,), default=None
        Samples of one group, such as the photographs of one part or the slices of one
        patient, stay on one side of each split.

    cv : int, splitter, iterable of (train, test) or None, default=None
        A number stands for ``OneClassKFold(cv, random_state=random_state)``, None for
        5. For a fixed split, pass ``[(train_indices, test_indices)]``.

    n_bootstrap : int, default=1000
        Number of draws for the confidence interval of the AUROC.

    confidence : float in (0, 1), default=0.95
        Coverage of the interval.

    random_state : int, RandomState instance or None, default=0
        Seeds the default folds and the draws. Systems have seeds of their own.

    on_progress : callable or None, default=None
        Called with ``(done, total, name)`` after each fold of each system.

    Returns
    -------
    table : DataFrame
        Index ``system``, sorted by ``auroc``. Means over the folds of ``auroc``,
        ``average_precision``, ``f1_max`` and ``tpr_at_fpr_1`` (share of anomalies found
        at 1 % false alarms); ``auroc_low`` and ``auroc_high``; ``fit_seconds``, mean
        over folds, features of the training images included; ``images_per_second``
        when scoring, features included; ``p_delong``, p-value of "as good as the best
        row" by DeLong's test. It is NaN for the best row, with several folds, and if a
        label is tested only once.

    Raises
    ------
    ValueError
        If a label is not 1 or -1, there is no system or no fold, or ``cv`` splits a
        group.
    ImageReadError, WeightsNotFoundError
        If an image cannot be read, or weights cannot be found.
    FeatadError
        If a system fails for another reason. The message names the system, and the
        cause is chained.

    Warns
    -----
    UserWarning
        If exact copies of tested samples are trained on.

    Notes
    -----
    The interval is a percentile bootstrap over test samples; normal and anomalous ones
    are drawn separately. A sample that is tested in several folds, as anomalies are by
    :class:`OneClassKFold`, is drawn for all of them together. The interval does not
    include differences between training sets.

    With a feature cache, the times are those of reading it.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from featad.comparison import compare
    >>> from featad.detectors import KMeansDistance, Mahalanobis
    >>> X, group = make_blobs([60, 20], centers=[[0, 0], [4, 4]], random_state=0)
    >>> systems = {"mahalanobis": Mahalanobis(), "k-means": KMeansDistance(2)}
    >>> table = compare(systems, X, [1 if g == 0 else -1 for g in group])
    >>> table.loc["mahalanobis", ["auroc", "auroc_low", "auroc_high"]].round(2)
    auroc         1.0
    auroc_low     1.0
    auroc_high    1.0
    Name: mahalanobis, dtype: float64
    """
    if not isinstance(systems, Mapping) or not systems:
        raise ValueError(
            "compare: systems should be a dict of names to estimators with at least "
            f"one entry, got {systems!r}."
        )
    check_share(confidence, "confidence")
    y = check_labels(y, n_samples=len(X), needs_both=True)
    X, y, folds = drop_unused(X, y, make_folds(cv, y, random_state, groups))
    warn_of_shared_copies(X, folds)
    found = run_folds(systems, X, y, folds, on_progress)
    tested = {name: _tested(y, folds, found[name].scores) for name in systems}
    draws = _draws(y, folds, tested, n_bootstrap, random_state)
    ends = [50 * (1 - confidence), 50 * (1 + confidence)]
    rows = [_row(tested[name], draws[name], ends) for name in systems]
    table = pd.DataFrame(rows, index=list(systems))
    for column in ("fit_seconds", "images_per_second"):
        table[column] = [getattr(found[name], column) for name in systems]
    table = table.sort_values("auroc", ascending=False, kind="stable")
    table["p_delong"] = _p_values([tested[name] for name in table.index])
    return table[_COLUMNS].rename_axis("system")


def _tested(y: np.ndarray, folds: list[Fold], scores: list[np.ndarray]) -> Tested:
    """Return labels and anomaly scores of the test samples of each fold."""
    return [(y[test], s) for (_, test), s in zip(folds, scores, strict=True)]


def _row(tested: Tested, draws: np.ndarray, ends: list[float]) -> dict[str, float]:
    """Return a system's figures: means over the folds, and the ends of the interval."""
    row = {
        name: float(np.mean([figure(*fold) for fold in tested]))
        for name, figure in _FIGURES.items()
    }
    low, high = np.nanpercentile(draws, ends)
    return row | {"auroc_low": low, "auroc_high": high}


def _draws(
    y: np.ndarray,
    folds: list[Fold],
    tested: dict[str, Tested],
    n_bootstrap: int,
    random_state: int | np.random.RandomState | None,
) -> dict[str, np.ndarray]:
    """Return each system's mean AUROC over the folds for each bootstrap draw."""
    samples = np.unique(np.concatenate([test for _, test in folds]))
    places = [np.searchsorted(samples, test) for _, test in folds]
    draws: dict[str, list[np.ndarray]] = {name: [] for name in tested}
    for counts in bootstrap_counts(y[samples], n_bootstrap, random_state):
        for name in tested:
            aurocs = [
                of_draws(auroc, *fold, counts[:, place])
                for fold, place in zip(tested[name], places, strict=True)
            ]  # NaN where a draw left a small fold without one of the labels
            mean = np.ma.masked_invalid(aurocs).mean(axis=0)
            draws[name].append(np.ma.filled(mean, np.nan))
    return {name: np.concatenate(parts) for name, parts in draws.items()}


def _p_values(tested: list[Tested]) -> list[float]:
    """Return DeLong's p-value of each system against the first."""
    first, *others = tested
    y, best = first[0]
    if len(first) > 1 or min((y == 1).sum(), (y == -1).sum()) < 2:
        return [np.nan] * len(tested)
    return [np.nan, *(delong_test(y, best, other[0][1]).p_value for other in others)]
