"""Anomalous samples are unlikely under a normalizing flow of their features."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor
from typing_extensions import Unpack

from featad.covariance import shrunk_covariance
from featad.entry import Entry
from featad.neural.detector import Context, StrOptions
from featad.neural.likelihood import FlowDetector, FlowOptions
from featad.neural.noise import add_noise


class FeatureFlow(FlowDetector):
    """Score a sample by its likelihood under a normalizing flow.

    The flow learns how the features of normal samples are distributed: an invertible
    network turns them into normal noise, and what it makes of an anomalous sample is
    far from zero, or is stretched as no normal sample is. It is meant for features of
    a frozen network, such as the statistics of three layers.

    Parameters
    ----------
    score_by : {"nll", "z2"}, default="nll"
        ``"nll"`` is the negative log-likelihood, in nats, so that ``score_samples``
        returns the log-likelihood. ``"z2"`` is the squared length of what the flow
        makes of the sample, as in the paper: the log-likelihood without the determinant
        of the Jacobian.

    Notes
    -----
    With few samples and many features, a covariance describes most directions better
    than a network would. The flow therefore sees a short form of each sample: its
    coordinates along the first ``n_components`` axes of the shrunk covariance, whitened
    and standardized, and the logarithm of 1 + the squared Mahalanobis length of what
    lies outside them. Training samples are whitened by the covariance of all others, so
    that they look as new samples do; where the others' covariance is not of full rank,
    by that of all. An untrained flow scores by the length of this short form.

    The log-likelihood is that of the short form, with coordinates in the units of
    ``X``. Where there are at most ``n_components`` features, nothing lies outside the
    axes, and it is that of the sample.

    There are no maps: the features of a sample do not say where in the image they come
    from. Use `featad.PatchFlow` on maps of features for them.

    Differs from the paper: the features are a table, not those of three image sizes and
    of rotated images, so that neither training nor scores are random beyond the seed;
    the short form; the noise; smaller networks (two hidden layers of 128 units in place
    of three of 2,048), fixed random rotations in place of permutations, and scores by
    the whole likelihood.

    References
    ----------
    .. [1] Rudolph, Wandt and Rosenhahn, "Same same but DifferNet: semi-supervised
       defect detection with normalizing flows", WACV 2021, arXiv 2008.12577.
    .. [2] Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", ICLR
       2017, arXiv 1605.08803.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import FeatureFlow
    >>> angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
    >>> ring = np.column_stack([np.cos(angle), np.sin(angle)])
    >>> detector = FeatureFlow(noise=0.1, width=32, random_state=0).fit(ring)
    >>> detector.predict([[0, 1], [0, 0]])
    array([ 1, -1])
    """

    _entry = Entry(
        "flow",
        "unlikely under a normalizing flow of normal features",
        "Rudolph et al. 2021; Dinh et al. 2017",
        grid={
            "detector__n_components": [32, 64, 128],
            "detector__noise": [0.1, 0.3, 0.6],
        },
        takes=("features",),
    )
    _parameter_constraints: dict = {
        **FlowDetector._parameter_constraints,
        "score_by": [StrOptions({"nll", "z2"})],
    }

    def __init__(
        self, n_components=64, *, score_by="nll", **options: Unpack[FlowOptions]
    ):
        super().__init__(n_components, **options)
        self.score_by = score_by

    def _fit_short_forms(self, X: np.ndarray) -> np.ndarray:
        if len(X) < 2:
            raise ValueError(
                "FeatureFlow needs at least 2 samples to estimate a covariance, got "
                "1 sample."
            )
        X = X.reshape(len(X), -1)
        covariance = shrunk_covariance(X)
        self._keep_covariance(covariance)
        whitened = covariance.whiten_leave_one_out(X)
        return self._shorten(self._whiten(X) if whitened is None else whitened)

    def _short_forms(self, X: np.ndarray) -> np.ndarray:
        return self._shorten(self._whiten(X.reshape(len(X), -1)))

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        noisy = add_noise(x, self.noise, t.rng)
        yield ("flow",), nets["flow"].nll(noisy) / x.shape[1]

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._nll(nets, x)

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if self.score_by == "nll":
            return self._nll(nets, x)
        return nets["flow"](x)[0].square().sum(dim=1)
