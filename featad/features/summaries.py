"""Statistics of the layers of a network: one row of features per image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featad.features.pooling import POOLING


class Pooled:
    """Statistics of each channel over the map of each layer.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Names of the layers, and what they give for one image, channels first.

    pooling : sequence of {"mean", "std", "max"}

    Attributes
    ----------
    columns : tuple of (str, int)
        Name and number of features of each block of columns, in order.

    widths : list of int
        Number of columns of each layer.

    shape, dtype, identity
        As for every `Summary`.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], pooling: Sequence[str]
    ) -> None:
        self._pooling = pooling
        columns: list[tuple[str, int]] = []
        self.widths: list[int] = []
        for layer, (n_channels, *places) in shapes.items():
            names = [f"{layer}_{name}" for name in pooling] if places else [layer]
            columns += [(name, n_channels) for name in names]
            self.widths.append(n_channels * len(names))
        self.columns = tuple(columns)
        self.shape: tuple[int, ...] = (sum(self.widths),)
        self.dtype = np.dtype(np.float32)
        self.identity: dict[str, Any] = {"pooling": list(pooling)}

    def __call__(self, layers: Sequence[Tensor]) -> Tensor:
        """Return (n, n_features) of tensors (n, channels), or with a map behind."""
        blocks = []
        for values in layers:
            if values.ndim == 2:
                blocks.append(values)
                continue
            values = values.flatten(2)  # (n, channels, positions)
            blocks += [POOLING[name](values) for name in self._pooling]
        return torch.cat(blocks, dim=1)
