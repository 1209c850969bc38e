"""Generated images of textured parts, some with a dark spot or a dark line."""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

KINDS = ("good", "spot", "line")


def draw_part(
    rng: np.random.Generator, size: int, kind: str = "good"
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw one brushed plate on a dark table, as an inspection camera would see it.

    Position, angle, proportions, texture, color and lighting change the picture far
    more from part to part than a spot or a line does.

    Parameters
    ----------
    rng : numpy.random.Generator
        The source of randomness.

    size : int
        Height and width in pixels.

    kind : {"good", "spot", "line"}, default="good"
        A clean part, one with a dark spot, or one with a dark line.

    Returns
    -------
    image : uint8 ndarray of shape (size, size, 3)
        The picture.

    mask : bool ndarray of shape (size, size), or None
        True on the spot or line. None for a clean part.
    """
    grid = (np.arange(size) + 0.5) / size - 0.5
    x, y = grid[None, :], grid[:, None]
    angle = rng.normal(0, 0.12)
    across = np.cos(angle) * x + np.sin(angle) * y - rng.uniform(-0.05, 0.05)
    along = np.cos(angle) * y - np.sin(angle) * x - rng.uniform(-0.05, 0.05)
    half = rng.uniform(0.34, 0.43, size=2)
    roundness = rng.uniform(5, 9)  # of the superellipse: 2 is round, more is squarer
    radius = (np.abs(across / half[0]) ** roundness) + (
        np.abs(along / half[1]) ** roundness
    )
    radius **= 1 / roundness
    inside = _step((1 - radius) * half.min() * size, 1.0)

    texture = rng.uniform(0.035, 0.08) * _brushed(rng, size, angle)
    direction, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5)
    light = 1 + slope * (np.cos(direction) * x + np.sin(direction) * y)
    surface = (1 + texture) * (1 + 0.10 * _clouds(rng, size))
    bevel = 1 + 0.15 * np.exp(-(((1 - radius) / 0.05) ** 2))
    mask = None
    if kind != "good":
        darkness = _spot if kind == "spot" else _line
        where = (across / half[0], along / half[1])
        shade = darkness(rng, size, where, half) * (radius < 0.97)
        surface = surface * (1 - rng.uniform(0.35, 0.6) * shade)
        mask = shade > 0.3

    tint = rng.uniform(0.42, 0.72) * (1 + rng.normal(0, 0.06, size=3))
    table = rng.uniform(0.08, 0.25) * (1 + 0.15 * _clouds(rng, size))
    picture = inside * surface * bevel
    picture = picture[..., None] * tint + ((1 - inside) * table)[..., None]
    picture = picture * light[..., None] + rng.normal(0, 0.012, (size, size, 3))
    return np.clip(picture * 255, 0, 255).astype(np.uint8), mask


def _step(distance: np.ndarray, width: float) -> np.ndarray:
    """Return 0 outside and 1 inside, with a smooth edge a few pixels wide."""
    return np.clip(0.5 + distance / (2 * width), 0, 1)


def _brushed(rng: np.random.Generator, size: int, angle: float) -> np.ndarray:
    """Return band-limited noise of unit variance, stretched in one direction."""
    angle = angle + rng.normal(0, 0.1) + rng.choice([0, np.pi / 2])
    u, v = np.fft.rfftfreq(size)[None, :] * 96, np.fft.fftfreq(size)[:, None] * 96
    across, along = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v
    along = along - np.sin(angle) * u
    band = np.exp(-(((np.abs(across) - rng.uniform(10, 22)) / 8) ** 2))
    band = band * np.exp(-((along / rng.uniform(3, 9)) ** 2))
    noise = np.fft.irfft2(
        np.fft.rfft2(rng.normal(size=(size, size))) * band, (size,) * 2
    )
    return noise / noise.std()


def _clouds(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return slow variations of unit size: stains, waves, uneven light."""
    knots = rng.normal(size=(5, 5))
    place = np.linspace(0, 4, size)
    return map_coordinates(knots, np.meshgrid(place, place, indexing="ij"), order=2)


def _spot(
    rng: np.random.Generator, size: int, where: tuple, half: np.ndarray
) -> np.ndarray:
    """Return how dark a spot makes each pixel, 0 to 1."""
    center = rng.uniform(-0.75, 0.75, size=2)
    radii = rng.uniform(0.022, 0.045) * rng.uniform(0.8, 1.25, size=2)
    distance = np.hypot(
        (where[0] - center[0]) * half[0] / radii[0],
        (where[1] - center[1]) * half[1] / radii[1],
    )
    ragged = (
        0.25 * gaussian_filter(rng.normal(size=(size, size)), size / 60) * size / 30
    )
    return _step((1 - distance + ragged * (distance < 2)) * radii.mean() * size, 0.8)


def _line(
    rng: np.random.Generator, size: int, where: tuple, half: np.ndarray
) -> np.ndarray:
    """Return how dark a slightly curved line makes each pixel, 0 to 1."""
    start, heading = rng.uniform(-0.6, 0.6, size=2) * half, rng.uniform(0, 2 * np.pi)
    length, bend = rng.uniform(0.25, 0.5), rng.uniform(-1.2, 1.2)
    if start @ (np.cos(heading), np.sin(heading)) > 0:  # towards the middle of the part
        heading += np.pi
    t = np.linspace(0, 1, max(24, size // 3))
    x = start[0] + length * np.cumsum(np.cos(heading + bend * t)) / len(t)
    y = start[1] + length * np.cumsum(np.sin(heading + bend * t)) / len(t)
    squared = (where[0][..., None] * half[0] - x) ** 2
    squared += (where[1][..., None] * half[1] - y) ** 2
    width = rng.uniform(0.006, 0.011)
    return _step((width - np.sqrt(squared.min(axis=-1))) * size, 0.6)
