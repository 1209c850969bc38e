"""A shrunk covariance as the learned attributes of an estimator."""

import numpy as np

from featad.covariance import ShrunkCovariance, estimate_from
from featad.covariance_sums import CovarianceSums, Moments


def check_number(estimator: object, n_samples: int) -> None:
    """Refuse a single sample, which has no covariance.

    Raises
    ------
    ValueError
        If there are fewer than two.
    """
    if n_samples < 2:
        raise ValueError(
            f"{type(estimator).__name__} needs at least 2 samples to estimate a "
            f"covariance, got {n_samples} sample."
        )


class KeepsCovariance:
    """Mixin of estimators that learn a shrunk covariance.

    Its parts are the attributes ``location_``, ``shrinkage_``, ``components_``,
    ``variances_`` and ``residual_variance_``, as `ShrunkCovariance` describes them.
    """

    location_: np.ndarray
    shrinkage_: float
    components_: np.ndarray
    variances_: np.ndarray
    residual_variance_: float
    moments_: dict

    def _adopt(
        self, covariance: ShrunkCovariance, moments: Moments | None = None
    ) -> None:
        """Keep a covariance, and the moments with which ``partial_fit`` goes on."""
        self.location_, self.components_ = covariance.location, covariance.components
        self.shrinkage_ = covariance.shrinkage
        self.variances_ = covariance.variances
        self.residual_variance_ = covariance.residual_variance
        if moments is not None:
            self.moments_ = vars(moments)

    def _covariance(self) -> ShrunkCovariance:
        return ShrunkCovariance(
            self.location_,
            self.components_,
            self.variances_,
            self.residual_variance_,
            self.shrinkage_,
        )

    def _add(self, X: np.ndarray) -> int:
        """Learn from further samples; return how many there are in all."""
        sums = CovarianceSums()
        if self._n_seen():
            sums = CovarianceSums.resumed(
                self.location_, self.components_, Moments(**self.moments_)
            )
        sums.add(X)
        self._adopt(*estimate_from(sums))
        return sums.n_samples

    def _n_seen(self) -> int:
        """Return how many samples were learned from so far."""
        return self.moments_["n_samples"] if hasattr(self, "location_") else 0
