"""Families without outlines: spectra, gradient noise, activator and inhibitor, grain.

A family draws one *field*: a grey pattern, float32 (size, size) in [0, 1].
"""

import numpy as np
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter

from pipelines.pretraining._base import (
    frequencies,
    log_uniform,
    rotated,
    stretched,
    turned_axes,
)


def spectral_noise(rng, size):
    """Draw noise of a power-law or band-limited, often stretched, spectrum.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of chance.

    size : int
        Side in pixels.

    Returns
    -------
    field : ndarray of shape (size, size), float32
        Values in [0, 1].

    References
    ----------
    .. [1] Baradad, Wulff, Wang, Isola and Torralba, "Learning to see by looking at
       noise", NeurIPS 2021: random spectra (their "spectrum" and "WMM" models).
    """
    angle = rng.uniform(0, np.pi)
    stretch = log_uniform(rng, 1, 20) if rng.random() < 0.5 else 1.0
    along, across = rotated(*frequencies(size), -angle)
    radius = np.sqrt((along * stretch) ** 2 + across**2) + 1e-3
    if rng.random() < 0.55:
        gain = radius ** -rng.uniform(0.4, 2.6)
    else:
        centre = log_uniform(rng, 3, 0.4 * size)
        width = log_uniform(rng, 0.08, 0.6)
        gain = np.exp(-((np.log(radius / centre) / width) ** 2))
    gain[0, 0] = 0
    white = rfft2(rng.standard_normal((size, size), dtype=np.float32))
    field = irfft2(white * gain, s=(size, size))
    fold = rng.random()
    if fold < 0.2:
        field = np.abs(field)
    elif fold < 0.3:
        field = np.maximum(field, 0)
    return stretched(field)


def perlin_noise(rng, size):
    """Draw gradient noise of several octaves: plain, ridged, marble or rings.

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
    .. [1] Perlin, "An image synthesizer", SIGGRAPH 1985. The fading polynomial is
       that of "Improving noise", SIGGRAPH 2002.
    """
    v, u = turned_axes(rng, size)
    kind = rng.choice(["plain", "ridged", "marble", "rings"])
    cells = log_uniform(rng, 2, 12)
    total = np.zeros((size, size), np.float32)
    gain = rng.uniform(0.35, 0.7)
    weight = 1.0
    for _ in range(int(rng.integers(1, 5))):
        octave = _octave(rng, v * cells, u * cells)
        total += weight * (np.abs(octave) if kind == "ridged" else octave)
        weight *= gain
        cells *= 2
        if cells > size / 3:
            break
    if kind == "marble":
        total = np.sin(2 * np.pi * (log_uniform(rng, 1, 8) * v + total * 1.5))
    elif kind == "rings":
        total = (total * log_uniform(rng, 2, 8)) % 1.0
    return stretched(total)


def _octave(rng, v, u):
    """Return one octave of Perlin noise at coordinates counted in cells."""
    row, column = np.floor(v).astype(np.int32), np.floor(u).astype(np.int32)
    v, u = v - row, u - column  # the place in the cell, from 0 to 1
    table = rng.uniform(0, 2 * np.pi, (64, 64)).astype(np.float32)
    table = np.stack([np.cos(table), np.sin(table)]).reshape(2, -1)

    def corner(down, right):
        cell = ((row + down) & 63) * 64 + ((column + right) & 63)
        gradient = table[:, cell]
        return gradient[0] * (v - down) + gradient[1] * (u - right)

    fade_v, fade_u = _fade(v), _fade(u)
    top = corner(0, 0) * (1 - fade_u) + corner(0, 1) * fade_u
    bottom = corner(1, 0) * (1 - fade_u) + corner(1, 1) * fade_u
    return top * (1 - fade_v) + bottom * fade_v


def _fade(t):
    return t * t * t * (t * (t * 6 - 15) + 10)


def turing_pattern(rng, size):
    """Draw spots, stripes or labyrinths of local activation and wider inhibition.

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
    Stands in for the Gray-Scott reaction (Pearson, Science 1993), whose patterns it
    resembles but whose thousands of steps would cost half a second an image.

    References
    ----------
    .. [1] Young, "A local activator-inhibitor model of vertebrate skin patterns",
       Mathematical Biosciences 1984.
    """
    angle = rng.uniform(0, np.pi)
    stretch = 1.0 if rng.random() < 0.6 else rng.uniform(1, 2.5)
    along, across = rotated(*frequencies(size), -angle)
    squared = (along * stretch) ** 2 + across**2
    waves = log_uniform(rng, 4, size / 5)
    gain = np.exp(-squared / (2 * waves**2)) - np.exp(-squared / (0.5 * waves**2))
    gain = gain / gain.max()
    state = rng.standard_normal((size, size), dtype=np.float32)
    bias = rng.normal(0, 0.35)
    for _ in range(6):
        state = irfft2(rfft2(state) * gain, s=(size, size))
        state = np.tanh(2.5 * (state / (state.std() + 1e-6) + bias))
    return stretched(state)


def grains(rng, size):
    """Scatter spots of one or several sizes: grain, dust, pores, bubbles.

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
    .. [1] Rice, "Mathematical analysis of random noise", Bell System Technical
       Journal 1944 (shot noise).
    """
    total = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        share = log_uniform(rng, 0.0005, 0.1)
        points = (rng.random((size, size)) < share) * rng.uniform(0.2, 1, (size, size))
        width = np.minimum(log_uniform(rng, 0.4, 5), 0.6 / np.sqrt(share))
        stretch = rng.uniform(1, 4) if rng.random() < 0.3 else 1.0
        upright = rng.random() < 0.5
        widths = (width * stretch, width) if upright else (width, width * stretch)
        spots = gaussian_filter(points.astype(np.float32), widths)
        spots = spots / (spots.max() + 1e-9)
        if rng.random() < 0.5:
            spots = np.clip(spots * rng.uniform(2, 8) - 0.5, 0, 1)
        total = np.maximum(total, spots * rng.uniform(0.4, 1))
    return stretched(total)
