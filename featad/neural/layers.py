"""Layers that networks are built from, and images as tensors: padded, cut, smooth."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORMS = ("none", "batch", "batch-noaffine", "layer")
OUTPUTS = {"linear": nn.Identity, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def pad(x: Tensor, multiple: int) -> Tensor:
    """Repeat the edges of images, evenly, until their sides are multiples.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)

    multiple : int

    Returns
    -------
    padded : Tensor of shape (n, channels, height', width')
    """
    rows, columns = (-side % multiple for side in x.shape[2:])
    if not rows and not columns:
        return x
    sides = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    return F.pad(x, sides, mode="replicate")


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the middle out of images: what :func:`pad` added is taken off again.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height', width')

    size : tuple of two int
        Height and width of the result.

    Returns
    -------
    cropped : Tensor of shape (n, channels, height, width)
    """
    top, left = (
        (have - want) // 2 for have, want in zip(x.shape[2:], size, strict=True)
    )
    return x[:, :, top : top + size[0], left : left + size[1]]


def blur(x: Tensor, sigma: float) -> Tensor:
    """Smooth images or maps with a Gaussian; edges are repeated.

    Parameters
    ----------
    x : Tensor of shape (n, height, width) or (n, channels, height, width)

    sigma : float
        In pixels; 0: ``x`` as it is.

    Returns
    -------
    blurred : Tensor of the same shape
    """
    if sigma == 0:
        return x
    stack = x.flatten(0, -3)[:, None]  # (n * channels, 1, height, width)
    radius = max(1, math.ceil(3 * sigma))
    padded = F.pad(stack, (radius,) * 4, mode="replicate")
    return _gaussian(padded, sigma, radius).view(x.shape)


class Pad(nn.Module):
    """:func:`pad` as a layer."""

    def __init__(self, multiple: int):
        super().__init__()
        self.multiple = multiple

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, padded."""
        return pad(x, self.multiple)


class Crop(nn.Module):
    """:func:`crop` as a layer."""

    def __init__(self, size: Sequence[int]):
        super().__init__()
        height, width = size
        self.size = (height, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the middle of ``x``."""
        return crop(x, self.size)


class Attention(nn.Module):
    """Self-attention over the places of a feature map, faded in from nothing."""

    def __init__(self, channels):
        super().__init__()
        inner = max(1, channels // 8)
        self.query, self.key = (nn.Conv2d(channels, inner, 1) for _ in range(2))
        self.value = nn.Conv2d(channels, channels, 1)
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus what its places gather from one another."""
        projections = (self.query, self.key, self.value)
        query, key, value = (project(x).flatten(2) for project in projections)
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=2)  # (n, to, from)
        return x + self.strength * (value @ weights.transpose(1, 2)).view_as(x)


def dense_layer(n_in: int, n_out: int, norm: str, bias: bool = True) -> nn.Module:
    """Return a linear layer with norm and activation."""
    return activated_layer(nn.Linear(n_in, n_out, bias=bias), n_out, norm, image=False)


def double_conv(
    c_in: int, c_out: int, norm: str, dilations: tuple[int, int] = (1, 1)
) -> nn.Module:
    """Return two 3 x 3 convolutions, each with norm and activation."""
    first, second = dilations
    return nn.Sequential(
        activated_layer(nn.Conv2d(c_in, c_out, 3, 1, first, first), c_out, norm),
        activated_layer(nn.Conv2d(c_out, c_out, 3, 1, second, second), c_out, norm),
    )


def activated_layer(
    layer: nn.Module, n_out: int, norm: str, *, image: bool = True
) -> nn.Module:
    """Return a layer with its norm and activation."""
    return nn.Sequential(layer, *_norm(norm, n_out, image), nn.LeakyReLU(0.2))


def _norm(norm, n, image):
    if norm == "none":
        return []
    if norm == "layer":
        return [nn.GroupNorm(1, n) if image else nn.LayerNorm(n)]
    batch = nn.BatchNorm2d if image else nn.BatchNorm1d
    return [batch(n, affine=norm == "batch")]


def _gaussian(stack, sigma, radius):
    """Convolve (n, 1, h, w) without padding."""
    offsets = torch.arange(-radius, radius + 1, dtype=stack.dtype, device=stack.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    rows = F.conv2d(stack, kernel.view(1, 1, -1, 1))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1))
