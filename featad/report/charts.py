"""Charts as SVG: lines, histograms and bars, from numbers alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 360, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 44
_HOVERED = 60  # points of a line that tell their values


@dataclass(frozen=True)
class Line:
    """A curve: its name, its points, and what to say of each one."""

    name: str
    x: np.ndarray
    y: np.ndarray
    told: Sequence[str]


@dataclass(frozen=True)
class Axis:
    """An axis: its label, its ends, and the values that are written beside it.

    ``stretch`` is what values are placed by: that of a normal distribution makes curves
    of detection errors nearly straight.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    stretch: Callable[[Any], Any] = np.asarray

    def place(self, values: np.ndarray | float) -> np.ndarray:
        """Return where values lie between the ends, from 0 to 1."""
        placed = np.clip(np.asarray(values, dtype=float), self.low, self.high)
        placed, low, high = map(self.stretch, (placed, self.low, self.high))
        if high <= low:
            return np.full_like(placed, 0.5)
        return (placed - low) / (high - low)


def lines(
    title: str, x: Axis, y: Axis, drawn: Sequence[Line], *, diagonal: bool = False
) -> Markup:
    """Return a chart of curves; each has a color of its own class, ``line-1`` on."""
    parts = [_frame(x, y)]
    if diagonal:
        ends = _points(x, y, np.array([x.low, x.high]), np.array([y.low, y.high]))
        parts.append(Markup('<polyline class="chance" points="{}"/>').format(ends))
    for number, line in enumerate(drawn, 1):
        parts.append(
            Markup('<polyline class="line line-{}" points="{}"/>').format(
                number, _points(x, y, line.x, line.y)
            )
        )
        step = max(1, len(line.x) // _HOVERED)
        for i in range(0, len(line.x), step):
            left, top = _at(x, y, line.x[i], line.y[i])
            parts.append(
                Markup(
                    '<circle class="dot line-{}" cx="{:.1f}" cy="{:.1f}" r="6">'
                    "<title>{}: {}</title></circle>"
                ).format(number, left, top, line.name, line.told[i])
            )
    return _svg(title, parts)


def histogram(
    title: str,
    label: str,
    values: Sequence[tuple[str, str, np.ndarray]],
    threshold: float | None,
) -> Markup:
    """Return stacked bars of counts.

    Parameters
    ----------
    title, label : str
        What it shows, and what lies along the axis.

    values : sequence of (name, CSS class, ndarray)
        The values of each kind, the lowest layer first.

    threshold : float or None
        Drawn as a line.
    """
    together = np.concatenate([found for _, _, found in values])
    ends = together if threshold is None else np.append(together, threshold)
    edges = np.histogram_bin_edges(ends, bins=min(40, max(8, len(together) // 4)))
    counts = [np.histogram(found, edges)[0] for _, _, found in values]
    most = int(np.sum(counts, axis=0).max(initial=1))
    x = Axis(label, edges[0], edges[-1], _round_ticks(edges[0], edges[-1]))
    y = Axis("images", 0, most, sorted({0, most // 2, most}))
    parts = [_frame(x, y)]
    below = np.zeros(len(edges) - 1)
    for (name, css, _), count in zip(values, counts, strict=True):
        for i in np.flatnonzero(count):
            left, top = _at(x, y, edges[i], below[i] + count[i])
            right, bottom = _at(x, y, edges[i + 1], below[i])
            parts.append(
                Markup(
                    '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" '
                    'height="{:.1f}"><title>{}: {} from {:.4g} to {:.4g}</title></rect>'
                ).format(
                    css,
                    left,
                    top,
                    max(right - left - 1, 1),
                    bottom - top,
                    name,
                    count[i],
                    edges[i],
                    edges[i + 1],
                )
            )
        below = below + count
    if threshold is not None:
        at, _ = _at(x, y, threshold, 0)
        parts.append(
            Markup(
                '<line class="threshold" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}">'
                "<title>threshold {3:.4g}</title></line>"
            ).format(at, _TOP, _HEIGHT - _BOTTOM, threshold)
        )
    return _svg(title, parts)


def bars(
    title: str,
    label: str,
    values: Sequence[tuple[str, float, str]],
    expected: float | None,
) -> Markup:
    """Return a bar for each of a few shares.

    Parameters
    ----------
    title, label : str
        What it shows, and what lies along the axis of shares.

    values : sequence of (name, share, text)
        ``text`` is told on hover. The first and the last name are written.

    expected : float or None
        Drawn as a line.
    """
    most = max([share for _, share, _ in values] + [expected or 0, 1e-9])
    high = min(1.0, 1.15 * most)
    x, y = Axis("", 0, len(values), []), Axis(label, 0, high, _round_ticks(0, high))
    parts = [_frame(x, y)]
    for i, (_, share, text) in enumerate(values):
        left, top = _at(x, y, i + 0.12, share)
        right, bottom = _at(x, y, i + 0.88, 0)
        parts.append(
            Markup(
                '<rect class="odd" x="{:.1f}" y="{:.1f}" width="{:.1f}" '
                'height="{:.1f}"><title>{}</title></rect>'
            ).format(left, top, right - left, max(bottom - top, 0.5), text)
        )
    last = len(values) - 1
    for i, share_of_bar, anchor in ((0, 0, "start"), (last, 1, "end")):
        left, bottom = _at(x, y, i + share_of_bar, 0)
        parts.append(
            Markup(
                '<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>'
            ).format(left, bottom + 16, anchor, values[i][0])
        )
    if expected is not None:
        left, top = _at(x, y, 0, expected)
        right, _ = _at(x, y, len(values), expected)
        parts.append(
            Markup(
                '<line class="threshold" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" '
                'y2="{:.1f}"><title>expected: {:.3g}</title></line>'
            ).format(left, right, top, top, expected)
        )
    return _svg(title, parts)


def _at(x: Axis, y: Axis, right: float, up: float) -> tuple[float, float]:
    return (
        _LEFT + float(x.place(right)) * (_WIDTH - _LEFT - _RIGHT),
        _HEIGHT - _BOTTOM - float(y.place(up)) * (_HEIGHT - _TOP - _BOTTOM),
    )


def _points(x: Axis, y: Axis, right: np.ndarray, up: np.ndarray) -> str:
    left = _LEFT + x.place(right) * (_WIDTH - _LEFT - _RIGHT)
    top = _HEIGHT - _BOTTOM - y.place(up) * (_HEIGHT - _TOP - _BOTTOM)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(left, top, strict=True))


def _frame(x: Axis, y: Axis) -> Markup:
    """Return axes, ticks, the grid and both labels."""
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for tick in x.ticks:
        at, _ = _at(x, y, tick, y.low)
        parts.append(
            Markup(
                '<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>'
                '<text class="tick" x="{0:.1f}" y="{3}" text-anchor="middle">{4}</text>'
            ).format(at, _TOP, bottom, bottom + 16, f"{tick:g}")
        )
    for tick in y.ticks:
        _, at = _at(x, y, x.low, tick)
        parts.append(
            Markup(
                '<line class="grid" x1="{1}" x2="{2}" y1="{0:.1f}" y2="{0:.1f}"/>'
                '<text class="tick" x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
            ).format(at, _LEFT, right, _LEFT - 6, at + 4, f"{tick:g}")
        )
    parts.append(
        Markup(
            '<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>'
            '<text class="label" transform="translate(14,{}) rotate(-90)" '
            'text-anchor="middle">{}</text>'
        ).format(
            (_LEFT + right) / 2, _HEIGHT - 8, x.label, (_TOP + bottom) / 2, y.label
        )
    )
    return Markup("").join(parts)


def _svg(title: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(_WIDTH, _HEIGHT, title, Markup("").join(escape(p) for p in parts))


def _round_ticks(low: float, high: float) -> list[float]:
    """Return three to six round numbers between two ends."""
    span = high - low
    if not span > 0:
        return [low]
    step = 10 ** np.floor(np.log10(span / 3))
    step *= next((m for m in (1, 2, 5) if span / (m * step) <= 6), 10)
    first = np.ceil(low / step)
    return [float(k * step) for k in np.arange(first, high / step + 1e-9)]
