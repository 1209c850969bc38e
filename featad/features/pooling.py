"""Statistics of a channel over its map, for torch and for numpy, by one name each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def _std(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)).square().mean(-1).sqrt()


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
