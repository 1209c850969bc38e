"""Base of the detectors that learn to tell the views of one sample from all others."""

from collections.abc import Sequence
from dataclasses import asdict
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from featad.covariance import ShrunkCovariance, shrunk_covariance
from featad.neural.context import Context
from featad.neural.detector import POSITIVE, Interval
from featad.neural.latent import LatentDetector, LatentOptions
from featad.neural.losses import TINY
from featad.neural.views import VIEWS, random_views


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return how badly the two views of each sample find each other among all views.

    Parameters
    ----------
    first, second : Tensor of shape (n, n_features)
        Two views of each sample. Only their directions count.

    temperature : float
        What cosines are divided by.

    Returns
    -------
    loss : Tensor of shape (n,)
        Mean cross-entropy of the two views.

    References
    ----------
    .. [1] Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive
       learning of visual representations", ICML 2020, arXiv 2002.05709.
    """
    n = len(first)
    views = F.normalize(torch.cat([first, second]).float(), dim=1)
    itself = torch.eye(2 * n, dtype=torch.bool, device=views.device)
    cosines = (views @ views.T / temperature).masked_fill(itself, -torch.inf)
    partner = torch.arange(2 * n, device=views.device).roll(n)
    return F.cross_entropy(cosines, partner, reduction="none").view(2, n).mean(dim=0)


def fit_directions(features: Tensor) -> dict[str, Any]:
    """Describe the directions of normal samples, for `squared_distances`.

    Parameters
    ----------
    features : Tensor of shape (n, n_features)
        Of two samples at least. Only their directions count; they are standardized
        feature by feature.

    Returns
    -------
    found : dict of str to ndarray or float
        Mean and deviation of the directions, and the parts of their Ledoit-Wolf
        covariance.
    """
    X = _directions(features)
    scale = X.std(axis=0)
    scale[scale <= TINY] = 1  # silent features
    found = {"mean": X.mean(axis=0), "scale": scale}
    return found | asdict(shrunk_covariance((X - found["mean"]) / scale))


def squared_distances(found: dict[str, Any], features: Tensor) -> Tensor:
    """Return the squared Mahalanobis distances (n,) to the mean direction, float64."""
    parts = dict(found)
    X = (_directions(features) - parts.pop("mean")) / parts.pop("scale")
    return torch.from_numpy(ShrunkCovariance(**parts).squared_lengths(X))


def _directions(features):
    return F.normalize(features.cpu().double(), dim=1).numpy()


class ContrastiveOptions(LatentOptions, total=False):
    """What ``**options`` of a ``ContrastiveDetector`` may hold."""

    views: tuple[str, ...]
    min_crop: float
    temperature: float


class ContrastiveDetector(LatentDetector):
    """Base of detectors that learn to tell the views of a sample from those of others.

    It has the networks ``"encoder"``, from a sample to its features, and ``"head"``,
    from features to the embedding in which views are compared.

    Parameters
    ----------
    latent_dim : int, default=128
        Length of the embedding. Features are the encoder's last map.

    views : tuple of str, default=("crop", "flip", "jitter")
        How the views of an image differ: ``"flip"`` (mirrored, left and right),
        ``"crop"``, ``"jitter"`` (contrast, brightness, colors), ``"gray"`` (without
        colors), ``"blur"`` and ``"noise"``. The network learns to ignore these
        differences, so leave out what tells normal from anomalous: ``"flip"`` for
        letters and digits, ``"jitter"`` and ``"gray"`` where the color counts,
        ``"blur"`` and ``"noise"`` for scratches and stains of a few pixels.

    min_crop : float in (0, 1], default=0.2
        Least share of an image's area that a crop shows. Defects that a crop may miss
        need larger ones.

    temperature : float, default=0.2
        What similarities are divided by. The lower, the more the most similar of the
        other samples count.
    """

    _parameter_constraints: dict = {
        **LatentDetector._parameter_constraints,
        "depth": [Interval(Integral, 1, None, closed="left"), None],
        "views": [tuple, list],
        "min_crop": [Interval(Real, 0, 1, closed="right")],
        "temperature": [POSITIVE],
    }

    _min_batch = 8  # each sample is told from the others of its batch

    def __init__(
        self, latent_dim=128, *, views=("crop", "flip", "jitter"), min_crop=0.2,
        temperature=0.2, **options: Unpack[LatentOptions],
    ):  # fmt: skip
        super().__init__(latent_dim, **options)
        self.views = views
        self.min_crop = min_crop
        self.temperature = temperature

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        unknown = [name for name in self.views if name not in VIEWS]
        if unknown or not self.views:
            raise ValueError(
                f"{type(self).__name__}: views must name one or more of "
                f"{', '.join(VIEWS)}, got {self.views!r}."
            )
        *body, last = self._encoder(shape, norm="batch")
        return {
            "encoder": nn.Sequential(*body),
            "head": nn.Sequential(
                last, nn.LeakyReLU(0.2), nn.Linear(self.latent_dim, self.latent_dim)
            ),
        }

    def _train(self, X: np.ndarray, labels: np.ndarray) -> None:
        if len(X) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 samples to tell apart, got 1 "
                "sample."
            )
        super()._train(X, labels)

    def _views(self, x: Tensor, t: Context, kinds: Sequence[str]) -> Tensor:
        return random_views(x, kinds, t.rng, min_crop=self.min_crop)

    def _contrasted(
        self, nets: dict, first: Tensor, second: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each pair of views (n,), and their features (2 n, d)."""
        features = nets["encoder"](torch.cat([first, second]))
        one, other = nets["head"](features).chunk(2)
        return nt_xent(one, other, self.temperature), features
