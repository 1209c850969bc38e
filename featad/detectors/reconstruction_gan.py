"""Anomalous samples are poorly rebuilt, as labeled anomalies are."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import NON_NEGATIVE, Context, StrOptions
from featad.neural.gan_losses import GAN_ADAM, adversarial, critic_loss
from featad.neural.losses import RECONSTRUCTION, abc_error
from featad.neural.noise import add_noise
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions


class ReconstructionGAN(ReconstructionDetector):
    """Score a sample by its error after an autoencoder trained against a critic.

    Learns from labeled anomalies: ``fit`` needs a ``y`` that holds -1. The critic
    distinguishes normal samples from their reconstructions. Reconstructions of normal
    samples shall convince it; those of anomalies shall be recognized, and be bad.

    Parameters
    ----------
    loss : {"mse", "l1"}, default="mse"
        The error that is minimized, raised for anomalies, and used for scores.

    anomaly_weight : float, default=0.5
        Weight of the loss -log(1 - exp(-10 error)) of samples labeled -1 in ``fit``. It
        raises their error and, unlike the negated error, cannot fall below 0.

    adversarial_weight : float, default=0.01
        Weight of the critic's opinion, relative to the error. 0: no critic.

    noise : float, default=0.1
        Standard deviation of the noise added to the inputs in training, in their own
        unit: images in [0, 1], standardized tables.

    Notes
    -----
    Samples labeled 0 count as normal. Without the critic this is
    ``Autoencoder(anomaly_weight=0.5, balance=0.5, score_by="mean")``, bit for bit. The
    default is ``score_by="mean"``, the error that the losses of both classes are made
    of.

    Trained on known kinds of anomalies, the detector is in part a classifier of these:
    measure separately how it treats other kinds. With T-shirts normal (Fashion-MNIST,
    two epochs of all images, one seed) its AUROC is 0.982 if all nine other kinds are
    labeled. Trained with kinds 1 to 4 it reaches 0.943 on kinds 5 to 9, and 0.883 the
    other way round. A logistic regression reaches 0.978, 0.939 and 0.790.

    Differs from the source: it describes the network only in words, and negates the
    error of anomalies, which has no lower bound. Least squares, and the critic's target
    for anomalies, are our interpretation.

    References
    ----------
    .. [1] The report at github.com/shahkarKhan24/
       Anomaly-Detection-Using-Adverserial-Training: its "additional" GAN.
    .. [2] Yamanaka et al., "Autoencoding binary classifiers for supervised anomaly
       detection", PRICAI 2019, arXiv 1903.10709: the loss of anomalies.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import ReconstructionGAN
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> X[30:] *= [0, 1, 0, 1, 0, 1]
    >>> y = [1] * 30 + [-1] * 10
    >>> detector = ReconstructionGAN(latent_dim=1, random_state=0).fit(X, y)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        None,
        "poorly rebuilt, as labeled anomalies are, by an autoencoder with a critic",
        "Yamanaka et al. 2019",
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "loss": [StrOptions({"mse", "l1"})],
        "anomaly_weight": [NON_NEGATIVE],
        "adversarial_weight": [NON_NEGATIVE],
        "noise": [NON_NEGATIVE],
    }

    _defaults = {"score_by": "mean", "balance": 0.5}
    _optimizers = {"critic": {"lr": 2e-4, **GAN_ADAM}}
    _uses_labels = True
    _needs_anomalies = True

    def __init__(
        self, latent_dim=16, *, loss="mse", anomaly_weight=0.5, adversarial_weight=0.01,
        noise=0.1,
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**ReconstructionGAN._defaults, **options})
        self.loss = loss
        self.anomaly_weight = anomaly_weight
        self.adversarial_weight = adversarial_weight
        self.noise = noise

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return super()._networks(shape) | {"critic": self._critic(shape)}

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        rebuilt = self._rebuilt(nets, add_noise(x, self.noise, t.rng), t)
        error, is_anomaly = RECONSTRUCTION[self.loss](rebuilt, x), t.is_anomaly
        loss = torch.where(is_anomaly, self.anomaly_weight * abc_error(error), error)
        if self.adversarial_weight:
            if not is_anomaly.all():
                pair = (x[~is_anomaly], rebuilt[~is_anomaly].detach())
                real_logit, fake_logit = (nets["critic"](seen)[0] for seen in pair)
                yield ("critic",), critic_loss(real_logit, fake_logit, kind="ls")
            logit, _ = nets["critic"](rebuilt)
            wanted = torch.where(
                is_anomaly,
                adversarial(logit, real=False, kind="ls"),
                adversarial(logit, real=True, kind="ls"),
            )
            loss = loss + self.adversarial_weight * wanted
        yield ("encoder", "decoder"), loss
