"""Base of the detectors that learn the density of normal samples by a flow."""

from abc import abstractmethod

import numpy as np
from torch import Tensor, nn
from typing_extensions import Unpack

from featad.kept_covariance import check_number
from featad.neural.context import Context
from featad.neural.detector import COUNT, NON_NEGATIVE, TorchDetector
from featad.neural.flows import Flow
from featad.neural.noise import add_noise
from featad.neural.options import TorchOptions

_SILENT = 0.1  # deviation of a whitened number below which its shrinkage is all it has


class FlowOptions(TorchOptions, total=False):
    """What ``**options`` of a ``FlowDetector`` may hold."""

    n_blocks: int
    width: int
    noise: float


class FlowDetector(TorchDetector):
    """Base of detectors that learn a density with the network ``"flow"``.

    The flow sees whitened samples. A subclass writes ``_fit_whitened(X)``, which learns
    how to whiten and returns the training samples, each whitened as a new one is, and
    ``_whitened(X)`` for new samples. ``_networks`` returns what ``_flow(n_inputs)``
    builds.

    Parameters
    ----------
    n_blocks : int, default=4
        Number of blocks of the flow.

    width : int, default=128
        Units in each of the two hidden layers of a coupling.

    noise : float, default=0.3
        Standard deviation of the normal noise that is added to whitened training
        samples. Without noise a flow soon learns the training samples one by one and
        finds all others unlikely.
    """

    _parameter_constraints: dict = {
        **TorchDetector._parameter_constraints,
        "n_blocks": [COUNT],
        "width": [COUNT],
        "noise": [NON_NEGATIVE],
    }

    def __init__(
        self, *, n_blocks=4, width=128, noise=0.3, **options: Unpack[TorchOptions]
    ):
        super().__init__(**options)
        self.n_blocks = n_blocks
        self.width = width
        self.noise = noise

    @abstractmethod
    def _fit_whitened(self, X: np.ndarray) -> np.ndarray:
        """Learn to whiten, and return the training samples as new ones would be."""

    @abstractmethod
    def _whitened(self, X: np.ndarray) -> np.ndarray:
        """Return new samples as the flow sees them before they are standardized."""

    def _train(self, X: np.ndarray, labels: np.ndarray) -> None:
        check_number(self, len(X))
        whitened = self._fit_whitened(X)
        samples = tuple(range(whitened.ndim - 1))
        mean, deviation = whitened.mean(axis=samples), whitened.std(axis=samples)
        # keeps the unit of the shrunk covariance, which standardizing would undo
        super()._train(np.where(deviation < _SILENT, mean, whitened), labels)

    def _to_tensor(self, X: np.ndarray) -> Tensor:
        return super()._to_tensor(self._whitened(X))

    def _flow(self, n_inputs: int) -> dict[str, nn.Module]:
        return {"flow": Flow(n_inputs, n_blocks=self.n_blocks, width=self.width)}

    def _loss(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        """Return the loss of whitened vectors (n, n_inputs), shape (n,)."""
        return nets["flow"].nll(add_noise(x, self.noise, t.rng)) / x.shape[1]
