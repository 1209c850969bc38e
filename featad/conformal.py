"""P-values, thresholds and false alarm rates from scores of held-out normal samples."""

import warnings
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta

from featad.model_selection import group_numbers


@dataclass(frozen=True)
class HeldOutScores:
    """Scores of normal samples by systems that have not seen them.

    Attributes
    ----------
    scores : ndarray of shape (n,), float64
        Ascending.

    weights : ndarray of shape (n,), float64
        What each score counts for. Those of one group add up to 1.

    group_scores : ndarray of shape (n_units,), float64
        The smallest score of each group, ascending.

    largest_group : int
        Number of samples in the largest group.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.conformal import HeldOutScores
    >>> HeldOutScores.of(np.array([3.0, 1.0, 2.0])).p_values([0.5, 1.0, 9.0])
    array([0.25, 0.5 , 1.  ])
    >>> views = HeldOutScores.of(np.array([1.0, 2.0, 3.0, 4.0]), ["a", "a", "b", "b"])
    >>> views.n_units, views.p_values([0.5, 1.0, 2.0]).round(2)
    (2, array([0.33, 0.5 , 0.67]))
    """

    scores: np.ndarray
    weights: np.ndarray
    group_scores: np.ndarray
    largest_group: int

    @classmethod
    def of(cls, scores: np.ndarray, groups: ArrayLike | None = None) -> "HeldOutScores":
        """Return scores in ascending order, with their weights.

        Parameters
        ----------
        scores : ndarray of shape (n,)
            Scores, high = normal.

        groups : array-like of shape (n,), default=None
            Samples with equal values are one group. None: each sample is its own.

        Returns
        -------
        held_out : HeldOutScores
        """
        order = np.argsort(scores, kind="stable")
        scores = scores[order].astype(np.float64)
        if groups is None:
            return cls(scores, np.ones(len(scores)), scores, 1)
        group = group_numbers(groups, len(scores), "HeldOutScores")[order]
        size = np.bincount(group)
        _, lowest = np.unique(group, return_index=True)
        return cls(scores, 1 / size[group], scores[np.sort(lowest)], int(size.max()))

    @property
    def n_units(self) -> int:
        """Number of groups, or of samples without groups."""
        return len(self.group_scores)

    def p_values(
        self, scores: ArrayLike, groups: ArrayLike | None = None
    ) -> np.ndarray:
        """Return the p-values of samples of new groups, or of these groups.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Scores, high = normal.

        groups : array-like of shape (n_samples,), default=None
            Samples with equal values are judged together, by their smallest score.

        Returns
        -------
        p_values : ndarray of shape (n_samples,) or (n_groups,), float64
            (1 + what the scores that are not above count for) / (n_units + 1). NaN
            where a score is NaN. Those of groups are in the order of
            ``numpy.unique(groups)``.

        Raises
        ------
        ValueError
            If there are groups of several samples here, but there were none there.

        Warns
        -----
        UserWarning
            If a group holds more samples than the largest held-out one.
        """
        scores = np.asarray(scores, dtype=np.float64)
        if groups is None:
            # rounded: n times 1 / n is 1
            total = np.r_[0.0, np.cumsum(self.weights)].round(9)
            not_above = total[np.searchsorted(self.scores, scores, side="right")]
        else:
            scores = self._smallest(scores, groups)
            not_above = np.searchsorted(self.group_scores, scores, side="right")
        return np.where(np.isnan(scores), np.nan, (1 + not_above) / (1 + self.n_units))

    def _smallest(self, scores: np.ndarray, groups: ArrayLike) -> np.ndarray:
        """Return the smallest score of each group, NaN if one of its scores is NaN."""
        group = group_numbers(groups, len(scores), "p_values")
        size = np.bincount(group)
        if size.max(initial=0) > 1 and self.largest_group == 1:
            raise ValueError(
                "p_values cannot judge groups of several samples, because calibration "
                "saw samples one by one. Pass groups= to fit as well."
            )
        if size.max(initial=0) > self.largest_group:
            warnings.warn(
                f"A group holds {size.max()} samples, but the largest one in "
                f"calibration held {self.largest_group}: the smallest of more scores "
                "is smaller, so there will be more false alarms. Pass as many samples "
                "of each group as in fit.",
                UserWarning,
            )
        smallest = np.full(len(size), np.inf)
        np.minimum.at(smallest, group, scores)
        return smallest

    def threshold(self, target_fpr: float) -> float:
        """Return the score below which p-values are at most a target.

        Parameters
        ----------
        target_fpr : float in (0, 1)
            Accepted share of normal samples below the threshold.

        Returns
        -------
        threshold : float
            The lowest score whose p-value is above the target.

        Warns
        -----
        UserWarning
            If the target is out of reach for so few samples.
        """
        n = self.n_units
        if 1 / (n + 1) > target_fpr:
            units = "samples" if self.largest_group == 1 else "groups of samples"
            warnings.warn(
                f"{n} held-out normal {units} are too few for target_fpr={target_fpr}, "
                f"which needs {ceil(1 / target_fpr) - 1}; the threshold has a false "
                f"alarm rate of {1 / (n + 1):.3g} instead.",
                UserWarning,
            )
        return float(self.scores[np.argmax(self.p_values(self.scores) > target_fpr)])

    def false_alarm_interval(
        self, threshold: float, confidence: float = 0.95
    ) -> tuple[float, float]:
        """Return the ends of the interval of the true false alarm rate.

        Parameters
        ----------
        threshold : float
            From `threshold`.

        confidence : float in (0, 1), default=0.95
            Coverage of the interval.

        Returns
        -------
        low, high : float
            Quantiles of the rate among all sets of held-out samples of this size.
        """
        below = self.weights[self.scores < threshold].sum()
        rate = beta(1 + below, self.n_units - below)
        low, high = rate.interval(confidence)
        return float(low), float(high)
