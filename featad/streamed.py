"""Base of detectors for more samples than the memory holds."""

from abc import abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
from sklearn.utils import check_random_state, gen_batches

from featad._blocks import row_blocks
from featad.base import BaseDetector, StrOptions
from featad.covariance import shrunk_covariance
from featad.kept_covariance import KeepsCovariance, check_number

BATCH = 1024
"""How many samples are learned from together."""

_RUNS = 2**14  # samples that stand together are drawn together if there are more
_ASIDE = 10_000  # samples, at most a tenth of all


class StreamedDetector(KeepsCovariance, BaseDetector):
    """Base of detectors that whiten samples and learn from them batch by batch.

    Time grows with the number of samples, and memory does not: ``X`` may be a
    memory-mapped file, also of float16. Samples are whitened as by
    `featad.ShrunkWhitening`, those of ``fit`` by the covariance of the others.

    A subclass writes ``_learn(batches)`` and ``_judge(whitened)``.

    Parameters
    ----------
    threshold : {"training", "held-out"}, default="training"
        Of which scores of training samples the threshold is a quantile: of those that
        ``score_samples`` gives them; or of those of a tenth, at most 10,000, which are
        kept aside and not learned from. Of both the covariance is estimated.

    random_state : int, RandomState instance or None, default=None
        Seeds the order of the samples, and what is drawn from them.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,), float64
        Mean of the training samples.

    shrinkage_ : float in [0, 1]
        Weight of the multiple of the identity in the covariance.

    components_ : ndarray of shape (n_components, n_features), float64
        Axes of the covariance, at most ``min(n_samples, n_features)``, unit length.

    variances_ : ndarray of shape (n_components,), float64
        Variance of the shrunk covariance along each axis, descending.

    residual_variance_ : float
        Its variance in every direction outside the axes.
    """

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "threshold": [StrOptions({"training", "held-out"})],
        "random_state": ["random_state"],
    }
    _takes_halves = True

    def __init__(self, *, contamination=0.05, threshold="training", random_state=None):
        self.contamination = contamination
        self.threshold = threshold
        self.random_state = random_state

    @abstractmethod
    def _learn(
        self,
        batches: Callable[[], Iterator[np.ndarray]],
        n_samples: int,
        random: np.random.RandomState,
    ) -> None:
        """Learn from whitened batches, float32 or float64.

        ``batches()`` reads the samples once, always in the same random order.
        """

    @abstractmethod
    def _judge(self, whitened: np.ndarray) -> np.ndarray:
        """Return the strangeness of whitened samples."""

    def _fit(self, X: np.ndarray) -> None:
        n_samples = len(X)
        check_number(self, n_samples)
        X = X.reshape(n_samples, -1)
        self._adopt(shrunk_covariance(X))
        random = check_random_state(self.random_state)
        order = _mixed(n_samples, random)
        n_aside = 0
        if self.threshold == "held-out":
            n_aside = max(1, min(n_samples // 10, _ASIDE))
        aside, learned = order[:n_aside], order[n_aside:]
        self._learn(lambda: self._batches(X, learned), len(learned), random)
        if n_aside and self._has_threshold:
            scores = [self._judge(batch) for batch in self._batches(X, aside)]
            self._aside = -np.concatenate(scores)

    def _training_scores(self, X: np.ndarray) -> np.ndarray:
        if self.threshold == "training":
            return super()._training_scores(X)
        return self.__dict__.pop("_aside")

    def _strangeness(self, X: np.ndarray) -> np.ndarray:
        X = X.reshape(len(X), -1)
        covariance, strangeness = self._covariance(), np.empty(len(X))
        for rows in row_blocks(*X.shape):
            strangeness[rows] = self._judge(covariance.whiten(X[rows]))
        return strangeness

    def _batches(self, X: np.ndarray, order: np.ndarray) -> Iterator[np.ndarray]:
        """Yield training samples, whitened by the others where that is possible."""
        covariance = self._covariance()
        for places in gen_batches(len(order), BATCH):
            batch = X[np.sort(order[places])]
            whitened = covariance.whiten_leave_one_out(batch, len(X))
            yield covariance.whiten(batch) if whitened is None else whitened


def _mixed(n_samples: int, random: np.random.RandomState) -> np.ndarray:
    """Return all indices in random order; of very many, neighbors stay together."""
    run = -(-n_samples // _RUNS)  # a file is read faster
    starts = random.permutation(-(-n_samples // run)) * run
    order = (starts[:, None] + np.arange(run)).ravel()
    return order[order < n_samples]
