"""Anomalous samples are poorly rebuilt by a generator trained without the worst."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import NON_NEGATIVE, Context, StrOptions
from featad.neural.gan_losses import GAN_ADAM, critic_loss, generator_loss
from featad.neural.losses import squared_error
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions
from featad.neural.scores import REDUCTIONS


class TrimmedGAN(ReconstructionDetector):
    """Score a sample by a generator that was trained without the worst samples.

    For training sets that hold an unknown share of unlabeled anomalies. A generator, a
    critic and an encoder are trained together. A GAN tends to ignore rare samples; to
    reinforce this, each step leaves out the share ``trim`` that is rebuilt worst.

    Parameters
    ----------
    sample_weight : float, default=30.0
        Weight of the squared error of rebuilt samples in the encoder's loss, relative
        to that of the codes of generated samples. 0: it sees only generated samples.

    generator_weight : float, default=0.0
        Weight of the squared error of rebuilt samples in the generator's loss, relative
        to the critic's opinion. 0: it never learns to rebuild a given sample.

    score_by : {"relative", "mean", "top1%", "max", "latent"}, default="relative"
        ``"latent"`` is the mean square of the code. The other values reduce the map of
        squared errors between the sample and what the generator makes of its code.
        ``"relative"`` divides their mean, for images in [0, 1], by the root of the
        image's mean square: dark or empty ones have small errors even when anomalous.

    Notes
    -----
    The number of samples left out of a batch varies: errors are ranked among the last
    512. Set ``trim`` to the share of anomalies, if it is known, and ``contamination``
    too, for a threshold that matches.

    The same training is called UFDGAN where anomalies resemble normal samples, as
    defects do. It then finds less, because the generator comes close to them.

    Differs from the source: there is no paper, only a public description. The losses
    (hinge, with spectral norms in the critic), the slow start of the trimming and the
    ranking are our interpretation.

    References
    ----------
    .. [1] Chihaoui, "UFDGAN and OoD detection through GAN's mode collapse", description
       at github.com/hamadichihaoui/unsupervised_anomaly_detection.
    .. [2] Berg, Ahlberg and Felsberg, "Unsupervised learning of anomaly detection from
       contaminated image data using simultaneous encoder training", 2019,
       arXiv 1905.11034: ``"latent_norm"``.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import TrimmedGAN
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = TrimmedGAN(latent_dim=1, max_epochs=60, random_state=0).fit(X)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        "trimmedgan",
        "poorly rebuilt by a generator that was trained without the worst samples",
        "Berg et al. 2019; this project",
        grid={"detector__trim": [0.0, 0.05, 0.1], "detector__latent_dim": [16, 32]},
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "sample_weight": [NON_NEGATIVE],
        "generator_weight": [NON_NEGATIVE],
        "score_by": [StrOptions({"latent", *REDUCTIONS})],
    }

    _defaults = {"dense": True, "trim": 0.05, "max_epochs": 200}
    _optimizers = {name: {"lr": 5e-4, **GAN_ADAM} for name in ("generator", "critic")}

    def __init__(
        self, latent_dim=16, *, sample_weight=30.0, generator_weight=0.0,
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**TrimmedGAN._defaults, **options})
        self.sample_weight = sample_weight
        self.generator_weight = generator_weight

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return {
            "generator": self._decoder(shape),
            "critic": self._critic(shape, spectral=True),
            "encoder": self._encoder(shape),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        code = self._random_codes(len(x), t)
        fake = nets["generator"](code)
        real_logit, fake_logit = (nets["critic"](s)[0] for s in (x, fake.detach()))
        yield ("critic",), critic_loss(real_logit, fake_logit, "hinge")
        loss = generator_loss(nets["critic"](fake)[0], "hinge")
        if self.generator_weight:
            loss = loss + self.generator_weight * self._squared_error(nets, x, t)
        yield ("generator",), loss
        with torch.no_grad():
            fake = nets["generator"](code)
        loss = squared_error(nets["encoder"](fake), code)
        yield ("encoder",), loss + self.sample_weight * self._squared_error(nets, x, t)

    def _squared_error(self, nets, x, t):
        return squared_error(self._rebuilt(nets, x, t), x)

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        error = self._map_of(nets, x, t)
        return self._score_of_map(error, x, score_by="relative")

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if self.score_by == "latent":
            return (nets["encoder"](x) ** 2).mean(dim=1)
        return super()._strangeness_of(nets, x, t)

    def _rebuilt(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return nets["generator"](nets["encoder"](x))
