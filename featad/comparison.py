"""Systems side by side on the same folds: scores of all folds to one table."""

import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from featad._validation import check_labels
from featad.copies import warn_of_shared_copies
from featad.figures import check_reference, compare_scores
from featad.folds import Fold, FoldScores, drop_unused, make_folds, run_folds
from featad.metrics.scores import check_share


@overload
def compare(
    systems: Mapping[str, Any],
    X: Any,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    cv: Any = None,
    reference: str | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
    return_scores: Literal[False] = False,
    on_progress: Callable[[int, int, str], None] | None = None,
    on_system: Callable[[pd.DataFrame, pd.DataFrame], None] | None = None,
) -> pd.DataFrame: ...


@overload
def compare(
    systems: Mapping[str, Any],
    X: Any,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    cv: Any = None,
    reference: str | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
    return_scores: Literal[True],
    on_progress: Callable[[int, int, str], None] | None = None,
    on_system: Callable[[pd.DataFrame, pd.DataFrame], None] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]: ...


def compare(
    systems: Mapping[str, Any],
    X: Any,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    cv: Any = None,
    reference: str | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
    return_scores: bool = False,
    on_progress: Callable[[int, int, str], None] | None = None,
    on_system: Callable[[pd.DataFrame, pd.DataFrame], None] | None = None,
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
    """Fit and test systems on the same folds: one row a system, best first.

    First steps that learn nothing, such as features of frozen networks, run once for
    all systems that share them, on all images that occur in a fold. Systems that use
    different layers or statistics of one network share one pass of it.

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
        patient, stay on one side of each split, and are drawn together for the
        intervals.

    cv : int, splitter, iterable of (train, test) or None, default=None
        A number stands for ``OneClassKFold(cv, random_state=random_state)``, None for
        5. For a fixed split, pass ``[(train_indices, test_indices)]``.

    reference : str or None, default=None
        The system that all others are compared with, see :func:`compare_scores`.

    n_bootstrap : int, default=1000
        Number of draws for the confidence intervals.

    confidence : float in (0, 1), default=0.95
        Coverage of the intervals.

    random_state : int, RandomState instance or None, default=0
        Seeds the default folds and the draws. Systems have seeds of their own.

    return_scores : bool, default=False
        Whether the scores of all test samples are returned as well.

    on_progress : callable or None, default=None
        Called with ``(done, total, name)`` after each fold of each system.

    on_system : callable or None, default=None
        Called with the table and the scores of the systems that are done, as they are
        returned, after each system.

    Returns
    -------
    table : Leaderboard
        A DataFrame that notebooks show as a leaderboard. Index ``system``, sorted by
        ``auroc``. The columns of :func:`compare_scores`, and ``fit_seconds``, mean over
        folds, features of the training images included; ``images_per_second`` when
        scoring, features included; ``model_mb``, megabytes that the fitted system
        holds, frozen networks not counted.

    scores : DataFrame
        Only with ``return_scores=True``. One row for each system, fold and test sample:
        ``system``, ``fold`` (from 1), ``sample`` (position in ``X``), ``group`` if
        there are groups, ``label`` and ``anomaly_score``. Scores of different folds
        come from different fits.

    Raises
    ------
    ValueError
        If a label is not 1 or -1, there is no system or no fold, ``cv`` splits a group,
        or ``reference`` is not the name of a system.
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
    With a feature cache, the times are those of reading it. Each of the systems that
    share a pass of a network is charged the time of all of it.

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
    check_reference(reference, systems)
    y = check_labels(y, n_samples=len(X), needs_both=True)
    folds = make_folds(cv, y, random_state, groups)
    used = drop_unused(X, y, folds)
    warn_of_shared_copies(used[0], used[2])

    def results(
        found: dict[str, FoldScores], random_state: Any
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        done = {name: found[name] for name in systems if name in found}
        scores = _scores(done, y, folds, groups)
        table = compare_scores(
            scores,
            reference=reference if reference in done else None,
            n_bootstrap=n_bootstrap,
            confidence=confidence,
            random_state=random_state,
        )
        for column in ("fit_seconds", "images_per_second", "model_mb"):
            costs = [getattr(done[name], column) for name in table.index]
            table.insert(table.columns.get_loc("difference"), column, costs)
        return table, scores

    def tell(found: dict[str, FoldScores]) -> None:
        if on_system is not None and len(found) < len(systems):
            with warnings.catch_warnings():  # the whole table warns of the same
                warnings.simplefilter("ignore")
                table, scores = results(found, deepcopy(random_state))
            on_system(table, scores)

    found = run_folds(systems, *used, on_progress, tell)
    table, scores = results(found, random_state)
    if on_system is not None:
        on_system(table, scores)
    return (table, scores) if return_scores else table


def _scores(
    found: dict[str, FoldScores],
    y: np.ndarray,
    folds: list[Fold],
    groups: ArrayLike | None,
) -> pd.DataFrame:
    """Return the scores of all systems as one table."""
    tests = [test for _, test in folds]
    numbers = np.arange(1, len(folds) + 1)
    samples = np.concatenate(tests)
    columns = {"fold": np.repeat(numbers, list(map(len, tests))), "sample": samples}
    if groups is not None:
        columns["group"] = np.asarray(groups)[samples]
    columns["label"] = y[samples]
    parts = []
    for name, of_system in found.items():
        scored = np.concatenate(of_system.scores)
        parts.append(pd.DataFrame({"system": name, **columns, "anomaly_score": scored}))
    return pd.concat(parts, ignore_index=True)
