"""Anomalous samples are made of pixels whose contrasts do not belong together."""

from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.neural.detector import COUNT, Context, Interval, StrOptions
from featad.neural.unet import UNetDetector, UNetOptions

_LEAST_VARIANCE = 1e-4  # of a Gaussian, in units of the features' own


class ContrastTranslation(UNetDetector):
    """Score an image by how unlikely its pixels are once its channels are guessed.

    The channels are contrasts of one object: of magnetic resonance, or colors. A U-Net
    learns to guess any one of them from the others. Its last features and its errors
    then describe every pixel, and a mixture of Gaussians models how frequent such a
    description is.

    Parameters
    ----------
    n_components : int, default=6
        Number of Gaussians in the mixture.

    n_dimensions : int, default=8
        Largest number of values a pixel's description is reduced to, by PCA.

    n_pixels : int, default=20000
        Largest number of training pixels that the mixture is fitted to.

    score_by : {"top1%", "mean", "max"}, default="top1%"
        How the values of the pixels become the sample's score: the mean of the largest
        hundredth, the mean of all, or the largest. The default is ``"top1%"`` because
        most pixels of an anomalous image are normal. There is no ``"relative"``: a
        likelihood does not depend on how bright an image is.

    Attributes
    ----------
    statistics_ : dict of str to object
        ``"density"``: a Pipeline of StandardScaler, PCA and GaussianMixture.

    Notes
    -----
    The map is the negative log-likelihood of every pixel. Each channel is hidden in one
    pass. A pixel is described by the errors of all channels and by the mean of the
    U-Net's last features over the passes. These hardly depend on the position in the
    image, so a part in the wrong place is not found.

    A single channel is guessed from a blank image: what remains is how usual its values
    are. In a table every feature is a channel and a row is one pixel, which takes as
    many passes as there are features.

    Differs from the paper, of which only the abstract was available: networks, features
    and sizes are our interpretation. Errors keep their sign, because a Gaussian fits
    them better.

    References
    ----------
    .. [1] "Unsupervised anomaly detection in MR images using multicontrast
       information", Medical Physics 48, 2021, doi 10.1002/mp.15269.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import ContrastTranslation
    >>> X = np.random.default_rng(0).random((40, 1)) * np.ones(6)  # on a line
    >>> options = {"max_epochs": 20, "random_state": 0}
    >>> detector = ContrastTranslation(n_components=1, **options).fit(X)
    >>> detector.score_samples([[0.5] * 6, [0, 1, 0, 1, 0, 1]]).argsort()
    array([1, 0])
    """

    _entry = Entry(
        "contrasts",
        "made of pixels whose contrasts, or colors, do not belong together",
        "Medical Physics 48, 2021",
        grid={"detector__n_components": [3, 6, 10]},
    )
    _parameter_constraints: dict = {
        **UNetDetector._parameter_constraints,
        "n_components": [COUNT],
        "n_dimensions": [COUNT],
        "n_pixels": [Interval(Integral, 2, None, closed="left")],
        "score_by": [StrOptions({"top1%", "mean", "max"})],
    }

    _defaults = {"score_by": "top1%", "depth": 2, "max_epochs": 50, "ema": None}

    def __init__(
        self, *, n_components=6, n_dimensions=8, n_pixels=20_000,
        **options: Unpack[UNetOptions],
    ):  # fmt: skip
        super().__init__(**{**ContrastTranslation._defaults, **options})
        self.n_components = n_components
        self.n_dimensions = n_dimensions
        self.n_pixels = n_pixels

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return {"unet": self._unet(shape, n_in=2 * shape[0], skips="all")}

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        place = torch.randint(x.shape[1], (len(x),), generator=t.rng, device=x.device)
        _, error = _guessed(nets["unet"], x, place)
        yield ("unet",), (error**2).flatten(1).mean(dim=1)

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return (self._described(nets, x)[:, -x.shape[1] :] ** 2).flatten(1).mean(dim=1)

    def _fit_statistics(
        self, nets: dict, batches: Iterable[Tensor], t: Context
    ) -> dict[str, Any]:
        rng = np.random.default_rng(self.seed_)
        n_pixels = sum(x[:, 0].numel() for x in batches)
        share, chosen = min(1.0, self.n_pixels / n_pixels), []
        for x in batches:
            pixels = _pixels(self._described(nets, x))
            size = max(1, round(share * len(pixels)))
            chosen.append(pixels[rng.choice(len(pixels), size, replace=False)])
        pixels = np.concatenate(chosen)
        n_dimensions = min(self.n_dimensions, *pixels.shape)
        density = make_pipeline(
            StandardScaler(),
            PCA(n_dimensions, random_state=self.seed_),
            GaussianMixture(
                min(self.n_components, len(pixels)),
                reg_covar=_LEAST_VARIANCE,
                random_state=self.seed_,
            ),
        )
        with config_context(array_api_dispatch=False):  # which k-means cannot start
            return {"density": density.fit(pixels)}

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        pixels = _pixels(self._described(nets, x))
        likelihood = t.statistics["density"].score_samples(pixels)
        return torch.from_numpy(-likelihood).view(len(x), *(x.shape[2:] or (1,)))

    def _described(self, nets, x):
        """Return features and errors of each pixel, (n, n_numbers, ...)."""
        total, errors = 0.0, []
        for channel in range(x.shape[1]):
            place = torch.full((len(x),), channel, device=x.device)
            features, error = _guessed(nets["unet"], x, place)
            total = total + features
            errors.append(error)
        return torch.cat([total / x.shape[1], *errors], dim=1)


def _guessed(net, x, place):
    """Return last features and error, (n, 1, ...), for one hidden channel of each."""
    hidden = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
    hidden[torch.arange(len(x), device=x.device), place] = True
    hidden = hidden.view(*x.shape[:2], *[1] * (x.ndim - 2)).expand_as(x)
    features = net.features(torch.cat([x * ~hidden, hidden.to(x.dtype)], dim=1))
    difference = torch.where(hidden, x - net.heads[0](features), 0)
    return features, difference.sum(dim=1, keepdim=True)


def _pixels(described):
    """Return (n, n_numbers, ...) as a table of all pixels, (n * ..., n_numbers)."""
    table = described.movedim(1, -1).flatten(0, -2)
    return table.cpu().double().numpy()
