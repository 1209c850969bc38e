"""Statistics of a channel over its map."""

from torch import Tensor


def _std(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)).square().mean(-1).sqrt()


POOLING = {"mean": lambda x: x.mean(-1), "std": _std, "max": lambda x: x.amax(-1)}
"""Each is taken over the last axis; ``"std"`` divides by n."""
