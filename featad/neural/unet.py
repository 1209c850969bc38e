"""The U-Net, and the base of the detectors that have one."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from featad.neural.detector import COUNT
from featad.neural.layers import (
    OUTPUTS,
    Attention,
    crop,
    dense_layer,
    double_conv,
    pad,
)
from featad.neural.networks import Shape, channels_by_level, hidden_sizes
from featad.neural.reconstruction import ErrorMapDetector, ErrorMapOptions


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
        sizes = (
            channels_by_level(width, depth + 1)
            if image
            else hidden_sizes(width, depth + 1)
        )
        block = double_conv if image else dense_layer
        self.downs = nn.ModuleList(
            block(c_in, c_out, norm)
            for c_in, c_out in pairwise([shape[0], *sizes[:-1]])
        )
        self.bottom = (
            double_conv(sizes[-2], sizes[-1], norm, dilations)
            if image
            else dense_layer(sizes[-2], sizes[-1], norm)
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


class UNetOptions(ErrorMapOptions, total=False):
    """What ``**options`` of a ``UNetDetector`` may hold."""

    width: int
    depth: int


class UNetDetector(ErrorMapDetector):
    """Base of detectors that rebuild or guess samples with a U-Net.

    A subclass builds it with ``_unet(shape)``, which knows the parameters below, and
    calls it ``"unet"``.

    Parameters
    ----------
    width : int, default=8
        Channels at full size; they double at every halving. A dense layer has 8 times
        as many units.

    depth : int, default=3
        Halvings of an image, or hidden layers before the innermost.
    """

    _parameter_constraints: dict = {
        **ErrorMapDetector._parameter_constraints,
        "width": [COUNT],
        "depth": [COUNT],
    }

    _defaults = {"batch_size": 16, "lr": 2e-3, "max_epochs": 30, "ema": 0.99}

    def __init__(self, *, width=8, depth=3, **options: Unpack[ErrorMapOptions]):
        super().__init__(**{**UNetDetector._defaults, **options})
        self.width = width
        self.depth = depth

    def _unet(self, shape: tuple[int, ...], **options: Any) -> UNet:
        size = {"width": self.width, "depth": self.depth}
        return unet(shape, norm="layer", **size, **options)
