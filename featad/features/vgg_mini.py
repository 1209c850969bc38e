"""``vgg_mini``: a VGG of 2.3 million parameters whose weights ship with featad."""

from pathlib import Path

import numpy as np
import torch
from scipy.linalg import hadamard
from torch import Tensor, nn

from featad.features.pooling import POOLING

WEIGHTS = Path(__file__).with_suffix(".safetensors")
"""The weights: float16, pretrained on generated images only (docs/vgg_mini.md)."""

SIZE = 224
"""Pixels the figures of its card were measured at."""

MIN_SIZE = 15
"""Pixels below which the network does not run."""

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
"""What its input is standardized by: RGB in [0, 1]."""

_WIDTHS = ((32, 64), (128, 128), (256, 256), (512,))  # the first halves its input
_DESCRIBED = ("conv3_2", "conv4_1")
_SIDE = 64  # of the square the 4096 outputs are mixed in


class VGGMini(nn.Module):
    """A small VGG: 3 x 3 convolutions, each with a ReLU, in four blocks.

    The first convolution has stride 2, and pooling halves the map between blocks.

    Parameters
    ----------
    batch_norm : bool, default=False
        Whether batch normalization follows every convolution, as in pretraining; the
        weights that ship have it folded into the convolutions.

    Attributes
    ----------
    features : torch.nn.Sequential
        The convolutions, as torchvision has them.

    classifier : torch.nn.Module
        Maps of the last stages to 4096 numbers; it has no parameters.

    References
    ----------
    .. [1] Simonyan and Zisserman, "Very deep convolutional networks for large-scale
       image recognition", ICLR 2015.

    Examples
    --------
    >>> import torch
    >>> from featad.features.vgg_mini import VGGMini
    >>> VGGMini()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 4096])
    """

    def __init__(self, batch_norm: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_channels = 3
        self._stages: dict[str, str] = {}
        for block, widths in enumerate(_WIDTHS, 1):
            for number, width in enumerate(widths, 1):
                stride = 1 if layers else 2
                layers.append(
                    nn.Conv2d(n_channels, width, 3, stride, 1, bias=not batch_norm)
                )
                if batch_norm:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.ReLU(inplace=True))
                self._stages[str(len(layers) - 1)] = f"conv{block}_{number}"
                n_channels = width
            if block < len(_WIDTHS):
                layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.classifier = StageStatistics()
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu"
                )
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return 4096 numbers for each image.

        Parameters
        ----------
        x : Tensor of shape (n, 3, height, width)

        Returns
        -------
        features : Tensor of shape (n, 4096)
        """
        maps = self.stages(x)
        return self.classifier([maps[name] for name in _DESCRIBED])

    def stages(self, x: Tensor) -> dict[str, Tensor]:
        """Return the output of every convolution after its ReLU, by name."""
        maps = {}
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in self._stages:
                maps[self._stages[name]] = x
        return maps


class StageStatistics(nn.Module):
    """Describe an image by statistics of several stages, mixed into 4096 numbers.

    The means, the standard deviations and the maxima of a stage's channels are brought
    to length 1 each; all are padded with zeros and turned by a fixed orthogonal matrix:
    random signs, then a Hadamard matrix. Distances and angles are those of the
    statistics; only the numbers stand alone no more, so that all matter alike.

    References
    ----------
    .. [1] Ailon and Chazelle, "Approximate nearest neighbors and the fast
       Johnson-Lindenstrauss transform", STOC 2006.
    """

    signs: Tensor
    mix: Tensor

    def __init__(self) -> None:
        super().__init__()
        signs = np.random.RandomState(0).choice([-1.0, 1.0], _SIDE**2)
        mix = hadamard(_SIDE) / _SIDE**0.5
        self.register_buffer("signs", torch.tensor(signs).float(), persistent=False)
        self.register_buffer("mix", torch.tensor(mix).float(), persistent=False)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return (n, 4096) numbers of maps of shape (n, channels, height, width)."""
        x = unit_statistics(maps)
        x = nn.functional.pad(x, (0, _SIDE**2 - x.shape[1])) * self.signs
        x = x.reshape(-1, _SIDE, _SIDE)  # a large Hadamard matrix is a product of two
        return (self.mix @ x @ self.mix).flatten(1)


def statistics(x: Tensor) -> Tensor:
    """Return mean, standard deviation and maximum of each channel over the map.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)

    Returns
    -------
    values : Tensor of shape (n, 3 * channels), float32
        All channels of one statistic together; the deviation is the population's.
    """
    x = x.flatten(2).float()  # (n, channels, positions)
    return torch.cat([pool(x) for pool in POOLING.values()], dim=1)


def unit_statistics(maps: list[Tensor]) -> Tensor:
    """Return statistics of several stages, each kind of each brought to one length.

    Parameters
    ----------
    maps : list of Tensor of shape (n, channels, height, width)

    Returns
    -------
    values : Tensor of shape (n, 3 * all channels), float32
        Of length 1.
    """
    flat = [x.flatten(2).float() for x in maps]  # (n, channels, positions)
    parts = [
        nn.functional.normalize(pool(x)) for x in flat for pool in POOLING.values()
    ]
    return torch.cat(parts, dim=1) / len(parts) ** 0.5


@torch.no_grad()
def fold_batch_norm(network: VGGMini) -> VGGMini:
    """Return the same function without batch normalization, in evaluation mode.

    Parameters
    ----------
    network : VGGMini
        Made with ``batch_norm=True``.

    Returns
    -------
    folded : VGGMini
        Of the same outputs as ``network.eval()``, but for rounding.
    """
    folded = VGGMini()
    layers = list(network.features)
    norms = [m for m in layers if isinstance(m, nn.BatchNorm2d)]
    convs = [m for m in layers if isinstance(m, nn.Conv2d)]
    targets = [m for m in folded.features if isinstance(m, nn.Conv2d)]
    for target, conv, norm in zip(targets, convs, norms, strict=True):
        state = {name: value.double() for name, value in norm.state_dict().items()}
        gain = state["weight"] / (state["running_var"] + norm.eps).sqrt()
        bias = state["bias"] - state["running_mean"] * gain
        weight = conv.weight.double() * gain[:, None, None, None]
        target.load_state_dict({"weight": weight, "bias": bias})
    return folded.eval()
