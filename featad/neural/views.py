"""Random views of samples, and shifted copies, as functions of tensors and a generator.

Images have shape (n, channels, height, width), rows of a table (n, n_features).
Features have no neighbors and no colors, so fewer views of a row differ from it: a crop
hides some of its features, jitter and noise change its values.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from featad.neural.layers import blur

_STRETCH = math.log(4 / 3)  # of the ratio of a crop's sides, at most
_CONTRAST, _BRIGHTNESS, _COLOR, _NOISE = 0.4, 0.2, 0.1, 0.05  # largest changes
_GRAY, _BLUR = 0.2, 0.5  # shares of the views that are changed
_FIXED_AREA = 0.54  # of crops when scoring; the CSI paper's
_SHIFT_NOISE = 0.2


def random_views(
    x: Tensor, kinds: Sequence[str], rng: torch.Generator, *, min_crop: float
) -> Tensor:
    """Return one random view of each sample.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width) or (n, n_features)

    kinds : sequence of str
        Names in `VIEWS`, which also says in which order they are applied.

    rng : torch.Generator
        On the device of ``x``; the only source of chance.

    min_crop : float in (0, 1]
        Least share of an image's area, or of a row's features, that a crop keeps.

    Returns
    -------
    views : Tensor of the same shape
        Values may leave the range of ``x``.

    References
    ----------
    .. [1] Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive
       learning of visual representations", ICML 2020, arXiv 2002.05709 (SimCLR).
       Differs from the paper: channels get brighter or darker, each by itself, in place
       of shifts of hue and saturation, so that images may have any number of channels.
    """
    for name, view in VIEWS.items():
        if name in kinds:
            x = view(x, rng, min_crop) if name == "crop" else view(x, rng)
    return x


def fixed_crops(x: Tensor, n_crops: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Yield crops of half the area, each at the same random place in all samples.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width) or (n, n_features)

    n_crops : int

    rng : torch.Generator
        On the device of ``x``. Equal generators give equal places.

    Yields
    ------
    crop : Tensor of the same shape
    """
    for _ in range(n_crops):
        if x.ndim == 2:
            kept = torch.rand(x.shape[1], generator=rng, device=x.device)
            yield x * (kept < _FIXED_AREA)
            continue
        places = 2 * torch.rand(2, 1, generator=rng, device=x.device) - 1
        sides = torch.full_like(places, math.sqrt(_FIXED_AREA))
        yield _cut(x, sides.expand(2, len(x)), places.expand(2, len(x)))


def shifted(
    x: Tensor, kind: str | None, rng: torch.Generator, *, alike: bool = False
) -> Tensor:
    """Return each sample and copies that are changed too much to be normal.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width) or (n, n_features)

    kind : {"rotate", "cutperm", "noise", "blur"} or None
        Quarter turns; exchanged halves and quarters; noise; blur. None: no copies.

    rng : torch.Generator
        On the device of ``x``.

    alike : bool, default=False
        Whether all samples get the same noise.

    Returns
    -------
    copies : Tensor of shape (n_copies, *x.shape)
        As many as `SHIFTS` says; the first is ``x``. Quarter turns of an image that is
        not square are stretched to its size. The features of a row move on by quarters
        of their number, for ``"rotate"`` and ``"cutperm"`` alike.
    """
    if kind is None:
        return x[None]
    if kind == "noise":
        shape = x.shape[1:] if alike else x.shape
        noise = torch.randn(shape, generator=rng, device=x.device)
        return torch.stack([x, x + _SHIFT_NOISE * noise])
    if kind == "blur":
        return torch.stack([x, _smooth(x, 0.05)])
    if x.ndim == 2:
        step = -(-x.shape[1] // SHIFTS[kind])
        return torch.stack([x.roll(k * step, 1) for k in range(SHIFTS[kind])])
    size = x.shape[2:]
    if kind == "cutperm":
        moves = [(i * size[0] // 2, j * size[1] // 2) for i in (0, 1) for j in (0, 1)]
        return torch.stack([x.roll(move, (2, 3)) for move in moves])
    turned = [x.rot90(k, (2, 3)) for k in range(SHIFTS[kind])]
    return torch.stack([F.interpolate(one, size) for one in turned])


def _flip(x, rng):
    return torch.where(_hits(x, rng, 0.5), x.flip(3), x) if x.ndim == 4 else x


def _crop(x, rng, min_crop):
    area = _uniform(x, rng, min_crop, 1)
    if x.ndim == 2:
        return x * (torch.rand(x.shape, generator=rng, device=x.device) < area)
    ratio = _uniform(x, rng, -_STRETCH, _STRETCH).exp()
    sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()]).clamp(max=1)
    places = torch.stack([_uniform(x, rng, -1, 1), _uniform(x, rng, -1, 1)])
    return _cut(x, sides.view(2, -1), places.view(2, -1))


def _jitter(x, rng):
    mean = x.flatten(1).mean(dim=1).view(-1, *[1] * (x.ndim - 1))
    contrast = _uniform(x, rng, 1 - _CONTRAST, 1 + _CONTRAST)
    x = mean + contrast * (x - mean) + _uniform(x, rng, -_BRIGHTNESS, _BRIGHTNESS)
    if not _in_color(x):
        return x
    shape = (*x.shape[:2], 1, 1)
    color = torch.rand(shape, generator=rng, device=x.device)
    return x + _COLOR * (2 * color - 1)


def _gray(x, rng):
    if not _in_color(x):
        return x
    return torch.where(_hits(x, rng, _GRAY), x.mean(dim=1, keepdim=True), x)


def _blur(x, rng):
    share = _uniform(x, rng, 0, 1) * _hits(x, rng, _BLUR)
    return x + share * (_smooth(x, 0.02) - x) if x.ndim == 4 else x


def _noise(x, rng):
    noise = torch.randn(x.shape, generator=rng, device=x.device)
    return x + _uniform(x, rng, 0, _NOISE) * noise


VIEWS: dict[str, Callable] = {
    "flip": _flip,
    "crop": _crop,
    "jitter": _jitter,
    "gray": _gray,
    "blur": _blur,
    "noise": _noise,
}
"""The kinds of views: mirrored, cropped, of other contrast and colors, ..."""

SHIFTS = {"rotate": 4, "cutperm": 4, "noise": 2, "blur": 2}
"""How many copies each kind of shift makes, the sample itself counted."""


def _cut(x, sides, places):
    """Enlarge a rectangle of each image to the size of the image.

    ``sides`` (2, n) are its height and width, as shares of the image's; ``places``
    (2, n) are -1 where it lies at the top or left edge, 1 at the bottom or right.
    """
    (height, width), (y, x_) = sides, (1 - sides) * places
    zero = torch.zeros_like(height)
    maps = torch.stack([width, zero, x_, zero, height, y], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _smooth(x, share):
    """Blur by a share of the shorter side, at least by half a pixel; rows alike."""
    image = x if x.ndim == 4 else x[:, None, None]
    return blur(image, max(0.5, share * min(image.shape[2:]))).view(x.shape)


def _in_color(x):
    return x.ndim == 4 and x.shape[1] > 1


def _uniform(x, rng, low, high):
    """Draw one number per sample, of a shape that multiplies samples."""
    shape = (len(x), *[1] * (x.ndim - 1))
    return low + (high - low) * torch.rand(shape, generator=rng, device=x.device)


def _hits(x, rng, share):
    return _uniform(x, rng, 0, 1) < share
