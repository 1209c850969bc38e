"""Generative networks that grow: they hold the layers of every size from the start.

Level 0 is the smallest size, about 4 pixels a side; each further one has twice the
sides of the one before. A new level is faded in: with ``alpha`` 0 the networks are
those of the level below, with 1 those of the new one.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featad.neural.layers import OUTPUTS, pad

__all__ = ["GrowingCritic", "GrowingGenerator", "at_level", "growth", "halve"]

_MAX_CHANNELS = 128
_EPS = 1e-8


class GrowingGenerator(nn.Module):
    """From noise to images, of the size of any level.

    Parameters
    ----------
    shape : tuple of int
        (channels, height, width) of a sample. Sides are rounded up to multiples of
        ``2**depth``.

    latent_dim : int
        Length of the noise, which is scaled to a mean square of one.

    depth : int
        The last level.

    width : int, default=8
        Channels at the last level; they double at every halving, up to 128.

    output : {"linear", "sigmoid", "tanh"}, default="linear"
        The last activation.

    References
    ----------
    .. [1] Karras et al., "Progressive growing of GANs for improved quality, stability,
       and variation", ICLR 2018, arXiv 1710.10196.

    Examples
    --------
    >>> import torch
    >>> from featad.neural.growing import GrowingGenerator
    >>> generator, noise = GrowingGenerator((3, 28, 28), 16, 3), torch.ones(2, 16)
    >>> [tuple(generator(noise, level).shape[2:]) for level in range(4)]
    [(4, 4), (8, 8), (16, 16), (32, 32)]
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        latent_dim: int,
        depth: int,
        *,
        width: int = 8,
        output: str = "linear",
    ):
        super().__init__()
        channels, small = _channels(width, depth), _small(shape, depth)
        self.output = OUTPUTS[output]()
        self.stem = nn.Sequential(
            PixelNorm(),
            Equalised(nn.Linear(latent_dim, channels[0] * math.prod(small))),
            nn.Unflatten(1, (channels[0], *small)),
            nn.LeakyReLU(0.2),
            PixelNorm(),
            *_convolution(channels[0], channels[0], PixelNorm()),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2),
                *_convolution(c_in, c_out, PixelNorm()),
                *_convolution(c_out, c_out, PixelNorm()),
            )
            for c_in, c_out in pairwise(channels)
        )
        self.to_image = nn.ModuleList(
            Equalised(nn.Conv2d(c, shape[0], 1), gain=1.0) for c in channels
        )

    def forward(
        self, z: Tensor, level: int | None = None, alpha: float = 1.0
    ) -> Tensor:
        """Return the images of one level, faded over from the level below.

        Without a level: the last one.
        """
        level = len(self.blocks) if level is None else level
        features = self.stem(z)
        for block in self.blocks[:level]:
            below, features = features, block(features)
        images = self.output(self.to_image[level](features))
        if alpha < 1:
            small = self.output(self.to_image[level - 1](below))
            images = torch.lerp(_double(small), images, alpha)
        return images


class GrowingCritic(nn.Module):
    """Judges images of the size of any level.

    ``critic(x, level, alpha)`` returns logits, high = real, of shape (n,), and the
    hidden layer before them.

    Parameters
    ----------
    shape, depth, width
        As for :class:`GrowingGenerator`.

    Notes
    -----
    The critic sees how much the samples of a batch differ, so a sample's logit depends
    on the others.
    """

    def __init__(self, shape: tuple[int, ...], depth: int, *, width: int = 8):
        super().__init__()
        channels, small = _channels(width, depth), _small(shape, depth)
        self.from_image = nn.ModuleList(
            nn.Sequential(Equalised(nn.Conv2d(shape[0], c, 1)), nn.LeakyReLU(0.2))
            for c in channels
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *_convolution(c_in, c_in), *_convolution(c_in, c_out), nn.AvgPool2d(2)
            )
            for c_out, c_in in pairwise(channels)
        )
        last = channels[0]
        self.head = nn.Sequential(
            *_convolution(last + 1, last),
            nn.Flatten(),
            Equalised(nn.Linear(last * math.prod(small), last)),
            nn.LeakyReLU(0.2),
        )
        self.last = Equalised(nn.Linear(last, 1), gain=1.0)

    def forward(
        self, x: Tensor, level: int, alpha: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Judge images of the size of one level."""
        features = self.from_image[level](x)
        for below in reversed(range(level)):
            features = self.blocks[below](features)
            if below == level - 1 and alpha < 1:
                small = self.from_image[below](halve(x))
                features = torch.lerp(small, features, alpha)
        deviation = (features.var(dim=0, correction=0) + _EPS).sqrt().mean()
        deviation = deviation.expand(len(x), 1, *features.shape[2:])
        tap = self.head(torch.cat([features, deviation], dim=1))
        return self.last(tap)[:, 0], tap


class Equalised(nn.Module):
    """A layer with standard normal weights that are scaled whenever they are used.

    The weights of all layers look alike to the optimizer, so they learn equally fast.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, gain: float = math.sqrt(2)):
        super().__init__()
        self.layer = layer
        nn.init.normal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        self.scale = gain / math.sqrt(layer.weight[0].numel())

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer makes of ``x``."""
        return self.layer(self.scale * x)


class PixelNorm(nn.Module):
    """Scales the vector at each place to a mean square of one."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, scaled along its second axis."""
        return x * torch.rsqrt((x**2).mean(dim=1, keepdim=True) + _EPS)


def halve(x: Tensor) -> Tensor:
    """Return images of half the sides, rounded up: means of 2 x 2 pixels."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


def at_level(x: Tensor, depth: int, level: int, alpha: float = 1.0) -> Tensor:
    """Return samples as a critic is shown them at one level.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)

    depth : int
        The last level, for which edges are repeated up to multiples of ``2**depth``.

    level : int

    alpha : float, default=1.0
        Below 1, the images of the level below are faded over.

    Returns
    -------
    images : Tensor of shape (n, channels, height', width')
    """
    x = pad(x, 2**depth)
    for _ in range(depth - level):
        x = halve(x)
    return torch.lerp(_double(halve(x)), x, alpha) if alpha < 1 else x


def growth(depth: int, progress: float) -> tuple[int, float]:
    """Return the level that a training has come to, and how far it is faded in.

    Parameters
    ----------
    depth : int
        The last level.

    progress : float in [0, 1)

    Returns
    -------
    level : int

    alpha : float
        0: still the level below; 1: faded in.

    Examples
    --------
    >>> from featad.neural.growing import growth
    >>> [growth(1, progress) for progress in (0.0, 0.5, 0.9)]
    [(0, 1.0), (1, 0.5), (1, 1.0)]
    """
    phase, done = divmod(progress * (2 * depth + 1), 1)
    fading = int(phase) % 2 == 1
    return (int(phase) + 1) // 2, done if fading else 1.0


def _double(x):
    return F.interpolate(x, scale_factor=2)


def _convolution(c_in, c_out, *norm):
    convolution = Equalised(nn.Conv2d(c_in, c_out, 3, padding=1))
    return [convolution, nn.LeakyReLU(0.2), *norm]


def _channels(width, depth):
    return [min(width * 2**k, max(width, _MAX_CHANNELS)) for k in range(depth, -1, -1)]


def _small(shape, depth):
    return tuple(-(-side // 2**depth) for side in shape[1:])
