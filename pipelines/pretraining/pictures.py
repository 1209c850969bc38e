"""Coloured pictures of the families' fields.

A picture is one to three coloured layers blended through masks; a layer is one *field*,
a grey pattern drawn by one of the families, seen through a random colour map. No
photograph, no font and no file enters.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from pipelines.pretraining._base import log_uniform, pixel_axes
from pipelines.pretraining.noise import (
    grains,
    perlin_noise,
    spectral_noise,
    turing_pattern,
)
from pipelines.pretraining.patterns import (
    fractal,
    grating,
    lattice,
    prints,
    voronoi_cells,
)
from pipelines.pretraining.shapes import (
    dead_leaves,
    lit_solids,
    placed_axes,
    shaded,
    solid,
    strokes,
)

VERSION = 1
"""To be raised when the same arguments give other pictures."""

MIN_SIZE = 32
"""Pixels below which some families have no room."""

FAMILIES = {
    spectral_noise: 3.0,
    perlin_noise: 2.0,
    voronoi_cells: 1.5,
    dead_leaves: 2.5,
    grating: 1.5,
    lattice: 2.0,
    fractal: 1.0,
    turing_pattern: 1.0,
    lit_solids: 2.0,
    strokes: 1.5,
    grains: 1.5,
    prints: 1.0,
}
"""Every family with the weight it is drawn by."""

_FUNCTIONS = tuple(FAMILIES)
_ODDS = np.array(list(FAMILIES.values())) / sum(FAMILIES.values())


def generate(seed, index, size=128):
    """Generate one picture.

    Parameters
    ----------
    seed : int
        Names the collection; not negative.

    index : int
        Names the picture in it; not negative.

    size : int, default=128
        Side in pixels, at least `MIN_SIZE`.

    Returns
    -------
    image : ndarray of shape (size, size, 3), uint8
        RGB. The same three arguments give the same bytes with the same NumPy and SciPy
        on one machine.

    Examples
    --------
    >>> from pipelines.pretraining import generate
    >>> generate(0, 7, 32).shape
    (32, 32, 3)
    >>> bool((generate(0, 7, 32) == generate(0, 7, 32)).all())
    True
    """
    rng = np.random.default_rng([VERSION, seed, index])
    grey = rng.random() < 0.33
    image = _layer(rng, size, grey)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.15, 0.5, 0.35]))):
        layer = _layer(rng, size, grey)
        blend = rng.random()
        if blend < 0.65:
            image += _mask(rng, size)[..., None] * (layer - image)
        elif blend < 0.8:
            image = image * (0.35 + 1.3 * layer)
        else:
            image += rng.uniform(0.2, 0.6) * (layer - image)
    image = _degraded(rng, _lit(rng, image))
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _layer(rng, size, grey):
    return _coloured(rng, _field(rng, size), grey)


def _field(rng, size):
    """Draw one field of a random family, its tones bent at random."""
    field = _FUNCTIONS[rng.choice(len(_FUNCTIONS), p=_ODDS)](rng, size)
    bend = rng.random()
    if bend < 0.2:
        field = field ** log_uniform(rng, 0.4, 2.5)
    elif bend < 0.3:
        sharp = log_uniform(rng, 3, 30)
        level = np.quantile(field, rng.uniform(0.2, 0.8))
        field = np.clip((field - level) * sharp + 0.5, 0, 1)
    return 1 - field if rng.random() < 0.5 else field


def _coloured(rng, field, grey):
    """Return the field through a map of two or three random colours, (h, w, 3)."""
    stops = rng.random((3, 3))
    if rng.random() < 0.5:
        stops = stops.mean(axis=1, keepdims=True) + rng.normal(0, 0.12, (3, 3))
    if grey:
        stops = np.repeat(rng.random((3, 1)), 3, axis=1)
    if rng.random() < 0.35:
        stops[1:] = stops[0] + (stops[1:] - stops[0]) * log_uniform(rng, 0.1, 0.7)
    if rng.random() < 0.7:
        stops[1] = (stops[0] + stops[2]) / 2
    place = 2 * field[..., None]
    low = stops[0] + (stops[1] - stops[0]) * np.minimum(place, 1)
    return (low + (stops[2] - stops[1]) * np.maximum(place - 1, 0)).astype(np.float32)


def _mask(rng, size):
    """Draw a soft or hard mask in [0, 1]: part of a field, or one or more solids."""
    if rng.random() < 0.5:
        field = _field(rng, size)
        level = np.quantile(field, rng.uniform(0.25, 0.85))
        return np.clip((field - level) * log_uniform(rng, 2, 60) + 0.5, 0, 1)
    mask = np.zeros((size, size), np.float32)
    for _ in range(1 if rng.random() < 0.6 else int(rng.integers(2, 7))):
        y, x, radius = placed_axes(rng, size, radii=(0.12, 0.5), reach=0.3)
        distance = solid(rng, y, x * rng.uniform(1, 2))
        blur = 1.0 if rng.random() < 0.7 else log_uniform(rng, 1, 12)
        mask = np.maximum(mask, np.clip(0.5 - distance * radius * size / blur, 0, 1))
    return mask if rng.random() < 0.5 else 1 - mask


def _lit(rng, image):
    """Give the surface a relief, and the light a slope, each now and then."""
    size = len(image)
    if rng.random() < 0.25:
        relief = gaussian_filter(_field(rng, size), 0.7)
        light = shaded(rng, relief * log_uniform(rng, 0.005, 0.06))
        image = image * (light / light.mean())[..., None]
    if rng.random() < 0.3:
        y, x = pixel_axes(size)
        slope = rng.normal(0, 0.5, 2)
        image = image * (1 + slope[0] * y + slope[1] * x)[..., None].clip(0.3, 1.7)
    return image


def _degraded(rng, image):
    """Blur and add noise, each now and then."""
    if rng.random() < 0.4:
        width = log_uniform(rng, 0.3, 1.5)
        image = gaussian_filter(image, (width, width, 0))
    if rng.random() < 0.4:
        noise = log_uniform(rng, 0.005, 0.06)
        shape = image.shape if rng.random() < 0.5 else (*image.shape[:2], 1)
        image = image + noise * rng.standard_normal(shape, dtype=np.float32)
    return image
