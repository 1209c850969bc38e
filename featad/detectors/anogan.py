"""Anomalous samples are far from everything a generator of normal samples can show."""

import math
from collections.abc import Iterator
from numbers import Integral, Real

from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.descent import Descent, descend
from featad.neural.detector import (
    COUNT,
    POSITIVE,
    UNMEASURED,
    Context,
    Interval,
    StrOptions,
)
from featad.neural.gan_losses import GAN_ADAM, critic_loss, generator_loss
from featad.neural.losses import absolute_error, per_sample
from featad.neural.noise import same_noise
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions
from featad.neural.scores import BLACK


class AnoGAN(ReconstructionDetector):
    """Score a sample by how close a generator of normal samples comes to it.

    A generator learns to make samples that a critic takes for normal ones. For a new
    sample x, a search then finds the noise z for which G(z) is most similar to x: in
    its pixels, and in the critic's last hidden layer f.

    Parameters
    ----------
    n_steps : int, default=100
        Steps of the search. Each is a gradient through both networks, so scoring is
        slow.

    search_lr : float, default=0.1
        Step size of the search, which uses Adam.

    n_starts : int, default=1
        Searches per sample, from random places that are the same for every sample; the
        best result counts.

    code_limit : float or None, default=3.0
        Limit on the elements of z, which keeps it where the generator was trained.
        None: no limit.

    feature_weight : float in [0, 1], default=0.1
        Weight of the distance in the hidden layer; the pixels' weight is the rest. The
        default is the paper's.

    score_by : {"relative", "mean"}, default="relative"
        ``"mean"`` adds the mean absolute differences of pixels and of hidden units.
        ``"relative"`` divides the former, for images in [0, 1], by the root of the mean
        of x, and the latter by the mean absolute value of f(x), because dark or empty
        images have small errors even when they are anomalous.

    spectral_norm : bool, default=False
        Whether the critic's weights are divided by their spectral norm.

    early_stopping : None, default=None
        There is none: what the critic thinks of held-out samples does not tell how well
        the generator has learned.

    Notes
    -----
    The strangeness is the least value of ``(1 - w) |x - G(z)| + w |f(x) - f(G(z))|``
    found by the search; the map is ``|x - G(z)|`` at that place. The networks do not
    change, and the search for one sample does not depend on any other.

    A kind of normal samples that the generator never produces is considered anomalous.
    Trimming judges a sample by the critic's logit, because a search in every step would
    take hours.

    Differs from the paper: means instead of sums, so that the weight does not depend on
    the size of the image; dense layers by default and no batch normalization; z is
    limited, and the best place of the search counts instead of the last.

    References
    ----------
    .. [1] Schlegl et al., "Unsupervised anomaly detection with generative adversarial
       networks to guide marker discovery", IPMI 2017, arXiv 1703.05921.
    .. [2] Radford, Metz and Chintala, "Unsupervised representation learning with deep
       convolutional generative adversarial networks", ICLR 2016, arXiv 1511.06434.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import AnoGAN
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = AnoGAN(latent_dim=1, max_epochs=20, random_state=0).fit(X)
    >>> detector.score_samples([[0.5] * 6, [0, 1, 0, 1, 0, 1]]).argsort()
    array([1, 0])
    """

    _entry = Entry(
        "anogan",
        "far from everything that a generator of normal samples can show",
        "Schlegl et al. 2017",
        grid={"detector__latent_dim": [8, 32], "detector__feature_weight": [0.0, 0.1]},
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "n_steps": [Interval(Integral, 0, None, closed="left")],
        "search_lr": [POSITIVE],
        "n_starts": [COUNT],
        "code_limit": [POSITIVE, None],
        "feature_weight": [Interval(Real, 0, 1, closed="both")],
        "score_by": [StrOptions({"relative", "mean"})],
        "spectral_norm": ["boolean"],
        "early_stopping": [UNMEASURED],
    }

    _defaults = {"dense": True, "max_epochs": 200, "lr": 5e-4, "ema": 0.999}
    _optimizers = {"generator": GAN_ADAM, "critic": GAN_ADAM}
    _error = "l1"

    def __init__(
        self, latent_dim=32, *, n_steps=100, search_lr=0.1, n_starts=1, code_limit=3.0,
        feature_weight=0.1, spectral_norm=False,
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **{**AnoGAN._defaults, **options})
        self.n_steps = n_steps
        self.search_lr = search_lr
        self.n_starts = n_starts
        self.code_limit = code_limit
        self.feature_weight = feature_weight
        self.spectral_norm = spectral_norm

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return {
            "generator": self._decoder(shape),
            "critic": self._critic(shape, spectral=self.spectral_norm),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        fake = nets["generator"](self._random_codes(len(x), t))
        real_logit, fake_logit = (nets["critic"](s)[0] for s in (x, fake.detach()))
        yield ("critic",), critic_loss(real_logit, fake_logit)
        yield ("generator",), generator_loss(nets["critic"](fake)[0])

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return -nets["critic"](x)[0]

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._search(nets, x, t).value

    def _rebuilt(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return nets["generator"](self._search(nets, x, t).best)

    def _search(self, nets: dict, x: Tensor, t: Context) -> Descent:
        limit = math.inf if self.code_limit is None else self.code_limit
        starts = [
            same_noise(len(x), (self.latent_dim,), t.rng).clamp(-limit, limit)
            for _ in range(self.n_starts)
        ]
        return descend(
            self._objective(nets, x),
            starts,
            n_steps=self.n_steps,
            lr=self.search_lr,
            bounds=(-limit, limit),
        )

    def _objective(self, nets, x):
        """Return a function from z, (n, latent_dim), to n distances from x."""
        features = nets["critic"](x)[1]
        pixel_weight, weight = 1 - self.feature_weight, self.feature_weight
        if self.score_by == "relative" and self._in_unit_range:
            pixel_weight = pixel_weight / per_sample(x.abs()).clamp_min(BLACK).sqrt()
            weight = weight / per_sample(features.abs()).clamp_min(BLACK)

        def distance(z):
            shown = nets["generator"](z)
            shown_features = nets["critic"](shown)[1]
            return pixel_weight * absolute_error(shown, x) + weight * absolute_error(
                shown_features, features
            )

        return distance
