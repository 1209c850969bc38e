"""Families of things with an outline: dead leaves, lit solids, strokes."""

import numpy as np
from scipy.ndimage import gaussian_filter

from pipelines.pretraining._base import (
    log_uniform,
    pixel_axes,
    power_law_noise,
    rotated,
    stretched,
)


def solid(rng, y, x, kind=None):
    """Return the signed distance to one random outline around 0, negative inside.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of chance.

    y, x : ndarray
        Coordinates; the outline lies between -1 and 1, roughly.

    kind : {"disc", "ring", "box", "polygon", "star", "blob"} or None, default=None
        None draws one of them.

    Returns
    -------
    distance : ndarray
        In units of ``y`` and ``x``; exact for discs and rings only.
    """
    kind = kind or rng.choice(["disc", "box", "polygon", "ring", "star", "blob"])
    if kind == "disc":
        return np.sqrt(y * y + x * x) - 1
    if kind == "ring":
        return np.abs(np.sqrt(y * y + x * x) - 0.75) - rng.uniform(0.05, 0.3)
    if kind == "box":
        high, wide = rng.uniform(0.25, 1, 2)
        return np.maximum(np.abs(y) - high, np.abs(x) - wide)
    if kind == "polygon":
        sides = int(rng.integers(3, 8))
        turns = 2 * np.pi * (np.arange(sides) + rng.uniform(-0.3, 0.3, sides)) / sides
        return np.max([np.cos(t) * y + np.sin(t) * x for t in turns], axis=0) - 0.7
    radius, angle = np.sqrt(y * y + x * x), np.arctan2(y, x)
    if kind == "star":
        lobes = int(rng.integers(3, 9))
        return radius - 0.65 * (1 + rng.uniform(0.15, 0.5) * np.cos(lobes * angle))
    edge = 0.7
    for lobe in range(1, 6):
        turn = rng.uniform(0, 2 * np.pi)
        edge = edge + rng.normal(0, 0.16 / lobe) * np.cos(lobe * angle + turn)
    return radius - edge


def placed_axes(rng, size, radii, reach):
    """Return axes around a random place, in units of a random radius, and the radius.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of chance.

    size : int
        Side in pixels.

    radii : (float, float)
        Least and greatest radius, in image sides.

    reach : float
        Greatest distance of the place from the middle along each axis, in image sides.

    Returns
    -------
    y, x : ndarray of shape (size, size)

    radius : float
        In image sides.
    """
    y, x = pixel_axes(size)
    radius = log_uniform(rng, *radii)
    angle = rng.uniform(0, np.pi)
    centre_y, centre_x = rng.uniform(-reach, reach, 2)
    y, x = rotated((y - centre_y) / radius, (x - centre_x) / radius, angle)
    return y, x, radius


def shaded(rng, height):
    """Return the light that a surface under a random lamp sends straight up.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of chance.

    height : ndarray of shape (size, size)
        In image sides.

    Returns
    -------
    light : ndarray of shape (size, size)
        Not negative, of no unit: a surrounding, a diffuse and a glossy part.

    References
    ----------
    .. [1] Blinn, "Models of light reflection for computer synthesized pictures",
       SIGGRAPH 1977.
    """
    size = len(height)
    slope_y, slope_x = np.gradient(height * size)
    turn, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.2)
    lamp = np.array(
        [np.sin(turn) * np.cos(rise), np.cos(turn) * np.cos(rise), np.sin(rise)]
    )
    half = lamp + [0, 0, 1]  # between the lamp and the eye
    half /= np.linalg.norm(half)
    norm = 1 / np.sqrt(1 + slope_y * slope_y + slope_x * slope_x)
    diffuse, gloss = (
        (ray[2] - ray[0] * slope_y - ray[1] * slope_x) * norm for ray in (lamp, half)
    )
    shine = rng.uniform(0, 0.8)
    gloss = np.clip(gloss, 0, 1) ** log_uniform(rng, 8, 80)
    return 0.15 + np.clip(diffuse, 0, None) + shine * gloss


def dead_leaves(rng, size):
    """Drop flat, shaded or textured shapes of power-law sizes on one another.

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
    .. [1] Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001.
    .. [2] Baradad et al., "Learning to see by looking at noise", NeurIPS 2021.
    """
    y, x = pixel_axes(size)
    textures = [power_law_noise(rng, size, rng.uniform(0.4, 2)) for _ in range(2)]
    field = textures[0] * rng.random()
    names = ["disc", "box", "polygon", "star", "blob"]
    kinds = [str(rng.choice(names))] if rng.random() < 0.4 else names
    smallest = log_uniform(rng, 0.015, 0.08)
    textured = rng.random()
    upright = rng.random() < 0.25
    for _ in range(int(log_uniform(rng, 25, 140))):
        radius = min(0.4, smallest * rng.random() ** -0.7)
        centre = rng.uniform(-0.55, 0.55, 2)
        rows, columns = (_pixels(c, 1.3 * radius, size) for c in centre)
        if rows.stop - rows.start < 2 or columns.stop - columns.start < 2:
            continue
        box = rows, columns
        leaf_y, leaf_x = (y[box] - centre[0]) / radius, (x[box] - centre[1]) / radius
        if not upright:
            leaf_y, leaf_x = rotated(leaf_y, leaf_x, rng.uniform(0, np.pi))
        narrow_x = leaf_x * rng.uniform(1, 2.5)
        kind = kinds[rng.integers(len(kinds))]
        distance = solid(rng, leaf_y, narrow_x, kind)
        cover = np.clip(0.5 - distance * radius * size, 0, 1)
        paint = rng.random()
        if rng.random() < 0.4:
            paint = paint + rng.normal(0, 0.25) * leaf_y
        if rng.random() < textured:
            contrast = rng.normal(0, 0.6)
            paint = paint + contrast * (textures[rng.integers(2)][box] - 0.5)
        field[box] += cover * (paint - field[box])
    return np.clip(field, 0, 1).astype(np.float32)


def _pixels(centre, reach, size):
    """Return the slice of the pixels within reach of a centre, both in image sides."""
    ends = (centre - reach, centre + reach)
    return slice(*(int(np.clip((end + 0.5) * size, 0, size)) for end in ends))


def lit_solids(rng, size):
    """Shade a few bulging, bevelled or dented solids under one lamp.

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
    .. [1] Blinn, "Models of light reflection for computer synthesized pictures",
       SIGGRAPH 1977.
    """
    height = np.zeros((size, size), np.float32)
    albedo = np.full((size, size), rng.uniform(0.2, 1), np.float32)
    for _ in range(int(rng.integers(1, 8))):
        y, x, radius = placed_axes(rng, size, radii=(0.06, 0.45), reach=0.45)
        depth = np.clip(-solid(rng, y, x * rng.uniform(1, 2.5)), 0, 1)
        bevel = rng.uniform(0.1, 1)
        profile = np.sqrt(1 - (1 - np.minimum(depth / bevel, 1)) ** 2 + 1e-6)
        height += rng.choice([-0.4, 1, 1]) * radius * 0.6 * profile
        albedo = np.where(depth > 0, rng.uniform(0.2, 1), albedo)
    rough = power_law_noise(rng, size, rng.uniform(1.2, 2.5))
    height += rough * log_uniform(rng, 0.003, 0.12)
    return stretched(shaded(rng, height) * albedo)


def strokes(rng, size):
    """Draw wandering lines: a few scratches or hairs, cracks, or a mat of fibres.

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
    .. [1] Kratky and Porod, "Roentgenuntersuchung geloester Fadenmolekuele", Recueil
       des Travaux Chimiques des Pays-Bas 1949: the worm-like chain, a walk whose
       direction wanders.
    """
    count = int(log_uniform(rng, 1, 150))
    steps = int(log_uniform(rng, size / 6, 1.5 * size)) * 2
    heading = rng.uniform(0, 2 * np.pi)
    spread = rng.choice([0.05, 0.4, 3.2])
    start = rng.uniform(0, size, (2, count, 1))
    wander = log_uniform(rng, 0.003, 0.15)
    angle = heading + rng.normal(0, spread, (count, 1))
    angle = angle + np.cumsum(rng.normal(0, wander, (count, steps)), axis=1)
    path = start + 0.5 * np.cumsum(np.stack([np.sin(angle), np.cos(angle)]), axis=2)
    weight = np.repeat(rng.uniform(0.3, 1, (count, 1)), steps, axis=1)
    if rng.random() < 0.5:
        weight = weight * np.sin(np.linspace(0, np.pi, steps))
    row, column = (path % size).astype(int)
    pixel = (row * size + column).ravel()
    drawn = np.bincount(pixel, weight.ravel(), minlength=size * size)
    width = log_uniform(rng, 0.35, 2.5)
    field = gaussian_filter(drawn.reshape(size, size).astype(np.float32), width)
    return np.clip(field * 2.5 * width / rng.uniform(0.5, 1.5), 0, 1)
