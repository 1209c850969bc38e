"""Figures of systems from their scores of the same test samples, and differences."""

import warnings
from collections.abc import Callable, Collection
from typing import TypeAlias

import numpy as np
import pandas as pd

from featad.leaderboard import Leaderboard
from featad.metrics import (
    auroc,
    average_precision,
    delong_test,
    f1_max,
    tpr_at_fpr,
)
from featad.metrics.scores import (
    bootstrap_counts,
    check_scores,
    check_share,
    of_draws,
)

Tested: TypeAlias = list[tuple[np.ndarray, np.ndarray]]
"""Labels and anomaly scores of the test samples, fold by fold."""

_FIGURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "auroc": auroc,
    "average_precision": average_precision,
    "f1_max": f1_max,
    "tpr_at_fpr_1": tpr_at_fpr,
    # what a detector reaches that gives all samples the same score
    "average_precision_chance": lambda y, _: (y == -1).mean(),
    "f1_max_chance": lambda y, _: 2 * (y == -1).sum() / (len(y) + (y == -1).sum()),
}
_SAME = 1e-12  # differences of AUROC below it are rounding


def compare_scores(
    scores: pd.DataFrame,
    *,
    reference: str | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
) -> pd.DataFrame:
    """Return the figures of systems from the scores of their test samples.

    Parameters
    ----------
    scores : DataFrame
        One row for each system, fold and test sample, as ``compare(...,
        return_scores=True)`` returns it and ``featad compare --scores`` writes it. The
        columns are ``system``, ``fold``, ``sample`` or ``path``, ``label`` (1 normal,
        -1 anomalous) and ``anomaly_score``. All systems have the same samples in the
        same folds. Rows of other tools may be added. With a column ``group``, samples
        of one group, such as the photographs of one part, are drawn together.

    reference : str or None, default=None
        The system that all others are compared with. None takes the best one. Name one
        beforehand where p-values matter: the best was chosen by the same scores.

    n_bootstrap : int, default=1000
        Number of draws for the intervals.

    confidence : float in (0, 1), default=0.95
        Coverage of the intervals.

    random_state : int, RandomState instance or None, default=0
        Seeds the draws.

    Returns
    -------
    table : Leaderboard
        A DataFrame that notebooks show as a leaderboard. Index ``system``, sorted by
        ``auroc``. Means over the folds of ``auroc``,
        ``average_precision``, ``f1_max`` and ``tpr_at_fpr_1`` (share of anomalies found
        at 1 % false alarms), and of what chance gives, ``average_precision_chance`` and
        ``f1_max_chance``; ``auroc_low`` and ``auroc_high``; ``difference``, the AUROC
        minus that of the reference, ``difference_low`` and ``difference_high``;
        ``p_bootstrap`` and ``p_delong``, two-sided p-values of "as good as the
        reference". DeLong's test is for single samples of one fold; with several folds,
        or groups, ``p_delong`` is NaN. In the row of the reference, both are NaN.

    Raises
    ------
    ValueError
        If a column is missing, systems differ in folds, samples or labels, a label or a
        score is wrong, or ``reference`` is not the name of a system.

    Warns
    -----
    UserWarning
        If there is only one anomaly, or only one normal sample, or only one group that
        has one. One gives no interval and no p-value; they are NaN.

    Notes
    -----
    Intervals are percentile bootstraps over test samples; normal and anomalous ones are
    drawn separately. A sample that is tested in several folds, as anomalies are by
    :class:`OneClassKFold`, is drawn for all of them together. All systems share the
    draws, so that differences are paired, sample for sample. ``p_bootstrap`` is twice
    the share of draws in which the difference has the other sign or is zero, and never
    below ``2 / (n_bootstrap + 1)``. Nothing here includes differences between training
    sets, and p-values are not corrected for the number of systems.

    References
    ----------
    .. [1] Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 15.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from featad import compare, compare_scores
    >>> from featad.detectors import KMeansDistance, Mahalanobis
    >>> X, group = make_blobs([60, 20], centers=[[0, 0], [2, 2]], random_state=0)
    >>> systems = {"line": Mahalanobis(), "k-means": KMeansDistance(2, random_state=0)}
    >>> y = [1 if g == 0 else -1 for g in group]
    >>> _, scores = compare(systems, X, y, return_scores=True)
    >>> table = compare_scores(scores, reference="line")
    >>> bool(table.loc["k-means", "p_bootstrap"] < 0.05)
    False
    """
    check_share(confidence, "confidence")
    labels, places, tested = by_system(scores)
    check_reference(reference, tested)
    table = pd.DataFrame.from_dict(
        {name: _figures(folds) for name, folds in tested.items()}, orient="index"
    )
    table = table.sort_values("auroc", ascending=False, kind="stable")
    reference = table.index[0] if reference is None else reference
    table["difference"] = table["auroc"] - table.loc[reference, "auroc"]
    unit = "group" if "group" in scores else "sample"
    if gives_intervals(labels, unit):
        draws = _draws(labels, places, tested, n_bootstrap, random_state)
    else:
        draws = {name: np.full(1, np.nan) for name in tested}
    ends = [50 * (1 - confidence), 50 * (1 + confidence)]
    for name in table.index:
        apart = draws[name] - draws[reference]
        table.loc[name, ["auroc_low", "auroc_high"]] = _ends(draws[name], ends)
        table.loc[name, ["difference_low", "difference_high"]] = _ends(apart, ends)
        table.loc[name, "p_bootstrap"] = _p_of_draws(apart)
        table.loc[name, "p_delong"] = (
            _p_delong(tested[reference], tested[name]) if unit == "sample" else np.nan
        )
    table.loc[reference, ["p_bootstrap", "p_delong"]] = np.nan
    first = ["auroc", "auroc_low", "auroc_high"]
    order = [*first, *[name for name in table.columns if name not in first]]
    leaderboard = Leaderboard(table[order].rename_axis("system"))
    leaderboard.attrs = {"reference": reference, "confidence": confidence}
    return leaderboard


def sample_column(scores: pd.DataFrame) -> str:
    """Return the column of a table of scores that names samples."""
    return "path" if "path" in scores and "sample" not in scores else "sample"


def check_reference(reference: str | None, systems: Collection[str]) -> None:
    """Raise ValueError unless the reference, if there is one, names a system."""
    if reference is not None and reference not in systems:
        raise ValueError(
            f"compare: reference should be one of {', '.join(map(str, systems))}, "
            f"got {reference!r}."
        )


def by_system(
    scores: pd.DataFrame,
) -> tuple[np.ndarray, list[np.ndarray], dict[str, Tested]]:
    """Check a table of scores and take it apart.

    Returns the labels of what is drawn for intervals, samples or groups; the places of
    the rows of each fold among these; and labels and scores by system and fold. A group
    counts as anomalous if a sample of it is.
    """
    identity = sample_column(scores)
    columns = ["system", "fold", identity, "label", "anomaly_score"]
    missing = [name for name in columns if name not in scores]
    if missing:
        raise ValueError(
            f"compare_scores: scores has no column {missing[0]!r}. It needs "
            "system, fold, sample (or path), label and anomaly_score."
        )
    if scores[columns].isna().any(axis=None):
        raise ValueError("compare_scores: scores has missing values.")
    place, samples = pd.factorize(scores[identity])
    rows = scores.reset_index(drop=True).assign(place=place)
    y = rows.groupby("place")["label"].agg(["first", "nunique"])
    frames = {
        name: of_system.sort_values(["fold", "place"])
        for name, of_system in rows.groupby("system", sort=False)
    }
    first = next(iter(frames.values()))
    keys = first[["fold", "place"]].to_numpy()
    for name, frame in frames.items():
        same = np.array_equal(frame[["fold", "place"]].to_numpy(), keys)
        if not same or frame.duplicated(["fold", "place"]).any():
            raise ValueError(
                f"compare_scores: the rows of {name!r} are not those of "
                f"{next(iter(frames))!r}. All systems need one score for each sample "
                "of each fold."
            )
    if (y["nunique"] > 1).any():
        sample = samples[int(y["nunique"].argmax())]
        raise ValueError(f"compare_scores: {identity} {sample} has several labels.")
    by_fold = [np.flatnonzero(first["fold"] == fold) for fold in first["fold"].unique()]
    tested = {
        name: [
            check_scores(frame["label"].to_numpy()[i], frame["anomaly_score"].iloc[i])
            for i in by_fold
        ]
        for name, frame in frames.items()
    }
    unit = pd.factorize(rows["group"])[0] if "group" in rows else place
    labels = rows["label"].groupby(unit).min().to_numpy()
    drawn = pd.Series(unit, rows.index).loc[first.index].to_numpy()
    return labels, [drawn[i] for i in by_fold], tested


def _figures(folds: Tested) -> dict[str, float]:
    return {
        name: float(np.mean([figure(*fold) for fold in folds]))
        for name, figure in _FIGURES.items()
    }


def gives_intervals(labels: np.ndarray, unit: str) -> bool:
    """Return whether each label occurs twice; warn if it does not."""
    for label, kind in ((1, "normal"), (-1, "anomalous")):
        if (labels == label).sum() < 2:
            warnings.warn(
                f"There is only one {kind} test {unit}. One gives no interval and no "
                "p-value, so these are missing.",
                UserWarning,
            )
            return False
    return True


def _draws(
    labels: np.ndarray,
    places: list[np.ndarray],
    tested: dict[str, Tested],
    n_bootstrap: int,
    random_state: int | np.random.RandomState | None,
) -> dict[str, np.ndarray]:
    """Return each system's mean AUROC over the folds for each bootstrap draw."""
    draws: dict[str, list[np.ndarray]] = {name: [] for name in tested}
    for counts in bootstrap_counts(labels, n_bootstrap, random_state):
        for name in tested:
            aurocs = [
                of_draws(auroc, *fold, counts[:, place])
                for fold, place in zip(tested[name], places, strict=True)
            ]  # NaN where a draw left a small fold without one of the labels
            mean = np.ma.masked_invalid(aurocs).mean(axis=0)
            draws[name].append(np.ma.filled(mean, np.nan))
    return {name: np.concatenate(parts) for name, parts in draws.items()}


def _ends(draws: np.ndarray, percentiles: list[float]) -> np.ndarray:
    if np.isnan(draws).all():
        return np.full(2, np.nan)
    return np.nanpercentile(draws, percentiles)


def _p_of_draws(differences: np.ndarray) -> float:
    """Return the two-sided p-value of "no difference"; NaN if no draw is known."""
    known = differences[~np.isnan(differences)]
    if not len(known):
        return np.nan
    fewer = min((known <= _SAME).sum(), (known >= -_SAME).sum())
    return min(1.0, 2 * (1 + fewer) / (1 + len(known)))


def _p_delong(reference: Tested, other: Tested) -> float:
    """Return DeLong's p-value; NaN with several folds, or one sample of a label."""
    y = reference[0][0]
    if len(reference) > 1 or min((y == 1).sum(), (y == -1).sum()) < 2:
        return np.nan
    return delong_test(y, reference[0][1], other[0][1]).p_value
