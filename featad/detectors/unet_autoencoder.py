"""Anomalous samples are poorly rebuilt by a U-Net that removes strong noise."""

from collections.abc import Iterator
from numbers import Real

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import COUNT, NON_NEGATIVE, Context, Interval, StrOptions
from featad.neural.losses import RECONSTRUCTION
from featad.neural.noise import add_noise, random_boxes, same_noise
from featad.neural.unet import UNetDetector, UNetOptions

_IMAGE_NOISE, _TABLE_NOISE = 1.5, 0.5


class UNetAutoencoder(UNetDetector):
    """Score an image by how badly a U-Net rebuilds it from a copy under strong noise.

    Parameters
    ----------
    skips : {"none", "inner", "all"}, default="none"
        Which levels pass their features around the bottleneck: none, the innermost one,
        or all. See the warning below.

    corruption : {"none", "noise", "boxes", "patches", "mixed"}, default="noise"
        How inputs are damaged in training while the target stays clean: not at all; by
        normal noise; by one box set to a single value; by one box pasted from another
        sample; or by noise and then, at random, a value, a patch or neither. Noise is
        also added for scores.

    noise : float or None, default=None
        Standard deviation of the noise, in the unit of the inputs: images in [0, 1],
        standardized tables. None: 1.5 for images, which hides almost everything but
        what all images share, and 0.5 for tables.

    n_draws : int, default=4
        Draws of noise for each score; the reconstruction is their mean.

    box : float in (0, 1], default=0.5
        Longest side of a box, as a share of the image's side; the shortest is a quarter
        of it.

    loss : {"mse", "l1", "ssim", "ms-ssim"}, default="mse"
        The error that is minimized in training and used for scores. The last two need
        images.

    Notes
    -----
    Warning: a U-Net with ``skips="all"`` can learn to copy. Its skip at full size
    bypasses the bottleneck, so ``corruption="none"`` ends near the identity, which
    rebuilds anomalies as well as anything else. The error is then low everywhere and
    says little. Few skips alone do not make a narrow bottleneck either, because the
    innermost features hold more numbers than a small image has pixels. Under strong
    noise, which also hides the anomalies, the identity is a bad solution whatever the
    skips.

    In a table, boxes are runs of neighboring features.

    Differs from the paper: the target is the image itself, not its segmentation.

    References
    ----------
    .. [1] Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical
       image segmentation", MICCAI 2015.
    .. [2] Vincent et al., "Extracting and composing robust features with denoising
       autoencoders", ICML 2008: corrupted inputs.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import UNetAutoencoder
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = UNetAutoencoder(random_state=0).fit(X)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        "unet",
        "poorly rebuilt by a U-Net from a copy under strong noise",
        "Ronneberger et al. 2015; Vincent et al. 2008",
        grid={"detector__noise": [1.0, 1.5, 2.0], "detector__skips": ["none", "all"]},
    )
    _parameter_constraints: dict = {
        **UNetDetector._parameter_constraints,
        "skips": [StrOptions({"none", "inner", "all"})],
        "corruption": [StrOptions({"none", "noise", "boxes", "patches", "mixed"})],
        "noise": [NON_NEGATIVE, None],
        "n_draws": [COUNT],
        "box": [Interval(Real, 0, 1, closed="right")],
        "loss": [StrOptions(set(RECONSTRUCTION))],
    }

    def __init__(
        self, *, skips="none", corruption="noise", noise=None, n_draws=4, box=0.5,
        loss="mse",
        **options: Unpack[UNetOptions],
    ):  # fmt: skip
        super().__init__(**options)
        self.skips = skips
        self.corruption = corruption
        self.noise = noise
        self.n_draws = n_draws
        self.box = box
        self.loss = loss

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        if len(shape) == 1 and "ssim" in self.loss:
            raise ValueError(
                f"UNetAutoencoder(loss={self.loss!r}) needs images, got a table."
            )
        return {"unet": self._unet(shape, skips=self.skips)}

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        rebuilt = nets["unet"](self._corrupted(x, t.rng))
        yield ("unet",), RECONSTRUCTION[self.loss](rebuilt, x)

    def _corrupted(self, x, rng):
        """Return damaged copies of the samples, each damaged by itself."""
        damaged = x
        if self.corruption in ("noise", "mixed"):
            damaged = add_noise(x, self._sigma(x), rng)
        if self.corruption in ("none", "noise"):
            return damaged
        one_each = (len(x), *[1] * (x.ndim - 1))
        box = random_boxes(x, (0.25 * self.box, self.box), rng)
        level = torch.rand(one_each, generator=rng, device=x.device)
        chance = torch.rand(one_each, generator=rng, device=x.device)
        bounds = {"boxes": (1, 1), "patches": (0, 1), "mixed": (1 / 3, 2 / 3)}
        erased, pasted = bounds[self.corruption]
        patch = self._displaced(x.roll(1, dims=0), rng)
        damaged = torch.where(box & (chance < erased), level, damaged)
        return torch.where(box & (chance >= erased) & (chance < pasted), patch, damaged)

    def _displaced(self, x, rng):
        dims = tuple(range(2 if x.ndim == 4 else 1, x.ndim))
        shifts = [
            int(torch.randint(x.shape[d], (), generator=rng, device=x.device))
            for d in dims
        ]
        return x.roll(shifts, dims)

    def _rebuilt(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        """Return what the network makes of the samples under the noise it knows."""
        if self.corruption not in ("noise", "mixed"):
            return nets["unet"](x)
        total = 0.0
        for _ in range(self.n_draws):
            noise = same_noise(len(x), x.shape[1:], t.rng)
            total = total + nets["unet"](x + self._sigma(x) * noise)
        return total / self.n_draws

    def _sigma(self, x):
        if self.noise is not None:
            return self.noise
        return _IMAGE_NOISE if x.ndim == 4 else _TABLE_NOISE
