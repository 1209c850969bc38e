"""Optimize a tensor instead of a network: searches, restoration, gradient maps."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from featad.neural.layers import blur

_BETAS, _EPS = (0.9, 0.999), 1e-8


class Descent(NamedTuple):
    """What :func:`descend` found.

    Attributes
    ----------
    best : Tensor of shape (n, ...)
        The place with the least objective, for every sample.

    value : Tensor of shape (n,)
        The objective there.

    trace : Tensor of shape (n_steps + 1, n)
        The least objective so far, after every step of the last start.
    """

    best: Tensor
    value: Tensor
    trace: Tensor


def descend(
    objective: Callable[[Tensor], Tensor],
    start: Tensor | Sequence[Tensor],
    *,
    n_steps: int = 100,
    lr: float | Callable[[int], float] = 0.01,
    method: str = "adam",
    clip: float | None = None,
    mask: Tensor | None = None,
    bounds: tuple[float, float] | None = None,
    backtrack: bool = False,
) -> Descent:
    """Minimize a per-sample objective; each sample as if it were alone.

    Parameters
    ----------
    objective : callable
        From a tensor of shape (n, ...) to (n,); no sample's value may depend on
        another's. Works inside ``torch.no_grad``: gradients are enabled here.

    start : Tensor of shape (n, ...) or sequence of such
        Where to begin. Of several starts the best end is kept, for every sample.

    n_steps : int, default=100

    lr : float or callable, default=0.01
        The step size, or ``lr(step)``.

    method : {"adam", "plain"}, default="adam"
        ``"plain"``: ``lr`` times the gradient.

    clip : float or None, default=None
        Bound on every element of the gradient.

    mask : Tensor or None, default=None
        Multiplies the gradient; 0 where nothing may change.

    bounds : tuple of two float or None, default=None
        Least and greatest value of an element.

    backtrack : bool, default=False
        Whether a step that does not lower a sample's objective is taken back, and that
        sample's step size halved.

    Returns
    -------
    descent : Descent
        ``best``, ``value`` and ``trace``, without gradients.

    Examples
    --------
    >>> import torch
    >>> from featad.neural.descent import descend
    >>> found = descend(lambda u: ((u - 3) ** 2).sum(1), torch.zeros(2, 1), lr=0.1)
    >>> found.best.round(decimals=1)
    tensor([[3.],
            [3.]])
    """
    starts = [start] if isinstance(start, Tensor) else list(start)
    found, *others = [
        _descend_once(
            objective,
            place.detach().clone(),
            n_steps,
            lr if callable(lr) else lambda step: lr,
            method,
            clip,
            mask,
            bounds,
            backtrack,
        )  # fmt: skip
        for place in starts
    ]
    for other in others:
        better = other.value < found.value
        best = torch.where(_like(better, found.best), other.best, found.best)
        value = torch.where(better, other.value, found.value)
        found = Descent(best, value, other.trace)
    return found


def gradient_map(
    objective: Callable[[Tensor], Tensor], x: Tensor, sigma: float
) -> Tensor:
    """Return how steep an objective is in every pixel.

    Parameters
    ----------
    objective : callable
        From (n, channels, height, width) to (n,). Works inside ``torch.no_grad``.

    x : Tensor of shape (n, channels, height, width)

    sigma : float
        Standard deviation, in pixels, of the Gaussian blur applied to the map; 0: none.

    Returns
    -------
    map : Tensor of shape (n, height, width)
        The gradient's absolute values, summed over the channels.
    """
    return blur(_evaluate(objective, x)[1].abs().sum(dim=1), sigma)


def _evaluate(objective, place):
    with torch.enable_grad():
        place = place.detach().requires_grad_()
        value = objective(place)
        (gradient,) = torch.autograd.grad(value.sum(), place)
    return value.detach(), gradient


def _descend_once(
    objective, place, n_steps, lr, method, clip, mask, bounds, backtrack
):  # fmt: skip
    value, gradient = _evaluate(objective, place)
    best, least, trace = place.clone(), value.clone(), [value]
    first, second = torch.zeros_like(place), torch.zeros_like(place)
    rate = torch.ones_like(value)
    for step in range(n_steps):
        if clip is not None:
            gradient = gradient.clamp(-clip, clip)
        if mask is not None:
            gradient = gradient * mask
        if method == "adam":
            first = first.lerp(gradient, 1 - _BETAS[0])
            second = second.lerp(gradient**2, 1 - _BETAS[1])
            mean = first / (1 - _BETAS[0] ** (step + 1))
            spread = second / (1 - _BETAS[1] ** (step + 1))
            gradient = mean / (spread.sqrt() + _EPS)
        moved = place - lr(step) * _like(rate, place) * gradient
        if bounds is not None:
            moved = moved.clamp(*bounds)
        if mask is not None:
            moved = torch.where(mask.expand_as(moved) == 0, place, moved)
        value, gradient = _evaluate(objective, moved)
        better = value < least
        best = torch.where(_like(better, best), moved, best)
        least = torch.where(better, value, least)
        trace.append(least)
        place = moved
        if backtrack and not better.all():
            rate = torch.where(better, rate, rate / 2)
            place = best
            gradient = _evaluate(objective, place)[1]
    return Descent(best, least, torch.stack(trace))


def _like(per_sample, x):
    return per_sample.view(-1, *[1] * (x.ndim - 1))
