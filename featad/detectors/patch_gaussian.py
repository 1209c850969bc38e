"""Anomalous samples have features that are unusual at their position of the map."""

from collections.abc import Iterable, Iterator

import numpy as np
from typing_extensions import Unpack

from featad._blocks import row_blocks, widened
from featad.base import NON_NEGATIVE, StrOptions
from featad.entry import Entry
from featad.patch_detector import PatchDetector, PatchOptions
from featad.position_covariance import inverse, moments, position_covariances


class PatchGaussian(PatchDetector):
    """Judge every position of a map by its Mahalanobis distance to normal ones.

    Parameters
    ----------
    positions : {"own", "shared"}, default="own"
        Whether each position of the map has a mean and a covariance of its own, as
        images need that show parts in one pose, or all positions share them.

    covariance : {"full", "diagonal"}, default="full"
        Whether features vary together, or each by itself.

    shrink_to : {"pooled", "identity"}, default="pooled"
        What the full covariance of each position is shrunk toward. "pooled": toward the
        mean of all positions' covariances, as if it were known from ``n_features`` more
        samples. "identity": toward a multiple of the identity, as Ledoit and Wolf do.
        Where all positions share a covariance, it is always the identity.

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
        Root of the inverse covariance of each position, or of all; of a diagonal
        covariance, its diagonal. float64 if the training maps are, otherwise
        float32.

    Notes
    -----
    The strangeness of a position is its Mahalanobis distance to the mean, which has no
    unit. Full covariances are shrunk, so they need no more samples than features. With
    few samples, most of what a position's own covariance says is noise, and what all
    positions say together is not. So maps are far better shrunk toward the pooled
    covariance than shrunk toward the identity [2]_. ``held_out_scores_`` have a closed
    form, that of `Mahalanobis`, for positions of their own; the pooled covariance in it
    is that of all samples.

    Full covariances of their own take height * width * n_features * n_features floats,
    51 MB for 28 x 28 positions of 128 features in float32. Fitting takes one
    decomposition into eigenvectors for each position.

    Differs from the paper: the covariance is shrunk, on top of ``floor``, where the
    paper adds 0.01 to the diagonal whatever the scale of the features.

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
    _defaults = {"smoothing": 0.5}
    _parameter_constraints: dict = {
        **PatchDetector._parameter_constraints,
        "positions": [StrOptions({"own", "shared"})],
        "covariance": [StrOptions({"full", "diagonal"})],
        "shrink_to": [StrOptions({"pooled", "identity"})],
        "floor": [NON_NEGATIVE],
    }

    def __init__(
        self,
        positions="own",
        *,
        covariance="full",
        shrink_to="pooled",
        floor=0.01,
        **options: Unpack[PatchOptions],
    ):
        super().__init__(**{**PatchGaussian._defaults, **options})
        self.positions = positions
        self.covariance = covariance
        self.shrink_to = shrink_to
        self.floor = floor

    def _fit_maps(self, X: np.ndarray) -> Iterable[np.ndarray] | None:
        own = self.positions == "own"
        self._check_samples(X)
        location, variance = moments(X, axis=0 if own else (0, 1, 2))
        floor = self.floor * variance.mean()
        dtype = np.result_type(X, np.float32)
        self.location_ = location.astype(dtype)
        if self.covariance == "diagonal":
            self.precision_root_ = np.sqrt(inverse(variance + floor)).astype(dtype)
            return self._held_out(X, location, variance, floor) if own else None
        n_samples, height, width, n_features = X.shape
        groups = X.reshape(n_samples, -1, n_features).swapaxes(0, 1)
        if not own:
            groups = X.reshape(1, -1, n_features)
        roots = np.empty((len(groups), n_features, n_features), dtype=dtype)
        distances = np.full((n_samples, len(groups)), np.nan)
        pooled = self.shrink_to == "pooled"
        means = location.reshape(-1, n_features)
        found = position_covariances(groups, means, floor, pooled=pooled)
        for i, position in enumerate(found):
            roots[i] = position.root
            if own and self._has_threshold:
                squares = position.covariance.leave_one_out(position.patches)
                distances[:, i] = np.nan if squares is None else np.sqrt(squares)
        self.precision_root_ = roots.reshape(*location.shape, n_features)
        if np.isnan(distances).any():
            return None
        return [self._score_of_map(distances.reshape(n_samples, height, width))]

    def _check_samples(self, X: np.ndarray) -> None:
        own = self.positions == "own"
        if len(X) == 1 and (own or X[0].size == X.shape[-1]):
            what = "samples for positions='own'" if own else "patches"
            raise ValueError(
                f"PatchGaussian needs at least 2 {what} to estimate a covariance, got "
                "1 sample."
            )
        if not own and self.threshold == "held-out":
            raise ValueError(
                "PatchGaussian(positions='shared') does not know how a training sample "
                "scores under a fit on the others. Take threshold='training', or "
                "featad.calibrate, which fits on the others."
            )

    def _bytes_of_fit(self, shape: tuple[int, ...], dtype: np.dtype) -> int:
        n_samples, height, width, n_features = shape
        n_positions = height * width if self.positions == "own" else 1
        n_columns = n_features if self.covariance == "full" else 1
        itemsize = np.result_type(dtype, np.float32).itemsize
        roots = n_positions * n_features * n_columns * itemsize
        moments = 8 * n_positions * n_features
        held_out = 3 * n_samples * height * width
        decomposed = 3 * n_samples * n_features + 8 * n_features**2
        return roots + 8 * (moments + held_out + decomposed)

    def _held_out(self, X, location, variance, floor) -> Iterator[np.ndarray]:
        """Yield the strangeness under diagonal covariances of the other samples."""
        n = len(X)
        for rows in row_blocks(n, 4 * X[0].size):
            away = n / (n - 1) * (X[rows] - location)  # from the mean of the others
            others = n / (n - 1) * variance - away**2 / n + floor
            squares = (away**2 * inverse(others)).sum(axis=-1)
            yield self._score_of_map(np.sqrt(squares))

    def _map(self, X: np.ndarray) -> np.ndarray:
        squares = np.empty(X.shape[:3], dtype=np.result_type(X, self.location_))
        own = self.positions == "own"
        for row in range(X.shape[1]):  # what it takes fits into a processor's cache
            here = row if own else ...
            away = widened(X[:, row]) - self.location_[here]
            if self.covariance == "diagonal":
                away *= self.precision_root_[here]
            elif own:  # a product of matrices for each position
                products = away.swapaxes(0, 1) @ self.precision_root_[here]
                away = products.swapaxes(0, 1)
            else:
                away = away @ self.precision_root_
            squares[:, row] = np.einsum("...j,...j->...", away, away)
        return np.sqrt(squares)
