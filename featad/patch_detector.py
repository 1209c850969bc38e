"""The base of detectors that judge every position of a map of features."""

import logging
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, TypedDict

import numpy as np
from numpy.typing import DTypeLike
from sklearn.utils.validation import check_is_fitted

from featad._blocks import row_blocks
from featad._validation import check_samples
from featad.base import NON_NEGATIVE, BaseDetector, StrOptions
from featad.map_scores import REDUCTIONS, as_maps, reduce_maps, smooth_maps

_log = logging.getLogger("featad")
_BATCHES = 2**27  # bytes of copies that are made of a part of the maps at a time


class PatchOptions(TypedDict, total=False):
    """What ``**options`` of a ``PatchDetector`` may hold, for editors and mypy."""

    score_by: str
    smoothing: float
    threshold: str
    contamination: float


class PatchDetector(BaseDetector):
    """Base of detectors of maps of features, (n_samples, height, width, n_features).

    `featad.PatchFeatures` makes such maps of images. A position of a map is a patch of
    the image, and its features are a row of a table. A row of a table that is given to
    such a detector is a map of one position.

    A subclass writes three hooks. ``_fit_maps(X)`` learns from maps of float16, float32
    or float64; it returns the strangeness of the training samples under fits on the
    others, as an iterable of arrays (n,) in their order, or None where that is not
    known. ``_bytes_of_fit(shape, dtype)`` says how much memory it needs besides such
    maps and copies of a part of them. ``_map(X)`` returns the strangeness (n, height,
    width) of every position.

    Parameters
    ----------
    score_by : {"max", "top1%", "mean"}, default="max"
        How the smoothed map becomes the score of the sample: by its largest value, by
        the mean of its largest hundredth, or by its mean.

    smoothing : float, default=1.5
        Standard deviation of the Gaussian filter that smooths the map, in positions. 0
        leaves the map as it is. The default is from magnetic tiles and transistors at
        28 x 28 positions: images are ranked best with it, pixels with twice as much.

    threshold : {"training", "held-out"}, default="training"
        Of which scores of the training samples the threshold is a quantile: of those
        that ``score_samples`` gives them, or of ``held_out_scores_``. With few samples
        only the second one holds for new samples.

    Attributes
    ----------
    sample_shape_ : tuple of int
        Shape of one sample: (height, width, n_features) of a map, or (n_features,).

    image_range_ : None
        The values of features have no scale that could be checked.

    held_out_scores_ : ndarray of shape (n_samples,), float64, or None
        Score of each training sample under a fit on all others. None where it is not
        known. `featad.CalibratedDetector` takes its threshold from them.
    """

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "score_by": [StrOptions(set(REDUCTIONS))],
        "smoothing": [NON_NEGATIVE],
        "threshold": [StrOptions({"training", "held-out"})],
    }

    _takes_images = False

    def __init__(
        self,
        *,
        score_by="max",
        smoothing=1.5,
        threshold="training",
        contamination=0.05,
    ):
        super().__init__(contamination=contamination)
        self.score_by = score_by
        self.smoothing = smoothing
        self.threshold = threshold

    def memory_of_fit(
        self, shape: tuple[int, ...], dtype: DTypeLike = np.float32
    ) -> int:
        """Return how much memory ``fit`` needs besides maps, at most.

        It is also logged (logger ``featad``, level INFO) when ``fit`` begins.

        Parameters
        ----------
        shape : tuple of int
            (n_samples, height, width, n_features) of the maps.

        dtype : dtype, default=np.float32
            Type of the maps.

        Returns
        -------
        n_bytes : int

        Examples
        --------
        >>> from featad.detectors import PatchGaussian
        >>> f"{PatchGaussian().memory_of_fit((1000, 28, 28, 128)) / 1e6:.0f} MB"
        '215 MB'
        """
        return self._bytes_of_fit(shape, np.dtype(dtype)) + _BATCHES

    def anomaly_map(self, X: Any) -> np.ndarray:
        """Return how strange every position of maps is.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_features)
            Maps of the shape seen in ``fit``.

        Returns
        -------
        maps : ndarray of shape (n_samples, height, width), float32
            High = anomalous. Smoothed by ``smoothing``; ``score_by`` turns them into
            the strangeness of the samples.

        Raises
        ------
        ValueError
            If the detector was fitted on a table, or the samples have another shape or
            contain NaN.
        NotFittedError
            If ``fit`` was not called.
        """
        check_is_fitted(self)
        if len(self.sample_shape_) == 1:
            raise ValueError(
                f"anomaly_map needs images, or maps of their features, but "
                f"{type(self).__name__} was fitted on a table."
            )
        X = as_maps(check_samples(self, X, reset=False))
        maps = np.empty(X.shape[:3], dtype=np.float32)
        for rows in row_blocks(len(X), X[0].size):
            maps[rows] = smooth_maps(self._map(X[rows]), self.smoothing)
        return maps

    @abstractmethod
    def _fit_maps(self, X: np.ndarray) -> Iterable[np.ndarray] | None:
        """Learn, and return the strangeness of samples under fits on the others."""

    @abstractmethod
    def _bytes_of_fit(self, shape: tuple[int, ...], dtype: np.dtype) -> int:
        """Return how much memory ``_fit_maps`` needs besides maps and batches."""

    @abstractmethod
    def _map(self, X: np.ndarray) -> np.ndarray:
        """Return the strangeness (n, height, width) of every position."""

    def _fit(self, X: np.ndarray) -> None:
        X = as_maps(X)
        _log.info(
            "%s learns from %d maps of %d x %d positions with %d features. Besides "
            "them, it needs up to %.0f MB of memory.",
            type(self).__name__,
            *X.shape,
            self.memory_of_fit(X.shape, X.dtype) / 1e6,
        )
        held_out = self._fit_maps(X)
        self.held_out_scores_ = None
        if held_out is not None and self._has_threshold:
            self.held_out_scores_ = -np.concatenate(list(held_out))

    def _score_of_map(self, maps: np.ndarray) -> np.ndarray:
        """Return the strangeness (n,) of samples whose maps are (n, height, width)."""
        return reduce_maps(smooth_maps(maps, self.smoothing), self.score_by)

    def _training_scores(self, X: np.ndarray) -> np.ndarray:
        if self.threshold == "training":
            return super()._training_scores(X)
        if self.held_out_scores_ is None:
            raise ValueError(
                f"{type(self).__name__}(threshold='held-out') needs more samples that "
                "differ: without one of them, nothing can be learned from the others. "
                "Pass more samples, or threshold='training'."
            )
        return self.held_out_scores_

    def _strangeness(self, X: np.ndarray) -> np.ndarray:
        X = as_maps(X)
        scores = [
            self._strangeness_of(X[rows]) for rows in row_blocks(len(X), X[0].size)
        ]
        return np.concatenate(scores)

    def _strangeness_of(self, X: np.ndarray) -> np.ndarray:
        return self._score_of_map(self._map(X))
