"""From a map of errors to one number for each sample."""

from collections.abc import Iterable

import torch
from torch import Tensor

from featad import map_scores
from featad.neural.losses import error_map, per_sample

REDUCTIONS = ("relative", *map_scores.REDUCTIONS)
"""What ``score_by`` calls the ways from a map of errors to a score."""

BLACK = 1e-3
"""Least mean content of an image that its error is divided by."""


def relative_score(
    kind: str, error: Tensor, x: Tensor, scale: Tensor | float = 1.0
) -> Tensor:
    """Return the error of each image over the root of what is in it.

    Dark or empty images have small errors even when they are anomalous.

    Parameters
    ----------
    kind : {"mse", "l1", "ssim", "ms-ssim"}
        Kind of the error. Errors of similarity are relative already: only averaged.

    error : Tensor of shape (n, height, width)
        From :func:`error_map`.

    x : Tensor of shape (n, channels, height, width)
        The images, in [0, 1].

    scale : Tensor of shape (height, width) or float, default=1.0
        What the errors and the content of the image are divided by.

    Returns
    -------
    strangeness : Tensor of shape (n,)
        Mean error over the root of the mean square, or mean absolute value, of the
        image's pixels, each counting 0.001 at least.

    Notes
    -----
    A compromise between the error and its ratio to the content: the error alone misses
    faint anomalies, the ratio misses bright ones.
    """
    error = per_sample(error / scale)
    if kind not in ("mse", "l1"):
        return error
    content = error_map(kind, x, torch.zeros_like(x)).clamp_min(BLACK)
    return error / per_sample(content / scale).sqrt()


def reduce_map(error: Tensor, how: str) -> Tensor:
    """Return one number per map, as `featad.map_scores.reduce_maps` does.

    Parameters
    ----------
    error : Tensor of shape (n, ...)

    how : {"mean", "max"} or "top<share>%"
        See `featad.map_scores.n_largest`.

    Returns
    -------
    strangeness : Tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> from featad.neural.scores import reduce_map
    >>> reduce_map(torch.tensor([[0.0, 1.0, 2.0, 9.0]]), "top50%")
    tensor([5.5000])
    """
    error = error.flatten(1)
    n_largest = map_scores.n_largest(how, error.shape[1])
    if n_largest < error.shape[1]:
        error = error.topk(n_largest, dim=1).values
    return error.mean(dim=1)


def mean_map(maps: Iterable[Tensor]) -> Tensor:
    """Return the mean over all maps of all batches, summed one batch at a time.

    Parameters
    ----------
    maps : iterable of Tensor of shape (n, ...)

    Returns
    -------
    mean : Tensor of shape (...)
    """
    total, n_maps = torch.zeros(()), 0
    for batch in maps:
        total, n_maps = batch.sum(dim=0) + total.to(batch), n_maps + len(batch)
    return total / n_maps


def usual_error(mean: Tensor) -> Tensor:
    """Return what errors are divided by, pixel by pixel, where maps are normalized.

    Parameters
    ----------
    mean : Tensor of shape (height, width) or (n_features,)
        The mean error of each pixel of the training samples.

    Returns
    -------
    scale : Tensor of the same shape
        ``mean`` plus its own mean, so that quiet pixels do not count too much.
    """
    return (mean + mean.mean()).clamp_min(torch.finfo(mean.dtype).tiny)


def score_map(
    kind: str, error: Tensor, x: Tensor, how: str, *, in_unit_range: bool, scale=1.0
) -> Tensor:
    """Return one number per map, however a detector's ``score_by`` asks for it.

    This is :func:`reduce_map`, except for ``"relative"``: :func:`relative_score` for
    images in [0, 1], the mean for other samples.
    """
    if how != "relative":
        return reduce_map(error / scale, how)
    if in_unit_range:
        return relative_score(kind, error, x, scale)
    return reduce_map(error / scale, "mean")
