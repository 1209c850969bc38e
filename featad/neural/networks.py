"""Small networks for tables and for images of any size: encoders, decoders, critics.

A shape is that of one sample as a network sees it: ``(n_features,)`` or ``(channels,
height, width)``. Dense layers serve the first, convolutions the second. Images are
padded at their edges to a multiple of what the network halves, and cropped back.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from featad.neural.layers import (
    NORMS,
    OUTPUTS,
    Crop,
    Pad,
    activated_layer,
    crop,
    dense_layer,
    pad,
)

__all__ = [
    "NORMS",
    "OUTPUTS",
    "Critic",
    "critic",
    "crop",
    "decoder",
    "default_depth",
    "encoder",
    "pad",
]

Shape = tuple[int, ...]

MAX_CHANNELS = 256
DENSE_DEPTH = 2


def default_depth(shape: Shape) -> int:
    """Return how often a network halves an image: to about 4 pixels a side.

    Parameters
    ----------
    shape : tuple of int
        Shape of a sample. For tables: the number of hidden layers.

    Returns
    -------
    depth : int
        At least 1.

    Examples
    --------
    >>> from featad.neural.networks import default_depth
    >>> default_depth((1, 28, 28)), default_depth((3, 256, 256)), default_depth((784,))
    (3, 6, 2)
    """
    if len(shape) == 1:
        return DENSE_DEPTH
    return max(1, round(math.log2(math.sqrt(shape[1] * shape[2]) / 4)))


def encoder(
    shape: Shape,
    n_out: int,
    *,
    width: int = 32,
    depth: int | None = None,
    norm: str = "none",
    dense: bool = False,
    bias: bool = True,
    spectral: bool = False,
) -> nn.Sequential:
    """Return a network from samples to vectors.

    Parameters
    ----------
    shape : tuple of int
        ``(n_features,)`` or ``(channels, height, width)``.

    n_out : int
        Length of the vectors.

    width : int, default=32
        Channels of the first convolution; they double at every halving, up to 256.
        Hidden layers of a dense network have 8, 4, ... times as many units.

    depth : int or None, default=None
        Halvings, or hidden layers; 0: one linear map; None: :func:`default_depth`.

    norm : {"none", "batch", "batch-noaffine", "layer"}, default="none"
        What follows each hidden layer. ``"layer"`` is safe with batches of one.

    dense : bool, default=False
        Whether images are flattened and go through dense layers too.

    bias : bool, default=True
        Whether layers have biases; without, a constant output cannot be learned.

    spectral : bool, default=False
        Whether the weights are divided by their spectral norm.

    Returns
    -------
    network : torch.nn.Sequential
        (n, *shape) to (n, n_out), no activation at the end.

    Examples
    --------
    >>> import torch
    >>> from featad.neural.networks import encoder
    >>> encoder((3, 30, 17), 8)(torch.zeros(2, 3, 30, 17)).shape
    torch.Size([2, 8])
    """
    body, n_features = _body(shape, width, depth, norm, dense, bias)
    network = nn.Sequential(*body, nn.Linear(n_features, n_out, bias=bias))
    return _bounded(network) if spectral else network


def decoder(
    shape: Shape,
    n_in: int,
    *,
    width: int = 32,
    depth: int | None = None,
    norm: str = "none",
    dense: bool = False,
    output: str = "linear",
    bias: bool = True,
) -> nn.Sequential:
    """Return a network from vectors to samples: an :func:`encoder`'s mirror image.

    Parameters
    ----------
    shape : tuple of int
        ``(n_features,)`` or ``(channels, height, width)`` of its output.

    n_in : int
        Length of the vectors.

    width, depth, norm, dense, bias
        As for :func:`encoder`.

    output : {"linear", "sigmoid", "tanh"}, default="linear"
        The last activation.

    Returns
    -------
    network : torch.nn.Sequential
        (n, n_in) to (n, *shape).
    """
    last = OUTPUTS[output]()
    depth = default_depth(_flat(shape, dense)) if depth is None else depth
    if len(shape) == 1 or dense or depth == 0:
        sizes = [n_in, *hidden_sizes(width, depth)[::-1]]
        layers = [dense_layer(*pair, norm, bias) for pair in pairwise(sizes)]
        layers += [nn.Linear(sizes[-1], math.prod(shape), bias=bias)]
        return nn.Sequential(*layers, nn.Unflatten(1, shape), last)
    small = _small(shape, depth)
    channels = channels_by_level(width, depth)[::-1]
    layers = [nn.Linear(n_in, channels[0] * math.prod(small), bias=bias)]
    layers += [nn.Unflatten(1, (channels[0], *small)), nn.LeakyReLU(0.2)]
    for c_in, c_out in pairwise(channels):
        up = nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1, bias=bias)
        layers.append(activated_layer(up, c_out, norm))
    layers += [nn.ConvTranspose2d(channels[-1], shape[0], 4, 2, 1, bias=bias)]
    return nn.Sequential(*layers, Crop(shape[1:]), last)


def critic(
    shape: Shape,
    *,
    n_extra: int = 0,
    width: int = 32,
    depth: int | None = None,
    norm: str = "none",
    dense: bool = False,
    spectral: bool = False,
    patch: bool = False,
) -> "Critic":
    """Return a network from samples to a logit and the hidden layer before it.

    Parameters
    ----------
    shape : tuple of int
        ``(n_features,)`` or ``(channels, height, width)``.

    n_extra : int, default=0
        Length of a vector judged together with the sample (joint critics).

    width, depth, norm, dense
        As for :func:`encoder`. Batch normalization sees real and generated batches
        apart: prefer ``"none"`` or ``"layer"``.

    spectral : bool, default=False
        Whether the weights are divided by their spectral norm.

    patch : bool, default=False
        Whether every place of the last feature map of an image has its own logit.

    Returns
    -------
    network : Critic
    """
    network = Critic(shape, n_extra, width, depth, norm, dense, patch)
    return _bounded(network) if spectral else network


class Critic(nn.Module):
    """See :func:`critic`; ``critic(x, extra=None)`` returns ``(logit, tap)``.

    ``logit`` has shape (n,), or (n, n_places) with ``patch``; ``tap`` (n, n_hidden).
    """

    def __init__(self, shape, n_extra, width, depth, norm, dense, patch):
        super().__init__()
        body, n_features = _body(shape, width, depth, norm, dense, bias=True)
        self.patch = patch
        if patch and (len(shape) == 1 or dense or depth == 0):
            raise ValueError(f"patch=True needs convolutions; the shape is {shape}.")
        self.body = nn.Sequential(*(body[:-1] if patch else body))
        self.joint = None
        if n_extra:
            self.joint = dense_layer(n_features + n_extra, 8 * width, norm, bias=True)
            n_features = 8 * width
        if patch:
            n_features = channels_by_level(width, depth or default_depth(shape))[-1]
        self.head = nn.Conv2d(n_features, 1, 1) if patch else nn.Linear(n_features, 1)

    def forward(self, x: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits, high = real, and the hidden layer they come from."""
        tap = self.body(x)
        if self.joint is not None:
            if extra is None:
                raise ValueError(
                    "This critic judges samples together with vectors: pass extra."
                )
            tap = self.joint(torch.cat([tap, extra], dim=1))
        logit = self.head(tap).flatten(1)
        return logit if self.patch else logit[:, 0], tap.flatten(1)


def _bounded(network):
    """Divide all weights by their spectral norms."""
    for module in list(network.modules()):
        if isinstance(module, nn.Linear | nn.Conv2d):
            spectral_norm(module)
    return network


def _body(shape, width, depth, norm, dense, bias):
    """Return the layers of an encoder up to a flat vector, and its length."""
    depth = default_depth(_flat(shape, dense)) if depth is None else depth
    if len(shape) == 1 or dense or depth == 0:
        sizes = [math.prod(shape), *hidden_sizes(width, depth)]
        layers = [dense_layer(*pair, norm, bias) for pair in pairwise(sizes)]
        return [nn.Flatten(), *layers], sizes[-1]
    channels = [shape[0], *channels_by_level(width, depth)]
    layers = [Pad(2**depth)]
    for c_in, c_out in pairwise(channels):
        conv = nn.Conv2d(c_in, c_out, 4, stride=2, padding=1, bias=bias)
        layers.append(activated_layer(conv, c_out, norm))
    n_features = channels[-1] * math.prod(_small(shape, depth))
    return [*layers, nn.Flatten()], n_features


def _flat(shape, dense):
    return shape[:1] if dense else shape


def _small(shape, depth):
    return tuple(-(-side // 2**depth) for side in shape[1:])


def channels_by_level(width: int, n_levels: int) -> list[int]:
    """Return how many channels a convolutional network has at each size."""
    return [min(width * 2**k, max(width, MAX_CHANNELS)) for k in range(n_levels)]


def hidden_sizes(width: int, n_layers: int) -> list[int]:
    """Return how many units a dense network has in each hidden layer."""
    return [max(width, width * 8 // 2**k) for k in range(n_layers)]
