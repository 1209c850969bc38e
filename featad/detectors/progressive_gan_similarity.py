"""Anomalous samples are unlike their counterpart from a growing GAN, at some size."""

from collections.abc import Iterator
from numbers import Integral

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.descent import descend
from featad.neural.detector import (
    NON_NEGATIVE,
    POSITIVE,
    Context,
    Interval,
    Stage,
    StrOptions,
)
from featad.neural.gan_losses import WGAN_DRIFT, generator_loss, wasserstein_critic_loss
from featad.neural.growing import (
    GrowingCritic,
    GrowingGenerator,
    at_level,
    growth,
    halve,
)
from featad.neural.latent import LatentDetector, LatentOptions
from featad.neural.layers import crop
from featad.neural.losses import error_map, per_sample, squared_error
from featad.neural.networks import default_depth, encoder
from featad.neural.noise import same_noise

_ADAM = {"betas": (0.0, 0.99)}  # the paper's


class ProgressiveGANSimilarity(LatentDetector):
    """Score an image by its similarity to a generated counterpart, size by size.

    A generator learns to make images of about 4 pixels a side that a critic takes for
    normal ones, then of 8, 16 and so on up to full size; the layers of a new size are
    faded in. Then an encoder learns to find the noise from which the generator makes an
    image's counterpart.

    Parameters
    ----------
    counterpart : {"encoder", "search"}, default="encoder"
        Whether the noise is found by an encoder, or by a search for every image with
        ``n_steps`` gradients through the generator, which makes scoring slow.

    n_steps : int, default=100
        Steps of the search.

    search_lr : float, default=0.1
        Step size of the search, which uses Adam.

    scale_weights : tuple of float or None, default=None
        Weights of the sizes, from the smallest to full size; each size has twice the
        side of the previous one. None: proportional to the side.

    gp_weight : float, default=10.0
        Weight of the critic's gradient penalty.

    width : int, default=8
        Channels at full size; they double at every halving, up to 128. A dense layer
        has 8 times as many units. The encoder has four times as many of either.

    Notes
    -----
    The strangeness is the weighted mean over the sizes of 1 - SSIM between image and
    counterpart; the map is the weighted mean of their maps, enlarged. Images should lie
    in [0, 1].

    Both stages, growing and encoding, go ``max_epochs`` times through the training
    samples. The first is divided evenly into one phase for the smallest size and two
    for every other size: one to fade it in, one to train it. ``early_stopping`` and
    ``trim`` do not affect growing.

    Dense networks do not grow. Tables have only one size; there the strangeness is the
    mean squared error.

    Differs from the paper, of which only the abstract was available: weights, sizes and
    the encoder are our interpretation. There are few channels, and a last activation
    that keeps images in [0, 1]. As in [2]_ the critic sees how much the samples of a
    batch differ, so that its gradient penalty is not strictly one of single samples.

    References
    ----------
    .. [1] Kwon, Shin and Chung, "PGGAN-based anomaly classification on chest X-ray
       using weighted multi-scale similarity", IEEE Access 2021.
    .. [2] Karras et al., "Progressive growing of GANs for improved quality, stability,
       and variation", ICLR 2018, arXiv 1710.10196.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import ProgressiveGANSimilarity
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = ProgressiveGANSimilarity(1, random_state=0).fit(X)
    >>> detector.score_samples([[0.5] * 6, [0, 1, 0, 1, 0, 1]]).argsort()
    array([1, 0])
    """

    _entry = Entry(
        "progressive",
        "unlike its counterpart from a growing GAN, at some size",
        "Kwon et al. 2021; Karras et al. 2018",
        grid={"detector__latent_dim": [16, 32, 64]},
    )
    _parameter_constraints: dict = {
        **LatentDetector._parameter_constraints,
        "counterpart": [StrOptions({"encoder", "search"})],
        "n_steps": [Interval(Integral, 0, None, closed="left")],
        "search_lr": [POSITIVE],
        "scale_weights": [tuple, None],
        "gp_weight": [NON_NEGATIVE],
    }

    _defaults = {"width": 8, "batch_size": 16, "max_epochs": 30, "ema": 0.99}
    _optimizers = {"generator": _ADAM, "critic": _ADAM}

    def __init__(
        self, latent_dim=32, *, counterpart="encoder", n_steps=100, search_lr=0.1,
        scale_weights=None, gp_weight=10.0,
        **options: Unpack[LatentOptions],
    ):  # fmt: skip
        super().__init__(
            latent_dim, **{**ProgressiveGANSimilarity._defaults, **options}
        )
        self.counterpart = counterpart
        self.n_steps = n_steps
        self.search_lr = search_lr
        self.scale_weights = scale_weights
        self.gp_weight = gp_weight

    @property  # read only: the stages follow from a parameter
    def _stages(self):  # type: ignore[override]
        growing = Stage(
            "growing", trains=("generator", "critic"), stops_early=False, trims=False
        )
        if self.counterpart == "search":
            return (growing,)
        return (growing, Stage("encoder", trains=("encoder",)))

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        if self._grows(shape):
            size = {"depth": len(self._weights(shape)) - 1, "width": self.width}
            output = "sigmoid" if self._in_unit_range else "linear"
            nets = {
                "generator": GrowingGenerator(
                    shape, self.latent_dim, output=output, **size
                ),
                "critic": GrowingCritic(shape, **size),
            }
        else:
            nets = {"generator": self._decoder(shape), "critic": self._critic(shape)}
        if self.counterpart == "encoder":
            size = {**self._size, "width": 4 * self.width}
            nets["encoder"] = encoder(shape, self.latent_dim, **size)
        return nets

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        if t.stage == "encoder":
            shown = self._counterpart(nets, x, t)
            yield ("encoder",), squared_error(shown, x) + self._error(shown, x)
            return
        place: tuple = ()
        if self._grows(x.shape[1:]):
            depth = len(self._weights(x.shape[1:])) - 1
            place = growth(depth, t.progress)
            x = at_level(x, depth, *place)
        fake = nets["generator"](self._random_codes(len(x), t), *place)

        def judged(samples):
            return nets["critic"](samples, *place)[0]

        loss = wasserstein_critic_loss(
            judged, x, fake, t.rng, gp_weight=self.gp_weight, drift=WGAN_DRIFT
        )
        yield ("critic",), loss
        yield ("generator",), generator_loss(judged(fake), "wgan")

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._error(self._counterpart(nets, x, t), x)

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        maps = self._scale_maps(self._counterpart(nets, x, t), x)
        enlarged = [
            weight * F.interpolate(error[:, None], x.shape[2:], mode="bilinear")[:, 0]
            for weight, error in maps
        ]
        return sum(enlarged[1:], enlarged[0])

    def _counterpart(self, nets, x, t):
        """Return what the generator makes of the noise found for each sample."""
        if self.counterpart == "encoder":
            return self._shown(nets, nets["encoder"](x), x)
        start = same_noise(len(x), (self.latent_dim,), t.rng)
        found = descend(
            lambda z: self._error(self._shown(nets, z, x), x),
            start,
            n_steps=self.n_steps,
            lr=self.search_lr,
        )
        return self._shown(nets, found.best, x)

    def _shown(self, nets, code, x):
        """Return generated samples of the shape of ``x``."""
        shown = nets["generator"](code)
        return shown if x.ndim == 2 else crop(shown, x.shape[2:])

    def _error(self, shown, x):
        if x.ndim == 2:
            return squared_error(shown, x)
        maps = self._scale_maps(shown, x)
        return sum(weight * per_sample(error) for weight, error in maps)

    def _scale_maps(self, shown, x):
        """Yield weight and 1 - SSIM of each size, the largest first."""
        for weight in reversed(self._weights(x.shape[1:])):
            if weight:
                yield weight, error_map("ssim", shown, x)
            shown, x = halve(shown), halve(x)

    def _grows(self, shape):
        return len(shape) == 3 and not self.dense

    def _weights(self, shape):
        """Return the weights of the sizes, from the smallest on; their sum is 1."""
        depth = default_depth(shape) if self.depth is None else self.depth
        weights = self.scale_weights
        if weights is None:
            weights = [2.0**level for level in range(depth + 1)]
        if len(weights) != depth + 1 or min(weights) < 0 or not sum(weights):
            raise ValueError(
                f"ProgressiveGANSimilarity needs {depth + 1} scale_weights for images "
                f"of this size, none negative and not all 0, got {weights}."
            )
        return [weight / sum(weights) for weight in weights]
