"""Anomalous samples have features that are unusual at their position of the map."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from typing_extensions import Unpack

from featad._progress import tracked
from featad.base import NON_NEGATIVE, StrOptions
from featad.covariance import ShrunkCovariance, shrunk_covariance
from featad.entry import Entry
from featad.patch_detector import PatchDetector, PatchOptions


class PatchGaussian(PatchDetector):
    """Judge every position of a map by its Mahalanobis distance to normal ones.

    Parameters
    ----------
    positions : {"own", "shared"}, default="own"
        Whether each position of the map has a mean and a covariance of its own, as
        images need that show parts in one pose, or all positions share them.

    covariance : {"full", "diagonal"}, default="full"
        Whether features vary together, or each by itself.

    floor : float, default=0.01
        Variance that is added to that of each feature, as a share of the mean variance
        of all features at all positions. It keeps a position that never varies, such
        as a black margin, from being infinitely strange or from not being looked at.

    Attributes
    ----------
    location_ : ndarray of shape (height, width, n_features) or (n_features,), float64
        Mean features, of each position or of all.

    precision_root_ : ndarray of shape (..., n_features, n_features) or \
(..., n_features)
        Symmetric inverse root of the covariance of each position, or of all; of a
        diagonal covariance, its diagonal. float64 if the training maps are, otherwise
        float32.

    Notes
    -----
    The strangeness of a position is its Mahalanobis distance to the mean, which has no
    unit. Full covariances are shrunk as Ledoit and Wolf do [2]_, so they need no more
    samples than features. ``held_out_scores_`` have a closed form, that of
    `Mahalanobis`, for positions of their own.

    Memory is height * width * n_features * n_features floats for full covariances of
    their own: 51 MB for 28 x 28 positions of 128 features in float32. Fitting takes one
    eigendecomposition for each position.

    Differs from the paper: the covariance is shrunk by Ledoit and Wolf's estimate of
    the right amount, on top of ``floor``, where the paper adds 0.01 to the diagonal
    whatever the scale of the features.

    References
    ----------
    .. [1] Defard, Setkov, Loesch and Audigier, "PaDiM: a patch distribution modeling
       framework for anomaly detection and localization", ICPR workshops 2021.
    .. [2] Ledoit and Wolf, "A well-conditioned estimator for large-dimensional
       covariance matrices", Journal of Multivariate Analysis 88, 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import PatchGaussian
    >>> maps = np.random.default_rng(0).normal(size=(30, 6, 5, 4))
    >>> detector = PatchGaussian(smoothing=0).fit(maps)
    >>> maps[0, 2, 3] = 9
    >>> [int(i) for i in np.argwhere(detector.anomaly_map(maps[:1])[0] > 8)[0]]
    [2, 3]
    """

    _entry = Entry(
        "gaussian",
        "unusual at its position, in units of the covariance there",
        "Defard et al. 2021",
        grid={
            "detector__smoothing": [0, 0.5, 1],
            "detector__score_by": ["max", "top1%"],
        },
        options={"threshold": "held-out"},
        takes=("patches",),
    )
    _parameter_constraints: dict = {
        **PatchDetector._parameter_constraints,
        "positions": [StrOptions({"own", "shared"})],
        "covariance": [StrOptions({"full", "diagonal"})],
        "floor": [NON_NEGATIVE],
    }

    def __init__(
        self,
        positions="own",
        *,
        covariance="full",
        floor=0.01,
        **options: Unpack[PatchOptions],
    ):
        super().__init__(**options)
        self.positions = positions
        self.covariance = covariance
        self.floor = floor

    def _fit_maps(self, X: np.ndarray) -> Iterable[np.ndarray] | None:
        n_samples, height, width, n_features = X.shape
        if self.positions == "own":
            patches = X.reshape(n_samples, -1, n_features).swapaxes(0, 1)
            shape: tuple[int, ...] = (height, width)
        else:
            patches, shape = X.reshape(1, -1, n_features), ()
        if patches.shape[1] < 2:
            raise ValueError(
                f"PatchGaussian needs at least 2 patches for each covariance, got "
                f"{patches.shape[1]} from {n_samples} sample."
            )
        fit = self._fit_full if self.covariance == "full" else self._fit_diagonal
        held_out = fit(patches, shape)
        if held_out is None or self.positions == "shared":
            return None
        return [self._score_of_map(held_out.reshape(n_samples, height, width))]

    def _fit_full(self, patches, shape):
        """Return the held-out distances (n_samples, n_groups) of groups of patches."""
        n_groups, _, n_features = patches.shape
        found = [
            shrunk_covariance(group) for group in tracked(patches, "position", n_groups)
        ]
        floor = self.floor * np.mean([one.mean_variance for one in found])
        found = [_with_floor(one, floor) for one in found]
        dtype = np.result_type(patches, np.float32)
        locations = np.stack([one.location for one in found])
        unit = np.eye(n_features)
        roots = np.stack(
            [one.whiten(unit + one.location) for one in found], dtype=dtype
        )
        self.location_ = locations.astype(dtype).reshape(*shape, n_features)
        roots = roots.astype(dtype)
        self.precision_root_ = roots.reshape(*shape, n_features, n_features)
        if not shape or not self._has_threshold:
            return None
        distances = np.empty(patches.shape[:2])
        for i, (one, group) in enumerate(zip(found, patches, strict=True)):
            squares = one.leave_one_out(group)
            if squares is None:
                return None
            distances[i] = np.sqrt(squares)
        return distances.T

    def _fit_diagonal(self, patches, shape):
        """Return the held-out distances (n_samples, n_groups) of groups of patches."""
        n_groups, n, n_features = patches.shape
        location = np.stack([group.mean(axis=0, dtype=np.float64) for group in patches])
        variance = np.stack([group.var(axis=0, dtype=np.float64) for group in patches])
        floor = self.floor * variance.mean()
        dtype = np.result_type(patches, np.float32)
        root = np.sqrt(_inverse(variance + floor)).astype(dtype)
        self.location_ = location.astype(dtype).reshape(*shape, n_features)
        self.precision_root_ = root.reshape(*shape, n_features)
        if not shape or not self._has_threshold:
            return None
        distances = np.empty((n, n_groups))
        for i, group in enumerate(patches):
            away = n / (n - 1) * (group - location[i])  # from the mean of the others
            others = n / (n - 1) * variance[i] - away**2 / n + floor
            distances[:, i] = np.sqrt((away**2 * _inverse(others)).sum(axis=1))
        return distances

    def _map(self, X: np.ndarray) -> np.ndarray:
        n_samples, height, width, n_features = X.shape
        away = X - self.location_
        if self.covariance == "diagonal":
            away *= self.precision_root_
        elif self.positions == "shared":
            away = away @ self.precision_root_
        else:
            away = away.reshape(n_samples, -1, n_features).swapaxes(0, 1)
            roots = self.precision_root_.reshape(-1, n_features, n_features)
            away = (away @ roots).swapaxes(0, 1)
        squares = np.einsum("...j,...j->...", away, away)
        return np.sqrt(squares).reshape(n_samples, height, width)


def _with_floor(covariance: ShrunkCovariance, floor: float) -> ShrunkCovariance:
    """Return the covariance with ``floor`` added to the variance of every feature."""
    return replace(
        covariance,
        variances=covariance.variances + floor,
        residual_variance=covariance.residual_variance + floor,
    )


def _inverse(variance: np.ndarray) -> np.ndarray:
    """Return 1 / variance, and 0 where there is none."""
    kept = variance > 0
    return np.divide(1.0, variance, out=np.zeros_like(variance), where=kept)
