"""Statistics of a channel over its map, for torch and for numpy, by one name each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def _std(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)).square_().mean(-1).sqrt_()


POOLING: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: x.mean(-1),
    "std": _std,
    "max": lambda x: x.amax(-1),
}
"""Of tensors, over the last axis; ``"std"`` divides by n."""

ARRAY_POOLING: dict[str, Callable[[np.ndarray], Any]] = {
    "mean": np.mean,
    "std": np.std,
    "max": np.max,
}
"""Of arrays, over all values. The names are those of `POOLING`."""


def normalize_blocks(features: np.ndarray, widths: Sequence[int]) -> None:
    """Divide each block of columns by its Euclidean length, in place.

    Parameters
    ----------
    features : float ndarray of shape (n, sum(widths))
        A block of zeros stays as it is.

    widths : sequence of int
        Number of columns of each block.
    """
    for block in np.split(features, np.cumsum(widths)[:-1], axis=1):
        length = np.linalg.norm(block, axis=1, keepdims=True)
        block /= np.where(length == 0, 1, length)
