"""What a report says, as plain data: it knows nothing of HTML."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError

from featad._whole_files import replacing
from featad.base import anomaly_threshold
from featad.datasets import ImageDataset
from featad.figures import compare_scores, sample_column
from featad.images import describe_source
from featad.report.data_card import data_card
from featad.report.judged import judged, plain
from featad.report.nearest import NearestNormal
from featad.report.pictures import Overlays, illustrate, reader_of, thumbnail
from featad.report.repeating import now, reproducibility

SCHEMA = "featad-report/2"
"""Name and version of the layout of a summary. The version goes up when it changes."""


def summarize(
    scores: pd.DataFrame,
    dataset: ImageDataset | None = None,
    *,
    table: pd.DataFrame | None = None,
    systems: Mapping[str, Any] | None = None,
    shown: str | None = None,
    overlays: Overlays | None = None,
    nearest: NearestNormal | str = "",
    located: Mapping[str, Any] | None = None,
    few_shot: pd.DataFrame | None = None,
    max_images: int = 500,
    p_values: Mapping[Any, float] | None = None,
    command: str = "",
    unfinished: Mapping[str, Any] | None = None,
    earlier: Mapping[str, Any] | None = None,
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

    systems : dict of str to estimator or None, default=None
        The systems by name, whose parameters the report tells. One that is fitted, and
        has the scores that were compared, tells its threshold too.

    shown : str or None, default=None
        The system that the explorer and the gallery start with. None: the best one.

    overlays : callable or None, default=None
        Takes a list of images and returns a picture (height, width, 3) in [0, 1] of
        each one, with its map drawn over it.

    nearest : NearestNormal or str, default=""
        Finds the normal training images that an image is nearest to; or why it is not
        known, which the page then says.

    located : dict or None, default=None
        Figures of the pixels of the system ``shown``, from
        :func:`featad.report.locate`.

    few_shot : DataFrame or None, default=None
        What :func:`featad.few_shot` returned.

    max_images : int, default=500
        Number of images with pictures: of each system the most and the least anomalous
        ones, and those nearest to the best threshold; then others, evenly spread.

    p_values : dict or None, default=None
        The p-value of each test sample, where the system ``shown`` is calibrated.

    command : str, default=""
        The command that repeats the comparison.

    unfinished : dict or None, default=None
        Of a comparison that is not done: ``missing``, the names of the systems that are
        still to come, and ``reason``, why it has stopped, or "" while it runs.

    earlier : dict or None, default=None
        An earlier summary of the same comparison with fewer systems, whose pictures
        and digest are used again.

    Returns
    -------
    summary : dict
        The keys are ``schema``, ``kind`` ("comparison"), ``created``, ``title``,
        ``unfinished``, ``data``, ``systems``, ``shown``, ``images``, ``neighbors``,
        ``located``, ``few_shot`` and ``reproduce``. See ``docs/report.md``.

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
    systems = dict(systems or {})
    reader = reader_of(systems.get(shown))
    samples = pd.unique(scores[sample_column(scores)])
    place = {sample: index for index, sample in enumerate(samples)}
    found = [
        judged(name, table.loc[name], scores[scores["system"] == name], place)
        for name in table.index
    ]
    for one in found:
        if one["n_folds"] == 1 and one["name"] in systems:
            one["threshold"] = _threshold(systems[one["name"]])
    if sample_column(scores) != "sample":
        dataset = None
    images = _images(scores, samples, dataset)
    for sample, p_value in (p_values or {}).items():
        images[place[sample]]["p_value"] = plain(p_value)
    neighbors: dict[str, Any] = {"says": "", "images": []}
    if dataset is not None:
        chosen = {
            index: samples[index] for index in _chosen(found, len(samples), max_images)
        }
        sources = {index: dataset.images[i] for index, i in chosen.items()}
        masks = dataset.masks or [None] * len(dataset)
        illustrate(
            images,
            sources,
            masks={index: masks[i] for index, i in chosen.items()},
            overlays=overlays,
            reader=reader,
            earlier=earlier["images"] if earlier else (),
        )
        neighbors = add_nearest(images, sources, nearest, reader)
    return {
        "schema": SCHEMA,
        "kind": "comparison",
        "title": dataset.name if dataset is not None else "Comparison",
        "created": now(),
        "unfinished": dict(unfinished) if unfinished else None,
        "data": data_card(
            dataset, images, reader, earlier["data"] if earlier else None
        ),
        "systems": found,
        "shown": shown,
        "images": images,
        "neighbors": neighbors,
        "located": dict(located) if located else None,
        "few_shot": _few_shot(few_shot),
        "reproduce": reproducibility(command, systems),
    }


def add_nearest(
    images: list[dict[str, Any]],
    sources: Mapping[int, Any],
    nearest: NearestNormal | str,
    reader: Any,
) -> dict[str, Any]:
    """Add to images with pictures the training images that they are nearest to.

    Parameters
    ----------
    images : list of dict
        Of a summary. ``nearest`` is a list of ``[place, distance]``.

    sources : dict of int to source
        By position in ``images``.

    nearest : NearestNormal or str

    reader : callable
        Reads a source.

    Returns
    -------
    neighbors : dict
        ``says``, what nearest means or why it is not known; ``images``, of the training
        images that are near to one, to which places refer.
    """
    if isinstance(nearest, str):
        return {"says": nearest, "images": []}
    shown = [index for index in sources if images[index].get("picture")]
    if not shown:
        return {"says": "", "images": []}
    distances, places = nearest.find([sources[index] for index in shown])
    used, places = np.unique(places, return_inverse=True)
    for index, near, far in zip(
        shown, places.reshape(distances.shape), distances, strict=True
    ):
        images[index]["nearest"] = [
            [int(place), float(distance)]
            for place, distance in zip(near, far, strict=True)
        ]
    return {
        "says": nearest.says,
        "images": [
            {
                "name": describe_source(nearest.sources[i], int(i)),
                "picture": thumbnail(nearest.sources[i], reader),
            }
            for i in used
        ],
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
    with replacing(path) as part:
        text = json.dumps(summary, allow_nan=False, indent=1)
        part.write_text(text, encoding="utf-8")
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
    with replacing(path) as part:
        pd.DataFrame(rows).to_csv(part, index=False, lineterminator="\n")
    return path


def _threshold(system: Any) -> float | None:
    """Return the threshold of a fitted system, on the scale of anomaly scores."""
    try:
        return plain(anomaly_threshold(system))
    except (TypeError, NotFittedError):
        return None


def _few_shot(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return for each system and number of images the AUROC of the draws."""
    if table is None:
        return []
    return [
        {
            "system": str(name),
            "n_train": int(n_train),
            "auroc": plain(rows.mean()),
            "low": plain(rows.min()),
            "high": plain(rows.max()),
            "n_draws": len(rows),
        }
        for (name, n_train), rows in table.groupby(["system", "n_train"], sort=False)[
            "auroc"
        ]
    ]


def _images(
    scores: pd.DataFrame, samples: Any, dataset: ImageDataset | None
) -> list[dict[str, Any]]:
    """Return what is known of each test image, without pictures."""
    identity = sample_column(scores)
    first = scores.drop_duplicates(identity)
    found = [
        {"name": str(sample), "label": int(label), "kind": "", "group": str(group)}
        for sample, label, group in zip(
            first[identity],
            first["label"],
            first["group"] if "group" in first else [""] * len(first),
            strict=True,
        )
    ]
    if dataset is not None:
        for image, sample in zip(found, samples, strict=True):
            image["name"] = describe_source(dataset.images[sample], int(sample))
            image["kind"] = str(dataset.kinds[sample])
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
