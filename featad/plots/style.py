"""The look of all pictures, and matplotlib, where it is installed."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from featad._whole_files import replacing
from featad.errors import MissingExtraError

# of Okabe and Ito, "Color universal design", 2008: told apart by color-blind people too
NORMAL, ANOMALOUS, INK, QUIET = "#0072b2", "#d55e00", "#333333", "#999999"
KINDS = (ANOMALOUS, "#e69f00", "#cc79a7", "#009e73", "#f0e442", QUIET)
LINES = (NORMAL, ANOMALOUS, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
DASHES = ("solid", "dashed", "dashdot", "dotted")  # each for one round of LINES

_LONGEST = 60  # characters of a name; of one in a legend:
IN_LEGEND = 30
_DPI = 120


def matplotlib() -> Any:
    """Return matplotlib.

    Raises
    ------
    MissingExtraError
        If it is not installed (extra ``report``).
    """
    try:
        import matplotlib.figure
    except ImportError as error:
        raise MissingExtraError(
            "Pictures need matplotlib: pip install 'featad[report]'."
        ) from error
    return matplotlib


def new_axes(width: float, height: float, rows: int = 1, columns: int = 1) -> Any:
    """Return axes of a new figure that a notebook shows; an array if there are several.

    Parameters
    ----------
    width, height : float
        Of the figure, in inches.

    rows, columns : int
        Numbers of axes.
    """
    matplotlib()
    from matplotlib import pyplot

    size = (width, height)
    return pyplot.subplots(rows, columns, figsize=size, layout="constrained")[1]


def file_axes(width: float, height: float, rows: int = 1, columns: int = 1) -> Any:
    """Return axes of a new figure for a file, whatever the backend; as `new_axes`."""
    figure = matplotlib().figure.Figure((width, height), dpi=_DPI, layout="constrained")
    return figure.subplots(rows, columns)


def save(figure: Any, path: str | os.PathLike) -> Path:
    """Write a figure, and return its path."""
    no_type_3 = {"pdf.fonttype": 42}  # publishers refuse it
    with matplotlib().rc_context(no_type_3), replacing(path) as part:
        figure.savefig(part)
    return Path(path)


def bare(ax: Any) -> None:
    """Take away the lines above and to the right of axes."""
    ax.spines[["top", "right"]].set_visible(False)


def legend(ax: Any, place: str = "best") -> None:
    """Draw the legend of axes, without a frame, over what lies behind it."""
    drawn = ax.legend(loc=place, fontsize="small", edgecolor="none", framealpha=0.8)
    drawn.set_in_layout(False)


def as_text(name: object, longest: int = _LONGEST) -> str:
    """Return a name as matplotlib draws it letter by letter, on one line.

    Parameters
    ----------
    name : object
        Its text is taken.

    longest : int, default=60
        Number of characters; the middle of longer names is left out.

    Examples
    --------
    >>> as_text("a  cracked tile", longest=9)
    'a c...ile'
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in str(name)).split())
    if len(text) > longest:
        half = (longest - 3) // 2
        text = f"{text[:half]}...{text[-half:]}"
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text  # legends leave out "_..."


def as_number(value: float) -> str:
    """Return a number with four significant digits, never as a power of ten.

    Examples
    --------
    >>> as_number(38072.1)
    '38070'
    """
    return np.format_float_positional(
        value, precision=4, unique=False, fractional=False, trim="-"
    )
