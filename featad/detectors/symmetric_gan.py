"""Anomalous samples are hard to guess, half by half, from their other half."""

from collections.abc import Iterator
from numbers import Integral

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import NON_NEGATIVE, Context, Interval, StrOptions
from featad.neural.gan_losses import GAN_ADAM, critic_loss, generator_loss
from featad.neural.losses import absolute_error
from featad.neural.mirror import Mirror
from featad.neural.networks import critic
from featad.neural.unet import UNetDetector, UNetOptions


class SymmetricGAN(UNetDetector):
    """Score an image by how badly each of its halves is guessed from the other.

    One U-Net guesses the mirror image of either half from the other, and so learns what
    is usually not quite the same on both sides. A critic sees both halves and
    distinguishes guessed ones from real ones.

    Parameters
    ----------
    axis : {"vertical", "horizontal"}, default="vertical"
        Direction of the line through the middle of the image that divides it.

    max_shift : int, default=0
        How many pixels the dividing line may lie beside the middle. The line is placed
        where the image is most similar to its own mirror image.

    l1_weight : float, default=100.0
        Weight of the mean absolute error of a guessed pixel, relative to the loss that
        makes guessed halves look real to the critic.

    cycle_weight : float, default=0.0
        Weight of the mean absolute error of a half that was guessed from the guess of
        the other half.

    Notes
    -----
    An anomaly that looks the same on both sides, or lies on the line, is not found. The
    middle column of an odd width belongs to both halves, so it is guessed from itself.

    The map is the absolute error of both guesses, put together again. The default is
    ``"mean"``, with which the figures in the docs were measured.

    In a table the last features, from the end, mirror the first.

    Differs from the paper, of which only the abstract was available: networks, weights
    (those of [2]_, for images in [-1, 1]) and the search for the line are our
    interpretation.

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

    _entry = Entry(
        "symmetric",
        "hard to guess, half by half, from its other half",
        "Wu et al. 2021; Isola et al. 2017",
        grid={"detector__max_shift": [0, 3], "detector__l1_weight": [10.0, 100.0]},
    )
    _parameter_constraints: dict = {
        **UNetDetector._parameter_constraints,
        "axis": [StrOptions({"vertical", "horizontal"})],
        "max_shift": [Interval(Integral, 0, None, closed="left")],
        "l1_weight": [NON_NEGATIVE],
        "cycle_weight": [NON_NEGATIVE],
    }

    _defaults = {"score_by": "mean"}
    _optimizers = {"unet": GAN_ADAM, "critic": GAN_ADAM}
    _error = "l1"

    def __init__(
        self, *, axis="vertical", max_shift=0, l1_weight=100.0, cycle_weight=0.0,
        **options: Unpack[UNetOptions],
    ):  # fmt: skip
        super().__init__(**{**SymmetricGAN._defaults, **options})
        self.axis = axis
        self.max_shift = max_shift
        self.l1_weight = l1_weight
        self.cycle_weight = cycle_weight

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        given, _ = self._mirror(torch.zeros(1, *shape)).halves()
        half = tuple(given.shape[1:])
        both = (2 * half[0], *half[1:])
        size = {"width": self.width, "depth": self.depth}
        return {
            "unet": self._unet(half, skips="all"),
            "critic": critic(both, patch=len(shape) == 3, **size),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        given, target = self._mirror(x).halves()
        guess = nets["unet"](given)
        real_logit = _judged(nets, given, target)
        fake_logit = _judged(nets, given, guess.detach())
        yield ("critic",), critic_loss(real_logit, fake_logit)
        loss = generator_loss(_judged(nets, given, guess))
        loss = loss + self.l1_weight * absolute_error(guess, target)
        if self.cycle_weight:
            back = nets["unet"](guess)
            loss = loss + self.cycle_weight * absolute_error(back, given)
        yield ("unet",), loss

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        mirror = self._mirror(x)
        given, target = mirror.halves()
        return mirror.map_back(self._error_of(nets["unet"](given), target))

    def _mirror(self, x):
        return Mirror(x, axis=self.axis, max_shift=self.max_shift)


def _judged(nets, given, target):
    return nets["critic"](torch.cat([given, target], dim=1))[0]
