"""Which samples train next: batches, balanced or not, and trimming."""

from collections import deque
from collections.abc import Iterator

import numpy as np

_WINDOW = 512  # errors that trimming ranks a new one among
_RAMP = (0.1, 0.5)  # progress where trimming begins, and where it is complete


def batches(
    index: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    rng: np.random.Generator,
    *,
    balance: float | None = None,
    min_batch: int = 1,
) -> Iterator[np.ndarray]:
    """Yield the batches of one epoch in random order.

    Parameters
    ----------
    index : ndarray of shape (n_samples,), int
        What is drawn from.

    labels : ndarray of shape (n_samples,), int
        -1 marks labeled anomalies.

    batch_size : int

    rng : numpy.random.Generator

    balance : float in (0, 1) or None, default=None
        Exact share of labeled anomalies in every batch, rounded down but at least one.
        The smaller group is repeated until the larger one is used up. If one of the
        groups is missing, batches are not balanced.

    min_batch : int, default=1
        A last batch smaller than this is left out, unless it is the only one.

    Yields
    ------
    batch : ndarray of int
        Part of ``index``.
    """
    anomalous = index[labels == -1]
    others = index[labels != -1]
    if balance is None or not len(anomalous) or not len(others) or batch_size < 2:
        parts = list(chunks(rng.permutation(index), batch_size))
        if len(parts) > 1 and len(parts[-1]) < min_batch:
            parts.pop()
        yield from parts
        return
    n_anomalous = min(max(1, int(balance * batch_size)), batch_size - 1)
    n_others = batch_size - n_anomalous
    n_batches = max(-(-len(anomalous) // n_anomalous), -(-len(others) // n_others))
    first = _cycle(anomalous, n_batches * n_anomalous, rng).reshape(n_batches, -1)
    second = _cycle(others, n_batches * n_others, rng).reshape(n_batches, -1)
    yield from np.concatenate([first, second], axis=1)


def _cycle(index, length, rng):
    rounds = -(-length // len(index))
    return np.concatenate([rng.permutation(index) for _ in range(rounds)])[:length]


def hold_out(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Return the places of some normal samples, at random.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,), int
        If none is 1, unlabeled samples (0) count as normal.

    fraction : float
        Share of the normal samples, one at least.

    seed : int

    Returns
    -------
    held_out : ndarray of int, sorted

    Raises
    ------
    ValueError
        If no normal sample would be left to train on.
    """
    normal = np.flatnonzero(labels == 1)
    normal = normal if len(normal) else np.flatnonzero(labels == 0)
    n_held_out = max(1, round(fraction * len(normal)))
    if n_held_out >= len(normal):
        raise ValueError(
            f"early_stopping needs at least 2 normal samples, one to hold out and one "
            f"to train on, got {len(normal)} sample{'s' * (len(normal) != 1)}."
            if len(normal) < 2
            else f"early_stopping would hold out all {len(normal)} normal samples; "
            f"lower validation_fraction ({fraction})."
        )
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(normal, n_held_out, replace=False))


class Trimming:
    """Which samples to leave out of a step: those with the largest errors.

    An error is ranked among the last 512, so that a small batch need not meet a quota.
    Nothing is left out in the first tenth of a training; the share then grows until it
    is complete at half-time.

    Parameters
    ----------
    share : float in [0, 1)
        Share of the samples to leave out.

    labels : ndarray of shape (n_samples,), int
        Of the training set. Labeled anomalies, -1, are never left out.

    Attributes
    ----------
    left_out_share : ndarray of shape (n_samples,), float64
        How often each sample was left out, as a share of the times it was drawn.
    """

    def __init__(self, share: float, labels: np.ndarray):
        self.share, self.labels = share, labels
        self._recent: deque = deque(maxlen=min(_WINDOW, len(labels)))
        self._drawn = np.zeros(len(labels))
        self._left_out = np.zeros(len(labels))

    @property
    def left_out_share(self) -> np.ndarray:
        """How often each sample was left out."""
        return self._left_out / np.maximum(self._drawn, 1)

    def keep(
        self, errors: np.ndarray, index: np.ndarray, progress: float
    ) -> np.ndarray:
        """Return which samples of a batch stay, two at the least.

        Parameters
        ----------
        errors : ndarray of shape (n,)

        index : ndarray of shape (n,), int
            Places in the training set.

        progress : float
            Share of the training done.

        Returns
        -------
        keep : ndarray of shape (n,), bool
        """
        unknown = self.labels[index] != -1
        self._recent.extend(errors[unknown])
        begin, end = _RAMP
        share = np.clip((progress - begin) / (end - begin), 0, 1) * self.share
        keep = np.ones(len(index), dtype=bool)
        if share > 0 and unknown.any():
            keep = ~unknown | (errors <= np.quantile(self._recent, 1 - share))
        fewest = min(2, len(index))
        if keep.sum() < fewest:
            keep[np.argsort(errors, kind="stable")[:fewest]] = True
        np.add.at(self._drawn, index, 1)  # a sample may be in a balanced batch twice
        np.add.at(self._left_out, index[~keep], 1)
        return keep


def chunks(index: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield consecutive parts of ``index``, ``size`` long but for the last."""
    return (index[start : start + size] for start in range(0, len(index), size))
