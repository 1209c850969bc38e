"""Small networks for tables and for images of any size: encoders, decoders, critics.

A shape is that of one sample as a network sees it: ``(n_features,)`` or ``(channels,
height, width)``. Dense layers serve the first, convolutions the second. Images are
padded at their edges to a multiple of what the network halves, and cropped back.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from featad.neural.layers import (
    NORMS,
    OUTPUTS,
    Attention,
    Crop,
    Pad,
    activated_layer,
    crop,
    dense_layer,
    double_conv,
    pad,
)

__all__ = [
    "NORMS",
    "OUTPUTS",
    "Critic",
    "UNet",
    "critic",
    "crop",
    "decoder",
    "default_depth",
    "encoder",
    "pad",
    "unet",
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
        sizes = [n_in, *_hidden(width, depth)[::-1]]
        layers = [dense_layer(*pair, norm, bias) for pair in pairwise(sizes)]
        layers += [nn.Linear(sizes[-1], math.prod(shape), bias=bias)]
        return nn.Sequential(*layers, nn.Unflatten(1, shape), last)
    small = _small(shape, depth)
    channels = _channels(width, depth)[::-1]
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
            n_features = _channels(width, depth or default_depth(shape))[-1]
        self.head = nn.Conv2d(n_features, 1, 1) if patch else nn.Linear(n_features, 1)

    def forward(self, x: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits, high = real, and the hidden layer they come from."""
        tap = self.body(x)
        if self.joint is not None:
            tap = self.joint(torch.cat([tap, extra], dim=1))
        logit = self.head(tap).flatten(1)
        return logit if self.patch else logit[:, 0], tap.flatten(1)


def unet(
    shape: Shape,
    *,
    n_in: int | None = None,
    n_out: int | None = None,
    width: int = 16,
    depth: int = 3,
    skips: str = "inner",
    norm: str = "none",
    output: str = "linear",
    dilations: tuple[int, int] = (1, 1),
    n_decoders: int = 1,
    attention: bool = False,
) -> "UNet":
    """Return an encoder and decoder with skip connections between equal sizes.

    Parameters
    ----------
    shape : tuple of int
        ``(n_features,)`` or ``(channels, height, width)`` of a sample.

    n_in, n_out : int or None, default=None
        Channels (features) in and out, where they differ from the sample's.

    width : int, default=16
        Channels at full size; they double at every halving, up to 256.

    depth : int, default=3
        Number of halvings.

    skips : {"none", "inner", "all"}, default="inner"
        Which levels are connected: none, the innermost one, or all. With all of them
        the network can copy its input, anomalies included.

    norm, output
        As for :func:`encoder` and :func:`decoder`.

    dilations : tuple of two int, default=(1, 1)
        Of the two convolutions at the smallest size.

    n_decoders : int, default=1
        With two or more the network returns a tuple, one output each.

    attention : bool, default=False
        Whether every place at the smallest size attends to every other.

    Returns
    -------
    network : UNet
        (n, n_in, ...) to (n, n_out, ...); ``bottleneck(x)`` returns the innermost
        features.

    References
    ----------
    .. [1] Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical
       image segmentation", MICCAI 2015.
    """
    n_in, n_out = n_in or shape[0], n_out or shape[0]
    return UNet(
        (n_in, *shape[1:]), n_out, width, depth, skips, norm, output, dilations,
        n_decoders, attention,
    )  # fmt: skip


class UNet(nn.Module):
    """See :func:`unet`."""

    def __init__(
        self, shape, n_out, width, depth, skips, norm, output, dilations, n_decoders,
        attention,
    ):  # fmt: skip
        super().__init__()
        image = len(shape) == 3
        self.image, self.depth = image, depth
        self.skips = {
            "none": range(0),
            "inner": range(depth - 1, depth),
            "all": range(depth),
        }[skips]
        sizes = _channels(width, depth + 1) if image else _hidden(width, depth + 1)
        block = double_conv if image else dense_layer
        self.downs = nn.ModuleList(
            block(c_in, c_out, norm)
            for c_in, c_out in pairwise([shape[0], *sizes[:-1]])
        )
        self.bottom = (
            double_conv(*sizes[-2:], norm, dilations)
            if image
            else dense_layer(*sizes[-2:], norm)
        )
        self.attention = Attention(sizes[-1]) if attention and image else nn.Identity()
        self.ups = nn.ModuleList(
            nn.ModuleList(
                block(sizes[k + 1] + sizes[k] * (k in self.skips), sizes[k], norm)
                for k in range(depth)
            )
            for _ in range(n_decoders)
        )
        last = nn.Conv2d if image else nn.Linear
        last_args = (1,) if image else ()
        self.heads = nn.ModuleList(
            nn.Sequential(last(sizes[0], n_out, *last_args), OUTPUTS[output]())
            for _ in range(n_decoders)
        )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the output of each decoder; of a single one, without a tuple."""
        pairs = zip(self._decoded(x), self.heads, strict=True)
        outputs = tuple(head(features) for features, head in pairs)
        return outputs if len(outputs) > 1 else outputs[0]

    def bottleneck(self, x: Tensor) -> Tensor:
        """Return the innermost features, (n, channels, h, w) or (n, n_hidden)."""
        return self._encode(x)[0]

    def features(self, x: Tensor) -> Tensor:
        """Return the last features of the first decoder, which ``heads[0]`` sees."""
        return self._decoded(x)[0]

    def _encode(self, x):
        if self.image:
            x = pad(x, 2**self.depth)
        levels = []
        for down in self.downs:
            levels.append(down(x))
            x = F.max_pool2d(levels[-1], 2) if self.image else levels[-1]
        return self.attention(self.bottom(x)), levels

    def _decoded(self, x):
        bottom, levels = self._encode(x)
        return [self._decode(bottom, levels, ups, x.shape[2:]) for ups in self.ups]

    def _decode(self, x, levels, ups, size):
        for k in reversed(range(self.depth)):
            if self.image:
                x = F.interpolate(x, scale_factor=2, mode="bilinear")
            x = ups[k](torch.cat([x, levels[k]], dim=1) if k in self.skips else x)
        return crop(x, size) if self.image else x


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
        sizes = [math.prod(shape), *_hidden(width, depth)]
        layers = [dense_layer(*pair, norm, bias) for pair in pairwise(sizes)]
        return [nn.Flatten(), *layers], sizes[-1]
    channels = [shape[0], *_channels(width, depth)]
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


def _channels(width, n_levels):
    return [min(width * 2**k, max(width, MAX_CHANNELS)) for k in range(n_levels)]


def _hidden(width, n_layers):
    return [max(width, width * 8 // 2**k) for k in range(n_layers)]
