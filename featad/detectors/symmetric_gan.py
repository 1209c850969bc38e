"""Strange is what one half of an image does not lead to expect of the other."""

from collections.abc import Iterator
from numbers import Integral, Real

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featad.neural.detector import Context, Interval, StrOptions
from featad.neural.gan_losses import adversarial
from featad.neural.losses import absolute_error, error_map, score_map
from featad.neural.networks import critic
from featad.neural.unet import UNetDetector

_BETAS = (0.5, 0.999)


class SymmetricGAN(UNetDetector):
    """Score an image by how badly each of its halves is guessed from the other.

    One U-Net makes of either half the mirror image of the other, so that what is
    usually not quite the same on both sides is learned; a critic sees both halves and
    tells guessed ones from real ones.

    Parameters
    ----------
    axis : {"vertical", "horizontal"}, default="vertical"
        Direction of the line in the middle of the image that divides it.

    max_shift : int, default=0
        How many pixels that line may lie beside the middle: each image is taken to be
        divided by the line, as far away as this at most, beside which it is most like
        its own mirror image.

    l1_weight : float, default=100.0
        Weight of the mean absolute error of a guessed pixel beside the loss that makes
        guessed halves look real to the critic.

    cycle_weight : float, default=0.0
        Weight of the mean absolute error of a half that was guessed from its own guess
        of the other.

    score_by : {"mean", "relative", "top1%", "max"}, default="mean"
        How the errors of the pixels, or features, become the sample's: the mean of all,
        of the largest hundredth, or the largest. ``"relative"`` is the mean, of images
        in [0, 1] divided by the root of the mean of their own pixels.

    Notes
    -----
    What is strange on both sides in the same way, or lies on the line, is not seen. The
    middle column of an odd width is part of both halves, that is, guessed from itself.

    The map is the absolute error of both guesses, put together again.

    Tables: the last features, from the end, are the mirror image of the first.

    Differs from the paper, of which the abstract could be read: networks, weights
    (those of [2]_, for images in [-1, 1]) and the search of the line are this reading.

    References
    ----------
    .. [1] Wu et al., "Unsupervised brain tumor segmentation using a symmetric-driven
       adversarial network", Neurocomputing 455, 2021.
    .. [2] Isola et al., "Image-to-image translation with conditional adversarial
       networks", CVPR 2017, arXiv 1611.07004.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import SymmetricGAN
    >>> half = np.random.default_rng(0).random((40, 3))
    >>> X = np.hstack([half, half[:, ::-1]])  # symmetric
    >>> detector = SymmetricGAN(random_state=0).fit(X)
    >>> odd, usual = [1, 1, 1, 0, 0, 0], [0.1, 0.5, 0.9, 0.9, 0.5, 0.1]
    >>> detector.score_samples([usual, odd]).argsort()
    array([1, 0])
    """

    _parameter_constraints: dict = {
        **UNetDetector._parameter_constraints,
        "axis": [StrOptions({"vertical", "horizontal"})],
        "max_shift": [Interval(Integral, 0, None, closed="left")],
        "l1_weight": [Interval(Real, 0, None, closed="left")],
        "cycle_weight": [Interval(Real, 0, None, closed="left")],
        "score_by": [StrOptions({"mean", "relative", "top1%", "max"})],
    }

    _optimizers = {"generator": {"betas": _BETAS}, "critic": {"betas": _BETAS}}

    def __init__(
        self,
        *,
        axis="vertical",
        max_shift=0,
        l1_weight=100.0,
        cycle_weight=0.0,
        score_by="mean",
        **options,
    ):
        super().__init__(**options)
        self.axis = axis
        self.max_shift = max_shift
        self.l1_weight = l1_weight
        self.cycle_weight = cycle_weight
        self.score_by = score_by

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        given, target = self._pairs(torch.zeros(1, *shape))
        half = tuple(given.shape[1:])
        both = (2 * half[0], *half[1:])
        size = {"width": self.width, "depth": self.depth}
        return {
            "generator": self._unet(half, skips="all"),
            "critic": critic(both, patch=len(shape) == 3, **size),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        given, target = self._pairs(x)
        guess = nets["generator"](given)
        real = adversarial(_judged(nets, given, target), real=True)
        fake = adversarial(_judged(nets, given, guess.detach()), real=False)
        yield ("critic",), real + fake
        loss = adversarial(_judged(nets, given, guess), real=True)
        loss = loss + self.l1_weight * absolute_error(guess, target)
        if self.cycle_weight:
            back = nets["generator"](guess)
            loss = loss + self.cycle_weight * absolute_error(back, given)
        yield ("generator",), loss

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        error, unit = self._map_of(nets, x, t), self._in_unit_range
        return score_map("l1", error, x, self.score_by, in_unit_range=unit)

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        upright = self._upright(x)
        width, (framed, start) = upright.shape[-1], _framed(upright, self.max_shift)
        given, target = _mirrored_halves(framed)
        second, first = error_map("l1", nets["generator"](given), target).chunk(2)
        n_more = framed.shape[-1] - first.shape[-1]
        glued = F.pad(first, (0, n_more)) + F.pad(second.flip(-1), (n_more, 0))
        if framed.shape[-1] % 2:
            glued[..., n_more] /= 2  # the middle column is part of both
        found = glued.unfold(-1, width, 1).movedim(-2, 1)
        found = found[torch.arange(len(x), device=x.device), 2 * self.max_shift - start]
        return found.mT if self._turned(x) else found

    def _pairs(self, x):
        """Return halves and, in the same order, those to be guessed from them."""
        return _mirrored_halves(_framed(self._upright(x), self.max_shift)[0])

    def _turned(self, x):
        return self.axis == "horizontal" and x.ndim == 4

    def _upright(self, x):
        return x.mT if self._turned(x) else x


def _judged(nets, given, target):
    return nets["critic"](torch.cat([given, target], dim=1))[0]


def _mirrored_halves(x):
    """Return first and mirrored second halves of (n, ..., width), and the reverse."""
    n_columns = -(-x.shape[-1] // 2)
    first, second = x[..., :n_columns], x.flip(-1)[..., :n_columns]
    return torch.cat([first, second]), torch.cat([second, first])


def _framed(x, max_shift):
    """Return samples in a wider frame, moved so that each is most symmetric there.

    (n, ..., width) to (n, ..., width + 2 * max_shift), edges repeated, and for each
    sample the start of that frame within the widest one, (n,).
    """
    margin, size = 2 * max_shift, x.shape[-1] + 2 * max_shift
    rows = x.reshape(len(x), -1, x.shape[-1])
    frames = F.pad(rows, (margin, margin), mode="replicate").unfold(2, size, 1)
    frames = frames.transpose(1, 2)  # (n, 2 * max_shift + 1, rows, size)
    nearest = sorted(range(margin + 1), key=lambda start: abs(start - max_shift))
    nearest = torch.tensor(nearest, device=x.device)
    asymmetry = (frames - frames.flip(-1)).abs().mean(dim=(2, 3))
    start = nearest[asymmetry[:, nearest].argmin(dim=1)]
    chosen = frames[torch.arange(len(x), device=x.device), start]
    return chosen.view(*x.shape[:-1], size), start
