"""Pictures in files: what the displays draw, without a window."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from featad.images import read_image
from featad.plots import style
from featad.plots.maps import MapDisplay
from featad.plots.roc import RocDisplay
from featad.plots.scores import ScoreDisplay


def plot_histogram(
    y: ArrayLike,
    anomaly_score: ArrayLike,
    threshold: float | None,
    path: str | os.PathLike,
    *,
    kinds: Sequence[str] | None = None,
    calibration_score: ArrayLike | None = None,
) -> Path:
    """Draw a histogram of the anomaly scores of normal and anomalous images.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        1 normal, -1 anomalous.

    anomaly_score : array-like of shape (n_samples,)
        High = anomalous.

    threshold : float or None
        On the scale of ``anomaly_score``; drawn as a vertical line.

    path : path-like
        The PNG file to write.

    kinds : sequence of str, default=None
        Kind of each image; those of anomalies have colors of their own.

    calibration_score : array-like of shape (n_calibration,), default=None
        Anomaly scores of held-out normal images of the fit, see `ScoreDisplay`.

    Returns
    -------
    path : Path
        The file that was written.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed (extra ``report``).

    See Also
    --------
    ScoreDisplay : The same in a notebook.

    Examples
    --------
    >>> import tempfile
    >>> from featad.plots import plot_histogram
    >>> path = tempfile.mkdtemp() + "/scores.png"
    >>> plot_histogram([1, 1, 1, -1], [0.1, 0.3, 0.2, 0.9], 0.5, path).name
    'scores.png'
    """
    axes = style.file_axes(6.4, 3.6)
    ScoreDisplay.from_predictions(
        y,
        anomaly_score,
        kinds=kinds,
        threshold=threshold,
        calibration_score=calibration_score,
        ax=axes,
    )
    return style.save(axes.figure, path)


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

    See Also
    --------
    RocDisplay : The same in a notebook.

    Examples
    --------
    >>> import tempfile
    >>> from featad.plots import plot_roc
    >>> curves = {"pca": ([1, 1, -1, -1], [0.1, 0.4, 0.3, 0.9])}
    >>> plot_roc(curves, tempfile.mkdtemp() + "/roc.svg").name
    'roc.svg'
    """
    axes = style.file_axes(4.8, 4.8)
    RocDisplay.from_scores(curves, ax=axes)
    return style.save(axes.figure, path)


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
    axes = np.ravel(style.file_axes(1.7 * columns, 2.05 * rows, rows, columns))
    for ax in axes:
        ax.axis("off")
    for ax, i in zip(axes, order, strict=False):
        beyond = threshold is not None and scores[i] > threshold
        ax.imshow(read_image(sources[i]))
        color = style.ANOMALOUS if beyond else style.INK
        ax.set_title(style.as_number(scores[i]), fontsize=9, color=color)
    return style.save(axes[0].figure, path)


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

    See Also
    --------
    MapDisplay : The same in a notebook.

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
    shown = MapDisplay(
        images=[image],
        maps=[ratios],
        regions=None if regions is None else [regions],
        names=[title or ""],
    )
    axes = style.file_axes(*shown.figsize, 1, 2)
    return style.save(shown.plot(axes).figure_, path)


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

    Examples
    --------
    >>> from featad.plots import check_picture
    >>> check_picture("roc.gif")
    Traceback (most recent call last):
    ...
    ValueError: Pictures are written to .png, .pdf or .svg files...
    """
    if Path(path).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(
            f"Pictures are written to .png, .pdf or .svg files, but the file is called "
            f"{Path(path).name!r}."
        )
    style.matplotlib()
