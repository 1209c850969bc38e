"""What a report says, as plain data: it knows nothing of HTML."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import det_curve, precision_recall_curve, roc_curve

import featad
from featad.base import anomaly_threshold
from featad.datasets import ImageDataset
from featad.figures import compare_scores
from featad.images import describe_source
from featad.report.pictures import Overlays, pictures_of

SCHEMA = "featad-report/1"
"""Name and version of the layout of a summary. The version goes up when it changes."""

_PACKAGES = ("featad", "numpy", "pillow", "scikit-learn", "torch", "torchvision")
_POINTS = 400  # of a curve
_EXAMPLES = 8


def summarize(
    scores: pd.DataFrame,
    dataset: ImageDataset | None = None,
    *,
    table: pd.DataFrame | None = None,
    system: Any = None,
    shown: str | None = None,
    overlays: Overlays | None = None,
    max_images: int = 500,
    p_values: Mapping[Any, float] | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Gather what a report of a comparison says, as JSON can hold it.

    Parameters
    ----------
    scores : DataFrame
        As ``featad.compare(..., return_scores=True)`` returns them.

    dataset : ImageDataset or None, default=None
        The images that were compared on; ``sample`` in the scores is their position.
        None: the report has no pictures.

    table : DataFrame or None, default=None
        What ``compare`` returned beside the scores, with times. None: its figures are
        computed from the scores.

    system : estimator or None, default=None
        A fitted system by the name ``shown``, whose threshold and parameters the report
        tells.

    shown : str or None, default=None
        The system that the explorer and the gallery start with. None: the best one.

    overlays : callable or None, default=None
        Takes a list of images and returns a picture (height, width, 3) in [0, 1] of
        each one, with its map drawn over it.

    max_images : int, default=500
        Number of images with pictures: of each system the most and the least anomalous
        ones, and those nearest to the best threshold; then others, evenly spread.

    p_values : dict or None, default=None
        The p-value of each test sample, where ``system`` is calibrated.

    command : str, default=""
        The command that repeats the comparison.

    Returns
    -------
    summary : dict
        The keys are ``schema``, ``kind`` ("comparison"), ``created``, ``title``,
        ``data``, ``systems``, ``shown``, ``images`` and ``reproduce``. See
        ``docs/report.md``.

    Raises
    ------
    ValueError
        If the scores are not those of a comparison, or ``shown`` is not one of its
        systems.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> import featad
    >>> X, group = make_blobs([60, 20], centers=[[0, 0], [4, 4]], random_state=0)
    >>> y = [1 if g == 0 else -1 for g in group]
    >>> systems = {"mahalanobis": featad.Mahalanobis()}
    >>> table, scores = featad.compare(systems, X, y, return_scores=True)
    >>> summary = summarize(scores, table=table)
    >>> summary["systems"][0]["name"], summary["systems"][0]["auroc"]
    ('mahalanobis', 1.0)
    """
    table = compare_scores(scores) if table is None else table
    shown = str(table.index[0]) if shown is None else shown
    if shown not in table.index:
        raise ValueError(
            f"shown should be one of {', '.join(map(str, table.index))}, got {shown!r}."
        )
    identity = "sample" if "sample" in scores else "path"
    samples = pd.unique(scores[identity])
    place = {sample: index for index, sample in enumerate(samples)}
    found = [
        _system(name, table.loc[name], scores[scores["system"] == name], place)
        for name in table.index
    ]
    images = _images(scores, samples, identity, dataset)
    for sample, p_value in (p_values or {}).items():
        images[place[sample]]["p_value"] = plain(p_value)
    if dataset is not None and identity == "sample":
        masks = dataset.masks or [None] * len(dataset)
        for index in _chosen(found, len(samples), max_images):
            sample = samples[index]
            pictures = pictures_of(dataset.images[sample], masks[sample], overlays)
            images[index].update(pictures)
    if system is not None:
        own = next(one for one in found if one["name"] == shown)
        own["threshold"] = anomaly_threshold(system) if own["n_folds"] == 1 else None
    return {
        "schema": SCHEMA,
        "kind": "comparison",
        "title": dataset.name if dataset is not None else "Comparison",
        "created": now(),
        "data": _data_card(dataset, images),
        "systems": found,
        "shown": shown,
        "images": images,
        "reproduce": reproducibility(command, {shown: system} if system else {}),
    }


def to_json(summary: Mapping[str, Any], path: str | os.PathLike) -> Path:
    """Write a summary as JSON.

    Parameters
    ----------
    summary : dict
        From :func:`summarize` or :func:`summarize_batch`.

    path : path-like
        The file to write.

    Returns
    -------
    path : Path
        The file that was written.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from featad.report import summarize, to_json
    >>> columns = ["system", "fold", "sample", "label", "anomaly_score"]
    >>> rows = [("a", 0, i, y, i) for i, y in enumerate([1, 1, 1, -1, -1])]
    >>> summary = summarize(pd.DataFrame(rows, columns=columns))
    >>> to_json(summary, tempfile.mkdtemp() + "/summary.json").name
    'summary.json'
    """
    path = Path(path)
    path.write_text(json.dumps(summary, allow_nan=False, indent=1), encoding="utf-8")
    return path


def to_csv(summary: Mapping[str, Any], path: str | os.PathLike) -> Path:
    """Write the figures of a comparison's systems as CSV, one row a system.

    Parameters
    ----------
    summary : dict
        From :func:`summarize`.

    path : path-like
        The file to write.

    Returns
    -------
    path : Path
        The file that was written.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from featad.report import summarize, to_csv
    >>> columns = ["system", "fold", "sample", "label", "anomaly_score"]
    >>> rows = [("a", 0, i, y, i) for i, y in enumerate([1, 1, 1, -1, -1])]
    >>> summary = summarize(pd.DataFrame(rows, columns=columns))
    >>> to_csv(summary, tempfile.mkdtemp() + "/figures.csv").name
    'figures.csv'
    """
    path = Path(path)
    rows = [
        {key: value for key, value in one.items() if not isinstance(value, dict | list)}
        for one in summary["systems"]
    ]
    pd.DataFrame(rows).to_csv(path, index=False, lineterminator="\n")
    return path


def reproducibility(command: str, systems: Mapping[str, Any]) -> dict[str, Any]:
    """Return versions, the command, and the parameters of fitted systems."""
    return {
        "command": command,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PACKAGES},
        "parameters": {
            name: {
                key: repr(value)
                for key, value in sorted(system.get_params().items())
                if not hasattr(value, "get_params")
                and key.rpartition("__")[2]
                not in ("steps", "memory", "transform_input")
            }
            for name, system in systems.items()
        },
    }


def plain(value: Any) -> float | None:
    """Return a number as JSON can hold it; None for NaN and infinity."""
    value = float(value)
    return value if np.isfinite(value) else None


def _system(
    name: str, row: pd.Series, rows: pd.DataFrame, place: Mapping[Any, int]
) -> dict[str, Any]:
    """Return the figures, curves and scores of a system."""
    identity = "sample" if "sample" in rows else "path"
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
            "image": [place[sample] for sample in rows[identity]],
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


def _images(scores, samples, identity, dataset) -> list[dict[str, Any]]:
    """Return what is known of each test image, without pictures."""
    first = scores.drop_duplicates(identity).set_index(identity)
    found = []
    for sample in samples:
        image = {
            "name": str(sample),
            "label": int(first.loc[sample, "label"]),
            "kind": "",
            "group": str(first.loc[sample, "group"]) if "group" in first else "",
        }
        if dataset is not None and identity == "sample":
            source = dataset.images[sample]
            image["name"] = describe_source(source, int(sample))
            image["kind"] = str(dataset.kinds[sample])
        found.append(image)
    return found


def _chosen(systems: list[dict], n_images: int, max_images: int) -> list[int]:
    """Return the images that get pictures, the most telling ones first."""
    if n_images <= max_images:
        return list(range(n_images))
    order: dict[int, None] = {}
    share = max(1, max_images // (3 * max(1, len(systems))))
    for one in systems:
        value = np.asarray(one["scores"]["value"])
        label = np.asarray(one["scores"]["label"])
        image = np.asarray(one["scores"]["image"])
        ranked = image[np.argsort(value, kind="stable")]
        line = np.quantile(value[label == 1], 0.95) if (label == 1).any() else 0
        near = image[np.argsort(np.abs(value - line), kind="stable")]
        for some in (ranked[::-1], ranked, near):
            order.update(dict.fromkeys(int(i) for i in some[:share]))
    spread = np.linspace(0, n_images - 1, max_images).astype(int)
    order.update(dict.fromkeys(int(i) for i in spread))
    return list(order)[:max_images]


def _data_card(dataset: ImageDataset | None, images: list[dict]) -> dict[str, Any]:
    """Return what the data are: counts by kind, sizes, what was left out, a digest."""
    tested = sum(image["label"] == 1 for image in images)
    card: dict[str, Any] = {
        "n_normal_tested": tested,
        "n_anomalous_tested": len(images) - tested,
        "kinds": [],
        "sizes": sorted({i["size"] for i in images if i.get("size")})[:_EXAMPLES],
        "left_out": {},
        "digest": "",
        "n_images": len(images),
        "n_masks": 0,
    }
    if dataset is None:
        return card
    frame = pd.DataFrame(
        {"kind": dataset.kinds, "part": dataset.parts, "label": dataset.labels}
    )
    for (kind, label), rows in frame.groupby(["kind", "label"], sort=False):
        card["kinds"].append(
            {
                "kind": str(kind),
                "label": int(label),
                "train": int((rows["part"] == "train").sum()),
                "test": int((rows["part"] == "test").sum()),
                "all": len(rows),
            }
        )
    card["left_out"] = {
        rule.one if len(files) == 1 else rule.many: len(files)
        for rule, files in dataset.left_out.items()
    }
    card["n_images"] = len(dataset)
    if dataset.masks is not None:
        card["n_masks"] = sum(mask is not None for mask in dataset.masks)
    listing = dataset.to_frame()[["sha256", "label", "part"]].to_csv(index=False)
    card["digest"] = hashlib.sha256(listing.encode()).hexdigest()
    return card


def now() -> str:
    """Return the time, in UTC, as ISO 8601 has it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _version(name: str) -> str:
    return featad.__version__ if name == "featad" else version(name)
