"""ROC curves of systems with their intervals, from a table of scores."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from featad.figures import by_system, gives_intervals
from featad.metrics import mean_roc, roc_draws
from featad.metrics.scores import check_scores

_POINTS = 200  # of a band


class Curve(NamedTuple):
    """The ROC curve of a system, and the intervals of its area and its points."""

    name: str
    fpr: np.ndarray
    tpr: np.ndarray
    auroc: float
    auroc_interval: tuple[float, float]
    band: tuple[np.ndarray, np.ndarray, np.ndarray]


def curves_of(
    scores: pd.DataFrame | Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    confidence: float | None,
    n_bootstrap: int,
    random_state: int | np.random.RandomState | None,
) -> list[Curve]:
    """Return the curve of each system.

    Parameters
    ----------
    scores, confidence, n_bootstrap, random_state
        As for `RocDisplay.from_scores`.

    Returns
    -------
    curves : list of Curve
        Intervals are NaN, and bands empty, where there are none.
    """
    found = []
    for name, labels, folds, places, unit in _tested(scores):
        fpr, tpr, area = mean_roc(folds)
        interval, band = (np.nan, np.nan), (np.empty(0), np.empty(0), np.empty(0))
        if confidence is not None and gives_intervals(labels, unit):
            shares = _grid(fpr)
            areas, drawn = roc_draws(
                folds,
                places,
                labels,
                shares,
                n_bootstrap=n_bootstrap,
                random_state=random_state,
            )
            ends = [50 * (1 - confidence), 50 * (1 + confidence)]
            first, last = np.nanpercentile(areas, ends)
            interval = float(first), float(last)
            band = (shares, *np.nanpercentile(drawn, ends, axis=0))
        found.append(Curve(name, fpr, tpr, area, interval, band))
    return found


def _tested(scores: Any) -> list[tuple]:
    """Return for each system its name, the labels of what is drawn, and its folds.

    They are followed by the places of the folds' samples among the labels, and by what
    is drawn: samples or groups.
    """
    if isinstance(scores, pd.DataFrame):
        unit = "group" if "group" in scores else "sample"
        labels, places, tested = by_system(scores)
        return [(name, labels, folds, places, unit) for name, folds in tested.items()]
    found = []
    for name, fold in scores.items():
        y, score = check_scores(*fold)
        found.append((name, y, [(y, score)], [np.arange(len(y))], "sample"))
    return found


def _grid(fpr: np.ndarray) -> np.ndarray:
    """Return shares of normal samples, evenly spread, and those of the curve."""
    own = np.unique(fpr)
    kept = np.linspace(0, len(own) - 1, min(len(own), _POINTS)).astype(int)
    return np.unique(np.append(np.linspace(0, 1, _POINTS + 1), own[kept]))
