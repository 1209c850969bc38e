"""Systems side by side on the same folds."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Integral
from pickle import PicklingError
from time import perf_counter
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from featad._stateless import split_stateless
from featad._validation import check_labels
from featad.base import anomaly_scores
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
    ImageReadError, WeightsNotFoundError
        If an image cannot be read, or weights are not to be had.
    FeatadError
        If a system fails otherwise; the message names it, the cause is chained.

    Notes
    -----
    The interval is a percentile bootstrap over test samples, normal and anomalous ones
    drawn apart. A sample that is tested in several folds, as anomalies are by
    :class:`OneClassKFold`, is drawn for all of them together. Differences between
    training sets are not in the interval.

    With a feature cache the times are those of reading it.

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
    X, y, folds = _folds(cv, X, y, random_state)
    run = _Run(y, folds, len(systems) * len(folds), on_progress)
    run.test_all({name: clone(system) for name, system in systems.items()}, X)
    draws = run.draws(n_bootstrap, random_state)
    ends = [50 * (1 - confidence), 50 * (1 + confidence)]
    for name in systems:
        low, high = np.nanpercentile(draws[name], ends)
        run.rows[name] |= {"auroc_low": low, "auroc_high": high}
    table = pd.DataFrame([run.rows[name] for name in systems], index=list(systems))
    table = table.sort_values("auroc", ascending=False, kind="stable")
    table["p_delong"] = run.p_values(table.index)
    return table[_COLUMNS].rename_axis("system")


@dataclass
class _Run:
    """Folds to test on, and what was found so far."""

    y: np.ndarray
    folds: list[tuple[np.ndarray, np.ndarray]]
    n_steps: int
    on_progress: Callable[[int, int, str], None] | None
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    scores: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def test_all(self, systems: dict[str, Any], X: Any, seconds: float = 0.0) -> None:
        """Run equal first steps that learn nothing once, test what follows them.

        ``seconds`` an image were spent on the steps before.
        """
        groups: dict[Any, tuple[Any, dict[str, Any]]] = {}
        for name, system in systems.items():
            step, rest = _split_first(system)
            groups.setdefault(_key(step), (step, {}))[1][name] = rest
        for step, members in groups.values():
            if step is None:
                for name, system in members.items():
                    self.test(name, system, X, seconds)
                continue
            with _naming(next(iter(members)), type(step).__name__):
                features, more = _transform(step, X)
            self.test_all(members, features, seconds + more)
            del features  # before the next group makes its own

    def test(self, name: str, system: Any, X: Any, seconds: float) -> None:
        """Fit and test a system on each fold."""
        self.scores[name], times = [], []
        for number, (train, test) in enumerate(self.folds, start=1):
            with _naming(name, f"fold {number} of {len(self.folds)}"):
                start = perf_counter()
                fitted = clone(system).fit(_take(X, train), self.y[train])
                middle = perf_counter()
                scored = anomaly_scores(fitted, _take(X, test))
                times.append((middle - start, perf_counter() - middle))
                self.scores[name].append(check_scores(self.y[test], scored)[1])
            if self.on_progress is not None:
                done = sum(map(len, self.scores.values()))
                self.on_progress(done, self.n_steps, name)
        n_train, n_test = np.array([list(map(len, fold)) for fold in self.folds]).T
        fit_times, test_times = np.array(times).T
        self.rows[name] = {
            figure: float(np.mean([metric(*tested) for tested in self._tested(name)]))
            for figure, metric in _FIGURES.items()
        }
        self.rows[name] |= {
            "fit_seconds": (fit_times + seconds * n_train).mean(),
            "images_per_second": 1 / (test_times.sum() / n_test.sum() + seconds),
        }

    def draws(
        self, n_bootstrap: int, random_state: int | np.random.RandomState | None
    ) -> dict[str, np.ndarray]:
        """Return each system's mean AUROC over the folds for each bootstrap draw."""
        tested = np.unique(np.concatenate([test for _, test in self.folds]))
        places = [np.searchsorted(tested, test) for _, test in self.folds]
        draws: dict[str, list[np.ndarray]] = {name: [] for name in self.scores}
        for counts in bootstrap_counts(self.y[tested], n_bootstrap, random_state):
            for name in self.scores:
                aurocs = [
                    of_draws(auroc, *scored, counts[:, place])
                    for scored, place in zip(self._tested(name), places, strict=True)
                ]  # NaN where a draw left a small fold without one of the labels
                mean = np.ma.masked_invalid(aurocs).mean(axis=0)
                draws[name].append(np.ma.filled(mean, np.nan))
        return {name: np.concatenate(parts) for name, parts in draws.items()}

    def p_values(self, names: Iterable[str]) -> list[float]:
        """Return DeLong's p-value of each system against the first."""
        best, *others = names
        y, score = self._tested(best)[0]
        if len(self.folds) > 1 or min((y == 1).sum(), (y == -1).sum()) < 2:
            return [np.nan] * (1 + len(others))
        rivals = (self.scores[name][0] for name in others)
        return [np.nan, *(delong_test(y, score, rival).p_value for rival in rivals)]

    def _tested(self, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return labels and anomaly scores of each fold."""
        tests = (test for _, test in self.folds)
        return [(self.y[t], s) for t, s in zip(tests, self.scores[name], strict=True)]


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


def _split_first(system: Any) -> tuple[Any, Any]:
    """Split off the first step if it learns nothing; (None, system) if it does."""
    head, _ = split_stateless(system)
    if head is None:
        return None, system
    step, rest = system.steps[0][1], system[1:]
    rest = rest.steps[0][1] if len(rest.steps) == 1 else rest
    return _split_first(rest) if step in (None, "passthrough") else (step, rest)


def _key(step: Any) -> str | int | None:
    """Return what is equal for equal steps."""
    try:
        return None if step is None else joblib.hash(step)
    except (PicklingError, AttributeError, TypeError):
        return id(step)  # it holds a lambda, say: never equal to another


def _transform(step: Any, X: Any) -> tuple[Any, float]:
    """Return the step's features and the seconds they took an image."""
    step.fit_transform(_take(X, [0]))  # loads the network outside the clock
    start = perf_counter()
    features = step.fit_transform(X)
    seconds = perf_counter() - start
    if len(features) != len(X):
        raise ValueError(
            f"{len(X)} samples became {len(features)} rows. Leave unreadable images "
            'out of X, or learn their names with on_error="raise"'
        )
    return features, seconds / len(X)


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
    except FeatadError:  # about an image or the weights, and says which
        raise
    except Exception as error:
        raise FeatadError(
            f"System {name!r} failed in {where}: {type(error).__name__}: {error}"
        ) from error
