"""The table of a comparison, and how a notebook shows it."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

_NEEDED = {"auroc", "auroc_low", "auroc_high", "difference", "difference_low",
           "difference_high", "p_bootstrap", "p_delong"}  # fmt: skip
_FIGURES = {
    "average_precision": ("average precision", "{:.3f}"),
    "f1_max": ("best F1", "{:.3f}"),
    "tpr_at_fpr_1": ("found at 1 % false alarms", "{:.3g} %"),
    "fit_seconds": ("fit, s", "{:.1f}"),
    "images_per_second": ("images/s", "{:,.0f}"),
    "model_mb": ("model, MB", "{:.1f}"),
}
_WIDTH, _HEIGHT = 100, 14  # of an interval, in pixels
_UNCLEAR = "no clear difference"
_CAPTION = (
    "The best first. Intervals are of new test samples, not of another fit. A "
    "difference is called better or worse where its two-sided p-value is below what "
    "the interval leaves out; of many systems, some are so by chance."
)

# no color but that of the notebook, light or dark: text inherits it
_STYLE = Markup("""<style>
.featad-leaderboard { overflow-x: auto; }
.featad-leaderboard table { table-layout: auto; border-collapse: collapse; font-variant-numeric: tabular-nums; }
.featad-leaderboard caption { caption-side: bottom; text-align: left; padding-top: .5em; opacity: .8; max-width: 60em; }
.featad-leaderboard th, .featad-leaderboard td { text-align: right; padding: .3em .6em; border-bottom: 1px solid rgba(128, 128, 128, .35); vertical-align: middle; white-space: nowrap; background: none; }
.featad-leaderboard thead th { white-space: normal; vertical-align: bottom; }
.featad-leaderboard th:nth-child(-n + 3), .featad-leaderboard td.text { text-align: left; }
.featad-leaderboard td:nth-child(3) { min-width: 16em; white-space: normal; }
.featad-leaderboard .name { min-width: 9em; max-width: 22em; max-height: 4.5em; overflow: auto; white-space: normal; overflow-wrap: anywhere; unicode-bidi: isolate; }
.featad-leaderboard tbody tr:last-child { opacity: .75; font-style: italic; }
.featad-leaderboard svg { max-width: none; vertical-align: middle; margin-right: .6em; }
</style>""")  # noqa: E501


class Leaderboard(pd.DataFrame):
    """Figures of systems, best first: a DataFrame that notebooks show as a leaderboard.

    `featad.compare` and `featad.compare_scores` return one. Nothing else is special
    about it: it has the columns that they document, and what is made of it, such as a
    selection of rows, is an ordinary DataFrame.

    In a notebook each system has its AUROC with the interval drawn, its other figures,
    and its difference from the reference: "better" or "worse" where the p-value is
    below 1 - confidence, which is DeLong's if there is one. The last row is what chance
    reaches. Names are shown as text, whatever they hold. ``pandas.DataFrame(table)``
    shows the columns as they are.

    Parameters
    ----------
    data : DataFrame
        A table of `featad.compare`, such as one read from a file of ``featad compare
        -o``, with the names of the systems as index.

    Examples
    --------
    >>> import featad
    >>> rows = [(s, 1, i, 1 - 2 * (i > 4), i) for s in "ab" for i in range(10)]
    >>> columns = ["system", "fold", "sample", "label", "anomaly_score"]
    >>> table = featad.compare_scores(pd.DataFrame(rows, columns=columns))
    >>> type(table).__name__, type(table.head(1)).__name__
    ('Leaderboard', 'DataFrame')
    >>> "no clear difference" in table._repr_html_()
    True
    """

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def _repr_html_(self) -> str | None:
        shown = pd.get_option("display.notebook_repr_html")
        if not shown or not len(self) or not set(self.columns) >= _NEEDED:
            return super()._repr_html_()
        return str(_html(self))


def _html(table: pd.DataFrame) -> Markup:
    confidence = table.attrs.get("confidence", 0.95)
    reference = table.attrs.get("reference")
    figures = {name: one for name, one in _FIGURES.items() if name in table}
    heads = [
        "system",
        f"AUROC ({100 * confidence:g} % interval)",
        f"difference from {reference or 'the reference'}",
        *[head for head, _ in figures.values()],
    ]
    least = np.nanmin(table[["auroc", "auroc_low"]].to_numpy(dtype=float))
    ends = min(least, 0.99), 1.0
    rows = [
        _row(
            str(name),
            Markup("{}{:.3f} ({})").format(
                _interval(row, ends), row["auroc"], _range(row, "auroc", ".3f")
            ),
            "the reference" if name == reference else _difference(row, 1 - confidence),
            [
                _number(row[figure] * (100 if "%" in form else 1), form)
                for figure, (_, form) in figures.items()
            ],
        )
        for name, row in table.iterrows()
    ]
    rows.append(_chance(table, figures))
    return Markup(
        '<div class="featad-leaderboard" tabindex="0" role="region" '
        'aria-label="Leaderboard">{}<table><caption>{}</caption>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(
        _STYLE,
        _CAPTION,
        _joined(Markup('<th scope="col" dir="auto">{}</th>').format(h) for h in heads),
        _joined(rows),
    )


def _row(name: str, auroc: str, difference: str, figures: list[str]) -> Markup:
    return Markup(
        '<tr><th scope="row"><div class="name" dir="auto">{}</div></th>'
        '<td class="text">{}</td><td class="text">{}</td>{}</tr>'
    ).format(
        name,
        auroc,
        difference,
        _joined(Markup("<td>{}</td>").format(figure) for figure in figures),
    )


def _chance(table: pd.DataFrame, figures: Mapping[str, Any]) -> Markup:
    """Return the row of what a detector reaches that gives all the same score."""
    first = table.iloc[0]
    known = {"tpr_at_fpr_1": 1.0}  # percent
    for name in ("average_precision", "f1_max"):
        known[name] = first.get(f"{name}_chance", np.nan)
    reached = [
        _number(known[name], form) if name in known else ""
        for name, (_, form) in figures.items()
    ]
    nowhere = Markup('<svg width="{}" height="1"></svg>').format(_WIDTH)
    return _row("chance", nowhere + "0.500", "", reached)


def _interval(row: pd.Series, ends: tuple[float, float]) -> Markup:
    """Return a line from one end of the AUROC's interval to the other, and its dot."""
    if np.isnan(row["auroc_low"]):
        return Markup("")

    def place(value: float) -> float:
        return 4 + (_WIDTH - 8) * (value - ends[0]) / (ends[1] - ends[0])

    return Markup(
        '<svg width="{}" height="{}" aria-hidden="true">'
        '<line x1="0" x2="{}" y1="{y}" y2="{y}" stroke="currentColor" '
        'stroke-opacity=".2"/>'
        '<line x1="{:.1f}" x2="{:.1f}" y1="{y}" y2="{y}" stroke="currentColor" '
        'stroke-width="3" stroke-opacity=".55"/>'
        '<circle cx="{:.1f}" cy="{y}" r="4" fill="currentColor"/></svg>'
    ).format(
        _WIDTH,
        _HEIGHT,
        _WIDTH,
        place(row["auroc_low"]),
        place(row["auroc_high"]),
        place(row["auroc"]),
        y=_HEIGHT / 2,
    )


def _difference(row: pd.Series, level: float) -> Markup:
    """Return how a system differs from the reference, and whether that is clear."""
    by_delong = not np.isnan(row["p_delong"])
    p = row["p_delong"] if by_delong else row["p_bootstrap"]
    if np.isnan(p):
        return Markup("not tested")
    clear = "better" if row["difference"] > 0 else "worse"
    verdict = Markup("<b>{}</b>").format(clear) if p < level else _UNCLEAR
    told = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return Markup("{}: {:+.3f} ({}), {}").format(
        verdict, row["difference"], _range(row, "difference", "+.3f"), told
    )


def _range(row: pd.Series, name: str, form: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "no interval" if np.isnan(low) else f"{low:{form}} to {high:{form}}"


def _number(value: float, form: str) -> str:
    return "–" if np.isnan(value) else form.format(value)


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
