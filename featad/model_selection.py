"""Splitters and scorers for one-class systems, in the form scikit-learn expects."""

from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state

from featad._sklearn import num_samples
from featad._validation import check_labels
from featad.base import anomaly_scores
from featad.metrics import auroc, average_precision, tpr_at_fpr


class OneClassKFold(BaseCrossValidator):
    """Train on normal samples only, test on held-out normal samples and on anomalies.

    The normal samples are shuffled and cut into ``n_splits`` parts; each fold tests one
    part and trains on the others. Anomalies are tested in every fold, except those
    that ``contamination`` puts into the training set of that fold.

    With ``groups``, such as scans or patients, groups take the place of samples: all
    samples of a group are on the same side of a split. A group that contains an anomaly
    counts as anomalous, including its normal samples.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.

    contamination : float in [0, 0.5), default=0.0
        Share of each training set that is anomalous, to the nearest whole group, or
        sample without groups. The anomalies are drawn anew for each fold.

    random_state : int, RandomState instance or None, default=None
        Seeds the shuffling. With None, each call of :meth:`split` shuffles differently.

    Notes
    -----
    Works as ``cv`` of ``GridSearchCV``, ``cross_val_score`` and
    :func:`featad.compare`. Because the same anomalies are tested in several folds, the
    scores of the folds are not independent. Parts have equal numbers of groups,
    whatever the number of samples in each group.

    Examples
    --------
    >>> from featad.model_selection import OneClassKFold
    >>> y = [1, 1, 1, 1, -1, -1]
    >>> for train, test in OneClassKFold(2, random_state=0).split(y, y):
    ...     print(train, test)
    [0 1] [2 3 4 5]
    [2 3] [0 1 4 5]

    >>> patients = ["a", "b", "a", "b", "c", "c"]
    >>> for train, test in OneClassKFold(2, random_state=0).split(y, y, patients):
    ...     print(train, test)
    [0 2] [1 3 4 5]
    [1 3] [0 2 4 5]
    """

    # with metadata routing, fit(X, y, groups=...) reaches split
    __metadata_request__split = {"groups": True}

    def __init__(
        self,
        n_splits: int = 5,
        *,
        contamination: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        # Checked here, as scikit-learn's splitters do: they are never cloned
        if not isinstance(n_splits, int | Integral) or n_splits < 2:
            raise ValueError(
                f"OneClassKFold: n_splits should be an integer of at least 2, "
                f"got {n_splits!r}."
            )
        if not isinstance(contamination, float | Real) or not 0 <= contamination < 0.5:
            raise ValueError(
                f"OneClassKFold: contamination should be in [0, 0.5), "
                f"got {contamination!r}."
            )
        self.n_splits = n_splits
        self.contamination = contamination
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : ignored

        Returns
        -------
        n_splits : int
        """
        return self.n_splits

    def split(
        self, X: Any, y: ArrayLike | None = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the training and test indices of each fold.

        Parameters
        ----------
        X : sequence of n_samples samples
            Only its length is used.

        y : array-like of shape (n_samples,)
            Labels: 1 normal, -1 anomalous.

        groups : array-like of shape (n_samples,), default=None
            Samples with equal values stay together; None: each sample is its own group.

        Yields
        ------
        train, test : int ndarrays
            Sorted indices; together they contain every sample once.

        Raises
        ------
        ValueError
            If ``y`` is missing or contains other labels, ``groups`` has another length,
            or there are too few normal or anomalous samples or groups.
        """
        if y is None:
            raise ValueError(
                "OneClassKFold needs y to tell normal samples (1) from anomalies (-1), "
                "got y=None. Pass y."
            )
        y = check_labels(y, n_samples=len(X), needs_both=True)
        group, unit = np.arange(len(y)), "sample"
        if groups is not None:
            group, unit = group_numbers(groups, len(y), "OneClassKFold"), "group"
        n_anomalies = np.bincount(group, weights=y == -1)  # anomalies in each group
        rng = check_random_state(self.random_state)
        normal = rng.permutation(np.flatnonzero(n_anomalies == 0))
        anomalous = np.flatnonzero(n_anomalies)
        if len(normal) < self.n_splits:
            raise ValueError(
                f"OneClassKFold: n_splits={self.n_splits} needs as many normal "
                f"{unit}s, got {len(normal)}. Lower n_splits."
            )
        folds = []  # found before the first is yielded: an error comes at once
        for held_out in np.array_split(normal, self.n_splits):
            n_normal = np.isin(group, np.setdiff1d(normal, held_out)).sum()
            wanted = self.contamination / (1 - self.contamination) * n_normal
            drawn = rng.permutation(anomalous)
            n_mixed_in = _nearest_count(np.cumsum(n_anomalies[drawn]), wanted)
            if n_mixed_in == len(anomalous):
                raise ValueError(
                    f"OneClassKFold: contamination={self.contamination} puts "
                    f"{n_mixed_in} anomalous {unit}s among {n_normal} normal training "
                    f"samples and needs one more to test on, but there are "
                    f"{len(anomalous)}. Lower contamination or add anomalies."
                )
            mixed_in = drawn[:n_mixed_in]
            tested = np.concatenate([held_out, np.setdiff1d(anomalous, mixed_in)])
            inside = np.isin(group, tested)
            folds.append((np.flatnonzero(~inside), np.flatnonzero(inside)))
        yield from folds


def group_numbers(groups: ArrayLike, n_samples: int, owner: str) -> np.ndarray:
    """Return the number of each sample's group, from 0.

    Parameters
    ----------
    groups : array-like of shape (n_samples,)
        Samples with equal values are one group.

    n_samples : int
        Required number of values.

    owner : str
        Who asks, for the message.

    Returns
    -------
    numbers : ndarray of shape (n_samples,), int64
        In the order of the sorted values.

    Raises
    ------
    ValueError
        If there is another number of values.

    Examples
    --------
    >>> group_numbers(["b", "a", "b"], 3, "example")
    array([1, 0, 1])
    """
    groups = np.asarray(groups)
    if groups.shape != (n_samples,):
        raise ValueError(
            f"{owner}: groups must hold one value for each of the {n_samples} "
            f"samples, got groups.shape={groups.shape}."
        )
    return np.unique(groups, return_inverse=True)[1]


def split_samples(
    cv: Any, X: Any, y: ArrayLike | None, groups: ArrayLike | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the indices of each split that a splitter makes, or a list holds.

    Parameters
    ----------
    cv : splitter or iterable of (train, test)
        Has ``split(X, y)``, or holds indices or masks.

    X : sequence of n_samples samples
        What is split.

    y : array-like of shape (n_samples,) or None
        Labels.

    groups : array-like of shape (n_samples,), default=None
        Samples with equal values stay on one side of each split.

    Returns
    -------
    splits : list of (train, test)
        Indices of samples.

    Raises
    ------
    ValueError
        If a group is on both sides of a split.

    Examples
    --------
    >>> split_samples([([True, False], [1])], ["a", "b"], None)
    [(array([0]), array([1]))]
    """
    if hasattr(cv, "split"):
        # only splitters that know groups take them
        cv = cv.split(X, y) if groups is None else cv.split(X, y, groups)
    samples = np.arange(num_samples(X))
    splits = [(samples[np.asarray(a)], samples[np.asarray(b)]) for a, b in cv]
    if groups is not None:
        names = np.asarray(groups)
        for number, (train, test) in enumerate(splits, start=1):
            torn = np.intersect1d(names[train], names[test]).tolist()
            if torn:
                raise ValueError(
                    f"cv must keep groups whole, but split {number} trains and tests "
                    f"on samples of {len(torn)} groups, among them {torn[0]!r}. Pass "
                    "a number of folds, or a splitter that keeps groups together."
                )
    return splits


def _nearest_count(totals, wanted):
    """Return how many groups come nearest to a total; of equally near, the most.

    ``totals[k]`` is the total of the first k + 1 groups.
    """
    distances = np.abs(wanted - np.r_[0, totals])
    return len(totals) - int(distances[::-1].argmin())


def _scorer(name: str, metric: Callable, figure: str) -> Callable:
    """Return a scorer of scikit-learn's form; the name must be that of its variable."""

    def scorer(estimator: Any, X: Any, y: ArrayLike) -> float:
        y = check_labels(y, needs_both=True)  # before the costly part
        return metric(y, anomaly_scores(estimator, X))

    scorer.__name__ = scorer.__qualname__ = name  # by which it is pickled
    scorer.__doc__ = _SCORER_DOC.format(
        name=name, figure=figure, metric=metric.__name__
    )
    return scorer


_SCORER_DOC = """Score a fitted system by {figure}.

    Pass it as ``scoring=`` to ``GridSearchCV`` or ``cross_val_score``. It refuses 0/1
    labels, with which scikit-learn's own ``scoring="roc_auc"`` is silently inverted:
    ``decision_function`` is high for *normal* samples.

    Parameters
    ----------
    estimator : fitted system
        Has ``score_samples`` or ``decision_function``, high = normal.

    X : sequence of samples
        What the system takes.

    y : array-like of shape (n_samples,)
        Labels: 1 normal, -1 anomalous.

    Returns
    -------
    figure : float
        As :func:`featad.metrics.{metric}` returns it.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from featad.detectors import Mahalanobis
    >>> from featad.model_selection import OneClassKFold, {name}
    >>> X, y = [[0.0], [0.1], [0.2], [0.3], [5.0]], [1, 1, 1, 1, -1]
    >>> cv = OneClassKFold(2, random_state=0)
    >>> cross_val_score(Mahalanobis(), X, y, cv=cv, scoring={name})
    array([1., 1.])
    """

anomaly_roc_auc = _scorer("anomaly_roc_auc", auroc, "the area under the ROC curve")
anomaly_average_precision = _scorer(
    "anomaly_average_precision",
    average_precision,
    "the average precision, with anomalies as the positives",
)
anomaly_tpr_at_fpr = _scorer(
    "anomaly_tpr_at_fpr",
    tpr_at_fpr,
    "the share of anomalies found at 1 % false alarms",
)
