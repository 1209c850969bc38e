"""Anomalous samples are poorly rebuilt, or far from the center of the codes."""

from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import NON_NEGATIVE, Context, Interval, StrOptions
from featad.neural.losses import squared_distance, squared_error
from featad.neural.noise import add_noise
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions
from featad.neural.scores import REDUCTIONS


class CenteredAutoencoder(ReconstructionDetector):
    """Score a sample by an autoencoder whose codes are pulled to their center.

    Meant for training sets that hold unlabeled anomalies. Set ``trim`` to their share.

    Parameters
    ----------
    weight : float, default=0.1
        Weight of the squared distance between a code and the center, relative to the
        squared reconstruction error. 0: a plain autoencoder.

    warmup_epochs : int, default=10
        Number of epochs at the start in which only the reconstruction counts.

    noise : float, default=0.1
        Standard deviation of the noise added to the inputs in training, in their own
        unit: images in [0, 1], standardized tables.

    score_by : {"combined", "latent", "relative", "mean", "top1%", "max"}, \
default="combined"
        ``"latent"`` is the squared distance of the code from the center. ``"combined"``
        adds the relative error to it, each divided by its median over the training
        samples. The other values reduce the map of squared errors alone.

    Notes
    -----
    The center is the mean of the codes: in training that of the batch, so that it is
    never out of date; in scores that of all training samples except the share ``trim``
    farthest from it. A large weight pulls all codes into the center at the expense of
    the reconstruction. ``statistics_["spread"]``, the variance of the codes, shows
    this.

    The default is ``"combined"`` because both terms are trained.

    Differs from the paper: only its abstract was available. The form of the loss, the
    weight and the center are our interpretation.

    References
    ----------
    .. [1] Cheng et al., "Improved autoencoder for unsupervised anomaly detection",
       International Journal of Intelligent Systems 36(12), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import CenteredAutoencoder
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = CenteredAutoencoder(latent_dim=1, random_state=0).fit(X)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        "centered",
        "poorly rebuilt by an autoencoder, or far from the center of its codes",
        "Cheng et al. 2021",
        grid={"detector__weight": [0.0, 0.1, 1.0], "detector__trim": [0.0, 0.1]},
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "weight": [NON_NEGATIVE],
        "warmup_epochs": [Interval(Integral, 0, None, closed="left")],
        "noise": [NON_NEGATIVE],
        "score_by": [StrOptions({"combined", "latent", *REDUCTIONS})],
    }

    _defaults = {"score_by": "combined"}

    def __init__(
        self, latent_dim=16, *, weight=0.1, warmup_epochs=10, noise=0.1,
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**CenteredAutoencoder._defaults, **options})
        self.weight = weight
        self.warmup_epochs = warmup_epochs
        self.noise = noise

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        weight = 0.0 if t.epoch < self.warmup_epochs else self.weight
        given = add_noise(x, self.noise, t.rng)
        yield tuple(nets), self._loss_of(nets, given, x, weight)

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        # with all its weight from the first epoch on, so that epochs can be compared
        return self._loss_of(nets, x, x, self.weight)

    def _loss_of(self, nets, given, x, weight):
        code = nets["encoder"](given)
        error = squared_error(nets["decoder"](code), x)
        if not weight:
            return error
        distance = squared_distance(code, code.mean(dim=0))
        return error + weight * distance / x[0].numel()  # both per pixel

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        codes = torch.cat([nets["encoder"](x) for x in batches])
        errors = torch.cat([self._relative_error(nets, x, t) for x in batches])
        distances = squared_distance(codes, codes.mean(dim=0))
        near = distances <= distances.quantile(1 - self.trim)
        center = codes[near].mean(dim=0)
        distances = squared_distance(codes, center)
        tiny = torch.finfo(codes.dtype).tiny
        return {
            "center": center,
            "spread": codes[near].var(dim=0, correction=0),
            "usual_distance": distances.median().clamp_min(tiny),
            "usual_error": errors.median().clamp_min(tiny),
        }

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if self.score_by in REDUCTIONS:
            return super()._strangeness_of(nets, x, t)
        distance = squared_distance(nets["encoder"](x), t.statistics["center"])
        if self.score_by == "latent":
            return distance
        error = self._relative_error(nets, x, t) / t.statistics["usual_error"]
        return distance / t.statistics["usual_distance"] + error

    def _relative_error(self, nets, x, t):
        error = self._map_of(nets, x, t)
        return self._score_of_map(error, x, score_by="relative")
