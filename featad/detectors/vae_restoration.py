"""Anomalous samples are changed much before a VAE finds them likely."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.metrics import auroc
from featad.neural.descent import descend
from featad.neural.detector import COUNT, NON_NEGATIVE, Context, Interval
from featad.neural.losses import TINY, gaussian_kl
from featad.neural.noise import sample_code
from featad.neural.reconstruction import ReconstructionDetector, ReconstructionOptions

_WEIGHTS = (0.05, 0.1, 0.2, 0.4, 0.8)
_USUAL_WEIGHT = 0.2
_VISIBLE = 0.1
_MOST_HELD_OUT = 32
_CURVATURE = 10.0  # of the bound, roughly
_CORNER = 0.02  # below it the absolute value is a parabola


class VAERestoration(ReconstructionDetector):
    """Score an image by how far it moves before it is likely under normal images.

    A variational autoencoder learns normal images. A new image x is then restored: a
    search that starts at x finds an image u that is likely under the autoencoder and
    differs from x in few connected places.

    Parameters
    ----------
    tv_weight : float or None, default=None
        Weight of the total variation of x - u, relative to the squared error of u under
        the autoencoder. A larger weight moves less. None: the one of 0.05, 0.1, 0.2,
        0.4 and 0.8 that finds damage in held-out samples best. For this,
        ``validation_fraction`` of the samples are not trained on, if that is at least
        one.

    n_components : int, default=1
        Number of Gaussians in the prior of the code. 1: the standard normal one. More:
        a mixture whose means and variances are learned, for normal images of several
        kinds.

    n_steps : int, default=50
        Steps of the restoration. Each takes one or two gradients for each sample.

    Notes
    -----
    The restoration u minimizes ``|u - G(E(u))|^2 + 2 variance KL(E(u)) + weight TV(x -
    u)``. This is the negative evidence lower bound, at the mean of the code and in
    units of squared pixels, plus the total variation. Gradient steps start at u = x and
    are halved where they overshoot. Below differences of 0.02 the total variation is
    rounded off; otherwise rounding errors would decide its sign, and the score would
    not be reproducible.

    The variance of a pixel around its reconstruction is the most likely one: in
    training that of the batch, then that of all training samples. A constant difference
    in brightness has no total variation, so undoing it costs nothing. Tables have no
    neighboring pixels: there TV(x - u) is the sum of absolute differences. The map is
    ``|x - u|``.

    To choose the weight, a rectangle of each held-out image (a quarter of the features
    of a table) is replaced by another image's. The weight whose movements find the
    changed pixels best, by the area under the ROC curve, is taken. It is 0.2 if nothing
    can be changed.

    Differs from the paper: the weight that moves healthy images least would always be
    the largest one, so it is chosen as described above. The divergence from a mixture
    of Gaussians is bounded from above by those from its components [3]_; the paper's
    GMVAE estimates it with a network that names the component.

    References
    ----------
    .. [1] Chen, You, Tezcan and Konukoglu, "Unsupervised lesion detection via image
       restoration with a normative prior", Medical Image Analysis 2020,
       arXiv 2005.00031.
    .. [2] Rybkin, Daniilidis and Levine, "Simple and effective VAE training with
       calibrated decoders", ICML 2021, arXiv 2006.13202: the standard deviation.
    .. [3] Hershey and Olsen, "Approximating the Kullback Leibler divergence between
       Gaussian mixture models", ICASSP 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import VAERestoration
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> detector = VAERestoration(latent_dim=1, random_state=0).fit(X)
    >>> detector.predict([[0.5] * 6, [0, 1, 0, 1, 0, 1]])
    array([ 1, -1])
    """

    _entry = Entry(
        "restoration",
        "changed much before a variational autoencoder finds it likely",
        "Chen et al. 2020",
        grid={
            "detector__tv_weight": [None, 0.1, 0.4],
            "detector__n_components": [1, 6],
        },
    )
    _parameter_constraints: dict = {
        **ReconstructionDetector._parameter_constraints,
        "tv_weight": [NON_NEGATIVE, None],
        "n_components": [COUNT],
        "n_steps": [Interval(Integral, 0, None, closed="left")],
    }

    _error = "l1"

    def __init__(
        self, latent_dim=16, *, tv_weight=None, n_components=1, n_steps=50,
        **options: Unpack[ReconstructionOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **options)
        self.tv_weight = tv_weight
        self.n_components = n_components
        self.n_steps = n_steps

    def _hold_out(self, labels):
        if self.tv_weight is not None or self.early_stopping is not None:
            return super()._hold_out(labels)
        n_held_out = int(self.validation_fraction * len(labels))
        rng = np.random.default_rng(self.seed_)
        return np.sort(rng.choice(len(labels), n_held_out, replace=False))

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        nets: dict[str, nn.Module] = {
            "encoder": self._encoder(shape, 2 * self.latent_dim),
            "decoder": self._decoder(shape),
        }
        if self.n_components > 1:
            nets["prior"] = _Mixture(self.n_components, self.latent_dim)
        return nets

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        mean, log_variance = nets["encoder"](x).chunk(2, dim=1)
        rebuilt = nets["decoder"](sample_code(mean, log_variance, t.rng))
        variance = ((rebuilt - x) ** 2).mean().clamp_min(TINY)
        # minus log-likelihood, summed over pixels, at its most likely variance
        nll = 0.5 * math.prod(x.shape[1:]) * variance.log()
        yield tuple(nets), nll + _divergence(nets, mean, log_variance)

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return _bound(nets, x)[0]

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        n = sum(len(x) for x in batches)
        errors = torch.stack([_bound(nets, x)[0].sum() for x in batches])
        variance = errors.sum() / (n * self.n_features_in_)
        found = {"variance": variance.clamp_min(TINY)}
        if self.tv_weight is not None:
            return found | {"tv_weight": torch.tensor(float(self.tv_weight))}
        held_out = self._hold_out(np.zeros(n))
        held_out = (held_out if len(held_out) else np.arange(n))[:_MOST_HELD_OUT]
        x = _rows(batches, held_out)
        damaged = _damaged(x, np.random.default_rng(self.seed_))
        changed = ((damaged - x).abs() > _VISIBLE).flatten().cpu().numpy()
        if changed.all() or not changed.any():
            return found | {"tv_weight": torch.tensor(_USUAL_WEIGHT)}
        labels, quality = np.where(changed, -1, 1), {}
        for weight in _WEIGHTS:
            t = replace(t, statistics=found | {"tv_weight": torch.tensor(weight)})
            moved = (damaged - self._rebuilt(nets, damaged, t)).abs()
            quality[weight] = auroc(labels, moved.flatten().cpu().double().numpy())
        return found | {
            "tv_weight": torch.tensor(max(quality, key=quality.__getitem__))
        }

    def _rebuilt(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        variance, weight = t.statistics["variance"], t.statistics["tv_weight"]

        def objective(u):
            error, kl = _bound(nets, u)
            return error + 2 * variance * kl + weight * _variation(x - u)

        curvature = _CURVATURE + 8 * weight.item() / _CORNER  # the variation's: at most
        return descend(
            objective,
            x,
            n_steps=self.n_steps,
            lr=1 / curvature,
            method="plain",
            backtrack=True,
            bounds=(0.0, 1.0) if self._in_unit_range else None,
        ).best


def _bound(nets, x):
    """Return squared error and KL divergence of every sample, at the mean code."""
    mean, log_variance = nets["encoder"](x).chunk(2, dim=1)
    error = ((nets["decoder"](mean) - x) ** 2).flatten(1).sum(dim=1)
    return error, _divergence(nets, mean, log_variance)


def _divergence(nets, mean, log_variance):
    """Return the KL divergence of every sample's code from the prior."""
    return nets.get("prior", gaussian_kl)(mean, log_variance)


class _Mixture(nn.Module):
    """A mixture of Gaussians of equal shares, as the prior of a code."""

    def __init__(self, n_components, latent_dim):
        super().__init__()
        self.means = nn.Parameter(torch.randn(n_components, latent_dim))
        self.log_variances = nn.Parameter(torch.zeros(n_components, latent_dim))

    def forward(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return an upper bound of the divergence, (n,); exact for one component."""
        # from N(mean, variance) to each N(m, v): with (mean - m) / sqrt(v) and
        # variance / v, the divergence from the standard normal; both (n, k, latent_dim)
        shift = (mean[:, None] - self.means) * torch.exp(-0.5 * self.log_variances)
        ratio = log_variance[:, None] - self.log_variances
        each = gaussian_kl(shift.flatten(0, 1), ratio.flatten(0, 1))
        each = each.view(len(mean), -1)
        return math.log(each.shape[1]) - torch.logsumexp(-each, dim=1)


def _variation(difference):
    """Return the total variation, rounded off where neighbors hardly differ."""
    if difference.ndim == 2:
        return _rounded(difference).sum(dim=1)
    rows = difference[..., 1:, :] - difference[..., :-1, :]
    columns = difference[..., 1:] - difference[..., :-1]
    return sum(_rounded(steps).flatten(1).sum(dim=1) for steps in (rows, columns))


def _rounded(steps):
    size = steps.abs()
    return torch.where(size < _CORNER, size**2 / (2 * _CORNER), size - _CORNER / 2)


def _rows(batches, places):
    parts, start = [], 0
    for x in batches:
        inside = places[(places >= start) & (places < start + len(x))]
        parts.append(x[torch.from_numpy(inside - start).to(x.device)])
        start += len(x)
    return torch.cat(parts)


def _damaged(x, rng):
    """Return samples with a part, a quarter of each side, of the next sample's."""
    damaged, others = x.clone(), x.roll(1, dims=0)
    for new, other in zip(damaged, others, strict=True):
        if x.ndim == 2:
            places = rng.choice(len(new), -(-len(new) // 4), replace=False)
            new[places] = other[places]
            continue
        height, width = (-(-side // 4) for side in x.shape[2:])
        room = (x.shape[2] - height + 1, x.shape[3] - width + 1)
        (top, left), (i, k) = rng.integers(0, room, size=(2, 2))
        new[:, top : top + height, left : left + width] = other[
            :, i : i + height, k : k + width
        ]
    return damaged
