"""Anomalous samples are unlikely under a normalizing flow of their features."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.covariance import shrunk_covariance
from featad.entry import Entry
from featad.kept_covariance import KeepsCovariance
from featad.neural.detector import COUNT, Context, StrOptions
from featad.neural.likelihood import FlowDetector, FlowOptions


class FeatureFlow(KeepsCovariance, FlowDetector):
    """Score a sample by its likelihood under a normalizing flow.

    The flow learns how the features of normal samples are distributed: an invertible
    network turns them into normal noise, and what it makes of an anomalous sample is
    far from zero, or is stretched as no normal sample is. It is meant for features of
    a frozen network, such as the statistics of three layers.

    Parameters
    ----------
    n_components : int, default=64
        Number of principal axes along which the flow sees coordinates; at most as many
        as there are. Of what lies outside them it sees the length.

    score_by : {"nll", "z2"}, default="nll"
        ``"nll"`` is the negative log-likelihood, in nats, so that ``score_samples``
        returns the log-likelihood. ``"z2"`` is the squared length of what the flow
        makes of the sample, as in the paper: the log-likelihood without the determinant
        of the Jacobian.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,), float64
        Mean of the training samples.

    shrinkage_ : float in [0, 1]
        Weight of the multiple of the identity in the covariance.

    components_ : ndarray of shape (n_axes, n_features), float64
        Axes of the covariance, unit length.

    variances_ : ndarray of shape (n_axes,), float64
        Variance of the shrunk covariance along each axis, descending.

    residual_variance_ : float
        Variance of the shrunk covariance in every direction outside the axes.

    input_mean_ : ndarray of shape (n_inputs,), float64
        What is subtracted from the short forms of samples.

    input_scale_ : ndarray of shape (n_inputs,), float64
        What the difference is divided by.

    Notes
    -----
    With few samples and many features, a covariance describes most directions better
    than a network would. The flow therefore sees a short form of each sample: its
    coordinates along the first ``n_components`` axes of the shrunk covariance, whitened
    and standardized, and the cube root of the squared Mahalanobis length of what lies
    outside them, which is nearly normal [3]_. Training samples are whitened by the
    covariance of all others, so that they look as new samples do; where the others'
    covariance is not of full rank, by that of all. An untrained flow scores by the
    length of this short form.

    The log-likelihood is that of the short form, with coordinates in the units of
    ``X``. Where there are at most ``n_components`` features, nothing lies outside the
    axes, and it is that of the sample.

    What hardly varies among the training samples keeps the unit of the shrunk
    covariance, so that rounding along such an axis is not odd.

    It does not always pay. AUROC, with the defaults: magnetic tiles by three layers of
    SqueezeNet .964 (three seeds, .962 to .965), untrained .834, `featad.Mahalanobis`
    .971, PCA's reconstruction .910. By ``mini-stats`` features it is above its
    untrained self and PCA on twos of MNIST (.968, .958, .966), but below PCA on threes
    (.967, .958, .970), coats of Fashion-MNIST (.902, .898, .911) and shirts (.825,
    .782, .842); twos and coats are means of three seeds, the others are one.

    The cause is the short form. Much of what tells these images apart lies beyond the
    first 64 axes. On threes, the Mahalanobis length along 64 axes has .946, along 128
    .971, along 256 .985; on shirts it is .827, .842 and .852. Of all that lies outside,
    the flow sees one number among 65. More axes do not mend this by themselves. With
    256 of them, eights and T-shirts, on which the default was chosen, have .971 and
    .920, no more than with 64 (.975 and .920), as 500 samples are few for such a flow.

    The detector takes a table, so it has no map of its own. `featad.anomaly_maps` of a
    system maps the slope of its score by the network's maps of features, one position
    at a time. The paper's maps are gradients by the pixels of the image. For maps of
    higher resolution, use `featad.PatchFlow` on maps of features.

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
    .. [3] Wilson and Hilferty, "The distribution of chi-square", Proceedings of the
       National Academy of Sciences 17, 1931.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import FeatureFlow
    >>> angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
    >>> ring = np.column_stack([np.cos(angle), np.sin(angle)])
    >>> options = {"lr": 0.003, "max_epochs": 20, "random_state": 0}
    >>> detector = FeatureFlow(noise=0.1, width=32, **options).fit(ring)
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
        "n_components": [COUNT],
        "score_by": [StrOptions({"nll", "z2"})],
    }

    def __init__(
        self, n_components=64, *, score_by="nll", **options: Unpack[FlowOptions]
    ):
        super().__init__(**options)
        self.n_components = n_components
        self.score_by = score_by

    def _fit_whitened(self, X: np.ndarray) -> np.ndarray:
        X = X.reshape(len(X), -1)
        self._adopt(shrunk_covariance(X))
        by_others = self._covariance().whiten_leave_one_out(X)
        return self._whitened(X) if by_others is None else self._shorten(by_others)

    def _whitened(self, X: np.ndarray) -> np.ndarray:
        return self._shorten(self._covariance().whiten(X.reshape(len(X), -1)))

    def _shorten(self, whitened: np.ndarray) -> np.ndarray:
        """Return the coordinates along the first axes, and the length of the rest."""
        along = whitened @ self.components_[: self.n_components].T
        if along.shape[1] == whitened.shape[1]:
            return along
        outside = (whitened**2).sum(axis=1) - (along**2).sum(axis=1)
        return np.column_stack([along, np.cbrt(np.maximum(outside, 0))])

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return self._flow(len(self.input_mean_))

    def _losses(self, nets: dict, x: Tensor, t: Context) -> Iterator[tuple]:
        yield ("flow",), self._loss(nets, x, t)

    def _keep_key(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._nll(nets, x)

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        if self.score_by == "nll":
            return self._nll(nets, x)
        return nets["flow"](x)[0].square().sum(dim=1)

    def _nll(self, nets, x):
        """Return the negative log-likelihood, (n,), of what networks see."""
        variances = self.variances_[: self.n_components]
        varying = variances[variances > 0]
        # of a coordinate in the units of X, by one that is whitened and standardized
        log_units = np.log(self.input_scale_).sum() + 0.5 * np.log(varying).sum()
        return nets["flow"].nll(x) + float(log_units)
