"""Scores, p-values and ratios of a batch, as a fitted system gives them."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from featad.base import anomaly_threshold, as_anomaly_score
from featad.calibration import CalibratedDetector
from featad.conformal import HeldOutScores
from featad.systems import iter_parts_and_templates, last_step, set_everywhere

_FINE = (None, "raise")  # values of on_error under which no row vanishes


class Scorer:
    """Score batches with a fitted system; an image that fails makes its batch fail.

    Parameters
    ----------
    system : estimator
        A fitted system with a threshold. Steps in it that leave out what they cannot
        read are copied and set to raise, so that no row vanishes.

    by_group : bool, default=False
        Whether a score is the smallest one of all images of a part. Threshold, ratios
        and p-values are then those of parts.

    Attributes
    ----------
    threshold : float
        Anomaly scores above it are anomalous.

    Raises
    ------
    NotFittedError
        If the system is not fitted.

    TypeError
        If its detector has no threshold, or ``by_group`` is set and it is not
        calibrated.

    Examples
    --------
    >>> from featad import KMeansDistance
    >>> from featad.scorer import Scorer
    >>> scorer = Scorer(KMeansDistance(1).fit([[0.0], [2.0]]))
    >>> scorer.score([[1.0], [4.0]])
    (array([-0., -3.]), array([nan, nan]))
    """

    def __init__(self, system: BaseEstimator, *, by_group: bool = False) -> None:
        self.threshold = anomaly_threshold(system)
        self._detector = last_step(system)
        self._by_group = by_group
        held_out = getattr(self._detector, "calibration_scores_", np.nan)
        if by_group:
            if not isinstance(self._detector, CalibratedDetector):
                raise TypeError(
                    "Scores of groups need a system from featad.calibrate, fitted with "
                    f"groups, but its detector is a {type(self._detector).__name__}."
                )
            held_out = self._detector.calibration_group_scores_
            found = HeldOutScores.of(held_out)
            line = found.threshold(self._detector.target_fpr)
            self.threshold = float(as_anomaly_score(line))
        self._typical = float(as_anomaly_score(np.median(held_out)))
        self._system = _raising(system)

    def score(self, batch: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and p-values of a batch.

        Parameters
        ----------
        batch : sequence of sources
            What the system scores.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            As ``score_samples`` returns them, high = normal.

        p_values : ndarray of shape (n_samples,), float64
            NaN where the system is not calibrated.

        Raises
        ------
        ValueError
            If the system returns more or fewer scores than there are samples, or NaN.
        """
        scores = np.asarray(self._system.score_samples(batch), dtype=np.float64)
        if len(scores) != len(batch):
            raise ValueError(
                f"{type(self._system).__name__} returned {len(scores)} scores for "
                f"{len(batch)} images. Every step must keep one row per image."
            )
        if np.isnan(scores).any():
            raise ValueError(f"{type(self._system).__name__} returned NaN as a score.")
        return scores, self.p_values(scores)

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Return the p-values that belong to scores.

        Parameters
        ----------
        scores : ndarray of shape (n_samples,)
            As ``score_samples`` returns them, high = normal.

        Returns
        -------
        p_values : ndarray of shape (n_samples,), float64
            NaN where the score is NaN, or the system is not calibrated.
        """
        if not hasattr(self._detector, "p_values_from_scores"):
            return np.full(len(scores), np.nan)
        if not self._by_group:
            return self._detector.p_values_from_scores(scores)
        p_values, fine = np.full(len(scores), np.nan), ~np.isnan(scores)
        each = np.arange(fine.sum())
        p_values[fine] = self._detector.p_values_from_scores(scores[fine], groups=each)
        return p_values

    def score_ratios(self, scores: np.ndarray) -> np.ndarray:
        """Return how far scores are on the way from a typical sample to the threshold.

        Scores have the detector's own units: distances, log-likelihoods, squared or
        not, of either sign. The ratio has none. It grows evenly with the anomaly
        score, is 0 at the median of the held-out normal samples that calibrated the
        system, 1 at the threshold, and above 1 exactly where a sample is called
        anomalous. It is negative for a sample more normal than the median.

        Parameters
        ----------
        scores : ndarray of shape (n_samples,)
            As ``score_samples`` returns them, high = normal.

        Returns
        -------
        ratios : ndarray of shape (n_samples,), float64
            NaN where the score is NaN; all NaN where the system is not calibrated, or
            the threshold is not above the median: at least half of the normal samples
            are then called anomalous, or all held-out scores are equal.
        """
        anomaly_score = as_anomaly_score(scores)
        step = self.threshold - self._typical
        if not step > 0:
            return np.full(len(anomaly_score), np.nan)
        ratios = (anomaly_score - self._typical) / step
        return np.where(  # rounding must not move a sample across the threshold
            anomaly_score > self.threshold,
            np.maximum(ratios, np.nextafter(1, 2)),
            np.minimum(ratios, 1.0),
        )


def mark_of(system: BaseEstimator) -> float:
    """Return a number that two fits hardly share, and copies of one always do.

    Parameters
    ----------
    system : estimator
        A fitted system with a threshold.

    Returns
    -------
    mark : float
        The median of the held-out scores that calibrated it, or else its threshold.

    Examples
    --------
    >>> from featad import KMeansDistance
    >>> from featad.scorer import mark_of
    >>> float(mark_of(KMeansDistance(1, contamination=0.5).fit([[0.0], [2.0]])))
    1.0
    """
    held_out = getattr(last_step(system), "calibration_scores_", None)
    return float(anomaly_threshold(system) if held_out is None else np.median(held_out))


def _raising(system: BaseEstimator) -> BaseEstimator:
    """Return the system with readers that raise: a row must not vanish or be NaN."""
    parts = iter_parts_and_templates(system)
    if all(part.get_params(deep=False).get("on_error") in _FINE for part in parts):
        return system
    system = copy.deepcopy(system)
    set_everywhere(system, "on_error", "raise")
    return system
