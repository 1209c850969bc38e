"""Anomalous samples have a patch that is unlikely under a normalizing flow."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.entry import Entry
from featad.map_scores import REDUCTIONS, as_maps, smooth_maps
from featad.neural.detector import COUNT, NON_NEGATIVE, Context, StrOptions
from featad.neural.likelihood import FlowDetector, FlowOptions
from featad.neural.losses import per_sample
from featad.neural.scores import reduce_map
from featad.position_covariance import moments, position_covariances

_FLOOR = 0.01  # of the mean variance: for positions that never vary


class PatchFlow(FlowDetector):
    """Judge every position of a map by its likelihood under a normalizing flow.

    The features of each position are whitened by mean and covariance of that position,
    which images need that show parts in one pose. One flow for all positions then
    learns what their covariance does not tell.

    Parameters
    ----------
    score_by : {"max", "top1%", "mean"}, default="max"
        How the smoothed map becomes the score of the sample: by its largest value, by
        the mean of its largest hundredth, or by its mean.

    smoothing : float, default=1.0
        Standard deviation of the Gaussian filter that smooths the map, in positions. 0
        leaves the map as it is.

    n_positions : int, default=128
        Number of positions, drawn at random, that each map of a batch is trained on.
        Other positions are drawn for the next batch.

    Attributes
    ----------
    location_ : ndarray of shape (height, width, n_features), float32
        Mean features of each position.

    precision_root_ : ndarray of shape (height, width, n_features, n_features), float32
        Inverse root of the covariance of each position.

    image_range_ : None
        The values of features have no scale that could be checked.

    input_mean_ : ndarray of shape (n_features,), float64
        What is subtracted from whitened features.

    input_scale_ : ndarray of shape (n_features,), float64
        What the difference is divided by.

    Notes
    -----
    The strangeness of a position is the negative log-likelihood of its whitened
    features, in nats. A row of a table is a map of one position. The covariances are
    shrunk toward their mean, as `featad.PatchGaussian` does, with a hundredth of the
    mean variance of all features and positions added to every variance. Training
    samples are whitened by the covariances of the others where these are of full rank.
    An untrained flow gives the squared Mahalanobis distances of `featad.PatchGaussian`,
    up to scale.

    Time and memory grow with the square of ``n_features``: 64 to 128 features, such as
    the projections of `featad.PatchFeatures`, are a good number. With a few dozen
    training maps, set ``max_epochs`` higher.

    Differs from the papers: CFLOW [1]_ tells its flow the position by a code of sines
    and cosines and has one flow for each layer; here the position is in the whitening,
    so that a few hundred steps of training are enough, and layers are
    brought to one grid before. FastFlow [2]_ has convolutions in its couplings and so
    learns what fits beside what; here each position is judged by itself.

    References
    ----------
    .. [1] Gudovskiy, Ishizaka and Kozuka, "CFLOW-AD: real-time unsupervised anomaly
       detection with localization via conditional normalizing flows", WACV 2022,
       arXiv 2107.12571.
    .. [2] Yu et al., "FastFlow: unsupervised anomaly detection and localization via 2D
       normalizing flows", 2021, arXiv 2111.07677.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import PatchFlow
    >>> maps = np.random.default_rng(0).normal(size=(30, 6, 5, 4))
    >>> detector = PatchFlow(width=16, smoothing=0, random_state=0).fit(maps)
    >>> maps[0, 2, 3] = 9
    >>> found = detector.anomaly_map(maps[:1])[0]
    >>> [int(i) for i in np.unravel_index(found.argmax(), found.shape)]
    [2, 3]
    """

    _entry = Entry(
        "flow",
        "made of patches that are unlikely under a normalizing flow",
        "Gudovskiy et al. 2022; Yu et al. 2021",
        grid={"detector__noise": [0.1, 0.3, 0.6], "detector__smoothing": [0, 1, 2]},
        takes=("patches",),
    )
    _parameter_constraints: dict = {
        **FlowDetector._parameter_constraints,
        "score_by": [StrOptions(set(REDUCTIONS))],
        "smoothing": [NON_NEGATIVE],
        "n_positions": [COUNT],
    }
    _defaults = {
        "max_epochs": 20, "batch_size": 8, "width": 64, "score_batch_size": 16,
    }  # fmt: skip
    _takes_images = False

    def __init__(
        self, *, score_by="max", smoothing=1.0, n_positions=128,
        **options: Unpack[FlowOptions],
    ):  # fmt: skip
        super().__init__(**{**PatchFlow._defaults, **options})
        self.score_by = score_by
        self.smoothing = smoothing
        self.n_positions = n_positions

    def _fit_whitened(self, X: np.ndarray) -> np.ndarray:
        maps = as_maps(X)
        n_samples, height, width, n_features = maps.shape
        positions = maps.reshape(n_samples, -1, n_features).swapaxes(0, 1)
        location, variance = moments(maps, axis=0)
        means = location.reshape(-1, n_features)
        floor = _FLOOR * float(variance.mean())
        whitened = np.empty(positions.shape, dtype=np.float32)
        roots = np.empty((*positions.shape[::2], n_features), dtype=np.float32)
        found = position_covariances(positions, means, floor, pooled=True)
        for i, position in enumerate(found):
            covariance = position.covariance
            patches = position.patches.astype(np.float64, copy=False)
            by_others = covariance.whiten_leave_one_out(patches)
            roots[i] = position.root
            whitened[i] = covariance.whiten(patches) if by_others is None else by_others
        self.location_ = location.astype(np.float32)
        self.precision_root_ = roots.reshape(height, width, n_features, n_features)
        return whitened.swapaxes(0, 1).reshape(maps.shape)

    def _whitened(self, X: np.ndarray) -> np.ndarray:
        away = as_maps(X) - self.location_
        n_samples, _, _, n_features = away.shape
        positions = away.reshape(n_samples, -1, n_features).swapaxes(0, 1)
        roots = self.precision_root_.reshape(-1, n_features, n_features)
        return (positions @ roots).swapaxes(0, 1).reshape(away.shape)

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return self._flow(shape[0])

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        patches = x.flatten(2)  # (n, n_features, height * width)
        order = torch.randperm(patches.shape[2], generator=t.rng, device=x.device)
        drawn = _rows(patches[..., order[: self.n_positions]])
        yield ("flow",), self._loss(nets, drawn, t)

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return per_sample(self._nll_map(nets, x))

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return reduce_map(self._map_of(nets, x, t), self.score_by)

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        maps = self._nll_map(nets, x)
        return torch.from_numpy(smooth_maps(maps.cpu().numpy(), self.smoothing))

    def _nll_map(self, nets, x):
        """Return the negative log-likelihood of each position, (n, height, width)."""
        return nets["flow"].nll(_rows(x.flatten(2))).view(len(x), *x.shape[2:])


def _rows(patches: Tensor) -> Tensor:
    """Return patches (n, n_features, n_positions) as rows (n * n_positions, ...)."""
    return patches.transpose(1, 2).flatten(0, 1)
