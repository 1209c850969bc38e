"""Families that repeat or tile: cells, gratings, lattices, fractals, prints."""

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from pipelines.pretraining._base import (
    bent,
    log_uniform,
    pixel_axes,
    power_law_noise,
    stretched,
    turned_axes,
)
from pipelines.pretraining.shapes import solid


def voronoi_cells(rng, size):
    """Draw cells around scattered points: distance, edges, or flat filled cells.

    Parameters
    ----------
    rng, size
        As in `spectral_noise`.

    Returns
    -------
    field : ndarray of shape (size, size), float32
        Values in [0, 1].

    References
    ----------
    .. [1] Worley, "A cellular texture basis function", SIGGRAPH 1996.
    """
    v, u = bent(rng, *turned_axes(rng, size))
    v = v * log_uniform(rng, 1, 3)
    count = int(log_uniform(rng, 8, 400))
    if rng.random() < 0.3:
        side = max(3, int(np.sqrt(count)))
        grid = (np.indices((side, side)).reshape(2, -1).T + 0.5) / side - 0.5
        points = grid + rng.normal(0, rng.uniform(0.05, 0.4) / side, grid.shape)
    else:
        points = rng.uniform(-0.5, 0.5, (count, 2))
    low = np.array([v.min(), u.min()])
    span = np.array([v.max(), u.max()]) - low
    points = low + (points + 0.5) * span
    pixels = np.stack([v.ravel(), u.ravel()], axis=1)
    metric = 1 if rng.random() < 0.2 else 2
    distance, owner = cKDTree(points).query(pixels, k=2, p=metric)
    kind = rng.choice(["filled", "edge", "distance", "both"])
    levels = rng.random(len(points))[owner[:, 0]]
    edge = distance[:, 1] - distance[:, 0]
    width = rng.uniform(0.15, 0.8) * np.median(edge) + 1e-9
    edge = np.clip(edge / width, 0, 1)
    if kind == "filled":
        field = levels
    elif kind == "edge":
        field = edge
    elif kind == "both":
        field = levels * 0.8 * edge + 0.2
    else:
        field = distance[:, 0] ** rng.uniform(0.7, 2)
    return stretched(field.reshape(size, size))


def grating(rng, size):
    """Draw one or two warped gratings: sine, square, saw, rings, spiral.

    Parameters
    ----------
    rng, size
        As in `spectral_noise`.

    Returns
    -------
    field : ndarray of shape (size, size), float32
        Values in [0, 1].

    References
    ----------
    .. [1] Campbell and Robson, "Application of Fourier analysis to the visibility of
       gratings", Journal of Physiology 1968: the stimuli.
    """
    total = np.zeros((size, size), np.float32)
    for _ in range(1 if rng.random() < 0.6 else 2):
        v, u = bent(rng, *turned_axes(rng, size))
        turns = log_uniform(rng, 2, size / 4)
        kind = rng.random()
        if kind < 0.2:
            phase = turns * np.sqrt(v * v + u * u)
        elif kind < 0.25:
            phase = turns * 0.5 * np.sqrt(v * v + u * u) + np.arctan2(v, u) / 6.2831855
        else:
            phase = turns * v
        if rng.random() < 0.25:
            phase = phase + rng.uniform(0, 1) * power_law_noise(rng, size, 2)
        wave = np.sin(2 * np.pi * phase)
        profile = rng.random()
        if profile < 0.4:
            wave = wave + rng.uniform(-0.7, 0.7)
            wave = np.clip(wave * log_uniform(rng, 2, 20), -1, 1)
        elif profile < 0.6:
            wave = 2 * (phase % 1.0) - 1
        total = total + wave if rng.random() < 0.6 else np.maximum(total, wave)
    return stretched(total)


def lattice(rng, size):
    """Repeat one small motif on a square or brick lattice.

    Parameters
    ----------
    rng, size
        As in `spectral_noise`.

    Returns
    -------
    field : ndarray of shape (size, size), float32
        Values in [0, 1].

    Notes
    -----
    Motifs: a solid, checks, tiles with gaps, woven threads. Cells may differ in level,
    as tiles do.

    References
    ----------
    .. [1] Gruenbaum and Shephard, "Tilings and patterns", 1987.
    """
    v, u = bent(rng, *turned_axes(rng, size))
    cells = log_uniform(rng, 2.5, size / 6)
    v, u = v * cells, u * cells * log_uniform(rng, 0.4, 2.5)
    row = np.floor(v)
    if rng.random() < 0.5:
        u = u + 0.5 * (row % 2)
    column = np.floor(u)
    cell_v, cell_u = 2 * (v - row) - 1, 2 * (u - column) - 1
    motif = rng.random()
    if motif < 0.55:
        sharp = cells * log_uniform(rng, 0.05, 0.5) * 4
        distance = solid(rng, cell_v * 1.2, cell_u * 1.2)
        field = np.clip(0.5 - sharp * distance / 2, 0, 1)
    elif motif < 0.7:
        field = (row + column) % 2
    elif motif < 0.85:
        gap = rng.uniform(0.03, 0.25)
        field = np.clip((1 - np.maximum(np.abs(cell_v), np.abs(cell_u))) / gap, 0, 1)
    else:
        over = (row + column) % 2 > 0
        field = np.where(over, np.cos(cell_v * 1.5), np.cos(cell_u * 1.5) * 0.8)
    if rng.random() < 0.35:
        levels = rng.random((32, 32))
        shade = levels[row.astype(int) % 32, column.astype(int) % 32]
        field = field * (1 - rng.random() * shade)
    return stretched(field)


def fractal(rng, size):
    """Draw the attractor of a few random affine maps as a log density.

    Parameters
    ----------
    rng, size
        As in `spectral_noise`.

    Returns
    -------
    field : ndarray of shape (size, size), float32
        Values in [0, 1].

    Notes
    -----
    Differs from the paper: 1,500 points walk at once, and 24 steps of each are drawn.

    References
    ----------
    .. [1] Kataoka et al., "Pre-training without natural images", ACCV 2020
       (FractalDB).
    .. [2] Barnsley, "Fractals everywhere", 1988.
    """
    n_maps = int(rng.integers(2, 7))
    turns = rng.uniform(0, 2 * np.pi, (2, n_maps))
    scales = rng.uniform(0.25, 0.9, (2, n_maps))
    flips = rng.choice([-1, 1], n_maps)
    matrix = np.empty((n_maps, 2, 2))
    for k in range(n_maps):
        first, second = (_rotation(turn) for turn in turns[:, k])
        matrix[k] = first @ np.diag(scales[:, k] * [1, flips[k]]) @ second
    shift = rng.uniform(-1, 1, (n_maps, 2))
    odds = np.abs(np.linalg.det(matrix)) + 0.02
    picks = rng.choice(n_maps, (32, 1500), p=odds / odds.sum())
    point = rng.uniform(-1, 1, (1500, 2))
    seen = []
    for step, pick in enumerate(picks):
        point = np.einsum("nij,nj->ni", matrix[pick], point) + shift[pick]
        if step >= 8:
            seen.append(point)
    seen = np.concatenate(seen)
    low, high = np.percentile(seen, [1, 99], axis=0)
    pixel = ((seen - low) / (high - low + 1e-9) * 0.9 + 0.05) * size
    inside = np.all((pixel >= 0) & (pixel < size), axis=1)
    number = pixel[inside].astype(int) @ [size, 1]
    density = np.bincount(number, minlength=size * size).reshape(size, size)
    field = np.log1p(density.astype(np.float32))
    return stretched(gaussian_filter(field, rng.uniform(0.3, 1.2)))


def _rotation(angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def prints(rng, size):
    """Draw print-like marks: rows of glyphs, bar codes, tracks and pads, halftone.

    Parameters
    ----------
    rng, size
        As in `spectral_noise`.

    Returns
    -------
    field : ndarray of shape (size, size), float32
        Values in [0, 1].

    Notes
    -----
    A glyph is a random 5 x 5 bit pattern, often mirrored; no font is used. Pages are
    drawn on a coarse grid and looked up through turned coordinates.
    """
    v, u = turned_axes(rng, size) if rng.random() < 0.5 else pixel_axes(size)
    kind = rng.choice(["glyphs", "bars", "tracks", "halftone"])
    if kind == "halftone":
        cells = rng.uniform(size / 14, size / 4)
        tone = power_law_noise(rng, size, 2.2)
        wave = np.cos(2 * np.pi * cells * v) + np.cos(2 * np.pi * cells * u)
        return stretched(np.clip(3 * (wave / 4 + 0.5 - tone) + 0.5, 0, 1))
    if kind == "bars":
        bars = np.repeat(rng.integers(0, 2, 256), rng.integers(1, 4, 256))
        cells = log_uniform(rng, 20, 70)
        return bars[np.floor(u * cells).astype(int) % len(bars)].astype(np.float32)
    if kind == "glyphs":
        page = _page_of_glyphs(rng)
        cells = log_uniform(rng, 20, 60)
    else:
        page = _page_of_tracks(rng)
        cells = log_uniform(rng, 16, 50)
    rows, columns = (
        np.floor((t + 0.5) * cells).astype(int) % len(page) for t in (v, u)
    )
    return gaussian_filter(page[rows, columns], rng.uniform(0.2, 0.8))


def _page_of_glyphs(rng):
    page = np.zeros((96, 96), np.float32)
    glyphs = rng.random((12, 5, 5)) < 0.55
    if rng.random() < 0.6:
        glyphs[:, :, 3:] = glyphs[:, :, 1::-1]
    for row in range(0, 90, int(rng.integers(6, 11))):
        for column in range(0, 90, 6):
            if rng.random() < 0.8:
                page[row : row + 5, column : column + 5] = glyphs[rng.integers(12)]
    return page


def _page_of_tracks(rng):
    page = np.zeros((64, 64), np.float32)
    for _ in range(int(rng.integers(8, 40))):
        row, column = rng.integers(0, 64, 2)
        length, width = int(rng.integers(4, 40)), int(rng.integers(1, 4))
        if rng.random() < 0.5:
            page[row : row + width, column : column + length] = rng.uniform(0.5, 1)
        else:
            page[row : row + length, column : column + width] = rng.uniform(0.5, 1)
        if rng.random() < 0.4:
            pad = 3 + width
            page[row : row + pad, column : column + pad] = rng.uniform(0.7, 1)
    return page
