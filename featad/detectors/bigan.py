"""Anomalous samples are poorly rebuilt by a bidirectional GAN, or unusual to it."""

from collections.abc import Iterator
from numbers import Real

from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import Context, Interval, StrOptions
from featad.neural.gan_losses import GAN_ADAM, adversarial, critic_loss
from featad.neural.losses import absolute_error
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions


class BiGAN(ReconstructionDetector):
    """Score a sample by its error after going through a bidirectional GAN (EGBAD).

    A critic distinguishes pairs of a sample and its code from pairs of a generated
    sample and its noise. Encoder and decoder are trained together to deceive it, which
    makes each the inverse of the other.

    Parameters
    ----------
    critic_weight : float in [0, 1], default=0.1
        Weight of the critic's part in the score; the reconstruction error has the rest.

    critic_score : {"features", "logit"}, default="features"
        The critic's part: the mean absolute difference, in its last hidden layer,
        between the sample and its reconstruction, each with the sample's code; or the
        cross-entropy of taking the reconstruction for real.

    Notes
    -----
    Training does not minimize the reconstruction error, which therefore stays larger
    than an autoencoder's. Scores use running averages of the weights (``ema``). Maps
    are the absolute error of each pixel; ``score_by`` reduces them.

    Differs from the paper: errors and differences are means, not sums, so that
    ``critic_weight`` does not depend on the number of pixels. Except for that,
    ``score_by="mean"`` is the paper's error.

    References
    ----------
    .. [1] Donahue, Krahenbuhl and Darrell, "Adversarial feature learning", ICLR 2017,
       arXiv 1605.09782.
    .. [2] Zenati et al., "Efficient GAN-based anomaly detection", 2018,
       arXiv 1802.06222.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import BiGAN
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> options = {"lr": 0.002, "max_epochs": 100, "random_state": 0}
    >>> detector = BiGAN(latent_dim=1, width=8, **options).fit(X)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        "bigan",
        "poorly rebuilt by a bidirectional GAN, or unusual to its critic",
        "Donahue et al. 2017; Zenati et al. 2018",
        grid={"detector__latent_dim": [8, 16, 32], "detector__critic_weight": [0, 0.1]},
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "critic_weight": [Interval(Real, 0, 1, closed="both")],
        "critic_score": [StrOptions({"features", "logit"})],
    }

    _defaults = {"dense": True, "max_epochs": 200, "ema": 0.999}
    _optimizers = dict.fromkeys(("encoder", "decoder", "critic"), GAN_ADAM)
    _error = "l1"

    def __init__(
        self, latent_dim=16, *, critic_weight=0.1, critic_score="features",
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**BiGAN._defaults, **options})
        self.critic_weight = critic_weight
        self.critic_score = critic_score

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return super()._networks(shape) | {
            "critic": self._critic(shape, n_extra=self.latent_dim)
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        z = self._random_codes(len(x), t)
        code, fake = nets["encoder"](x), nets["decoder"](z)
        real_logit, _ = nets["critic"](x, code.detach())
        fake_logit, _ = nets["critic"](fake.detach(), z)
        yield ("critic",), critic_loss(real_logit, fake_logit)
        real_logit, _ = nets["critic"](x, code)
        fake_logit, _ = nets["critic"](fake, z)
        loss = adversarial(real_logit, real=False) + adversarial(fake_logit, real=True)
        yield ("encoder", "decoder"), loss

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        code = nets["encoder"](x)
        rebuilt = nets["decoder"](code)
        error = self._score_of_map(self._error_of(rebuilt, x), x)
        logit, tap = nets["critic"](rebuilt, code)
        if self.critic_score == "logit":
            opinion = adversarial(logit, real=True)
        else:
            opinion = absolute_error(tap, nets["critic"](x, code)[1])
        return (1 - self.critic_weight) * error + self.critic_weight * opinion
