"""Maps of several layers on one grid: a row of features for each position."""

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from sklearn.random_projection import GaussianRandomProjection
from sklearn.utils import check_random_state
from torch import Tensor
from torch.nn import functional


class PatchMaps:
    """Channels of several layers at each position of one grid.

    Each layer's channels are reduced first, at its own resolution. Then its map is
    averaged over the neighborhood and brought to the grid. The three are linear and act
    on different axes, so this equals the usual order and costs less.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Names of the layers, and what they give for one image, channels first.

    grid : (height, width) or None
        None is the grid of the layer with the most positions.

    neighborhood : int
        Odd.

    n_components : int or None

    reduction : {"projection", "selection"}

    dtype : {"float32", "float16"}

    random_state : int
        Draws projection or selection.

    Attributes
    ----------
    names : list of str
        Of the features of a position.

    shape, dtype, identity
        As for every `Summary`; the shape is (height, width, features).

    Raises
    ------
    ValueError
        If a layer gives no map, or has fewer channels than ``n_components``.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        *,
        grid: tuple[int, int] | None,
        neighborhood: int,
        n_components: int | None,
        reduction: str,
        dtype: str,
        random_state: int,
    ) -> None:
        maps = {layer: _map_shape(layer, shape) for layer, shape in shapes.items()}
        self.grid = grid or max((m[1:] for m in maps.values()), key=math.prod)
        self.dtype = np.dtype(dtype)
        self._type = getattr(torch, dtype)
        self._neighborhood = neighborhood
        widths = [n_channels for n_channels, *_ in maps.values()]
        self.names = [f"{layer}_{i}" for layer, m in maps.items() for i in range(m[0])]
        self._sums = n_components is not None and reduction == "projection"
        self._reducers: list[Tensor] | None = None
        if n_components is not None:
            if n_components > sum(widths):
                raise ValueError(
                    f"n_components should be at most {sum(widths)}, the number of "
                    f"channels of {', '.join(shapes)}, or None for all of them; got "
                    f"{n_components}."
                )
            starts = np.cumsum(widths)[:-1]
            if self._sums:
                matrix = _projection(sum(widths), n_components, random_state)
                parts = np.split(matrix, starts)
                self.names = [f"projection_{i}" for i in range(n_components)]
            else:
                chosen = check_random_state(random_state).permutation(sum(widths))
                chosen = np.sort(chosen[:n_components])
                self.names = [self.names[i] for i in chosen]
                edges = [0, *starts, sum(widths)]
                parts = [
                    chosen[(low <= chosen) & (chosen < high)] - low
                    for low, high in zip(edges, edges[1:], strict=False)
                ]
            self._reducers = [torch.from_numpy(part) for part in parts]
        self.shape: tuple[int, ...] = (*self.grid, len(self.names))
        self.identity: dict[str, Any] = {
            "patches": {
                "grid": list(self.grid),
                "neighborhood": neighborhood,
                "border": "zeros",
                "n_components": n_components,
                "reduction": reduction if n_components is not None else None,
                "random_state": random_state if n_components is not None else None,
                "dtype": dtype,
            }
        }

    def __call__(self, layers: Sequence[Tensor]) -> Tensor:
        """Return (n, height, width, features) of tensors (n, channels, ...)."""
        parts = []
        for index, values in enumerate(layers):
            x = _as_map(values).permute(0, 2, 3, 1)  # (n, h, w, channels)
            x = self._reduced(x, index).permute(0, 3, 1, 2)
            if x.shape[1]:  # else none of its channels was selected
                parts.append(self._on_grid(self._averaged(x)))
        joined = reduce(torch.add, parts) if self._sums else torch.cat(parts, dim=1)
        return joined.permute(0, 2, 3, 1).to(self._type).contiguous()

    def _reduced(self, x: Tensor, index: int) -> Tensor:
        if self._reducers is None:
            return x
        reducer = self._reducers[index] = self._reducers[index].to(x.device)
        return x @ reducer if self._sums else x.index_select(-1, reducer)

    def _averaged(self, x: Tensor) -> Tensor:
        k = self._neighborhood
        if k == 1:
            return x
        return functional.avg_pool2d(x, k, 1, k // 2)  # zeros beyond the border

    def _on_grid(self, x: Tensor) -> Tensor:
        height, width = self.grid
        coarser = min(height, x.shape[2]), min(width, x.shape[3])
        if coarser != x.shape[2:]:
            x = functional.adaptive_avg_pool2d(x, coarser)
        if self.grid != x.shape[2:]:
            x = functional.interpolate(x, self.grid, mode="bilinear")
        return x


def _projection(n_channels: int, n_components: int, random_state: int) -> np.ndarray:
    """Return a Gaussian matrix (n_channels, n_components) that keeps distances."""
    drawn = GaussianRandomProjection(n_components, random_state=random_state)
    drawn.fit(np.zeros((1, n_channels)))  # it looks at the shape alone
    return drawn.components_.T.astype(np.float32)


def _map_shape(layer: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return channels, height and width of a layer."""
    if len(shape) == 3:
        return shape
    side = math.isqrt(shape[-1]) if len(shape) == 2 else 0
    if not side or shape[-1] - side**2 not in (0, 1):
        raise ValueError(
            f"Layer {layer!r} gives no map of the image: it should give (channels, "
            f"height, width), or tokens of a square of patches, got {shape}. Take a "
            "layer before pooling; layer_names lists them."
        )
    return shape[0], side, side


def _as_map(values: Tensor) -> Tensor:
    """Return (n, channels, height, width), also of tokens, without the class token."""
    if values.ndim == 4:
        return values
    side = math.isqrt(values.shape[2])
    return values[:, :, values.shape[2] - side**2 :].unflatten(2, (side, side))
