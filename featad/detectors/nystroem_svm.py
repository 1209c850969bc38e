"""Anomalous samples are outside a one-class SVM on an approximate kernel."""

from collections.abc import Callable, Iterable, Iterator
from numbers import Integral, Real

import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM

from featad._sklearn import untouched_generator
from featad.base import Interval
from featad.entry import Entry
from featad.kernels import kernel_values, median_width
from featad.streamed import BATCH, StreamedDetector

_STEPS = 2**14  # of descent, at least; few samples are taken again
_PASSES = 256  # at most


class NystroemSVM(StreamedDetector):
    """Score a sample by a one-class SVM on landmarks, for millions of samples.

    Parameters
    ----------
    n_components : int, default=256
        Number of landmarks: training samples that the kernel is approximated by. At
        most 1,024, and at most ``n_samples``.

    nu : float in (0, 1], default=0.05
        Share of the training samples that the boundary may leave outside. It shapes the
        scores; the threshold follows from ``contamination``.

    Attributes
    ----------
    gamma_ : float
        1 / the median squared distance of whitened samples: the width of the kernel.

    landmarks_ : ndarray of shape (n_components, n_features), float64
        The landmarks, whitened.

    dual_coef_ : ndarray of shape (n_components,), float64
        Weight of each landmark in the score.

    Notes
    -----
    The score is the sum of the values of the kernel "rbf" between the whitened sample
    and the landmarks, weighted by ``dual_coef_``. That of `OneClassSVM` is such a sum
    over its support vectors. Random landmarks approximate the kernel [1]_, and
    stochastic gradient descent learns the weights of the one-class SVM [2]_, in one
    pass where there are 16,384 samples or more. Two more passes read the samples, for
    the covariance and for the threshold, which "held-out" takes from a part.

    References
    ----------
    .. [1] Williams and Seeger, "Using the Nyström method to speed up kernel machines",
       NIPS 2000.
    .. [2] Schölkopf, Platt, Shawe-Taylor, Smola and Williamson, "Estimating the support
       of a high-dimensional distribution", Neural Computation 13, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.detectors import NystroemSVM
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) * [1, 2, 3]
    >>> NystroemSVM(64, random_state=0).fit(X).predict([[0, 0, 0], [0, 0, 20]])
    array([ 1, -1])
    """

    _entry = Entry(
        "nystroem",
        "outside a one-class SVM on landmarks, for millions of images",
        "Williams and Seeger 2000; Schölkopf et al. 2001",
        grid={"detector__n_components": [64, 256, 1024], "detector__nu": [0.05, 0.2]},
        options={"threshold": "held-out"},
    )
    _parameter_constraints: dict = {
        **StreamedDetector._parameter_constraints,
        "n_components": [Interval(Integral, 1, BATCH, closed="both")],
        "nu": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        n_components=256,
        *,
        nu=0.05,
        contamination=0.05,
        threshold="training",
        random_state=None,
    ):
        super().__init__(
            contamination=contamination, threshold=threshold, random_state=random_state
        )
        self.n_components = n_components
        self.nu = nu

    def _learn(
        self,
        batches: Callable[[], Iterator[np.ndarray]],
        n_samples: int,
        random: np.random.RandomState,
    ) -> None:
        first = next(batches())
        self.gamma_ = median_width(first)
        n_components = min(self.n_components, len(first))
        kernel = Nystroem(
            gamma=self.gamma_, n_components=n_components, random_state=random
        ).fit(first)
        svm = SGDOneClassSVM(self.nu, random_state=random)
        n_passes = min(-(-_STEPS // n_samples), _PASSES)
        mapped: Iterable[np.ndarray] = map(kernel.transform, batches())
        if n_passes > 1:
            mapped = list(mapped)  # of few samples
        with untouched_generator():
            for _ in range(n_passes):
                for batch in mapped:
                    svm.partial_fit(batch)
        self.landmarks_ = kernel.components_.astype(np.float64)
        self.dual_coef_ = kernel.normalization_.T @ svm.coef_.astype(np.float64)

    def _judge(self, whitened: np.ndarray) -> np.ndarray:
        samples = whitened.astype(np.float64, copy=False)
        values = kernel_values("rbf", samples, self.landmarks_, self.gamma_, 1, 0.0)
        return -values @ self.dual_coef_
