"""Base of the detectors that learn to map normal samples to one point."""

import warnings
from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.covariance import shrunk_covariance
from featad.neural.context import Context
from featad.neural.detector import NON_NEGATIVE, Interval, Stage, StrOptions
from featad.neural.latent import LatentDetector, LatentOptions
from featad.neural.losses import squared_distance, squared_error
from featad.neural.noise import add_noise

LEAST_CENTER = 0.1
"""Least absolute value of a coordinate of the center: zero weights would reach 0."""

_COLLAPSED = 1e-6  # share of the codes' variance that is left


class HypersphereOptions(LatentOptions, total=False):
    """What ``**options`` of a ``HypersphereDetector`` may hold."""

    pretrain_epochs: int | None
    weight_decay: float
    noise: float
    score_by: str


class HypersphereDetector(LatentDetector):
    """Base of detectors that pull the codes of samples to a fixed center.

    An autoencoder is trained first. The mean of its codes becomes the center, and from
    then on only the encoder is trained. A subclass writes ``_pulled(distance, t)``, the
    loss of each sample, (n,), from the squared distance of its code from the center.

    Parameters
    ----------
    latent_dim : int, default=32
        Length of a sample's code.

    pretrain_epochs : int or None, default=None
        Number of epochs in which the encoder is trained as part of an autoencoder. 0:
        the center is the mean of random codes. None: as many as ``max_epochs``.

    weight_decay : float, default=1e-6
        Weight of the squared weights of the encoder.

    noise : float, default=0.1
        Standard deviation of the noise added to the inputs of the autoencoder, in their
        own unit: images in [0, 1], standardized tables.

    score_by : {"whitened", "latent"}, default="whitened"
        ``"latent"`` is the squared distance of the code from the center.
        ``"whitened"`` measures how far the code is from those of the training samples,
        in units of their own spread: the squared Mahalanobis distance, with Ledoit and
        Wolf's shrunk covariance.

    Attributes
    ----------
    statistics_ : dict of str to object
        ``"center"``, and ``"radius"``, the distance from it that the training samples
        exceed in a share ``nu`` of cases, or 0.1 without that parameter. ``"spread"``
        is the variance of the codes, summed over their length, and ``"first_spread"``
        that before the pull.
    """

    _parameter_constraints: dict = {
        **LatentDetector._parameter_constraints,
        "pretrain_epochs": [Interval(Integral, 0, None, closed="left"), None],
        "weight_decay": [NON_NEGATIVE],
        "noise": [NON_NEGATIVE],
        "score_by": [StrOptions({"whitened", "latent"})],
    }

    _defaults = {"width": 16, "max_epochs": 30}
    _stages = (
        Stage("pretraining", "_n_pretraining"),
        Stage("main", trains=("encoder",)),
    )

    def __init__(
        self, latent_dim=32, *, pretrain_epochs=None, weight_decay=1e-6, noise=0.1,
        score_by="whitened",
        **options: Unpack[LatentOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**HypersphereDetector._defaults, **options})
        self.pretrain_epochs = pretrain_epochs
        self.weight_decay = weight_decay
        self.noise = noise
        self.score_by = score_by

    @property
    def _n_pretraining(self) -> int:
        if self.pretrain_epochs is None:
            return self.max_epochs
        return self.pretrain_epochs

    @property
    def _optimizers(self) -> dict[str, dict]:  # type: ignore[override]
        return {"encoder": {"weight_decay": self.weight_decay}}

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        # with a bias, the encoder could map every sample to the center
        return {
            "encoder": self._encoder(shape, bias=False),
            "decoder": self._decoder(shape, bias=False),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        if t.stage == "pretraining":
            given = add_noise(x, self.noise, t.rng)
            yield tuple(nets), self._error(nets, given, x)
        else:
            yield ("encoder",), self._pulled(self._distance(nets, x, t), t)

    def _pulled(self, distance: Tensor, t: Context) -> Tensor:
        return distance

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if t.stage == "pretraining":
            return self._error(nets, x, x)
        return self._distance(nets, x, t)

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        codes = torch.cat([nets["encoder"](x) for x in batches])
        mean, spread = codes.mean(dim=0), codes.var(dim=0, correction=0).sum()
        if t.stage == "pretraining":
            sign = torch.where(mean < 0, -1.0, 1.0)
            center = sign * mean.abs().clamp_min(LEAST_CENTER)
            return {"center": center, "first_spread": spread}
        if spread < _COLLAPSED * t.statistics["first_spread"]:
            self._warn_of_collapse()
        distance = squared_distance(codes, t.statistics["center"])
        nu = getattr(self, "nu", 0.1)
        return {
            "radius": distance.quantile(1 - nu).sqrt(),
            "spread": spread,
            **_whitening(codes),
        }

    def _warn_of_collapse(self):
        warnings.warn(
            f"{type(self).__name__} has collapsed: its encoder maps all training "
            "samples to one point, so scores tell little. Lower max_epochs or lr, or "
            "raise weight_decay. A part that is bright in all images makes a collapse "
            "easy: crop it, or subtract the mean image.",
            UserWarning,
        )

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if self.score_by == "latent":
            return self._distance(nets, x, t)
        code = nets["encoder"](x) - t.statistics["mean"]
        return (code @ t.statistics["whitening"]).square().sum(dim=1)

    def _distance(self, nets, x, t):
        return squared_distance(nets["encoder"](x), t.statistics["center"])

    def _error(self, nets, given, x):
        return squared_error(nets["decoder"](nets["encoder"](given)), x)


def _whitening(codes):
    """Return the mean of codes, and the inverse root of their shrunk covariance."""
    covariance = shrunk_covariance(codes.cpu().double().numpy())
    mean = covariance.location
    root = covariance.whiten(np.eye(len(mean)) + mean)
    return {
        name: torch.as_tensor(value, dtype=codes.dtype)
        for name, value in (("mean", mean), ("whitening", root))
    }
