"""Anomalous samples are judged generated, not real, by the critic of a GAN."""

from collections.abc import Iterable, Iterator
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import UNMEASURED, Context, Interval
from featad.neural.gan_losses import adversarial, generator_loss
from featad.neural.judged import CriticDetector, CriticOptions

_N_PAST = 512  # old generated samples that are kept


class DiscriminatorGAN(CriticDetector):
    """Score a sample by the logit of the critic of a generative adversarial network.

    A generator learns to make samples that a critic, called discriminator in the
    papers, takes for normal ones; the critic learns to distinguish them. Afterwards the
    generator is not needed any more.

    Parameters
    ----------
    replay : float in [0, 1], default=0.5
        Share of the generated samples shown to the critic that come from the whole
        training so far instead of from the current generator. With 0 the critic forgets
        what it has learned about samples far from normal.

    label_smoothing : float in [0, 0.5), default=0.0
        By how much the critic's target for normal samples falls short of 1.

    spectral_norm : bool, default=False
        Whether the critic's weights are divided by their spectral norm.

    early_stopping : None, default=None
        There is none: what the critic thinks of held-out samples does not tell how well
        it has learned.

    Notes
    -----
    This is a baseline, and a weak one: the critic only learns about the neighborhood of
    normal samples and about where the generator once was, and at the optimum it cannot
    distinguish anything any more. Reconstruction works better.

    The score is the logit, because the sigmoids of confident logits are all 1. Weights
    are averaged (``ema``), because the last ones depend on the momentary state of the
    game. The map is the logit's absolute gradient, pixel by pixel, blurred.

    Differs from DCGAN: dense layers by default, no batch normalization, and old
    generated samples.

    References
    ----------
    .. [1] Goodfellow et al., "Generative adversarial nets", NeurIPS 2014,
       arXiv 1406.2661.
    .. [2] Radford, Metz and Chintala, "Unsupervised representation learning with deep
       convolutional generative adversarial networks", ICLR 2016, arXiv 1511.06434.
    .. [3] Shrivastava et al., "Learning from simulated and unsupervised images through
       adversarial training", CVPR 2017, arXiv 1612.07828: old generated samples.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import DiscriminatorGAN
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = DiscriminatorGAN(latent_dim=1, lr=1e-3, random_state=0).fit(X)
    >>> detector.score_samples([[0.5] * 6, [0, 1, 0, 1, 0, 1]]).argsort()
    array([1, 0])
    """

    _entry = Entry(
        "discriminator",
        "judged generated, not real, by the critic of a GAN (a weak baseline)",
        "Goodfellow et al. 2014; Radford et al. 2016",
        grid={"detector__replay": [0.0, 0.5], "detector__spectral_norm": [False, True]},
    )
    _parameter_constraints: dict = {
        **CriticDetector._parameter_constraints,
        "replay": [Interval(Real, 0, 1, closed="both")],
        "label_smoothing": [Interval(Real, 0, 0.5, closed="left")],
        "spectral_norm": ["boolean"],
        "early_stopping": [UNMEASURED],
    }

    _defaults = {"dense": True, "max_epochs": 200, "lr": 2e-4, "ema": 0.999}

    def __init__(
        self, latent_dim=32, *, replay=0.5, label_smoothing=0.0, spectral_norm=False,
        **options: Unpack[CriticOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**DiscriminatorGAN._defaults, **options})
        self.replay = replay
        self.label_smoothing = label_smoothing
        self.spectral_norm = spectral_norm

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        generator = self._decoder(shape)
        generator.register_buffer("past", torch.empty(0, *shape), persistent=False)
        critic = self._critic(shape, spectral=self.spectral_norm)
        return {"generator": generator, "critic": critic}

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        fake = nets["generator"](self._random_codes(len(x), t))
        shown = self._with_past(nets["generator"], fake.detach(), t)
        real_logit, fake_logit = (nets["critic"](seen)[0] for seen in (x, shown))
        doubt = self.label_smoothing
        yield (
            ("critic",),
            (1 - doubt) * adversarial(real_logit, real=True)
            + doubt * adversarial(real_logit, real=False)
            + adversarial(fake_logit, real=False),
        )
        yield ("generator",), generator_loss(nets["critic"](fake)[0])

    def _with_past(self, generator, fake, t):
        """Replace a share of the generated samples by old ones; note some new ones."""
        if self.replay == 0:
            return fake

        def shuffled(samples):
            order = torch.randperm(len(samples), generator=t.rng, device=fake.device)
            return samples[order]

        old = shuffled(generator.past)
        chance = torch.rand((), generator=t.rng, device=fake.device).item()
        n_new = int(_N_PAST / (t.step + 1) + chance)  # in the end, of each step alike
        generator.past = torch.cat([shuffled(fake)[:n_new], old])[:_N_PAST]
        n_old = min(round(self.replay * len(fake)), len(old))
        return torch.cat([old[:n_old], fake[n_old:]])

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        nets["generator"].past = nets["generator"].past[:0].clone()  # not needed now
        return {}
