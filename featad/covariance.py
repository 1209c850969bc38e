"""Ledoit and Wolf's shrunk covariance, without a matrix of features by features."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ellipj, ellipkm1

from featad._blocks import row_blocks
from featad.covariance_sums import EPS, CovarianceSums, Moments, Spectrum


@dataclass(frozen=True)
class _LeftOut:
    """What the covariances without one sample have in common, and what not.

    In the axes of all samples, the one without sample i is ``diag(variances) - share *
    outer(along[i], along[i])``, where ``along[i]`` (n_components,) is the sample minus
    the others' mean. ``squared`` is its squared length under ``diag(variances)``, and
    ``kept`` is 1 - ``share`` * ``squared``.
    """

    variances: np.ndarray
    along: np.ndarray
    share: float
    squared: np.ndarray
    kept: np.ndarray


@dataclass(frozen=True)
class ShrunkCovariance:
    """A covariance as its axes, and one variance for every direction outside them.

    Attributes
    ----------
    location : ndarray of shape (n_features,), float64
        Mean of the samples.

    components : ndarray of shape (n_components, n_features), float64
        Axes of the empirical covariance, unit length.

    variances : ndarray of shape (n_components,), float64
        Variance of the shrunk covariance along each axis, descending.

    residual_variance : float
        Its variance in every direction outside the axes.

    shrinkage : float in [0, 1]
        Weight of the multiple of the identity.
    """

    location: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    residual_variance: float
    shrinkage: float

    def squared_lengths(self, X: np.ndarray) -> np.ndarray:
        """Return the squared Mahalanobis distances (n_samples,), float64, to the mean.

        ``X`` (n_samples, n_features) is float32 or float64, here and below.
        """
        squared = np.empty(len(X))
        inverse = self._inverse(self.variances)
        for rows, centered in _centered(X, self.location):
            along = (centered @ self.components.T) ** 2
            outside = np.einsum("ij,ij->i", centered, centered) - along.sum(axis=1)
            outside = np.maximum(outside, 0)  # 0 where rounding leaves less
            squared[rows] = along @ inverse + outside * self._outside
        return squared

    def whiten(self, X: np.ndarray) -> np.ndarray:
        """Return the samples times the symmetric inverse root, in the type of ``X``.

        Those of float16 come back as float32. Their squared lengths are
        ``squared_lengths(X)``.
        """
        whitened = _empty_like(X)
        outside = np.sqrt(self._outside)
        change = np.sqrt(self._inverse(self.variances)) - outside
        for rows, centered in _centered(X, self.location):
            along = (centered @ self.components.T) * change
            whitened[rows] = centered * outside + along @ self.components
        return whitened

    def leave_one_out(
        self, X: np.ndarray, n_samples: int | None = None
    ) -> np.ndarray | None:
        """Return the squared distance of each training sample to the others' mean.

        It is measured under the others' covariance, shrunk by the same multiple of the
        identity with the same weight as that of all samples.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            The samples that the covariance was estimated from, or some of them.

        n_samples : int or None, default=None
            How many it was estimated from. None: these.

        Returns
        -------
        squared : ndarray of shape (len(X),), float64, or None
            None where the others' covariance is not of full rank.
        """
        squared = np.empty(len(X))
        for rows, left in self._left_out(X, n_samples or len(X)):
            if left is None:
                return None
            squared[rows] = left.squared / left.kept
        return squared

    def whiten_leave_one_out(
        self, X: np.ndarray, n_samples: int | None = None
    ) -> np.ndarray | None:
        """Whiten each training sample by mean and covariance of the others.

        The covariance is that of `leave_one_out`, whose result is the squared lengths.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            The samples that the covariance was estimated from, or some of them.

        n_samples : int or None, default=None
            How many it was estimated from. None: these.

        Returns
        -------
        Z : ndarray of the shape of ``X``, float32 or float64, or None
            None where the others' covariance is not of full rank.

        Notes
        -----
        The inverse root of a matrix M is an integral, 2 / pi times that of
        (M + t^2 I)^-1 over all t > 0. For the covariance without one sample each of
        these inverses is that of all samples changed by one product, so no further
        eigenvalues are needed. With the nodes of [1]_ some thirty of them give the
        integral to twelve digits.

        References
        ----------
        .. [1] Hale, Higham and Trefethen, "Computing A^alpha, log(A), and related
           matrix functions by contour integrals", SIAM J. Numer. Anal. 46, 2008.
        """
        whitened = _empty_like(X)
        for rows, left in self._left_out(X, n_samples or len(X)):
            if left is None:
                return None
            lowest = max(self.residual_variance, left.kept.min() * left.variances.min())
            squares, weights = _inverse_root_nodes(lowest, left.variances.max())
            inverses = 1 / (left.variances + squares[:, None])  # (nodes, components)
            kept = 1 - left.share * (left.along**2 @ inverses.T)  # (rows, nodes)
            along = left.along * ((weights / kept) @ inverses)
            whitened[rows] = along @ self.components
        return whitened

    def _left_out(
        self, X: np.ndarray, n: int
    ) -> Iterator[tuple[slice, "_LeftOut | None"]]:
        """Yield rows and their covariances; None where one is not of full rank."""
        grown = n / (n - 1)
        axes = self.variances - self.residual_variance
        variances = grown * axes + self.residual_variance
        inverse = self._inverse(variances)
        is_full = inverse.min(initial=np.inf) not in (0, np.inf)
        share = (1 - self.shrinkage) / n
        for rows, centered in _centered(X, self.location):
            if not is_full:
                yield rows, None
                continue
            along = grown * (centered @ self.components.T)
            squared = along**2 @ inverse
            kept = 1 - share * squared  # 0: no other sample varies this way
            is_kept = kept.min() >= np.sqrt(EPS)
            found = _LeftOut(variances, along, share, squared, kept)
            yield rows, found if is_kept else None

    @property
    def _outside(self) -> float:
        """The inverse of the residual variance; 0 where nothing lies outside."""
        if len(self.components) == self.location.size:
            return 0.0
        return float(self._inverse(self.residual_variance))

    def _inverse(self, variances: np.ndarray | float) -> np.ndarray:
        return _inverse(
            variances, self.variances.max(initial=0) * self.location.size * EPS
        )


def shrunk_covariance(X: np.ndarray) -> ShrunkCovariance:
    """Estimate the shrunk covariance of samples.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float16, float32 or float64
        At least two samples.

    Returns
    -------
    covariance : ShrunkCovariance
        As ``sklearn.covariance.LedoitWolf`` has it.

    Raises
    ------
    ValueError
        If products of the values overflow.

    See Also
    --------
    estimate : It returns what is needed to go on with further samples as well.
    """
    return estimate(X)[0]


def estimate(X: np.ndarray) -> tuple[ShrunkCovariance, Moments]:
    """Return the shrunk covariance of samples, and what it takes to add others.

    Parameters and errors are those of `shrunk_covariance`.

    Notes
    -----
    The eigenvalues are those of the smaller of two matrices: of the covariance, or of
    the products of the samples, (n_samples, n_samples). Time is n_samples * n_features
    * min(n_samples, n_features). Where there are as many samples as features, or more,
    they are read once, block by block, and may be in a memory-mapped file.
    """
    n_samples, n_features = X.shape
    if n_samples >= n_features:
        sums = CovarianceSums()
        sums.add(X)
        return estimate_from(sums)
    location = np.where((X[0] == X).all(axis=0), X[0], X.mean(axis=0, dtype=np.float64))
    with np.errstate(over="ignore", invalid="ignore"):  # refused by `Spectrum`
        centered = X - location  # location is exact where nothing varies
        products = centered @ centered.T
        norms = products.diagonal().copy()
        third, fourth = norms @ centered, float(norms @ norms)
    spectrum = Spectrum(products, n_samples, float(norms.sum()), fourth, n_features)
    components = spectrum.vectors.T @ centered
    components /= np.sqrt(n_samples * spectrum.values)[:, None]
    moments = Moments(n_samples, spectrum.values, third, fourth)
    return _shrunk(location, components, spectrum), moments


def estimate_from(sums: CovarianceSums) -> tuple[ShrunkCovariance, Moments]:
    """Return what `estimate` returns of all samples that were added up.

    Parameters
    ----------
    sums : CovarianceSums
        Of at least two samples. They stay as they are.

    Raises
    ------
    ValueError
        If products of the values overflow.
    """
    spectrum = sums.spectrum()
    moments = Moments(sums.n_samples, spectrum.values, sums.third, sums.fourth)
    return _shrunk(sums.location, spectrum.vectors.T, spectrum), moments


def _shrunk(
    location: np.ndarray, components: np.ndarray, spectrum: Spectrum
) -> ShrunkCovariance:
    return ShrunkCovariance(
        location,
        components,
        spectrum.variances,
        spectrum.residual_variance,
        spectrum.shrinkage,
    )


def whiten_out_of_fold(
    X: np.ndarray, folds: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Whiten every sample by the covariance of a fold that does not hold it.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        The samples.

    folds : sequence of (train, test)
        Indices; each sample is in one test part.

    Returns
    -------
    Z : ndarray of the shape and type of ``X``
        Within rounding, ``shrunk_covariance(X[train]).whiten(X[test])`` in the rows
        of each ``test``.

    Notes
    -----
    Where there are fewer samples than features, all folds come from the products of
    all samples: those of a fold are a part of them, moved to the mean of the fold. What
    is whitened is a combination of samples, so one matrix (n_samples, n_samples) turns
    ``X`` into the result.
    """
    n_samples, n_features = X.shape
    if n_samples >= n_features:
        Z = np.empty_like(X)
        for train, test in folds:
            Z[test] = shrunk_covariance(X[train]).whiten(X[test])
        return Z
    dtype = X.dtype
    X = X.astype(np.float64) - np.median(X, axis=0)  # one far sample does not move it
    products = X @ X.T
    combine = np.zeros_like(products)
    for train, test in folds:
        combine[test[:, None], train], combine[test, test] = _combination(
            products[np.ix_(train, train)], products[np.ix_(test, train)], n_features
        )
    return (combine @ X).astype(dtype, copy=False)


def _combination(
    among: np.ndarray, across: np.ndarray, n_features: int
) -> tuple[np.ndarray, float]:
    """Return the whitened samples of a fold's test part as a combination of samples.

    Parameters
    ----------
    among : ndarray of shape (n_train, n_train)
        Products of the training samples. Overwritten.

    across : ndarray of shape (n_test, n_train)
        Products of the test samples with them. Overwritten.

    n_features : int
        Number of features.

    Returns
    -------
    weights : ndarray of shape (n_test, n_train)
        What each training sample adds to each test sample.

    own : float
        Weight of the test sample itself.
    """
    n_train = len(among)
    means, rounding = among.mean(axis=0), n_train * EPS * among.diagonal().max()
    among -= means + means[:, None] - means.mean()
    across -= across.mean(axis=1, keepdims=True) + means - means.mean()
    if among.diagonal().max() <= rounding:  # all training samples are equal
        among[:] = 0
    norms = among.diagonal().copy()
    spectrum = Spectrum(among, n_train, norms.sum(), norms @ norms, n_features)
    values, residual = spectrum.values, spectrum.residual_variance
    floor = spectrum.variances.max(initial=0) * n_features * EPS
    own = np.sqrt(_inverse(residual, floor))
    along = np.sqrt(_inverse(spectrum.variances, floor))
    factors = (along - own) / (n_train * values)
    weights = ((across @ spectrum.vectors) * factors) @ spectrum.vectors.T
    return weights - own / n_train, float(own)


def _centered(
    X: np.ndarray, location: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows and their difference from the mean, float64, block by block."""
    for rows in row_blocks(*X.shape):
        yield rows, X[rows] - location


def _empty_like(X: np.ndarray) -> np.ndarray:
    return np.empty(X.shape, np.result_type(X, np.float32))


def _inverse_root_nodes(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Return t^2 and weights so that sum(weights / (x + t^2)) is 1 / sqrt(x).

    It holds to twelve digits for all x between ``low`` and ``high``.
    """
    ratio = low / high
    n_nodes = int(np.ceil(28 * (3 - np.log(ratio)) / (2 * np.pi**2)))
    period = ellipkm1(ratio)
    sn, cn, dn, _ = ellipj((np.arange(n_nodes) + 0.5) * period / n_nodes, 1 - ratio)
    weights = 2 * period * np.sqrt(low) / (np.pi * n_nodes) * dn / cn**2
    return low * (sn / cn) ** 2, weights


def _inverse(variances: np.ndarray | float, floor: float) -> np.ndarray:
    """Return 1 / variances, and 0 for those that are not above the floor."""
    variances = np.asarray(variances)
    kept = variances > floor
    return np.divide(1.0, variances, out=np.zeros_like(variances), where=kept)
