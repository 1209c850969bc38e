"""What a report says of scored images without labels: what was flagged, and drift."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from featad._words import p_in_words, percent
from featad.base import as_anomaly_score
from featad.calibration import CalibratedDetector
from featad.drift import LEVELS, drift_in_words, kolmogorov_smirnov
from featad.maps.systems import flattened
from featad.report.data_card import image_facts
from featad.report.judged import plain
from featad.report.nearest import NearestNormal
from featad.report.over_time import over_time
from featad.report.pictures import Overlays, illustrate, reader_of
from featad.report.repeating import now, reproducibility
from featad.report.summary import SCHEMA, add_nearest
from featad.systems import last_step

_ERRORS = 50  # that are listed
_LEVEL = 0.05  # what counts as a low p-value
_ODD = 0.01  # probability of a test that is worth a remark


def summarize_batch(
    rows: pd.DataFrame,
    sources: Sequence[Any] | None = None,
    *,
    system: Any = None,
    overlays: Overlays | None = None,
    nearest: NearestNormal | str = "",
    title: str = "Scores",
    max_images: int = 500,
    command: str = "",
) -> dict[str, Any]:
    """Gather what a report of scored images says, as JSON can hold it.

    Parameters
    ----------
    rows : DataFrame
        As `featad.score_images` yields them, together, or from a file of
        ``featad score``.

    sources : sequence of sources or None, default=None
        The image of each row. None: the paths in the rows.

    system : estimator or None, default=None
        The fitted system that scored them. Where it is calibrated, the report tells
        the accepted rate, and whether the images look like those that calibrated it.

    overlays : callable or None, default=None
        As for :func:`featad.report.summarize`.

    nearest : NearestNormal or str, default=""
        As for :func:`featad.report.summarize`.

    title : str, default="Scores"
        Title of the page.

    max_images : int, default=500
        Number of images with pictures, the most anomalous ones.

    command : str, default=""
        The command that repeats the scoring.

    Returns
    -------
    summary : dict
        The keys are those of a comparison, ``kind`` is "batch", and ``batch`` has what
        was flagged and what is said of it. See ``docs/report.md``.

    Raises
    ------
    ValueError
        If no image was scored.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import featad
    >>> images = np.random.default_rng(0).random((20, 8, 8, 3))
    >>> reader = featad.ImageReader(size=8, flatten=True)
    >>> system = featad.make_pipeline(reader, featad.Mahalanobis()).fit(images)
    >>> rows = pd.concat(featad.score_images(system, images))
    >>> summarize_batch(rows, images, system=system)["batch"]["n_failed"]
    0
    """
    sources = list(rows["path"]) if sources is None else sources
    scored = np.flatnonzero(rows["anomaly_score"].notna().to_numpy())
    if len(scored) == 0:
        raise ValueError(
            f"None of the {len(rows)} images was scored, so there is nothing to report."
        )
    score = rows["anomaly_score"].to_numpy(dtype=float)
    p_value = rows["p_value"].to_numpy(dtype=float)
    images: list[dict[str, Any]] = [
        {
            "name": str(rows["path"].iloc[i]),
            "label": 0,
            "kind": "",
            "group": str(rows["group"].iloc[i]) if "group" in rows else "",
            "p_value": plain(p_value[i]),
        }
        for i in scored
    ]
    worst = np.argsort(-score[scored], kind="stable")[:max_images]
    shown = {int(place): sources[scored[place]] for place in worst}
    reader = reader_of(system)
    illustrate(images, shown, overlays=overlays, reader=reader)
    neighbors = add_nearest(images, shown, nearest, reader)
    detector = None if system is None else last_step(system)
    name = "system" if system is None else type(flattened(system)[1]).__name__
    threshold = plain(rows["threshold"].iloc[scored[0]])
    return {
        "schema": SCHEMA,
        "kind": "batch",
        "title": title,
        "created": now(),
        "unfinished": None,
        "data": {
            "n_images": len(rows),
            "kinds": [],
            **image_facts(images),
            "left_out": [],
            "digest": "",
            "n_groups": None,
        },
        "batch": {
            **_batch(rows, scored, detector),
            "over_time": _course(rows.iloc[scored], (sources[int(i)] for i in scored)),
        },
        "systems": [
            {
                "name": name,
                "n_folds": 1,
                "scale": "anomaly score",
                "threshold": threshold,
                "curves": {},
                "scores": {
                    "image": list(range(len(scored))),
                    "label": [0] * len(scored),
                    "value": [float(one) for one in score[scored]],
                    "fold": ["1"] * len(scored),
                },
                "calibration": _calibration(detector),
            }
        ],
        "shown": name,
        "images": images,
        "neighbors": neighbors,
        "located": None,
        "few_shot": [],
        "reproduce": reproducibility(command, {} if system is None else {name: system}),
    }


def _batch(rows: pd.DataFrame, scored: np.ndarray, detector: Any) -> dict[str, Any]:
    flagged = rows["is_anomaly"].iloc[scored].to_numpy(dtype=bool)
    errors = rows[rows["error"].notna()]
    calibrated = isinstance(detector, CalibratedDetector)
    return {
        "n_anomalous": int(flagged.sum()),
        "share_anomalous": float(flagged.mean()),
        "n_failed": len(rows) - len(scored),
        "target_fpr": float(detector.target_fpr) if calibrated else None,
        "errors": [
            {"name": str(row.path), "reason": str(row.error)}
            for row in errors.head(_ERRORS).itertuples()
        ],
        "says": _sentences(rows.iloc[scored], flagged, detector),
    }


def _sentences(
    rows: pd.DataFrame, flagged: np.ndarray, detector: Any
) -> list[dict[str, Any]]:
    """Return what is said of the batch, and which of it is a warning."""
    if not isinstance(detector, CalibratedDetector):
        text = (
            "The system is not calibrated: its threshold has no known false alarm "
            "rate, and there are no p-values."
        )
        return [{"text": text, "warns": False}]
    p = rows["p_value"].to_numpy(dtype=float)
    target, n = float(detector.target_fpr), int(detector.n_calibration_)
    units = "parts" if "group" in rows else "images"
    says = [
        {
            "text": f"Of good {units}, {percent(target)} are expected to be called "
            f"anomalous; of this batch, {percent(flagged.mean())} are.",
            "warns": False,
        }
    ]
    at_most = {level: int((p <= level).sum()) for level in LEVELS}
    drift = drift_in_words(len(p), int(flagged.sum()), at_most, n, target, units=units)
    if drift is not None:
        hint = " Run featad check on images known to be good to test it."
        says.append({"text": drift + hint, "warns": True})
    test = kolmogorov_smirnov(p, n)
    text = (
        f"A Kolmogorov-Smirnov test of all p-values gives {p_in_words(test)}: they are "
    )
    text += "" if test > _ODD else "not "
    text += "spread as those of the calibration are."
    if drift is None:
        low = f"{percent(at_most[_LEVEL] / len(p))} of the {units} have p <= {_LEVEL:g}"
        text = f"{low} where {percent(_LEVEL)} are expected. {text}"
        if test <= _ODD:
            text += (
                f" Defects among the {units} do that too, and the {units} that pass do "
                "not tell of a drift."
            )
    says.append({"text": text, "warns": False})
    return says


def _course(rows: pd.DataFrame, sources: Iterable[Any]) -> dict[str, Any] | None:
    """Return how the share of low p-values, or of flagged images, changes in time."""
    p = rows["p_value"].to_numpy(dtype=float)
    if np.isnan(p).any():
        is_low = rows["is_anomaly"].to_numpy(dtype=bool)
        what, expected = "called anomalous", None
    else:
        is_low = p <= _LEVEL
        what, expected = f"with p <= {_LEVEL:g}", _LEVEL
    course = over_time(sources, is_low)
    return None if course is None else {**course, "what": what, "expected": expected}


def _calibration(detector: Any) -> list[float] | None:
    """Return the anomaly scores of the held-out normal samples, if there are any."""
    if not isinstance(detector, CalibratedDetector):
        return None
    return sorted(float(s) for s in as_anomaly_score(detector.calibration_scores_))
