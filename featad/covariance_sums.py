"""What a shrunk covariance is computed from, added up block by block in one pass."""

from dataclasses import dataclass, field

import numpy as np

from featad._blocks import row_blocks

EPS = np.finfo(np.float64).eps
_FIRST = 1000  # samples whose median is the origin


@dataclass
class Moments:
    """What is needed to go on with a covariance, beside its location and axes.

    Attributes
    ----------
    n_samples : int
        How many samples it is of.

    values : ndarray of shape (n_components,), float64
        Variance of the empirical covariance along each axis.

    third : ndarray of shape (n_features,), float64
        Sum of the centered samples, each times its squared length.

    fourth : float
        Sum of the squares of the squared lengths.
    """

    n_samples: int
    values: np.ndarray
    third: np.ndarray
    fourth: float


@dataclass
class CovarianceSums:
    """Sums over samples, from which their mean and shrunk covariance follow.

    All sums are about the mean of the samples so far, and move with it, so that they
    lose no digits, however far the samples are from zero.

    Attributes
    ----------
    n_samples : int
        How many samples were added.

    origin : ndarray of shape (n_features,), float64
        The median of the first samples. A feature that never varies is exact.

    mean : ndarray of shape (n_features,), float64
        Mean of the samples minus the origin.

    scatter : ndarray of shape (n_features, n_features), float64
        Sum of the outer products of the samples with themselves.

    third : ndarray of shape (n_features,), float64
        Sum of the samples, each times its squared length.

    fourth : float
        Sum of the squares of the squared lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.covariance_sums import CovarianceSums
    >>> sums = CovarianceSums()
    >>> sums.add(np.array([[0.0, 1.0], [2.0, 1.0]]))
    >>> sums.add(np.array([[4.0, 1.0]]))
    >>> sums.n_samples, sums.location, sums.scatter[0, 0].item()
    (3, array([2., 1.]), 8.0)
    """

    n_samples: int = 0
    origin: np.ndarray = field(default_factory=lambda: np.zeros(0))
    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    scatter: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    third: np.ndarray = field(default_factory=lambda: np.zeros(0))
    fourth: float = 0.0

    @classmethod
    def resumed(
        cls, location: np.ndarray, components: np.ndarray, moments: Moments
    ) -> "CovarianceSums":
        """Return sums to go on with, within rounding those that were estimated from.

        Parameters
        ----------
        location : ndarray of shape (n_features,)

        components : ndarray of shape (n_components, n_features)

        moments : Moments
        """
        n_samples = moments.n_samples
        lengths = np.sqrt(n_samples * moments.values)
        axes = components * lengths[:, None]
        mean, third = np.zeros_like(location), moments.third.copy()
        return cls(n_samples, location, mean, axes.T @ axes, third, moments.fourth)

    def add(self, X: np.ndarray) -> None:
        """Add samples.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float16, float32 or float64
            It is read block by block, and may be a memory-mapped file.

        Raises
        ------
        ValueError
            If products of the values overflow.
        """
        if not self.n_samples:
            self.origin = np.median(X[:_FIRST], axis=0).astype(np.float64)
            self.mean, self.third = np.zeros((2, X.shape[1]))
            self.scatter = np.zeros((X.shape[1], X.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):  # refused by `Spectrum`
            for rows in row_blocks(*X.shape):
                self._add(X[rows] - self.origin)

    @property
    def location(self) -> np.ndarray:
        """Mean of the samples (n_features,), float64."""
        return self.origin + self.mean

    def spectrum(self) -> "Spectrum":
        """Return eigenvalues and shrinkage of the covariance."""
        n_samples, n_features = self.n_samples, len(self.mean)
        total = float(np.trace(self.scatter))
        return Spectrum(self.scatter.copy(), n_samples, total, self.fourth, n_features)

    def _add(self, samples: np.ndarray) -> None:
        """Add one block; it is overwritten."""
        n_before = self.n_samples
        self.n_samples += len(samples)
        step = (samples.mean(axis=0) - self.mean) * (len(samples) / self.n_samples)
        self.mean += step
        samples -= self.mean
        norms = np.einsum("ij,ij->i", samples, samples)
        across, length = self.scatter @ step, step @ step
        total = np.trace(self.scatter)
        self.fourth += float(
            4 * (step @ across - self.third @ step)
            + length * (2 * total + n_before * length)
            + norms @ norms
        )
        self.third += norms @ samples - 2 * across - (total + n_before * length) * step
        moved = np.vstack([samples, np.sqrt(n_before) * step])
        self.scatter += moved.T @ moved


class Spectrum:
    """Eigenvalues and shrinkage of a covariance.

    Parameters
    ----------
    products : ndarray of shape (n_samples, n_samples) or (n_features, n_features)
        Of the centered samples: ``X @ X.T`` or ``X.T @ X``. It is overwritten.

    n_samples : int

    total : float
        Sum of the squared lengths of the centered samples.

    fourth : float
        Sum of their squares.

    n_features : int

    Attributes
    ----------
    values : ndarray, float64
        Eigenvalues of the empirical covariance, descending.

    vectors : ndarray of shape (len(products), len(values)), float64
        Eigenvectors of ``products``.

    variances : ndarray, float64
        Variances of the shrunk covariance along them.

    residual_variance : float
        Its variance in every other direction.

    shrinkage : float in [0, 1]
        Weight of the multiple of the identity.

    Raises
    ------
    ValueError
        If the products overflow.
    """

    def __init__(
        self,
        products: np.ndarray,
        n_samples: int,
        total: float,
        fourth: float,
        n_features: int,
    ) -> None:
        squared = np.einsum("ij,ij->", products, products) / n_samples**2
        if not np.isfinite([squared, fourth]).all():
            raise ValueError(
                "Products of the values of X overflow. Scale X, for example with "
                "StandardScaler."
            )
        mean = total / n_samples
        error = (fourth / n_samples - squared) / n_samples
        distance = squared - mean**2 / n_features  # to the identity's multiple
        self.shrinkage = _shrinkage(squared, distance, error, n_features)
        products /= n_samples
        values, vectors = np.linalg.eigh(products)
        values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
        if len(products) < n_features:  # 0 within rounding joins what lies outside
            kept = values > values[0] * len(products) * EPS
            values, vectors = values[kept], vectors[:, kept]
        self.values, self.vectors = values, vectors
        self.residual_variance = self.shrinkage * mean / n_features
        self.variances = (1 - self.shrinkage) * values + self.residual_variance


def _shrinkage(squared: float, distance: float, error: float, n_features: int) -> float:
    """Return Ledoit and Wolf's shrinkage.

    ``squared`` is the sum over all entries of the empirical covariance of their
    squares, ``distance`` that of its difference from a multiple of the identity, and
    ``error`` the expected one from the true covariance.
    """
    if n_features == 1 or distance <= 0 or error <= squared * EPS:
        return 0.0
    return float(min(error / distance, 1.0))
