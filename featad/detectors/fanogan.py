"""Anomalous samples are far from what a generator makes of their code."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import (
    COUNT,
    NON_NEGATIVE,
    POSITIVE,
    Context,
    Stage,
    StrOptions,
)
from featad.neural.gan_losses import (
    WGAN_ADAM,
    WGAN_DRIFT,
    generator_loss,
    wasserstein_critic_loss,
)
from featad.neural.losses import per_sample, squared_error
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions
from featad.neural.scores import BLACK


class FAnoGAN(ReconstructionDetector):
    """Score a sample by what an encoder and a generator of normal samples make of it.

    First a generator learns to make samples that a critic cannot distinguish from
    normal ones. Then both are frozen, and an encoder learns to find the noise that the
    generator makes a sample from, which :class:`featad.AnoGAN` has to search for.

    Parameters
    ----------
    encoder_by : {"izi_f", "izi", "ziz"}, default="izi_f"
        What the encoder minimizes: the error of rebuilt normal samples (``"izi"``);
        that error plus the error in the critic's last hidden layer (``"izi_f"``); or
        the error of noise that was turned into a sample and encoded again (``"ziz"``).

    kappa : float, default=0.1
        Weight of the error in the hidden layer with ``"izi_f"``; the other encoders
        have no such term. The paper's weight of 1 is for plain errors. With relative
        errors the hidden layer would then outweigh the pixels.

    code_limit : float or None, default=1.0
        The encoder's output is ``code_limit * tanh(output)``, which keeps it where the
        generator was trained most; the authors' code uses 1. None: no limit.

    score_by : {"relative", "mean"}, default="relative"
        ``"mean"`` is the mean squared error of the pixels plus ``kappa`` times that of
        the hidden layer. ``"relative"`` divides the former, for images in [0, 1], by
        the root of the image's mean square, and the latter by the mean square of its
        hidden layer, because dark or empty images have small errors even when they are
        anomalous.

    n_critic : int, default=2
        Critic steps for each generator step. With the paper's 5 the generator learned
        too little from a few hundred samples.

    gp_weight : float, default=10.0
        Weight of the critic's gradient penalty.

    Notes
    -----
    Each of the two stages goes ``max_epochs`` times through the training samples.
    ``early_stopping`` is for the second one only, because no held-out sample tells how
    well a generator has learned. In the first one ``trim`` judges a sample by the
    critic.

    The map is the absolute error of each pixel.

    Differs from the paper: small plain networks instead of residual ones, dense by
    default; Adam for the encoder; a drift term in the critic's loss; averaged weights;
    and the relative score.

    References
    ----------
    .. [1] Schlegl et al., "f-AnoGAN: fast unsupervised anomaly detection with
       generative adversarial networks", Medical Image Analysis 54, 2019.
    .. [2] Gulrajani et al., "Improved training of Wasserstein GANs", NeurIPS 2017,
       arXiv 1704.00028.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import FAnoGAN
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = FAnoGAN(latent_dim=1, random_state=0).fit(X)
    >>> detector.score_samples([[0.5] * 6, [0, 1, 0, 1, 0, 1]]).argsort()
    array([1, 0])
    """

    _entry = Entry(
        "fanogan",
        "far from what a generator of normal samples makes of its code",
        "Schlegl et al. 2019",
        grid={
            "detector__encoder_by": ["izi_f", "izi"],
            "detector__code_limit": [None, 1.0, 3.0],
        },
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "encoder_by": [StrOptions({"izi_f", "izi", "ziz"})],
        "kappa": [NON_NEGATIVE],
        "code_limit": [POSITIVE, None],
        "score_by": [StrOptions({"relative", "mean"})],
        "n_critic": [COUNT],
        "gp_weight": [NON_NEGATIVE],
    }

    _defaults = {"dense": True, "max_epochs": 100, "ema": 0.999}
    _stages = (
        Stage("gan", trains=("generator", "critic"), stops_early=False),
        Stage("encoder", trains=("encoder",)),
    )
    _optimizers = {"generator": WGAN_ADAM, "critic": WGAN_ADAM}
    _error = "l1"

    def __init__(
        self, latent_dim=32, *, encoder_by="izi_f", kappa=0.1, code_limit=1.0,
        n_critic=2, gp_weight=10.0,
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**FAnoGAN._defaults, **options})
        self.encoder_by = encoder_by
        self.kappa = kappa
        self.code_limit = code_limit
        self.n_critic = n_critic
        self.gp_weight = gp_weight

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return {
            "generator": self._decoder(shape),
            "critic": self._critic(shape),
            "encoder": self._encoder(shape),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        noise = self._random_codes(len(x), t)
        if t.stage == "gan":
            yield from self._gan_losses(nets, x, noise, t)
        elif self.encoder_by == "ziz":
            code = self._code(nets, nets["generator"](noise))
            yield ("encoder",), squared_error(code, noise)
        else:
            rebuilt = self._rebuilt(nets, x, t)
            yield ("encoder",), sum(self._errors(nets, x, rebuilt))

    def _gan_losses(self, nets, x, noise, t):
        def judged(samples):
            return nets["critic"](samples)[0]

        fake = nets["generator"](noise)
        loss = wasserstein_critic_loss(
            judged, x, fake, t.rng, gp_weight=self.gp_weight, drift=WGAN_DRIFT
        )
        yield ("critic",), loss
        if t.step % self.n_critic == 0:
            yield ("generator",), generator_loss(judged(fake), "wgan")

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if t.stage == "gan":  # there is no encoder yet
            return -nets["critic"](x)[0]
        return self._strangeness_of(nets, x, t)

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        error, feature_error = self._errors(nets, x, self._rebuilt(nets, x, t))
        if self.score_by == "relative" and self._in_unit_range:
            error = error / per_sample(x**2).clamp_min(BLACK).sqrt()
            features = nets["critic"](x)[1]
            feature_error = feature_error / per_sample(features**2).clamp_min(BLACK)
        return error + feature_error

    def _code(self, nets, x):
        code = nets["encoder"](x)
        return code if self.code_limit is None else self.code_limit * code.tanh()

    def _rebuilt(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return nets["generator"](self._code(nets, x))

    def _errors(self, nets, x, rebuilt):
        """Return the errors of pixels and, weighted, of the critic's hidden layer."""
        error = squared_error(rebuilt, x)
        if self.encoder_by != "izi_f" or self.kappa == 0:
            return error, torch.zeros_like(error)
        features, rebuilt_features = (nets["critic"](seen)[1] for seen in (x, rebuilt))
        return error, self.kappa * squared_error(rebuilt_features, features)
