"""Where is it odd? Where covering the image makes it normal."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from featad._progress import tracked
from featad.base import anomaly_scores
from featad.maps.views import View, reading_of, views
from featad.systems import iter_parts_and_templates, set_everywhere

FILLS = ("blur", "mean", "gray")
"""What may cover a part of an image."""

SLIGHT = 0.2
"""Opacity of a cover that leaves an image much like itself."""


def occlusion_passes(n_cells: int = 7, n_levels: int = 2, refine: float = 0.25) -> int:
    """Return how many times a system scores for the occlusion map of one image.

    Parameters
    ----------
    n_cells, n_levels, refine
        As for `featad.occlusion_maps`.

    Returns
    -------
    n_passes : int

    Examples
    --------
    >>> occlusion_passes(), occlusion_passes(n_cells=14, n_levels=1)
    (98, 197)
    """
    n_refined = min(n_cells**2, max(1, round(refine * n_cells**2)))
    return 1 + n_cells**2 + 4 * n_refined * (n_levels - 1)


def iter_occlusions(
    system: Any,
    first: Any,
    X: Any,
    *,
    fill: str = "blur",
    strength: float = SLIGHT,
    n_cells: int = 7,
    n_levels: int = 2,
    refine: float = 0.25,
    batch_size: int = 32,
    resize: bool = True,
) -> Iterator[np.ndarray]:
    """Yield how much the score of an image falls where a part of it is covered.

    Parameters
    ----------
    system : estimator
        A fitted system.

    first : estimator
        Its first step, which decides how images are read.

    X, fill, strength, n_cells, n_levels, refine, batch_size, resize
        As for `featad.occlusion_maps`.

    Yields
    ------
    map : float32 ndarray of shape (height, width)
    """
    _check(fill, strength, n_cells, n_levels, refine)
    system = _without_cache(system)
    for view in tracked(views(X, reading_of(first), pixels=True), "map", len(X)):
        shown = view.pixels.astype(np.float32)
        cover = shown + np.float32(strength) * (_cover(view, fill, n_cells) - shown)
        found = _map_of(system, view, cover, n_cells, n_levels, refine, batch_size)
        found /= np.float32(strength)
        yield view.in_pixels(found) if resize else found


def _map_of(system, view, cover, n_cells, n_levels, refine, batch_size):
    """Return the sum of the levels' maps: each tells of parts half as long."""
    height, width = view.box[2:]
    shape = min(n_cells, height), min(n_cells, width)
    cells = np.indices(shape).reshape(2, -1).T
    n_refined = min(len(cells), max(1, round(refine * n_cells**2)))
    whole = anomaly_scores(system, view.pixels[None])
    total = np.zeros(shape)
    for level in range(n_levels):
        scores = [
            anomaly_scores(system, _covered(view, cover, some, total.shape))
            for some in np.split(cells, range(batch_size, len(cells), batch_size))
        ]
        falls = whole - np.concatenate(scores)
        total[tuple(cells.T)] += falls * 2**level  # a part's length, for its fall
        halves = 2 * total.shape[0], 2 * total.shape[1]
        if level + 1 == n_levels or halves[0] > height or halves[1] > width:
            break
        best = cells[np.argsort(-falls, kind="stable")[:n_refined]]
        corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
        cells = np.concatenate([2 * best + corner for corner in corners])
        total = np.kron(total, np.ones((2, 2)))
    return total.astype(np.float32)


def _covered(view: View, cover: np.ndarray, cells: Any, grid: Any) -> np.ndarray:
    """Return one copy of the image for each cell, which is covered."""
    pixels, (top, left, height, width) = view.pixels, view.box
    down, across = _ramps(height, grid[0]), _ramps(width, grid[1])
    part = slice(top, top + height), slice(left, left + width)
    shown = pixels[part].astype(np.float32)
    change = cover[part] - shown
    images = np.repeat(pixels[None], len(cells), axis=0)
    for image, (row, column) in zip(images, cells, strict=True):
        mask = np.outer(down[row], across[column]).reshape(
            height, width, *[1] * (pixels.ndim - 2)
        )
        image[part] = shown + mask * change
    return images


def _ramps(length: int, n_cells: int) -> np.ndarray:
    """Return how much each cell covers each pixel, (n_cells, length), from 0 to 1.

    All of the cell is covered, and its neighbors less and less up to their middle: an
    edge would be odd by itself.
    """
    cell = length / n_cells
    centers = (np.arange(n_cells) + 0.5) * cell
    apart = np.abs(np.arange(length) + 0.5 - centers[:, None]) / cell
    return np.clip(2 - 2 * apart, 0, 1).astype(np.float32)


def _cover(view: View, fill: str, n_cells: int) -> np.ndarray:
    """Return the image that shows where another is covered."""
    pixels = view.pixels
    if fill == "mean":
        mean = pixels.mean(axis=(0, 1), keepdims=True).astype(pixels.dtype)
        return np.broadcast_to(mean, pixels.shape)
    if fill == "gray":
        middle = (pixels.min() / 2 + pixels.max() / 2).astype(pixels.dtype)
        return np.full_like(pixels, middle)
    sigma = max(view.box[2:]) / n_cells / 2
    return gaussian_filter(pixels, sigma, axes=(0, 1))


def _without_cache(system: Any) -> Any:
    """Return the system, or a copy that keeps no features of covered images."""
    parts = iter_parts_and_templates(system)
    if all(part.get_params(deep=False).get("cache") is None for part in parts):
        return system
    system = copy.deepcopy(system)
    set_everywhere(system, "cache", None)
    return system


def _check(
    fill: str, strength: float, n_cells: int, n_levels: int, refine: float
) -> None:
    if fill not in FILLS:
        raise ValueError(f"fill should be one of {FILLS}, got {fill!r}.")
    if not 0 < strength <= 1:
        raise ValueError(f"strength should be in (0, 1], got {strength!r}.")
    if n_cells < 2 or n_levels < 1:
        raise ValueError(
            "n_cells should be 2 or more and n_levels 1 or more, got "
            f"n_cells={n_cells!r} and n_levels={n_levels!r}."
        )
    if not 0 < refine <= 1:
        raise ValueError(f"refine should be in (0, 1], got {refine!r}.")
