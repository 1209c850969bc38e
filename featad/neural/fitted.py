"""What detectors do with trained networks: scores, maps, and pickles."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from featad._device import autocast, resolve_device
from featad._validation import check_samples
from featad.base import BaseDetector
from featad.errors import ModelFileError
from featad.neural.context import Context
from featad.neural.noise import generator, local_rng
from featad.neural.storage import pack_networks, unpack_networks
from featad.neural.tensors import Scaling, to_device


class NetworkDetector(BaseDetector):
    """A detector that scores samples with the networks in ``networks_``.

    How they are trained is up to :class:`featad.neural.detector.TorchDetector`, which
    documents parameters, attributes and hooks.
    """

    def _has_map(self) -> bool:
        if not hasattr(self, "_map_of"):
            raise AttributeError(f"{type(self).__name__} has no anomaly_map.")
        return True

    @available_if(_has_map)
    def anomaly_map(self, X: Any) -> np.ndarray:
        """Return how strange every pixel is.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width[, channels])
            Images of the shape seen in ``fit``.

        Returns
        -------
        maps : ndarray of shape (n_samples, height, width), float32
            High = anomalous.

        Raises
        ------
        ValueError
            If the detector was fitted on a table.
        """
        check_is_fitted(self)
        X = check_samples(self, X, reset=False)
        if len(self.sample_shape_) == 1:
            raise ValueError(
                f"anomaly_map needs images, but {type(self).__name__} was fitted on a "
                f"table (sample shape {self.sample_shape_})."
            )
        return self._score_with(self._map_of, X).astype(np.float32)

    def _strangeness(self, X: np.ndarray) -> np.ndarray:
        return self._score_with(self._strangeness_of, X).astype(np.float64)

    @property
    def _scaling(self) -> Scaling:
        return Scaling(self.sample_shape_, self.input_mean_, self.input_scale_)

    @property
    def _in_unit_range(self) -> bool:
        """Whether networks see images in [0, 1]; else standardized values."""
        return self._scaling.in_unit_range

    def _to_tensor(self, X: np.ndarray) -> Tensor:
        return self._scaling.to_tensor(X)

    def _build(self) -> dict[str, nn.Module]:
        with local_rng(self.seed_, torch.device("cpu")):
            return self._networks(self._scaling.network_shape)

    def _context(self, device: torch.device, stage: str = "score") -> Context:
        rng = generator(0, device)
        return Context(rng, stage=stage, statistics=self._statistics_on(device))

    def _statistics_on(self, device: torch.device) -> dict[str, Any]:
        return {key: to_device(v, device) for key, v in self.statistics_.items()}

    def _score_with(self, hook: Callable, X: np.ndarray) -> np.ndarray:
        """Return what a hook makes of X, batch by batch."""
        device = self._scoring_device()
        nets = self.networks_
        if device.type != "cpu":
            nets = {name: copy.deepcopy(net).to(device) for name, net in nets.items()}
        parts = []
        with torch.no_grad(), autocast(device, "float32"):
            for start in range(0, len(X), self.score_batch_size):
                x = self._to_tensor(X[start : start + self.score_batch_size])
                t = self._context(device)
                parts.append(hook(nets, x.to(device), t).cpu().numpy())
        return np.concatenate(parts)

    def _scoring_device(self) -> torch.device:
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            return torch.device("cpu")  # fitted on a GPU, loaded where there is none
        return resolve_device(self.device)

    def __getstate__(self) -> dict:
        state = dict(super().__getstate__())
        if "networks_" in state:
            state["networks_"] = pack_networks(state["networks_"], self.frozen_)
        return state

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if "networks_" in state:
            as_fitted = object.__new__(type(self))
            as_fitted.__dict__.update({**vars(self), **self.fit_params_})
            nets = as_fitted._build()
            changed = unpack_networks(nets, state["networks_"])
            if changed:
                raise ModelFileError(
                    f"The frozen network {changed!r} of {type(self).__name__} is not "
                    "the one it was fitted with: other weights were found."
                )
            self.networks_ = nets
