"""What detectors do with trained networks: scores, maps, and pickles."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from featad._device import autocast, usable_device
from featad._validation import check_samples
from featad.base import BaseDetector
from featad.errors import WeightsChangedError, WeightsNotFoundError
from featad.features.vgg_layers import GENERATED, PACKAGED
from featad.neural.context import Context
from featad.neural.noise import generator, local_rng
from featad.neural.storage import (
    build_once,
    pack_networks,
    remember,
    unpack_networks,
)
from featad.neural.tensors import Scaling, to_device


class NetworkDetector(BaseDetector):
    """A detector that scores samples with the networks in ``networks_``.

    How they are trained is up to :class:`featad.neural.detector.TorchDetector`, which
    documents parameters, attributes and hooks.
    """

    @property
    def networks_(self) -> dict[str, nn.Module]:
        """The trained networks, on the CPU and in eval mode.

        What is stored under this name in the detector are arrays: networks are built
        on first use, so that a detector can be unpickled where its frozen networks are
        not found yet.
        """
        if "networks_" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} has no attribute 'networks_' before fit."
            )
        return build_once(self, vars(self)["networks_"], self._build_again)

    @networks_.setter
    def networks_(self, nets: dict[str, nn.Module]) -> None:
        self.__dict__["networks_"] = packed = pack_networks(nets, self.frozen_)
        remember(self, packed, nets)

    def check_weights(self) -> None:
        """Find the networks that were built frozen, and compare them with ``fit``'s.

        Raises
        ------
        WeightsNotFoundError
            If their weights are not on this machine and cannot be downloaded. If they
            have moved, set the parameter ``weights`` to their file.

        WeightsChangedError
            If their weights are others.
        """
        if getattr(self, "frozen_", ()):  # none before fit
            _ = self.networks_

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

    def _measured(self, t: Context, name: str, parameter: str) -> Any:
        """Return a statistic that ``fit`` measures where a parameter asks for it."""
        if name not in t.statistics:
            raise ValueError(
                f"{parameter}={getattr(self, parameter)!r} of {type(self).__name__} "
                "needs what fit measures for it alone. Fit again."
            )
        return t.statistics[name]

    def _score_with(self, hook: Callable, X: np.ndarray) -> np.ndarray:
        """Return what a hook makes of X, batch by batch."""
        device = usable_device(self.device)
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

    def _build_again(self) -> dict[str, nn.Module]:
        """Return the networks of ``fit``, by the parameters it had.

        The file of frozen weights may have moved, so it is looked for where the
        parameter ``weights`` says now, then where it was, then among the weights that
        were the default before. Its contents decide.
        """
        places: list[dict[str, Any]] = [{}]
        if "weights" in self.fit_params_:
            places.insert(0, {"weights": self.get_params(deep=False)["weights"]})
        if self.fit_params_.get("arch") == PACKAGED:
            places.append({"weights": GENERATED})
        errors: list[Exception] = []
        for moved in places:
            as_fitted = object.__new__(type(self))
            as_fitted.__dict__.update(vars(self) | self.fit_params_ | moved)
            try:
                nets = as_fitted._build()
                changed = unpack_networks(nets, vars(self)["networks_"])
            except WeightsNotFoundError as error:
                errors.append(error)
                continue
            if not changed:
                return nets
            errors.append(
                WeightsChangedError(
                    f"The frozen network {changed!r} of {type(self).__name__} is not "
                    "the one it was fitted with: its weights are others here. Set "
                    "weights to the file it was fitted with, or fit again."
                )
            )
        raise errors[0]
