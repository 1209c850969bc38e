"""What a threshold promises, in plain words."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from featad._words import percent

_NAMED = 3  # images at the threshold, and beyond all others


def leave_warnings_to_us() -> None:
    """Keep the library from saying what `say_threshold` says."""
    warnings.filterwarnings("ignore", r"\d+ held-out normal .* are too few")


def say_threshold(detector: Any) -> Iterator[str]:
    """Yield what the threshold of a calibrated detector promises, and how surely.

    Parameters
    ----------
    detector : CalibratedDetector
        Fitted.

    Yields
    ------
    line : str
    """
    from featad.base import anomaly_threshold
    from featad.drift import needed_samples, rate_in_force

    n, target = detector.n_calibration_, detector.target_fpr
    low, high = map(percent, detector.false_alarm_interval_)
    units, good = "images", "good images"
    if detector.largest_group_ > 1:
        units = "parts"
        good = "good images, or of good parts with `featad score --groups`,"
    yield (
        f"Threshold {anomaly_threshold(detector):.6g}, set by {held_out(detector)}: "
        f"about {percent(rate_in_force(target, n))} of {good} will be called "
        f"anomalous, {low} to {high} with 95 % confidence."
    )
    least, sure = needed_samples(target)
    short = f"{n} are too few: a" if n < least else "A"
    yield (
        f"{short} rate of {percent(target)} needs {least} good {units} or more, and "
        f"{sure} to be sure that it is at most {percent(2 * target)}."
    )


def name_nearest(detector: Any, dataset: Any) -> str:
    """Return a line that names the images that set the threshold.

    Parameters
    ----------
    detector : CalibratedDetector
        Fitted on these images.

    dataset : ImageDataset
        What it was fitted on.

    Returns
    -------
    line : str
        The most anomalous held-out images, and those nearest to the threshold; of each
        group its most anomalous one.
    """
    from featad.scorer import Scorer

    order = detector.calibration_indices_
    order = order[np.argsort(detector.held_out_scores_[order], kind="stable")]
    if dataset.groups is not None:
        _, first = np.unique(dataset.groups[order], return_index=True)
        order = order[np.sort(first)]
    scores = detector.held_out_scores_[order]
    nearest = np.argsort(np.abs(scores - detector.offset_), kind="stable")[:_NAMED]
    chosen = np.union1d(np.arange(min(_NAMED, len(order))), nearest)
    paths = [Path(dataset.images[i]).absolute() for i in order[chosen]]
    ratios = Scorer(detector).score_ratios(scores[chosen])
    names = ", ".join(
        f"{name} ({ratio:.2f})"
        for name, ratio in zip(_short(paths), ratios, strict=True)
    )
    return (
        "Look at the images nearest to it, since a defect among them hides others "
        f"(score_ratio; 1 = the threshold): {names}."
    )


def _short(paths: list[Path]) -> list[str]:
    """Return paths without the folders that all of them share."""
    try:
        shared = os.path.commonpath([path.parent for path in paths])
    except ValueError:  # on several drives
        return list(map(str, paths))
    return [str(path.relative_to(shared)) for path in paths]


def held_out(detector: Any) -> str:
    """Return what calibrated a detector, such as "100 held-out images"."""
    n_images, n = len(detector.calibration_scores_), detector.n_calibration_
    parts = "" if detector.largest_group_ == 1 else f" of {n} parts"
    return f"{n_images} held-out images{parts}"
