"""Anomalous samples are outside a fence of generated samples."""

from collections.abc import Iterator
from numbers import Integral, Real

from torch import Tensor
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import NON_NEGATIVE, POSITIVE, Context, Interval
from featad.neural.gan_losses import adversarial, dispersion
from featad.neural.judged import CriticDetector, CriticOptions


class FenceGAN(CriticDetector):
    """Score a sample by a critic whose generator surrounds the normal samples.

    The generator of a plain GAN ends among the normal samples, so its critic learns
    nothing about what lies beyond them. Here the generator is drawn to where the critic
    is undecided, and its samples are kept apart.

    Parameters
    ----------
    alpha : float in (0, 1], default=0.5
        The critic's target for generated samples, from 0 (generated) to 1 (real).

    beta : float, default=1.0
        Weight of the generator's second loss: 1 over the mean distance of its samples
        from their mean.

    gamma : float, default=0.1
        Weight of the generated samples in the critic's loss.

    warmup_epochs : int, default=5
        Number of epochs at the start in which only the critic is trained.

    Notes
    -----
    The strangeness is the critic's negated logit; a map is its absolute gradient,
    blurred. With ``alpha=1, beta=0, gamma=1`` and no warm-up this is a plain GAN.

    ``early_stopping`` needs no anomalies: it watches the critic's loss on held-out
    normal samples, plus the distance of its mean opinion of generated ones from
    ``alpha``.

    Differs from the paper: the generator minimizes the cross-entropy towards ``alpha``,
    in the paper ``log |alpha - D|``. Distances are divided by the root of the number
    of pixels, so that ``beta`` does not depend on it; 10 to 30 in the paper is about
    0.5 to 1 here. The authors choose the epoch on labeled validation samples, which are
    not used here.

    References
    ----------
    .. [1] Ngo et al., "Fence GAN: towards better anomaly detection", ICTAI 2019,
       arXiv 1904.01209.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import FenceGAN
    >>> X = np.random.default_rng(0).normal(size=(256, 2))
    >>> options = {"lr": 0.005, "max_epochs": 60, "random_state": 0}
    >>> detector = FenceGAN(gamma=0.5, width=8, **options).fit(X)
    >>> detector.predict([[0, 0], [5, 5]])
    array([ 1, -1])
    """

    _entry = Entry(
        "fence",
        "outside a fence of generated samples around the normal ones",
        "Ngo et al. 2019",
        grid={"detector__beta": [0.3, 1.0, 3.0], "detector__gamma": [0.1, 0.5]},
    )
    _parameter_constraints: dict = {
        **CriticDetector._parameter_constraints,
        "alpha": [Interval(Real, 0, 1, closed="right")],
        "beta": [NON_NEGATIVE],
        "gamma": [POSITIVE],
        "warmup_epochs": [Interval(Integral, 0, None, closed="left")],
    }

    _defaults = {"dense": True, "max_epochs": 80, "lr": 2e-4, "ema": 0.995}

    def __init__(
        self, latent_dim=16, *, alpha=0.5, beta=1.0, gamma=0.1, warmup_epochs=5,
        **options: Unpack[CriticOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**FenceGAN._defaults, **options})
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.warmup_epochs = warmup_epochs

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        fake = nets["generator"](self._random_codes(len(x), t))
        real_logit, _ = nets["critic"](x)
        fake_logit, _ = nets["critic"](fake.detach())
        loss = self.gamma * adversarial(fake_logit, real=False)
        yield ("critic",), adversarial(real_logit, real=True) + loss
        if t.epoch < self.warmup_epochs:
            return
        fake_logit, _ = nets["critic"](fake)
        loss = self.alpha * adversarial(fake_logit, real=True)
        loss = loss + (1 - self.alpha) * adversarial(fake_logit, real=False)
        yield ("generator",), loss + self.beta * dispersion(fake)

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        real_logit, _ = nets["critic"](x)
        fake = nets["generator"](self._random_codes(len(x), t))
        off_the_fence = nets["critic"](fake)[0].sigmoid().mean() - self.alpha
        return adversarial(real_logit, real=True) + off_the_fence.abs()
