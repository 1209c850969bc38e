"""Bases of the detectors whose score comes from a map of errors."""

from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from typing_extensions import Unpack

from featad._validation import check_samples
from featad.neural.context import Context
from featad.neural.detector import StrOptions, TorchDetector
from featad.neural.latent import LatentDetector, LatentOptions
from featad.neural.losses import error_map
from featad.neural.options import TorchOptions
from featad.neural.scores import REDUCTIONS, score_map


class ErrorMapOptions(TorchOptions, total=False):
    """What ``**options`` of an ``ErrorMapDetector`` may hold."""

    score_by: str


class ErrorMapDetector(TorchDetector):
    """Base of detectors that map errors and reduce each map to a score.

    A subclass writes ``_rebuilt(nets, x, t)``, what its networks make of the samples,
    or ``_map_of`` where its map is not the error of that. The kind of error is the
    parameter ``loss`` where there is one, else ``_error``.

    Parameters
    ----------
    score_by : {"relative", "mean", "top1%", "max"}, default="relative"
        How the errors of the pixels, or features, become the sample's score: their
        mean, the mean of the largest hundredth, or the largest. ``"relative"`` is the
        mean, divided for images in [0, 1] by the root of the image's own content (its
        mean square for squared errors, its mean for absolute ones), because dark or
        empty images have small errors even when they are anomalous. Where anomalies
        are the brighter images, ``"mean"`` finds more of them.
    """

    _parameter_constraints: dict = {
        **TorchDetector._parameter_constraints,
        "score_by": [StrOptions(set(REDUCTIONS))],
    }

    _error = "mse"

    def __init__(self, *, score_by="relative", **options: Unpack[TorchOptions]):
        super().__init__(**options)
        self.score_by = score_by

    @available_if(lambda self: hasattr(self, "_rebuilt"))
    def restore(self, X: Any) -> np.ndarray:
        """Return samples as the networks rebuild them: as they would be if normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples of the shape seen in ``fit``.

        Returns
        -------
        restored : ndarray of the same shape, float32
            In the units of ``X``. Where it differs from ``X``, a sample is strange.
        """
        check_is_fitted(self)
        X = check_samples(self, X, reset=False)
        return self._scaling.to_samples(self._score_with(self._rebuilt, X))

    def _strangeness_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._score_of_map(self._map_of(nets, x, t), x)

    def _map_of(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return self._error_of(self._rebuilt(nets, x, t), x)

    def _error_of(self, rebuilt: Tensor, x: Tensor) -> Tensor:
        """Return the error of every pixel, (n, h, w), or feature, (n, d)."""
        return error_map(self._error_kind, rebuilt, x)

    def _score_of_map(
        self,
        error: Tensor,
        x: Tensor,
        *,
        score_by: str | None = None,
        scale: Tensor | float = 1.0,
    ) -> Tensor:
        """Return one number per map, (n,).

        Parameters
        ----------
        error : Tensor of shape (n, height, width) or (n, n_features)

        x : Tensor of shape (n, channels, height, width) or (n, n_features)
            What the errors are relative to.

        score_by : str or None, default=None
            None: the parameter of that name.

        scale : Tensor or float, default=1.0
            What the errors are divided by.
        """
        return score_map(
            self._error_kind,
            error,
            x,
            score_by or self.score_by,
            in_unit_range=self._in_unit_range,
            scale=scale,
        )

    @property
    def _error_kind(self) -> str:
        return getattr(self, "loss", self._error)


class ReconstructionOptions(LatentOptions, total=False):
    """What ``**options`` of a ``ReconstructionDetector`` may hold."""

    score_by: str


class ReconstructionDetector(LatentDetector, ErrorMapDetector):
    """Base of detectors that score a sample by its reconstruction from a code.

    It has the networks ``"encoder"`` and ``"decoder"``, to which a subclass may add
    others, unless it writes ``_networks`` and ``_rebuilt``.
    """

    _parameter_constraints: dict = {
        **LatentDetector._parameter_constraints,
        **ErrorMapDetector._parameter_constraints,
    }

    def __init__(self, latent_dim=16, **options: Unpack[ReconstructionOptions]):
        # LatentDetector hands score_by on to ErrorMapDetector, the next of the bases
        super().__init__(latent_dim, **options)  # type: ignore[misc]

    def _networks(self, shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return {"encoder": self._encoder(shape), "decoder": self._decoder(shape)}

    def _rebuilt(self, nets: dict, x: Tensor, t: Context) -> Tensor:
        return nets["decoder"](nets["encoder"](x))
