"""Score histogram, ROC curve, the most anomalous images, and maps over images."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import roc_curve

from featad._validation import check_labels
from featad.errors import MissingExtraError
from featad.images import read_image
from featad.metrics import auroc

_DRAWN = 1000  # pixels: a longer side is drawn smaller
_NORMAL, _ANOMALOUS, _INK = "#3b75af", "#c8553d", "#333333"


def plot_histogram(
    y: ArrayLike, anomaly_score: ArrayLike, threshold: float, path: str | os.PathLike
) -> Path:
    """Draw a histogram of the anomaly scores of normal and anomalous images.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        1 normal, -1 anomalous.

    anomaly_score : array-like of shape (n_samples,)
        High = anomalous.

    threshold : float
        On the scale of ``anomaly_score``; drawn as a vertical line.

    path : path-like
        The PNG file to write.

    Returns
    -------
    path : Path
        The file that was written.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed (extra ``report``).

    Examples
    --------
    >>> import tempfile
    >>> from featad.plots import plot_histogram
    >>> path = tempfile.mkdtemp() + "/scores.png"
    >>> plot_histogram([1, 1, 1, -1], [0.1, 0.3, 0.2, 0.9], 0.5, path).name
    'scores.png'
    """
    scores = np.asarray(anomaly_score, dtype=float)
    y = check_labels(y, n_samples=len(scores))
    figure, axes = _figure(6.4, 3.6)
    edges = np.histogram_bin_edges(np.append(scores, threshold), bins=40)
    for label, name, color in ((1, "normal", _NORMAL), (-1, "anomalous", _ANOMALOUS)):
        chosen = scores[y == label]
        axes.hist(
            chosen, edges, color=color, alpha=0.7, label=f"{name} ({len(chosen)})"
        )
    axes.axvline(
        threshold, color=_INK, linestyle="--", linewidth=1.2, label="threshold"
    )
    axes.set_xlabel("anomaly score")
    axes.set_ylabel("images")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    return _save(figure, path)


def plot_roc(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]] | pd.DataFrame,
    path: str | os.PathLike,
) -> Path:
    """Draw the ROC curves of one or more systems, the best first in the legend.

    Parameters
    ----------
    curves : dict of str to (y, anomaly_score), or DataFrame
        Keys are names of systems. A DataFrame is a table of scores, as
        ``featad.compare(..., return_scores=True)`` returns it. With several folds a
        curve is the mean of those of the folds, at equal shares of normal images, and
        the AUROC is the mean AUROC.

    path : path-like
        The file to write: ``.png``, or ``.pdf`` or ``.svg`` for papers.

    Returns
    -------
    path : Path
        The file that was written.

    Examples
    --------
    >>> import tempfile
    >>> from featad.plots import plot_roc
    >>> curves = {"pca": ([1, 1, -1, -1], [0.1, 0.4, 0.3, 0.9])}
    >>> plot_roc(curves, tempfile.mkdtemp() + "/roc.svg").name
    'roc.svg'
    """
    figure, axes = _figure(4.8, 4.6)
    drawn = {name: _mean_roc(folds) for name, folds in _folds_of(curves).items()}
    for name, (fpr, tpr, area) in sorted(drawn.items(), key=lambda item: -item[1][2]):
        label = f"{name}: AUROC {area:.3f}"
        axes.plot(fpr, tpr, linewidth=1.8, label=label, clip_on=False)
    axes.plot([0, 1], [0, 1], color="#aaaaaa", linewidth=1, linestyle=":")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("normal images called anomalous")
    axes.set_ylabel("anomalous images found")
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    return _save(figure, path)


def plot_most_anomalous(
    sources: Sequence[Any],
    anomaly_score: ArrayLike,
    path: str | os.PathLike,
    *,
    threshold: float | None = None,
    n_images: int = 12,
) -> Path:
    """Draw the images with the highest anomaly scores, highest first.

    Parameters
    ----------
    sources : sequence of sources
        Paths, bytes, PIL images or arrays.

    anomaly_score : array-like of shape (n_samples,)
        High = anomalous. Images whose score is NaN are left out.

    path : path-like
        The PNG file to write.

    threshold : float, default=None
        Scores above it are printed in the color of anomalies.

    n_images : int, default=12
        Maximum number of images.

    Returns
    -------
    path : Path
        The file that was written.

    Examples
    --------
    >>> import tempfile
    >>> import featad
    >>> from featad.plots import plot_most_anomalous
    >>> images = featad.make_spots_and_lines(4, 0, size=32).images
    >>> path = tempfile.mkdtemp() + "/strangest.png"
    >>> plot_most_anomalous(images, [0.1, 0.9, 0.3, 0.2], path, n_images=2).name
    'strangest.png'
    """
    scores = np.asarray(anomaly_score, dtype=float)
    order = [i for i in np.argsort(scores)[::-1] if np.isfinite(scores[i])][:n_images]
    columns = min(6, max(1, len(order)))
    rows = -(-len(order) // columns) or 1
    figure, axes = _figure(1.7 * columns, 2.05 * rows, rows, columns)
    for ax in np.ravel(axes):
        ax.axis("off")
    for ax, i in zip(np.ravel(axes), order, strict=False):
        beyond = threshold is not None and scores[i] > threshold
        ax.imshow(read_image(sources[i]))
        ax.set_title(
            _number(scores[i]), fontsize=9, color=_ANOMALOUS if beyond else _INK
        )
    return _save(figure, path)


def plot_overlay(
    image: np.ndarray,
    ratios: np.ndarray,
    path: str | os.PathLike,
    *,
    regions: np.ndarray | None = None,
    title: str | None = None,
) -> Path:
    """Draw an image with its regions outlined, and its map over it.

    The colors mean the same in every picture: what is like a typical pixel of normal
    images has none, and a map that stays below the threshold is never bright.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels)
        In [0, 1]. Larger ones are drawn at about 1,000 pixels.

    ratios : ndarray of shape (height, width)
        The map in units of `featad.MapScale.ratios`.

    path : path-like
        The PNG file to write.

    regions : ndarray of shape (height, width), default=None
        Not 0 inside the regions, as `featad.segment` returns them.

    title : str, default=None
        What stands above the picture.

    Returns
    -------
    path : Path
        The file that was written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from featad.plots import plot_overlay
    >>> image, ratios = np.ones((16, 16, 3)), np.zeros((16, 16))
    >>> ratios[4:8, 4:8] = 1.5
    >>> plot_overlay(image, ratios, tempfile.mkdtemp() + "/where.png").name
    'where.png'
    """
    step = -(-max(ratios.shape) // _DRAWN)
    image, ratios = image[::step, ::step], ratios[::step, ::step]
    height, width = ratios.shape
    shape = np.clip(height / width, 0.3, 3)  # of a panel
    side = 4.2 if shape < 1 else 4.2 / shape
    figure, (plain, mapped) = _figure(2 * side + 1.1, side * shape + 0.5, 1, 2)
    gray = image.mean(axis=2)
    plain.imshow(image if image.shape[2] == 3 else gray, cmap="gray", vmin=0, vmax=1)
    mapped.imshow(gray, cmap="gray", vmin=0, vmax=1)
    drawn = mapped.imshow(
        np.clip(ratios, 0, 2),
        cmap="inferno",
        vmin=0,
        vmax=2,
        alpha=np.clip(0.8 * ratios, 0, 0.8),
    )
    for axes in (plain, mapped):
        axes.axis("off")
        if regions is not None and regions.any():
            outlines = (regions[::step, ::step] > 0).astype(float)
            axes.contour(outlines, [0.5], colors="black", linewidths=2.4)
            axes.contour(outlines, [0.5], colors="#00e5ff", linewidths=1.2)
    legend = figure.colorbar(drawn, ax=mapped, shrink=0.9, ticks=[0, 1, 2])
    legend.solids.set_alpha(1)
    legend.ax.set_yticklabels(["normal", "threshold", "twice"], fontsize=8)
    if title is not None:
        figure.suptitle(title, fontsize=9, color=_INK)
    return _save(figure, path)


def overlaid(image: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Return a gray image with its map over it, in the colors of `plot_overlay`.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels)
        In [0, 1].

    ratios : ndarray of shape (height, width)
        The map in units of `featad.MapScale.ratios`.

    Returns
    -------
    pixels : ndarray of shape (height, width, 3), float
        In [0, 1].

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed (extra ``report``).

    Examples
    --------
    >>> import numpy as np
    >>> from featad.plots import overlaid
    >>> overlaid(np.ones((16, 16, 3)), np.zeros((16, 16))).shape
    (16, 16, 3)
    """
    colors = _matplotlib().colormaps["inferno"](np.clip(ratios, 0, 2) / 2)[..., :3]
    alpha = np.clip(0.8 * ratios, 0, 0.8)[..., None]
    return alpha * colors + (1 - alpha) * image.mean(axis=2, keepdims=True)


def check_picture(path: str | os.PathLike) -> None:
    """Raise an error before the work if a picture cannot be written afterwards.

    Parameters
    ----------
    path : path-like
        The file to write.

    Raises
    ------
    ValueError
        If its name does not end in .png, .pdf or .svg.

    MissingExtraError
        If matplotlib is not installed (extra ``report``).
    """
    if Path(path).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(
            f"Pictures are written to .png, .pdf or .svg files, but the file is called "
            f"{Path(path).name!r}."
        )
    _figure(1, 1)


def _folds_of(curves):
    """Return labels and scores fold by fold, for each system."""
    if not isinstance(curves, pd.DataFrame):
        return {name: [pair] for name, pair in curves.items()}
    return {
        name: [
            (fold["label"].to_numpy(), fold["anomaly_score"].to_numpy())
            for _, fold in of_system.groupby("fold")
        ]
        for name, of_system in curves.groupby("system", sort=False)
    }


def _mean_roc(folds):
    """Return the mean ROC curve of folds, and its area, the mean of theirs.

    Each curve is a line with upright pieces; so is the mean, with two points at every
    share of normal images at which a curve goes up: where it arrives and where it
    leaves.
    """
    curves = [roc_curve(np.asarray(y) == -1, score)[:2] for y, score in folds]
    shares = np.unique(np.concatenate([fpr for fpr, _ in curves]))
    # where several points share a place, np.interp takes the last: here, reversed, the
    # lowest, and there the highest
    arrives = [np.interp(-shares, -fpr[::-1], tpr[::-1]) for fpr, tpr in curves]
    leaves = [np.interp(shares, fpr, tpr) for fpr, tpr in curves]
    tpr = np.stack([np.mean(arrives, axis=0), np.mean(leaves, axis=0)], axis=1).ravel()
    return np.repeat(shares, 2), tpr, float(np.mean([auroc(*fold) for fold in folds]))


def _number(score):
    """Return a score with four significant digits, never as a power of ten."""
    return np.format_float_positional(
        score, precision=4, unique=False, fractional=False, trim="-"
    )


def _matplotlib():
    try:
        import matplotlib.figure
    except ImportError as error:
        raise MissingExtraError(
            "Pictures need matplotlib: pip install 'featad[report]'."
        ) from error
    return matplotlib


def _figure(width, height, rows=1, columns=1):
    figure = _matplotlib().figure.Figure(
        figsize=(width, height), dpi=120, layout="constrained"
    )
    axes = figure.subplots(rows, columns)
    if rows == columns == 1:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure, path):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    from matplotlib import rc_context

    with rc_context({"pdf.fonttype": 42}):  # publishers refuse matplotlib's own type 3
        figure.savefig(path)
    return path
