"""What the families share: coordinates, random numbers, smooth noise."""

from functools import lru_cache

import numpy as np
from scipy.fft import irfft2, rfft2


@lru_cache(maxsize=8)
def pixel_axes(size):
    """Return y and x of the pixel centres, float32 (size, size) in (-0.5, 0.5)."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    return _read_only(*np.meshgrid(line, line, indexing="ij"))


@lru_cache(maxsize=8)
def frequencies(size):
    """Return the real transform's two frequencies in cycles an image, float32."""
    fy = np.fft.fftfreq(size, 1 / size).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(size, 1 / size).astype(np.float32)[None]
    return _read_only(fy, fx)


def _read_only(*arrays):
    for array in arrays:
        array.flags.writeable = False
    return arrays


def stretched(field):
    """Stretch a field to [0, 1], float32; a constant one becomes zero."""
    low = field.min()
    span = field.max() - low
    return ((field - low) / (span if span > 0 else 1)).astype(np.float32)


def log_uniform(rng, low, high):
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def rotated(y, x, angle):
    """Return two coordinate maps turned by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * y - sin * x, sin * y + cos * x


def turned_axes(rng, size):
    """Return the pixel axes shifted at random, often turned, sometimes sheared."""
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else 0.0
    shear = rng.normal(0, 0.25) if rng.random() < 0.3 else 0.0
    v, u = rotated(*pixel_axes(size), angle)
    v = v + rng.uniform(-0.5, 0.5)
    u = u + rng.uniform(-0.5, 0.5)
    return (v + shear * u).astype(np.float32), u.astype(np.float32)


def bent(rng, v, u):
    """Warp two coordinate maps by smooth noise of one reach, half of the time."""
    if rng.random() < 0.5:
        return v, u
    size = len(v)
    reach = log_uniform(rng, 0.01, 0.12)
    exponent = rng.uniform(2.2, 3.5)
    v = v + reach * (power_law_noise(rng, size, exponent) - 0.5)
    return v, u + reach * (power_law_noise(rng, size, exponent) - 0.5)


def power_law_noise(rng, size, exponent):
    """Return isotropic noise of amplitude f ** -exponent, stretched to [0, 1]."""
    fy, fx = frequencies(size)
    radius = np.sqrt(fy * fy + fx * fx)
    radius[0, 0] = np.inf
    white = rfft2(rng.standard_normal((size, size), dtype=np.float32))
    return stretched(irfft2(white * radius**-exponent, s=(size, size)))
