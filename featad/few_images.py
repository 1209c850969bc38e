"""How good systems are with few training images: scores by number of images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from featad._validation import check_labels
from featad.folds import drop_unused, run_folds
from featad.metrics import auroc


def few_shot(
    systems: Mapping[str, Any],
    X: Any,
    y: ArrayLike,
    *,
    train: ArrayLike,
    test: ArrayLike,
    sizes: Sequence[int],
    n_draws: int = 3,
    random_state: int = 0,
) -> pd.DataFrame:
    """Fit systems on a few of the training samples, and test them on all test samples.

    Parameters
    ----------
    systems : dict of str to estimator
        Unfitted systems by name; they are cloned, not changed.

    X : sequence of n_samples samples
        What the systems take.

    y : array-like of shape (n_samples,)
        Labels: 1 normal, -1 anomalous.

    train, test : array-like of int
        Positions of the training and of the test samples.

    sizes : sequence of int
        Numbers of samples to train on, each 2 or more.

    n_draws : int, default=3
        How often each number of samples is drawn. All systems have the same draws.

    random_state : int, default=0
        Seeds the draws. Systems have seeds of their own.

    Returns
    -------
    table : DataFrame
        One row for each system, size and draw: ``system``, ``n_train``, ``draw`` (from
        1) and ``auroc``.

    Raises
    ------
    ValueError
        If a size is below 2 or above the number of training samples.
    FeatadError
        If a system fails, as with fewer samples than it needs; the message names it.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> import featad
    >>> X, group = make_blobs([60, 20], centers=[[0, 0], [9, 9]], random_state=0)
    >>> y = [1 if g == 0 else -1 for g in group]
    >>> good = [i for i, label in enumerate(y) if label == 1]
    >>> test = [i for i in range(80) if i not in good[:40]]
    >>> systems = {"k-means": featad.KMeansDistance(1)}
    >>> featad.few_shot(systems, X, y, train=good[:40], test=test, sizes=[5, 20],
    ...                 n_draws=1)
        system  n_train  draw  auroc
    0  k-means        5     1    1.0
    1  k-means       20     1    1.0
    """
    train, test = np.asarray(train), np.asarray(test)
    y = check_labels(y, n_samples=len(X), needs_both=True)
    wrong = [size for size in sizes if not 2 <= size <= len(train)]
    if wrong or not len(sizes):
        raise ValueError(
            f"few_shot: sizes should be numbers from 2 to {len(train)}, the number of "
            f"training samples, got {list(sizes)!r}."
        )
    rng = np.random.default_rng(random_state)
    drawn = [(size, draw + 1) for size in sizes for draw in range(n_draws)]
    folds = [
        (np.sort(rng.choice(train, size, replace=False)), test) for size, _ in drawn
    ]
    used, labels, folds = drop_unused(X, y, folds)
    found = run_folds(systems, used, labels, folds)
    rows = [
        (name, size, draw, auroc(y[test], scores))
        for name in systems
        for (size, draw), scores in zip(drawn, found[name].scores, strict=True)
    ]
    return pd.DataFrame(rows, columns=["system", "n_train", "draw", "auroc"])
