"""Base of the detectors that learn the density of normal samples by a flow."""

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.covariance import ShrunkCovariance
from featad.neural.detector import COUNT, NON_NEGATIVE, TorchDetector
from featad.neural.flows import Flow
from featad.neural.options import TorchOptions


class FlowOptions(TorchOptions, total=False):
    """What ``**options`` of a ``FlowDetector`` may hold."""

    n_blocks: int
    width: int
    noise: float


class FlowDetector(TorchDetector):
    """Base of detectors that learn a density with the network ``"flow"``.

    The flow sees vectors in a short form: whitened coordinates along the first
    principal axes, and one number for what lies outside them. A subclass writes
    ``_fit_short_forms(X)``, which learns the covariance and returns the short forms of
    the training samples, and ``_short_forms(X)``.

    Parameters
    ----------
    n_components : int, default=64
        Number of principal axes along which the flow sees coordinates; at most as many
        as there are. Of what lies outside them it sees the length.

    n_blocks : int, default=4
        Number of blocks of the flow.

    width : int, default=128
        Units in each of the two hidden layers of a coupling.

    noise : float, default=0.3
        Standard deviation of the normal noise added to what the flow is trained on, in
        standard deviations of each number. Without noise a flow soon learns the
        training samples one by one, and calls all others unlikely.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,), float64
        Mean of the training vectors.

    shrinkage_ : float in [0, 1]
        Weight of the multiple of the identity in the covariance.

    components_ : ndarray of shape (n_axes, n_features), float64
        Axes of the covariance, unit length.

    variances_ : ndarray of shape (n_axes,), float64
        Variance of the shrunk covariance along each axis, descending.

    residual_variance_ : float
        Variance of the shrunk covariance in every direction outside the axes.

    input_mean_ : ndarray of shape (n_inputs,), float64
        What is subtracted from short forms. There are ``n_components`` inputs, and one
        more if there are features outside the axes.

    input_scale_ : ndarray of shape (n_inputs,), float64
        What the difference is divided by.
    """

    _parameter_constraints: dict = {
        **TorchDetector._parameter_constraints,
        "n_components": [COUNT],
        "n_blocks": [COUNT],
        "width": [COUNT],
        "noise": [NON_NEGATIVE],
    }
    _n_condition = 0

    def __init__(
        self, n_components=64, *, n_blocks=4, width=128, noise=0.3,
        **options: Unpack[TorchOptions],
    ):  # fmt: skip
        super().__init__(**options)
        self.n_components = n_components
        self.n_blocks = n_blocks
        self.width = width
        self.noise = noise

    def _train(self, X: np.ndarray, labels: np.ndarray) -> None:
        super()._train(self._fit_short_forms(X), labels)

    def _score_with(self, hook: Callable, X: np.ndarray) -> np.ndarray:
        return super()._score_with(hook, self._short_forms(X))

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        flow = Flow(
            len(self.input_mean_),
            n_blocks=self.n_blocks,
            width=self.width,
            n_condition=self._n_condition,
        )
        return {"flow": flow}

    def _nll(self, nets: dict, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return -log of the density of short forms (n, n_inputs), shape (n,).

        Coordinates are in the units of ``X``.
        """
        return nets["flow"].nll(x, condition) + self._log_volume

    @property
    def _log_volume(self) -> float:
        """Logarithm of how much larger the space of coordinates is than the flow's."""
        variances = self.variances_[: self.n_components]
        varying = variances[variances > 0]
        return float(np.log(self.input_scale_).sum() + 0.5 * np.log(varying).sum())

    def _keep_covariance(self, covariance: ShrunkCovariance) -> None:
        self.location_, self.components_ = covariance.location, covariance.components
        self.shrinkage_ = covariance.shrinkage
        self.variances_ = covariance.variances
        self.residual_variance_ = covariance.residual_variance

    def _whiten(self, X: np.ndarray) -> np.ndarray:
        return ShrunkCovariance(
            self.location_,
            self.components_,
            self.variances_,
            self.residual_variance_,
            self.shrinkage_,
        ).whiten(X)

    def _shorten(self, whitened: np.ndarray) -> np.ndarray:
        """Return short forms (n, n_inputs) of whitened vectors (n, n_features)."""
        along = whitened @ self.components_[: self.n_components].T
        if along.shape[1] == whitened.shape[1]:
            return along
        outside = (whitened**2).sum(axis=1) - (along**2).sum(axis=1)
        # from 0, where nothing varies outside, to far out in steps of equal ratio
        length = np.log1p(np.maximum(outside, 0))
        return np.column_stack([along, length])
