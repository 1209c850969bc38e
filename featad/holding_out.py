"""Which normal samples a calibration holds out, and how they score."""

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ShuffleSplit,
)
from sklearn.utils.parallel import Parallel, delayed

from featad._progress import tracked, within
from featad._sklearn import num_samples
from featad._validation import CONVERT, check_labels, shorten
from featad.base import RealNotInt
from featad.copies import warn_of_copies
from featad.model_selection import group_numbers, split_samples
from featad.pipeline import warn_of_infinite_density
from featad.refits import fit_rows, rows, scores_of_split, takes_groups
from featad.systems import (
    is_frozen,
    last_step,
    only_learner,
    trains_networks,
    uses_labels,
)

FOLDS = 5  # of cv=None
SHARE = 0.3  # that cv=None holds out from detectors that train networks


def fit_and_hold_out(
    new_estimator: Callable[[], Any],
    X: Any,
    y: Any,
    groups: Any,
    *,
    cv: Any,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    owner: str = "CalibratedDetector",
    tells_copies: bool = True,
) -> tuple[Any, np.ndarray]:
    """Fit a system, and score normal samples that it, or copies of it, have not seen.

    Parameters
    ----------
    new_estimator : callable
        Returns an unfitted system.

    X, y, groups : sequences of length n_samples
        Samples, labels and groups; all but ``X`` may be None.

    cv, random_state, n_jobs
        As for `featad.CalibratedDetector`.

    owner : str, default="CalibratedDetector"
        Who asks, for messages.

    tells_copies : bool, default=True
        Whether samples are looked through for copies. False: they have been already.

    Returns
    -------
    fitted : estimator

    held_out : ndarray of shape (n_samples,), float64
        Scores of held-out normal samples, NaN elsewhere.

    Raises
    ------
    ValueError
        As of `featad.CalibratedDetector`.
    """
    fitted = new_estimator()
    learns = bool(uses_labels(fitted))
    labels = calibration_labels(y, num_samples(X), learns)
    if is_frozen(fitted):
        cv = None
    elif cv is None:
        cv = SHARE if trains_networks(fitted) else FOLDS
    splits = calibration_splits(cv, X, y, labels, groups, random_state, owner)
    if not learns:
        splits = [(train[labels[train] != -1], test) for train, test in splits]
    held_out = np.full(len(labels), np.nan)
    scores = None
    if cv is None or isinstance(cv, RealNotInt):
        [(train, test)] = splits
        fit_rows(fitted, X, y, groups, train)
        differ = not tells_copies or warn_of_copies(fitted, X, splits, groups)
        scores = [fitted.score_samples(rows(X, test))]
    else:
        seen = np.flatnonzero(learns | (labels != -1))
        with within("fit", 0, len(splits) + 1):
            fit_rows(fitted, X, y, groups, seen)
        known = getattr(only_learner(fitted), "held_out_scores_", None)
        keeps_groups = groups is None or takes_groups(fitted)
        if known is not None and isinstance(cv, Integral) and keeps_groups:
            held = (labels[seen] == 1) & ~np.isnan(known)
            splits, scores = [(seen, seen[held])], [known[held]]
        differ = not tells_copies or warn_of_copies(fitted, X, splits, groups)
        if scores is None:
            copies = [new_estimator() for _ in splits]
            scores = out_of_fold_scores(fitted, copies, X, y, groups, splits, n_jobs)
    for (_, test), found in zip(splits, scores, strict=True):
        held_out[test] = found
    tested = np.concatenate([test for _, test in splits])
    n_lost = np.isnan(held_out[tested]).sum()
    if n_lost:
        raise ValueError(
            f"{type(fitted).__name__} gave {n_lost} of {len(tested)} held-out normal "
            "samples a score that is not a number."
        )
    warn_of_infinite_density(fitted)
    if differ:
        _warn_if_blind(fitted, held_out[tested])
    return fitted, held_out


def calibration_labels(y: Any, n_samples: int, uses: bool) -> np.ndarray:
    """Return labels, 1 = used to calibrate; warn if ``y`` cannot be used.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or None
        What ``fit`` was given.

    n_samples : int
        Number of samples.

    uses : bool
        Whether the detector learns from labels. Then 0 is sure to mean unlabeled.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int64
        1 normal, -1 anomalous, 0 unlabeled.
    """
    found = [1] if y is None else list(dict.fromkeys(np.asarray(y).ravel().tolist()))
    if uses and y is not None or -1 in found:
        return check_labels(y, n_samples=n_samples, allow_unlabeled=True)
    if found != [1]:
        warnings.warn(
            f"y holds {shorten(found)} but no -1; labels are 1 (normal), -1 "
            f"(anomalous) and 0 (unlabeled). y is passed to fit but not used to "
            f"calibrate: all {n_samples} samples count as normal. {CONVERT}",
            UserWarning,
        )
    return np.ones(n_samples, dtype=np.int64)


def calibration_splits(
    cv: Any,
    X: Any,
    y: Any,
    labels: np.ndarray,
    groups: Any = None,
    random_state: int | np.random.RandomState | None = None,
    owner: str = "CalibratedDetector",
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return training indices and those of held-out normal samples.

    Parameters
    ----------
    cv : int, float, splitter, iterable of (train, test) or None
        As for `featad.CalibratedDetector`. None: every normal sample is held out, from
        a system that is fitted already.

    X, y : sequences of n_samples samples and labels
        Handed to a splitter.

    labels : ndarray of shape (n_samples,)
        1 normal; other samples are never held out to calibrate.

    groups : array-like of shape (n_samples,), default=None
        Samples with equal values stay on one side of each split.

    random_state : int, RandomState instance or None, default=None
        Shuffles samples, or groups.

    owner : str, default="CalibratedDetector"
        Who asks, for messages.

    Returns
    -------
    splits : list of (train, test)

    Raises
    ------
    ValueError
        If there are fewer than 2 normal samples or groups, or no normal sample is held
        out, or one twice.
    """
    normal = np.flatnonzero(labels == 1)
    names = np.arange(len(labels))
    if groups is not None:
        names = group_numbers(groups, len(labels), owner)
    n_units = len(np.unique(names[normal]))
    if n_units < 2:
        kind = "sample" if groups is None else "group"
        raise ValueError(
            f"{owner} needs at least 2 normal {kind}s (label 1), got "
            f"{n_units} {kind}{'s' * (n_units != 1)}."
        )
    if cv is None:
        return [(np.arange(len(labels)), normal)]
    if isinstance(cv, Real):
        splitter = _splitter(cv, n_units, groups, random_state)
        names_of = None if groups is None else names[normal]
        tests = [np.sort(test) for _, test in splitter.split(normal, groups=names_of)]
        # other samples stay in the training part, unless their group is held out
        return [
            (np.flatnonzero(~np.isin(names, names[normal[t]])), normal[t])
            for t in tests
        ]
    splits = [
        (train, np.intersect1d(test, normal))
        for train, test in split_samples(cv, X, y, groups)
    ]
    splits = [(train, test) for train, test in splits if len(test)]
    held_out = np.concatenate([normal[:0], *(test for _, test in splits)])
    n_held_out = len(np.unique(held_out))
    if n_held_out == 0 or n_held_out < len(held_out):
        raise ValueError(
            f"cv={type(cv).__name__} must hold out normal samples, each at most once, "
            f"but it holds out {n_held_out} of {len(normal)}, {len(held_out)} times in "
            "all."
        )
    return splits


def out_of_fold_scores(
    fitted: Any,
    estimators: list,
    X: Any,
    y: Any,
    groups: Any,
    splits: list[tuple[np.ndarray, np.ndarray]],
    n_jobs: int | None = None,
) -> list[np.ndarray]:
    """Return the scores of held-out samples by copies fitted on the others.

    Parameters
    ----------
    fitted : estimator
        The system, fitted on all samples; its scale is that of the scores.

    estimators : list of estimator
        An unfitted copy for each split.

    X, y, groups : sequences of n_samples samples, labels and groups
        All but ``X`` may be None.

    splits : list of (train, test)
        From `calibration_splits`.

    n_jobs : int, default=None
        Number of processes that work on splits.

    Returns
    -------
    scores : list of ndarray
        For each split, those of its test samples.
    """
    pairs = zip(estimators, splits, strict=True)
    return Parallel(n_jobs=n_jobs)(
        delayed(scores_of_split)(fitted, estimator, X, y, groups, train, test)
        for estimator, (train, test) in tracked(pairs, "fit", len(splits) + 1, first=1)
    )


def _warn_if_blind(system: Any, scores: np.ndarray) -> None:
    low, high = np.quantile(scores, [0.05, 0.95])
    if len(scores) >= 10 and high - low <= 1e-9 * np.abs(scores).max():
        warnings.warn(
            f"{type(last_step(system)).__name__} is blind: nine in ten held-out "
            f"samples have the same score, {high:.6g}, so it cannot tell them apart. "
            "Change its parameters, such as gamma of a one-class SVM.",
            UserWarning,
        )


def _splitter(cv, n_units, groups, random_state):
    """Return what cuts samples, or groups, into ``cv`` folds, or holds out a share."""
    if not isinstance(cv, Integral):
        kind = ShuffleSplit if groups is None else GroupShuffleSplit
        return kind(1, test_size=cv, random_state=random_state)
    kind = KFold if groups is None else GroupKFold
    return kind(min(cv, n_units), shuffle=True, random_state=random_state)
