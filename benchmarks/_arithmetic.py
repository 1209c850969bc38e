"""What a network asks of a processor, and what the processor gives at most."""

import time
from functools import cache

import numpy as np
import torch
from sklearn.base import clone
from torch.utils.flop_counter import FlopCounterMode

from featad.features.network import NetworkFeatures

_SIDES = (1024, 2048, 4096)  # of the matrices; which one is fastest depends on caches
_SECONDS = 1.0


def operations(features: NetworkFeatures) -> float:
    """Return 10^9 operations that an image of 224 pixels takes; a multiply-add is two.

    Parameters
    ----------
    features : NetworkFeatures
        Stays as it is.
    """
    image = np.zeros((1, 224, 224, 3), np.float32)  # one alone stays in this thread
    features = clone(features).set_params(engine="torch", precision="float32")
    features.fit_transform(image)  # measures shapes
    with FlopCounterMode(display=False) as counter:
        features.transform(image)
    return counter.get_total_flops() / 1e9


@cache
def matrix_rate(precision: str) -> float:
    """Return the rate at which torch multiplies matrices, in 10^9 operations/s.

    Parameters
    ----------
    precision : {"float32", "bfloat16", "float16", "int8"}

    Notes
    -----
    Convolutions by Winograd's method take fewer operations, and can be faster.
    """
    return max(_matrix_rate(precision, n) for n in _SIDES)


def share_of_limit(rate: float, operations: float, precision: str) -> str:
    """Return which share of that rate images/s of a network are, as text."""
    return f"{rate * operations / matrix_rate(precision):.0%}"


def _matrix_rate(precision, n):
    if precision == "int8":
        a, multiply = torch.ones((n, n), dtype=torch.int8), torch._int_mm
    else:
        a, multiply = torch.ones((n, n), dtype=getattr(torch, precision)), torch.mm
    multiply(a, a)
    least, end = float("inf"), time.perf_counter() + _SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply(a, a)
        least = min(least, time.perf_counter() - start)
    return 2 * n**3 / least / 1e9
