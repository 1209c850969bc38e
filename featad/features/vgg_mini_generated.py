"""The first edition of ``vgg_mini``, pretrained on generated pictures only."""

from pathlib import Path

import torch
from torch import nn

from featad.features.statistics import StagedNetwork

WEIGHTS = Path(__file__).with_suffix(".safetensors")
"""The weights: float16; no photograph had a part in them (docs/vgg_mini.md)."""

MIN_SIZE = 15
"""Pixels below which the network does not run."""

_WIDTHS = ((32, 64), (128, 128), (256, 256), (512,))  # the first halves its input


class GeneratedVGGMini(StagedNetwork):
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
    >>> from featad.features.vgg_mini_generated import GeneratedVGGMini
    >>> GeneratedVGGMini()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 4096])
    """

    _described = ("conv3_2", "conv4_1")

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
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu"
                )
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


@torch.no_grad()
def fold_batch_norm(network: GeneratedVGGMini) -> GeneratedVGGMini:
    """Return the same function without batch normalization, in evaluation mode.

    Parameters
    ----------
    network : GeneratedVGGMini
        Made with ``batch_norm=True``.

    Returns
    -------
    folded : GeneratedVGGMini
        Of the same outputs as ``network.eval()``, but for rounding.
    """
    folded = GeneratedVGGMini()
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
