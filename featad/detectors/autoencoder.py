"""Strange is what a network cannot rebuild from a few numbers."""

from collections.abc import Iterable, Iterator
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from featad.neural.detector import Context, Interval, StrOptions
from featad.neural.latent import LatentDetector
from featad.neural.losses import (
    RECONSTRUCTION,
    abc_error,
    error_map,
    hinge_error,
    score_map,
)


class Autoencoder(LatentDetector):
    """Score a sample by its error after going through a narrow autoencoder.

    Parameters
    ----------
    latent_dim : int, default=16
        Length of the code that a sample is rebuilt from.

    loss : {"mse", "l1", "ssim", "ms-ssim"}, default="mse"
        The error that is minimized, and that scores. The last two need images.

    noise : float, default=0.1
        Standard deviation of the noise on the inputs in training, in their unit: images
        in [0, 1], tables standardized.

    score_by : {"relative", "mean", "top1%", "max"}, default="relative"
        How the errors of the pixels, or features, become the sample's: the mean of all,
        of the largest hundredth, or the largest. ``"relative"`` is the mean, of images
        in [0, 1] divided by the root of the mean square (``"l1"``: mean) of their own
        pixels, as an image that shows little has little error whatever it shows.

    normalize_map : bool, default=False
        Whether the error of a pixel is divided by its mean over the training samples
        (plus the mean over all pixels). For aligned images.

    anomaly_weight : float, default=0.0
        Weight of the loss that raises the error of samples labeled -1 in ``fit``; 0:
        labels are ignored. From 0.1 to 1: the larger, the more surely are known kinds
        told from normal samples, and the worse are these rebuilt.

    anomaly_loss : {"abc", "hinge"}, default="abc"
        That loss: -log(1 - exp(-10 error)), or max(0, margin - error). Neither can fall
        below 0, as the negated error would.

    margin : float, default=1.0
        Of ``"hinge"``.

    Notes
    -----
    The errors of channels are averaged. Of tables every feature is a pixel.

    References
    ----------
    .. [1] Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural
       networks", Science 2006.
    .. [2] Bergmann et al., "Improving unsupervised defect segmentation by applying
       structural similarity to autoencoders", 2019, arXiv 1807.02011: ``"ssim"``.
    .. [3] Yamanaka et al., "Autoencoding binary classifiers for supervised anomaly
       detection", PRICAI 2019, arXiv 1903.10709: ``"abc"``.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import Autoencoder
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = Autoencoder(latent_dim=1, random_state=0).fit(X)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        **LatentDetector._parameter_constraints,
        "loss": [StrOptions(set(RECONSTRUCTION))],
        "noise": [Interval(Real, 0, None, closed="left")],
        "score_by": [StrOptions({"relative", "mean", "top1%", "max"})],
        "normalize_map": ["boolean"],
        "anomaly_weight": [Interval(Real, 0, None, closed="left")],
        "anomaly_loss": [StrOptions({"abc", "hinge"})],
        "margin": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        latent_dim=16,
        *,
        loss="mse",
        noise=0.1,
        score_by="relative",
        normalize_map=False,
        anomaly_weight=0.0,
        anomaly_loss="abc",
        margin=1.0,
        **options,
    ):
        super().__init__(latent_dim, **options)
        self.loss = loss
        self.noise = noise
        self.score_by = score_by
        self.normalize_map = normalize_map
        self.anomaly_weight = anomaly_weight
        self.anomaly_loss = anomaly_loss
        self.margin = margin

    @property
    def _uses_labels(self):
        return self.anomaly_weight > 0

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        if len(shape) == 1 and "ssim" in self.loss:
            raise ValueError(
                f"Autoencoder(loss={self.loss!r}) needs images, got a table."
            )
        return {
            "encoder": self._encoder(shape),
            "decoder": self._decoder(shape),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        noise = torch.randn(x.shape, generator=t.rng, device=x.device)
        rebuilt = nets["decoder"](nets["encoder"](x + self.noise * noise))
        error = RECONSTRUCTION[self.loss](rebuilt, x)
        yield tuple(nets), torch.where(t.y == -1, self._repelled(error), error)

    def _repelled(self, error):
        if self.anomaly_loss == "abc":
            return self.anomaly_weight * abc_error(error)
        return self.anomaly_weight * hinge_error(error, self.margin)

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return RECONSTRUCTION[self.loss](nets["decoder"](nets["encoder"](x)), x)

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        errors = [self._error_map(nets, x) for x in batches]
        return {"mean_error": torch.cat(errors).mean(dim=0)}

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        error, scale = self._error_map(nets, x), self._scale(t)
        return score_map(
            self.loss, error, x, self.score_by,
            in_unit_range=self._in_unit_range, scale=scale,
        )  # fmt: skip

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._error_map(nets, x) / self._scale(t)

    def _scale(self, t):
        if not self.normalize_map:
            return 1.0
        mean = t.statistics["mean_error"]
        return (mean + mean.mean()).clamp_min(torch.finfo(mean.dtype).tiny)

    def _error_map(self, nets, x):
        return error_map(self.loss, nets["decoder"](nets["encoder"](x)), x)
