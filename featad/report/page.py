"""From a summary to one HTML page: it knows nothing of the data behind it."""

import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from scipy.stats import norm

from featad._whole_files import replacing
from featad._words import percent
from featad.report import charts
from featad.report.charts import Axis, Line

_SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1]
_ERRORS = [0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8]
_DRAWN = 8  # systems; more curves cannot be told apart


def write_report(summary: Mapping[str, Any], path: str | os.PathLike) -> Path:
    """Write a summary as one HTML file that needs nothing else.

    An older file is replaced at once: whoever opens it finds the old page or the new.

    Parameters
    ----------
    summary : dict
        From :func:`featad.report.summarize` or :func:`featad.report.summarize_batch`.

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
    >>> from featad.report import summarize, write_report
    >>> columns = ["system", "fold", "sample", "label", "anomaly_score"]
    >>> rows = [("a", 0, i, y, i) for i, y in enumerate([1, 1, 1, -1, -1])]
    >>> summary = summarize(pd.DataFrame(rows, columns=columns))
    >>> write_report(summary, tempfile.mkdtemp() + "/report.html").name
    'report.html'
    """
    html = to_html(summary)
    with replacing(path) as part:
        part.write_text(html, encoding="utf-8", newline="\n")
    return Path(path)


def to_html(summary: Mapping[str, Any]) -> str:
    """Return a summary as an HTML page.

    Parameters
    ----------
    summary : dict
        From :func:`featad.report.summarize` or :func:`featad.report.summarize_batch`.

    Returns
    -------
    html : str
        One page with its pictures, styles and script. It asks no host for anything.

    Examples
    --------
    >>> import pandas as pd
    >>> from featad.report import summarize, to_html
    >>> columns = ["system", "fold", "sample", "label", "anomaly_score"]
    >>> rows = [("a", 0, i, y, i) for i, y in enumerate([1, 1, 1, -1, -1])]
    >>> summary = summarize(pd.DataFrame(rows, columns=columns))
    >>> to_html(summary).lstrip()[:15]
    '<!DOCTYPE html>'
    """
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "percent": _percent, "thousands": _many}
    template = environment.from_string(_asset("page.html"))
    return template.render(
        summary=summary,
        charts=_charts(summary),
        data=_as_script(_for_the_page(summary)),
        style=Markup(_asset("page.css")),
        script=Markup(_asset("page.js")),
    )


def _asset(name: str) -> str:
    return (files("featad.report") / name).read_text(encoding="utf-8")


def _as_script(data: Any) -> Markup:
    """Return JSON that can stand in a script element, whatever its strings hold."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _for_the_page(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the script of the page needs."""
    told = ("name", "label", "kind", "p_value", "picture", "map", "mask", "nearest")
    return {
        "kind": summary["kind"],
        "shown": summary["shown"],
        "images": [
            {key: image[key] for key in told if key in image}
            for image in summary["images"]
        ],
        "neighbors": summary["neighbors"]["images"],
        "systems": {
            one["name"]: {
                "scores": {
                    key: one["scores"][key] for key in ("image", "label", "value")
                },
                "scale": one["scale"],
                "threshold": one["threshold"],
            }
            for one in summary["systems"]
        },
    }


def _charts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the drawn charts, and one histogram for each system."""
    drawn = [one for one in summary["systems"] if one["curves"]][:_DRAWN]
    found: dict[str, Any] = {"histograms": [], "legend": [one["name"] for one in drawn]}
    for one in summary["systems"][:_DRAWN]:
        found["histograms"].append((one["name"], _histogram(one)))
    if drawn:
        found["roc"] = charts.lines(
            "ROC curves: anomalous images found against normal images called anomalous",
            Axis("normal images called anomalous", 0, 1, _SHARES),
            Axis("anomalous images found", 0, 1, _SHARES),
            [_line(one, "roc", "false alarms", "found") for one in drawn],
            diagonal=True,
        )
        found["pr"] = charts.lines(
            "Precision-recall curves",
            Axis("anomalous images found (recall)", 0, 1, _SHARES),
            Axis("share of alarms that are right (precision)", 0, 1, _SHARES),
            [_line(one, "pr", "found", "precision") for one in drawn],
        )
        found["det"] = charts.lines(
            "Detection error curves: missed images against false alarms",
            Axis("normal images called anomalous", 0.005, 0.9, _ERRORS, norm.ppf),
            Axis("anomalous images missed", 0.005, 0.9, _ERRORS, norm.ppf),
            [_line(one, "det", "false alarms", "missed") for one in drawn],
        )
    if summary["few_shot"]:
        found["few_shot"] = _few_shot_chart(summary)
    if summary["kind"] == "batch" and summary["batch"]["over_time"] is not None:
        found["over_time"] = _course_chart(summary["batch"]["over_time"])
    return found


def _course_chart(course: Mapping[str, Any]) -> Markup:
    """Return the share of odd images by hour or day."""
    told = []
    for point in course["points"]:
        when, share = point["start"].replace("T", " "), point["share"]
        told.append((when, share, f"{when}: {_percent(share)} of {point['n']}"))
    return charts.bars(
        f"Share of images {course['what']}, by {course['unit']}",
        f"share {course['what']}",
        told,
        course["expected"],
    )


def _few_shot_chart(summary: Mapping[str, Any]) -> Markup:
    """Return the AUROC of systems by number of training images."""
    rows = summary["few_shot"]
    sizes = sorted({row["n_train"] for row in rows})
    lowest = min(row["auroc"] for row in rows)
    drawn = []
    for one in summary["systems"][:_DRAWN]:
        own = [row for row in rows if row["system"] == one["name"]]
        told = [
            f"{row['n_train']} images: AUROC {row['auroc']:.3f}, {row['low']:.3f} to "
            f"{row['high']:.3f} in {row['n_draws']} draws"
            for row in own
        ]
        x, y = ([row[key] for row in own] for key in ("n_train", "auroc"))
        drawn.append(Line(one["name"], np.array(x), np.array(y), told))
    return charts.lines(
        "AUROC by number of training images",
        Axis("training images", sizes[0], sizes[-1], sizes, np.log),
        Axis("AUROC, mean of draws", min(0.5, lowest), 1, [0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        drawn,
    )


def _line(one: Mapping[str, Any], curve: str, x: str, y: str) -> Line:
    points = one["curves"][curve]
    told = [
        f"{x} {_percent(a)}, {y} {_percent(b)}"
        + (f", threshold {t:.4g}" if t is not None else "")
        for a, b, t in zip(points["x"], points["y"], points["threshold"], strict=True)
    ]
    return Line(one["name"], np.array(points["x"]), np.array(points["y"]), told)


def _histogram(one: Mapping[str, Any]) -> Markup:
    value = np.array(one["scores"]["value"])
    label = np.array(one["scores"]["label"])
    kinds = [("normal", "normal", value[label == 1])]
    if (label == 0).any():
        kinds = [("images", "normal", value[label == 0])]
    if (label == -1).any():
        kinds.append(("anomalous", "anomalous", value[label == -1]))
    if one.get("calibration"):
        kinds.insert(0, ("calibration", "calibration", np.array(one["calibration"])))
    title = f"Histogram of the scores of {one['name']}"
    return charts.histogram(title, one["scale"], kinds, one["threshold"])


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else percent(value, digits=3)


def _many(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
