"""An image described by statistics of the maps of several stages of a network."""

import numpy as np
import torch
from scipy.linalg import hadamard
from torch import Tensor, nn

from featad.features.pooling import POOLING

_SIDE = 64  # of the square the 4096 outputs are mixed in


class StagedNetwork(nn.Module):
    """Base of networks whose stages have names and describe an image by statistics.

    A subclass sets ``features`` (a Sequential), ``_stages`` (names of its modules, and
    of the stages that they end) and ``_described`` (the stages of ``forward``).
    """

    features: nn.Sequential
    _stages: dict[str, str]
    _described: tuple[str, ...]

    def __init__(self) -> None:
        super().__init__()
        self.classifier = StageStatistics()

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
        return self.classifier([maps[name] for name in self._described])

    def stages(self, x: Tensor) -> dict[str, Tensor]:
        """Return the output of every stage, after its ReLU, by name."""
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
