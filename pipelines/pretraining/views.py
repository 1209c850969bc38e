"""Contrast two random views of each picture: the views, and the loss between them."""

import math

import torch
from torch import nn

from featad.features.vgg_mini import MEAN, STD

_AREA = (0.09, 0.81)  # of a picture that a view shows: sides of 0.3 to 0.9
_TAPS = 3  # pixels on either side of the blur's middle


def random_views(images, crop_size, generator):
    """Return one random view of each picture, standardised for the network.

    A view is a turned, stretched, perhaps mirrored crop of other contrast and colours,
    sometimes grey, blurred or noisy.

    Parameters
    ----------
    images : Tensor of shape (n, 3, height, width), float32
        RGB in [0, 1], on the CPU.

    crop_size : int
        Side of the views in pixels.

    generator : torch.Generator
        The only source of chance.

    Returns
    -------
    views : Tensor of shape (n, 3, crop_size, crop_size), float32

    References
    ----------
    .. [1] Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive
       learning of visual representations", ICML 2020 (SimCLR). Differs from the paper:
       views turn by any angle, and colours shift instead of hue and saturation.
    """
    chance = _Chance(len(images), generator)
    x = _cropped(images, crop_size, chance)
    x = _recoloured(x, chance)
    x = _blurred(x, chance)
    noise = chance.sometimes(0.3, 0.0, 0.04, neutral=0.0)
    x = x + noise * torch.randn(x.shape, generator=generator)
    mean, std = (torch.tensor(t)[:, None, None] for t in (MEAN, STD))
    return (x - mean) / std


class _Chance:
    """Draws of one number for each of n views."""

    def __init__(self, n_views, generator):
        self.n_views = n_views
        self.generator = generator

    def uniform(self, low, high, n_columns=None):
        shape = (self.n_views,) if n_columns is None else (self.n_views, n_columns)
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def hit(self, probability):
        return torch.rand(self.n_views, generator=self.generator) < probability

    def sometimes(self, probability, low, high, neutral):
        """Return a uniform number where chance hits, else the neutral one."""
        value = self.uniform(low, high)
        value = torch.where(self.hit(probability), value, neutral)
        return value[:, None, None, None]  # (n, 1, 1, 1)


def _cropped(images, crop_size, chance):
    """Sample every view's turned, stretched and mirrored crop in one go."""
    side = torch.sqrt(chance.uniform(*_AREA))
    aspect = torch.exp(chance.uniform(-0.3, 0.3))
    angle = chance.uniform(0, 2 * math.pi)
    mirror = torch.where(chance.hit(0.5), 1.0, -1.0)
    width, height = side * aspect.sqrt() * mirror, side / aspect.sqrt()
    cos, sin = angle.cos(), angle.sin()
    room = (1 - side).clamp(min=0)
    shift_x, shift_y = room * chance.uniform(-1, 1), room * chance.uniform(-1, 1)
    row_x = torch.stack([width * cos, -height * sin, shift_x], 1)
    row_y = torch.stack([width * sin, height * cos, shift_y], 1)
    shape = (len(images), 3, crop_size, crop_size)
    grid = nn.functional.affine_grid(
        torch.stack([row_x, row_y], 1), shape, align_corners=False
    )
    return nn.functional.grid_sample(
        images, grid, "bilinear", "reflection", align_corners=False
    )


def _recoloured(x, chance):
    """Change contrast, brightness and colour balance; make some views grey."""
    centre = x.mean((1, 2, 3), keepdim=True)
    contrast = torch.exp(chance.sometimes(0.8, -0.6, 0.6, neutral=0.0))
    brightness = chance.sometimes(0.8, -0.25, 0.25, neutral=0.0)
    x = (x - centre) * contrast + centre + brightness
    shift = chance.uniform(-0.15, 0.15, n_columns=3)[:, :, None, None]
    x = x + shift * chance.hit(0.6)[:, None, None, None]
    grey = x.mean(1, keepdim=True)
    return torch.where(chance.hit(0.25)[:, None, None, None], grey, x)


def _blurred(x, chance):
    """Blur some views, each by a Gaussian of its own width."""
    chosen = chance.hit(0.35).nonzero()[:, 0]
    if len(chosen) == 0:
        return x
    width = _Chance(len(chosen), chance.generator).uniform(0.3, 1.2)
    taps = torch.arange(-_TAPS, _TAPS + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (taps[None] / width[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    part = x[chosen].reshape(1, -1, *x.shape[2:])  # a view's channel is a group
    part = nn.functional.pad(part, (_TAPS,) * 4, "reflect")
    for weight in (kernel[:, None, None, :], kernel[:, None, :, None]):
        part = nn.functional.conv2d(part, weight, groups=len(kernel))
    return x.index_copy(0, chosen, part.reshape(len(chosen), *x.shape[1:]))


def nt_xent(z, temperature):
    """Return how badly each view finds its partner among all others.

    The normalised, temperature-scaled cross entropy of the SimCLR paper.

    Parameters
    ----------
    z : Tensor of shape (2 * n, n_features)
        Of length 1 each; the views ``i`` and ``i + n`` show one picture.

    temperature : float
        The lower, the more the nearest wrong views count.

    Returns
    -------
    loss : Tensor of shape ()

    hits : Tensor of shape ()
        Share of the views whose nearest other view is the partner.
    """
    n_views = len(z)
    itself = torch.eye(n_views, dtype=torch.bool, device=z.device)
    logits = (z @ z.T / temperature).masked_fill(itself, -1e9)
    partner = torch.arange(n_views, device=z.device) + n_views // 2
    partner = partner % n_views
    hits = (logits.argmax(1) == partner).float().mean()
    return nn.functional.cross_entropy(logits, partner), hits
