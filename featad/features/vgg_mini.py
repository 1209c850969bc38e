"""``vgg_mini``: a network of 0.7 million parameters whose weights ship with featad."""

from pathlib import Path

import torch
from torch import Tensor, nn

from featad.features.statistics import StagedNetwork

WEIGHTS = Path(__file__).with_suffix(".safetensors")
"""The weights: float16, taught by VGG16 on generated pictures (docs/vgg_mini.md)."""

SIZE = 224
"""Pixels the figures of its card were measured at."""

MIN_SIZE = 17
"""Pixels below which the network does not run."""

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
"""What its input is standardized by: RGB in [0, 1]."""

_WIDTHS = (  # squeezed to, and expanded to by 1 x 1 and by 3 x 3 convolutions each
    ((16, 64), (16, 64)),
    ((32, 128), (32, 128)),
    ((48, 192), (48, 192), (64, 256), (64, 256)),
)


class Fire(nn.Module):
    """Squeeze channels, and expand them by two kinds of convolution side by side.

    It equals torchvision's module of this name, whose import would add seconds to every
    start.

    Parameters
    ----------
    n_channels : int
        Of the input.

    squeezed : int
        Channels after the first convolution.

    expanded : int
        Channels of each of the two outputs, which are concatenated.
    """

    def __init__(self, n_channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(n_channels, squeezed, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of shape (n, 2 * expanded, height, width)."""
        x = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(x))
        wide = self.expand3x3_activation(self.expand3x3(x))
        return torch.cat([narrow, wide], 1)


class VGGMini(StagedNetwork):
    """A small network: a convolution, then eight fire modules in three blocks.

    The blocks halve the map as VGG's do, and its layers are named by block and number:
    ``conv1_1``, ``conv2_1`` to ``conv4_4``. The layout is that of SqueezeNet 1.1 [1]_.

    Attributes
    ----------
    features : torch.nn.Sequential
        The convolutions and fire modules.

    classifier : torch.nn.Module
        Maps of three stages to 4096 numbers; it has no parameters.

    References
    ----------
    .. [1] Iandola, Han, Moskewicz, Ashraf, Dally and Keutzer, "SqueezeNet:
       AlexNet-level accuracy with 50x fewer parameters and < 0.5MB model size", 2016.
       Version 1.1 of the authors' repository. Differs from it: no classifying layer.

    Examples
    --------
    >>> import torch
    >>> from featad.features.vgg_mini import VGGMini
    >>> VGGMini()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 4096])
    """

    _described = ("conv3_2", "conv4_1", "conv4_4")

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(inplace=True)]
        self._stages = {"1": "conv1_1"}
        n_channels = 64
        for block, widths in enumerate(_WIDTHS, 2):
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            for number, (squeezed, expanded) in enumerate(widths, 1):
                self._stages[str(len(layers))] = f"conv{block}_{number}"
                layers.append(Fire(n_channels, squeezed, expanded))
                n_channels = 2 * expanded
        self.features = nn.Sequential(*layers)
        for module in self.features.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_uniform_(module.weight)
                nn.init.zeros_(module.bias)
