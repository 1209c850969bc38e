"""Systems side by side on the same folds."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from pickle import PicklingError
from time import perf_counter
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from featad._validation import check_labels
from featad.base import anomaly_scores
from featad.calibration import split_stateless
from featad.errors import FeatadError
from featad.metrics import (
    auroc,
    average_precision,
    bootstrap_counts,
    check_scores,
    check_share,
    delong_test,
    f1_max,
    of_draws,
    tpr_at_fpr,
)
from featad.model_selection import OneClassKFold

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
    cv: Any = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """Fit and test systems on the same folds: one row a system, best first.

    First steps that learn nothing (features of frozen networks) run once for all
    systems that share them, over all images that occur in a fold.

    Parameters
    ----------
    systems : dict of str to estimator
        Unfitted systems by name; they are cloned, not changed. Anything with ``fit``
        and ``score_samples`` or ``decision_function``.

    X : sequence of n_samples samples
        Paths or other sources, an image batch, a pandas Series, or a table, as the
        systems take it.

    y : array-like of shape (n_samples,)
        Labels: 1 normal, -1 anomalous. Passed to ``fit`` too, as ``GridSearchCV`` does.

    cv : int, splitter, iterable of (train, test) or None, default=None
        A number is ``OneClassKFold(cv, random_state=random_state)``, None is 5. For a
        given split pass ``[(train_indices, test_indices)]``.

    n_bootstrap : int, default=1000
        Number of draws for the interval of the AUROC.

    confidence : float in (0, 1), default=0.95
        Coverage of the interval.

    random_state : int, RandomState instance or None, default=0
        Seeds the default folds and the draws. Systems have their own.

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
        row" by DeLong's test: NaN for the best row, with several folds, and where a
        label is tested only once.

    Raises
    ------
    ValueError
        If a label is not 1 or -1, or there is no system or no fold.
    FeatadError
        If a system fails; the message names it, the cause is chained.

    Notes
    -----
    The interval is a percentile bootstrap over test samples, normal and anomalous ones
    drawn apart. A sample that is tested in several folds, as anomalies are by
    :class:`OneClassKFold`, is drawn for all of them together. Differences between
    training sets are not in the interval.

    With a feature cache the times are those of reading it.

    Examples
    --------
    >>> from featad import KMeansDistance, Mahalanobis, compare
    >>> from sklearn.datasets import make_blobs
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
    X, y, folds = _folds(cv, X, y, random_state)
    rows: dict[str, dict[str, float]] = {}
    scores: dict[str, list[np.ndarray]] = {}
    total = len(systems) * len(folds)

    def after_fold(name: str) -> None:
        if on_progress is not None:
            on_progress(sum(map(len, scores.values())), total, name)

    for head, tails in _by_head(systems):
        _test_group(head, tails, X, y, folds, rows, scores, after_fold)
    draws = _draws(y, folds, scores, n_bootstrap, random_state)
    ends = [50 * (1 - confidence), 50 * (1 + confidence)]
    for name in systems:
        low, high = np.nanpercentile(draws[name], ends)
        rows[name] |= {"auroc_low": low, "auroc_high": high}
    table = pd.DataFrame([rows[name] for name in systems], index=list(systems))
    table = table.sort_values("auroc", ascending=False, kind="stable")
    table["p_delong"] = _p_values(table.index, y, folds, scores)
    return table[_COLUMNS].rename_axis("system")


def _folds(
    cv: Any, X: Any, y: np.ndarray, random_state: int | np.random.RandomState | None
) -> tuple[Any, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Return the samples that occur in a fold, their labels, and the folds."""
    if cv is None or isinstance(cv, Integral):
        cv = OneClassKFold(5 if cv is None else cv, random_state=random_state)
    samples = np.arange(len(y))
    pairs = cv.split(samples, y) if hasattr(cv, "split") else cv
    folds = [tuple(samples[np.asarray(index)] for index in pair) for pair in pairs]
    if not folds:
        raise ValueError(
            "compare: cv holds no fold. Pass a splitter or [(train, test)]."
        )
    for number, (train, test) in enumerate(folds, start=1):
        counts = [int((y[test] == label).sum()) for label in (1, -1)]
        if not len(train) or not all(counts):
            raise ValueError(
                f"compare: fold {number} trains on {len(train)} samples and tests "
                f"{counts[0]} normal and {counts[1]} anomalous ones; it needs some of "
                "each. Use OneClassKFold or another split."
            )
    used = np.unique(np.concatenate([index for fold in folds for index in fold]))
    if len(used) < len(y):
        X, y = _take(X, used), y[used]
        folds = [tuple(np.searchsorted(used, index) for index in f) for f in folds]
    return X, y, folds


def _by_head(systems: Mapping[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """Group systems whose first, stateless steps are equal: (head, tails by name)."""
    groups: dict[Any, tuple[Any, dict[str, Any]]] = {}
    for name, system in systems.items():
        with _naming(name, "being cloned"):
            head, tail = split_stateless(clone(system))
        try:
            key = head and joblib.hash([step for _, step in head.steps])
        except (PicklingError, AttributeError, TypeError):
            key = id(head)  # holds a lambda, say: not comparable, so not shared
        groups.setdefault(key, (head, {}))[1][name] = tail
    return list(groups.values())


def _test_group(
    head: Any,
    tails: dict[str, Any],
    X: Any,
    y: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    rows: dict[str, dict[str, float]],
    scores: dict[str, list[np.ndarray]],
    after_fold: Callable[[str], None],
) -> None:
    """Run the head once, then each tail on each fold; fill ``rows`` and ``scores``."""
    seconds_an_image = 0.0
    if head is not None:
        with _naming(next(iter(tails)), "its features"):
            head.fit_transform(_take(X, [0]))  # loads the network outside the clock
            start = perf_counter()
            features = head.fit_transform(X)
            seconds_an_image = (perf_counter() - start) / len(y)
            if len(features) != len(y):
                raise ValueError(
                    f"{len(y)} samples became {len(features)} rows. Leave unreadable "
                    'images out of X, or use on_error="raise" to learn their names'
                )
            X = features
    for name, tail in tails.items():
        scores[name], seconds = [], []
        for number, (train, test) in enumerate(folds, start=1):
            with _naming(name, f"fold {number} of {len(folds)}"):
                start = perf_counter()
                fitted = clone(tail).fit(_take(X, train), y[train])
                middle = perf_counter()
                tested = anomaly_scores(fitted, _take(X, test))
                seconds.append((middle - start, perf_counter() - middle))
                scores[name].append(check_scores(y[test], tested)[1])
            after_fold(name)
        n_train, n_test = np.array([list(map(len, fold)) for fold in folds]).T
        fit_seconds, test_seconds = np.array(seconds).T
        spent = test_seconds.sum() + seconds_an_image * n_test.sum()
        rows[name] = {
            figure: float(
                np.mean(
                    [
                        metric(y[test], tested)
                        for (_, test), tested in zip(folds, scores[name], strict=True)
                    ]
                )
            )
            for figure, metric in _FIGURES.items()
        }
        rows[name]["fit_seconds"] = (fit_seconds + seconds_an_image * n_train).mean()
        rows[name]["images_per_second"] = n_test.sum() / spent


def _draws(
    y: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    scores: dict[str, list[np.ndarray]],
    n_bootstrap: int,
    random_state: int | np.random.RandomState | None,
) -> dict[str, np.ndarray]:
    """Return each system's mean AUROC over the folds for each bootstrap draw."""
    tested = np.unique(np.concatenate([test for _, test in folds]))
    places = [np.searchsorted(tested, test) for _, test in folds]
    draws: dict[str, list[np.ndarray]] = {name: [] for name in scores}
    for counts in bootstrap_counts(y[tested], n_bootstrap, random_state):
        for name, by_fold in scores.items():
            aurocs = [
                of_draws(auroc, y[test], score, counts[:, place])
                for (_, test), score, place in zip(folds, by_fold, places, strict=True)
            ]  # NaN where a draw left a small fold without one of the labels
            mean = np.ma.masked_invalid(aurocs).mean(axis=0)
            draws[name].append(np.ma.filled(mean, np.nan))
    return {name: np.concatenate(parts) for name, parts in draws.items()}


def _p_values(
    names: pd.Index,
    y: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    scores: dict[str, list[np.ndarray]],
) -> list[float]:
    labels = y[folds[0][1]]
    if len(folds) > 1 or min((labels == 1).sum(), (labels == -1).sum()) < 2:
        return [np.nan] * len(names)
    best, *others = (scores[name][0] for name in names)
    return [np.nan] + [delong_test(labels, best, other).p_value for other in others]


def _take(X: Any, index: Any) -> Any:
    if hasattr(X, "iloc"):
        return X.iloc[index]
    if hasattr(X, "shape"):
        return X[index]
    return [X[i] for i in index]


@contextmanager
def _naming(name: str, where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise FeatadError(
            f"System {name!r} failed in {where}: {type(error).__name__}: {error}"
        ) from error
