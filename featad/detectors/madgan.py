"""Anomalous samples are windows whose last slices are hard to guess from the first."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import COUNT, NON_NEGATIVE, Context
from featad.neural.gan_losses import WGAN_ADAM, generator_loss, wasserstein_critic_loss
from featad.neural.losses import absolute_error
from featad.neural.networks import critic
from featad.neural.unet import UNetDetector, UNetOptions


class MADGAN(UNetDetector):
    """Score a window of slices by how badly its last are guessed from its first.

    Slices are channels: :func:`featad.slice_windows` makes such windows of scans, and
    :func:`featad.aggregate_scores` reduces their scores to one for each scan. A U-Net
    with self-attention guesses the next slices; a critic distinguishes windows with
    guessed slices from real ones.

    Parameters
    ----------
    n_given : int or None, default=None
        Number of channels given, the first ones; the others are guessed. None: half of
        them, rounded up.

    attention : bool, default=True
        Whether every place at the smallest size of the U-Net attends to every other.

    l1_weight : float, default=100.0
        Weight of the mean absolute error of a guessed pixel, relative to the critic's
        opinion.

    n_critic : int, default=2
        Critic steps for each U-Net step. With the paper's 5 the U-Net learned too
        little from a few hundred windows.

    gp_weight : float, default=10.0
        Weight of the critic's gradient penalty.

    Notes
    -----
    The first slices of a scan are only ever given and never guessed. Slices should lie
    equally far apart in all scans. Split between scans, not between windows:
    ``OneClassKFold`` takes the windows' groups.

    The map is the squared error of the guessed slices, averaged over them. What
    ``"relative"`` divides by is the content of the slices to guess. The default is
    ``"mean"``, as in the paper.

    A single channel is guessed from a blank image, so the guess is the usual image. In
    a table the last features are guessed from the first.

    Differs from the paper, where three slices predict the next three: the U-Net is
    smaller, has attention only at its smallest size, and its weights are averaged.

    References
    ----------
    .. [1] Han et al., "MADGAN: unsupervised medical anomaly detection GAN using
       multiple adjacent brain MRI slice reconstruction", BMC Bioinformatics 22, 2021,
       arXiv 2007.13559.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import MADGAN
    >>> start = np.random.default_rng(0).random((40, 1))
    >>> X = start + np.linspace(0, 1, 6)  # rise alike
    >>> detector = MADGAN(random_state=0).fit(X)
    >>> detector.predict([0.5 + np.linspace(0, 1, 6), [0.5, 0.7, 0.9, 0.9, 0.7, 0.5]])
    array([ 1, -1])
    """

    _entry = Entry(
        "madgan",
        "hard to guess, in its last slices (channels), from its first ones",
        "Han et al. 2021",
        grid={"detector__n_given": [None, 1], "detector__l1_weight": [10.0, 100.0]},
    )
    _parameter_constraints: dict = {
        **UNetDetector._parameter_constraints,
        "n_given": [COUNT, None],
        "attention": ["boolean"],
        "l1_weight": [NON_NEGATIVE],
        "n_critic": [COUNT],
        "gp_weight": [NON_NEGATIVE],
    }

    _defaults = {"score_by": "mean"}
    _optimizers = {"unet": WGAN_ADAM, "critic": WGAN_ADAM}

    def __init__(
        self, *, n_given=None, attention=True, l1_weight=100.0, n_critic=2,
        gp_weight=10.0,
        **options: Unpack[UNetOptions],
    ):  # fmt: skip
        super().__init__(**{**MADGAN._defaults, **options})
        self.n_given = n_given
        self.attention = attention
        self.l1_weight = l1_weight
        self.n_critic = n_critic
        self.gp_weight = gp_weight

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        if self.n_given is not None and self.n_given >= shape[0]:
            kind = "channels" if len(shape) == 3 else "features"
            raise ValueError(
                f"MADGAN(n_given={self.n_given}) leaves nothing to guess: samples have "
                f"{shape[0]} {kind}. Lower n_given."
            )
        given, target = self._split(torch.zeros(1, *shape))
        size = {"width": self.width, "depth": self.depth}
        return {
            "unet": self._unet(
                shape,
                n_in=given.shape[1],
                n_out=target.shape[1],
                skips="all",
                attention=self.attention,
            ),
            "critic": critic((given.shape[1] + target.shape[1], *shape[1:]), **size),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        given, target = self._split(x)
        guess = nets["unet"](given)

        def judged(slices):
            return nets["critic"](slices)[0]

        real = torch.cat([given, target], dim=1)
        fake = torch.cat([given, guess], dim=1)
        loss = wasserstein_critic_loss(
            judged, real, fake, t.rng, gp_weight=self.gp_weight
        )
        yield ("critic",), loss
        if t.step % self.n_critic == 0:
            yield (
                ("unet",),
                generator_loss(judged(fake), "wgan")
                + self.l1_weight * absolute_error(guess, target),
            )

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._score_of_map(self._map_of(nets, x, t), self._split(x)[1])

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        given, target = self._split(x)
        return self._error_of(nets["unet"](given), target)

    def _split(self, x):
        """Return the channels, or features, that are given and those to guess."""
        if x.shape[1] == 1:
            return torch.zeros_like(x), x
        n_given = self.n_given or -(-x.shape[1] // 2)
        return x[:, :n_given], x[:, n_given:]
