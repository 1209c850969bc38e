"""Statistics of the layers of a network; several summaries as one row per image."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featad.features.extractor import Summary
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

    pooling : tuple of str
        As given.

    shape, dtype, identity
        As for every `Summary`.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], pooling: Sequence[str]
    ) -> None:
        self.pooling = tuple(pooling)
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
        return torch.cat([self.of_layer(values) for values in layers], dim=1)

    def of_layer(self, values: Tensor) -> Tensor:
        """Return (n, n_columns) of what one layer gives."""
        if values.ndim == 2:
            return values
        values = values.flatten(2)  # (n, channels, positions)
        return torch.cat([POOLING[name](values) for name in self.pooling], dim=1)


class Together:
    """Several summaries of one pass, side by side in a row of float32.

    Parameters
    ----------
    summaries : sequence of Summary

    places : sequence of list of int
        For each summary the places of its layers among all that the network gives.

    Attributes
    ----------
    shape, dtype, identity
        As for every `Summary`.
    """

    def __init__(
        self, summaries: Sequence[Summary], places: Sequence[list[int]]
    ) -> None:
        self._summaries = summaries
        self._places = places
        self._sizes = [math.prod(summary.shape) for summary in summaries]
        self.shape: tuple[int, ...] = (sum(self._sizes),)
        self.dtype = np.dtype(np.float32)
        self.identity: dict[str, Any] = {"together": [s.identity for s in summaries]}

    def __call__(self, layers: Sequence[Tensor]) -> Tensor:
        """Return (n, n_values) of tensors (n, channels[, ...])."""
        pooled: dict[tuple, Tensor] = {}  # each layer once, for all that ask for it
        parts = []
        for summary, places in zip(self._summaries, self._places, strict=True):
            if not isinstance(summary, Pooled):
                parts.append(summary([layers[place] for place in places]))
                continue
            keys = [(place, summary.pooling) for place in places]
            for place, pooling in keys:
                if (place, pooling) not in pooled:
                    pooled[place, pooling] = summary.of_layer(layers[place])
            parts += [pooled[key] for key in keys]
        return torch.cat([part.flatten(1).float() for part in parts], dim=1)

    def split(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return the features of each summary, of its shape and type.

        Parameters
        ----------
        rows : float32 ndarray of shape (n, n_values)
            float16 values are the same in float32.
        """
        parts = np.split(rows, np.cumsum(self._sizes)[:-1], axis=1)
        return [
            part.reshape(-1, *summary.shape).astype(summary.dtype)
            for part, summary in zip(parts, self._summaries, strict=True)
        ]
