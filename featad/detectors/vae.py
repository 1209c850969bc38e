"""Anomalous samples are unlikely under a variational autoencoder."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.descent import gradient_map
from featad.neural.detector import NON_NEGATIVE, POSITIVE, Context, StrOptions
from featad.neural.losses import gaussian_kl, gaussian_nll
from featad.neural.noise import sample_code
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions
from featad.neural.scores import REDUCTIONS

_TERMS = ("elbo", "nll", "kl")
_FACTORS = ("reconstruction", "kl_gradient")  # of the product map
_QUANTILE, _LEAST_FACTOR = 0.99, 1e-12
_FIRST_SIGMA = 0.3


class VAE(ReconstructionDetector):
    """Score a sample by the evidence lower bound of a variational autoencoder.

    Parameters
    ----------
    sigma : float or None, default=None
        Standard deviation of a pixel around its reconstruction. None: one value for all
        pixels, which is learned.

    beta : float, default=1.0
        Weight of the KL divergence. It grows from 0 over the first fifth of the
        training.

    score_by : {"relative", "mean", "top1%", "max", "elbo", "nll", "kl"}, \
default="relative"
        ``"elbo"`` is the negative evidence lower bound, ``"nll"`` (negative
        log-likelihood) and ``"kl"`` (KL divergence) are its two parts. The other values
        reduce the map of squared errors. ``"relative"`` divides the mean error of an
        image in [0, 1] by the root of the image's own mean square, because dark or
        empty images have small errors even when they are anomalous; for other samples
        it is the bound.

    map_by : {"reconstruction", "kl_gradient", "elbo_gradient", "product"}, \
default="reconstruction"
        The squared error of each pixel; the absolute gradient of the KL divergence, or
        of the whole bound, with respect to the pixel, blurred; or the product of
        squared error and KL gradient.

    map_sigma : float, default=1.0
        Standard deviation, in pixels, of the Gaussian blur applied to gradient maps.

    Notes
    -----
    Log-likelihood and KL divergence are sums over pixels and latent dimensions. Scores
    and maps are computed from the mean of the code, without sampling. Each factor of
    the product map is divided by its 0.99 quantile, averaged over the training images.

    Differs from the paper: Zimmerer et al. scale the factors by their range over the
    test set, which makes maps depend on the batch.

    References
    ----------
    .. [1] Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014,
       arXiv 1312.6114.
    .. [2] An and Cho, "Variational autoencoder based anomaly detection using
       reconstruction probability", 2015.
    .. [3] Zimmerer et al., "Unsupervised anomaly localization using variational
       auto-encoders", MICCAI 2019, arXiv 1907.02796: the maps by gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import VAE
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = VAE(latent_dim=1, random_state=0).fit(X)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        "vae",
        "poorly rebuilt by a variational autoencoder, or unlikely under it",
        "Kingma and Welling 2014; An and Cho 2015",
        grid={"detector__latent_dim": [8, 16, 32], "detector__beta": [0.5, 1.0]},
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "sigma": [POSITIVE, None],
        "beta": [NON_NEGATIVE],
        "score_by": [StrOptions({*REDUCTIONS, *_TERMS})],
        "map_by": [
            StrOptions({"reconstruction", "kl_gradient", "elbo_gradient", "product"})
        ],
        "map_sigma": [NON_NEGATIVE],
    }

    _optimizers = {"spread": {"lr": 0.01}}  # one number, and far to go

    def __init__(
        self, latent_dim=16, *, sigma=None, beta=1.0, map_by="reconstruction",
        map_sigma=1.0,
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **options)
        self.sigma = sigma
        self.beta = beta
        self.map_by = map_by
        self.map_sigma = map_sigma

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return {
            "encoder": self._encoder(shape, 2 * self.latent_dim),
            "decoder": self._decoder(shape),
            "spread": _Spread(self.sigma),
        }

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        mean, log_variance = nets["encoder"](x).chunk(2, dim=1)
        rebuilt = nets["decoder"](sample_code(mean, log_variance, t.rng))
        beta = self.beta * t.warm_up
        nll = gaussian_nll(rebuilt, x, nets["spread"]())
        # sums over pixels: their mean would make beta depend on the image size
        yield tuple(nets), nll + beta * gaussian_kl(mean, log_variance)

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        if len(self.sample_shape_) == 1 or self.map_by != "product":
            return {}
        found = {}
        for kind in _FACTORS:
            maps = (self._one_map(kind, nets, x, t).flatten(1) for x in batches)
            found[kind] = torch.cat([m.quantile(_QUANTILE, 1) for m in maps]).mean()
        return found

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._terms(nets, x)

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if self.score_by in _TERMS:
            return self._terms(nets, x, self.score_by)
        if self.score_by == "relative" and not self._in_unit_range:
            return self._terms(nets, x)
        return self._score_of_map(self._one_map("reconstruction", nets, x, t), x)

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if self.map_by != "product":
            return self._one_map(self.map_by, nets, x, t)
        error, slope = (self._one_map(kind, nets, x, t) for kind in _FACTORS)
        usual, steep = (
            self._measured(t, kind, "map_by").clamp_min(_LEAST_FACTOR)
            for kind in _FACTORS
        )
        return error / usual * slope / steep

    def _rebuilt(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return nets["decoder"](nets["encoder"](x).chunk(2, dim=1)[0])

    def _one_map(self, kind, nets, x, t):
        if kind == "reconstruction":
            return super()._map_of(nets, x, t)
        term = kind.removesuffix("_gradient")
        return gradient_map(
            lambda image: self._terms(nets, image, term), x, self.map_sigma
        )

    def _terms(self, nets, x, which="elbo"):
        """Return the bound, or one of its two parts, of every sample."""
        mean, log_variance = nets["encoder"](x).chunk(2, dim=1)
        if which == "kl":
            return gaussian_kl(mean, log_variance)
        nll = gaussian_nll(nets["decoder"](mean), x, nets["spread"]())
        if which == "nll":
            return nll
        return nll + self.beta * gaussian_kl(mean, log_variance)


class _Spread(nn.Module):
    """The logarithm of a pixel's standard deviation."""

    def __init__(self, sigma):
        super().__init__()
        start = torch.tensor(_FIRST_SIGMA if sigma is None else float(sigma)).log()
        self.log_sigma = nn.Parameter(start, requires_grad=sigma is None)

    def forward(self) -> Tensor:
        """Return one number."""
        return self.log_sigma
