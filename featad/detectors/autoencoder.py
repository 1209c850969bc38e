"""Anomalous samples are poorly rebuilt from a few numbers."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import NON_NEGATIVE, POSITIVE, Context, StrOptions
from featad.neural.losses import RECONSTRUCTION, abc_error, hinge_error
from featad.neural.noise import add_noise
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions
from featad.neural.scores import mean_map, usual_error


class Autoencoder(ReconstructionDetector):
    """Score a sample by its error after going through a narrow autoencoder.

    Parameters
    ----------
    loss : {"mse", "l1", "ssim", "ms-ssim"}, default="mse"
        The error that is minimized in training and used for scores. The last two need
        images.

    noise : float, default=0.1
        Standard deviation of the noise added to the inputs in training, in their own
        unit: images in [0, 1], standardized tables.

    normalize_map : bool, default=False
        Whether the error of a pixel is divided by its mean over the training samples
        (plus the mean over all pixels). Meant for aligned images.

    anomaly_weight : float, default=0.0
        Weight of the loss that raises the error of samples labeled -1 in ``fit``. With
        0 labels are ignored. Useful values lie between 0.1 and 1: a larger weight
        separates known kinds of anomalies better, but reconstructs normal samples
        worse.

    anomaly_loss : {"abc", "hinge"}, default="abc"
        The loss of labeled anomalies: -log(1 - exp(-10 error)), or max(0, margin -
        error). Unlike the negated error, neither can fall below 0.

    margin : float, default=1.0
        Error beyond which ``"hinge"`` asks for nothing more.

    Notes
    -----
    The error of a pixel is the mean over its channels. In a table every feature counts
    as a pixel.

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

    _entry = Entry(
        "autoencoder",
        "poorly rebuilt by an autoencoder",
        "Hinton and Salakhutdinov 2006",
        grid={"detector__latent_dim": [8, 16, 32], "detector__noise": [0.0, 0.1, 0.3]},
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "loss": [StrOptions(set(RECONSTRUCTION))],
        "noise": [NON_NEGATIVE],
        "normalize_map": ["boolean"],
        "anomaly_weight": [NON_NEGATIVE],
        "anomaly_loss": [StrOptions({"abc", "hinge"})],
        "margin": [POSITIVE],
    }

    def __init__(
        self, latent_dim=16, *, loss="mse", noise=0.1, normalize_map=False,
        anomaly_weight=0.0, anomaly_loss="abc", margin=1.0,
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **options)
        self.loss = loss
        self.noise = noise
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
        return super()._networks(shape)

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        rebuilt = self._rebuilt(nets, add_noise(x, self.noise, t.rng), t)
        error = RECONSTRUCTION[self.loss](rebuilt, x)
        yield tuple(nets), torch.where(t.is_anomaly, self._repelled(error), error)

    def _repelled(self, error):
        if self.anomaly_loss == "abc":
            return self.anomaly_weight * abc_error(error)
        return self.anomaly_weight * hinge_error(error, self.margin)

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return RECONSTRUCTION[self.loss](self._rebuilt(nets, x, t), x)

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        if not self.normalize_map:
            return {}
        return {"mean_error": mean_map(self._raw_map(nets, x, t) for x in batches)}

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        error = self._raw_map(nets, x, t)
        return self._score_of_map(error, x, scale=self._scale(t))

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._raw_map(nets, x, t) / self._scale(t)

    def _raw_map(self, nets, x, t):
        return self._error_of(self._rebuilt(nets, x, t), x)

    def _scale(self, t):
        if not self.normalize_map:
            return 1.0
        return usual_error(self._measured(t, "mean_error", "normalize_map"))
