"""The figures, curves and scores of one system, as JSON can hold them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import det_curve, precision_recall_curve, roc_curve

from featad.figures import sample_column

_POINTS = 400  # of a curve


def plain(value: Any) -> float | None:
    """Return a number as JSON can hold it; None for NaN and infinity."""
    value = float(value)
    return value if np.isfinite(value) else None


def judged(
    name: str, row: pd.Series, rows: pd.DataFrame, place: Mapping[Any, int]
) -> dict[str, Any]:
    """Return the figures, curves and scores of a system.

    Parameters
    ----------
    name : str

    row : Series
        Its row of the table that `featad.compare` returns.

    rows : DataFrame
        Its scores.

    place : mapping
        From samples to positions in the images of the summary.
    """
    y = rows["label"].to_numpy()
    value = rows["anomaly_score"].to_numpy(dtype=float)
    n_folds = rows["fold"].nunique()
    if n_folds > 1:  # fits share no scale: a score's place among the fold's normal ones
        value = _places(rows)
    figures = {str(key): plain(number) for key, number in row.items()}
    return {
        "name": str(name),
        **figures,
        "n_folds": int(n_folds),
        "scale": "anomaly score" if n_folds == 1 else _PLACE,
        "threshold": None,
        "curves": _curves(y, value),
        "scores": {
            "image": [place[sample] for sample in rows[sample_column(rows)]],
            "label": [int(label) for label in y],
            "value": [float(one) for one in value],
            "fold": [str(fold) for fold in rows["fold"]],
        },
    }


_PLACE = "share of the fold's normal images that score lower"


def _places(rows: pd.DataFrame) -> np.ndarray:
    """Return each score's place among those of its fold's normal images, 0 to 1."""
    places = np.empty(len(rows))
    score, label = rows["anomaly_score"].to_numpy(), rows["label"].to_numpy()
    for indices in rows.reset_index(drop=True).groupby("fold").indices.values():
        normal = np.sort(score[indices][label[indices] == 1])
        low = np.searchsorted(normal, score[indices], side="left")
        places[indices] = low / max(1, len(normal))
    return places


def _curves(y: np.ndarray, value: np.ndarray) -> dict[str, dict[str, list]]:
    """Return points of the ROC, precision-recall and DET curves."""
    anomalous = y == -1
    if anomalous.all() or not anomalous.any():
        return {}
    fpr, tpr, at = roc_curve(anomalous, value)
    precision, recall, at_precision = precision_recall_curve(anomalous, value)
    false_alarms, misses, at_det = det_curve(anomalous, value)
    return {
        "roc": _thinned(fpr, tpr, at),
        "pr": _thinned(recall[:-1], precision[:-1], at_precision),
        "det": _thinned(false_alarms, misses, at_det),
    }


def _thinned(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> dict[str, list]:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(int))
    return {
        "x": [float(one) for one in x[kept]],
        "y": [float(one) for one in y[kept]],
        "threshold": [plain(one) for one in at[kept]],
    }
