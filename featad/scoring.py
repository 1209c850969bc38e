"""Scoring many images: one row per input, and no score is lost to a later fault."""

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from featad.base import anomaly_threshold, as_anomaly_score
from featad.errors import FeatadError, ImageReadError, is_out_of_memory
from featad.images import as_text, check_sources, describe_source
from featad.score_files import check_format, open_rows, reserved
from featad.systems import iter_parts_and_templates, last_step, set_everywhere

COLUMNS = (
    "path",
    "anomaly_score",
    "threshold",
    "is_anomaly",
    "p_value",
    "error",
)
"""The columns of a score table, one row per image."""

_FINE = (None, "raise")  # values of on_error under which no row vanishes


def score_images(
    system: BaseEstimator,
    sources: Sequence[Any],
    *,
    batch_size: int = 64,
    on_error: str = "skip",
) -> Iterator[pd.DataFrame]:
    """Score images a batch at a time, in input order.

    Memory does not grow with the number of images: each batch is read, scored, yielded
    and discarded.

    Parameters
    ----------
    system : estimator
        A fitted system that takes sources, such as a pipeline that starts with
        ``VGGFeatures`` or ``ImageReader``.

    sources : sequence of sources
        Paths, bytes, PIL images or arrays.

    batch_size : int, default=64
        Images scored at a time.

    on_error : {"skip", "raise"}, default="skip"
        What to do with an image that cannot be scored, whatever the exception: give the
        reason in its row and go on, or yield what was scored before it and raise. What
        no image is to blame for is raised in any case: weights or a cache that cannot
        be used, and too little memory for one image.

    Yields
    ------
    rows : DataFrame
        One row per image with the columns ``path`` (or a description of an image in
        memory), ``anomaly_score`` (float, high = anomalous), ``threshold`` (float, on
        the same scale), ``is_anomaly`` (bool), ``p_value`` (float in (0, 1]; missing
        if the system is not calibrated) and ``error`` (str or None). If there is an
        error, the four columns in the middle are missing.

    Raises
    ------
    Exception
        With ``on_error="raise"``, what scoring the first such image raised; often
        `featad.errors.ImageReadError`.

    FeatadError, MemoryError
        If no image is to blame. What was scored before is yielded first.

    Examples
    --------
    >>> import numpy as np
    >>> from featad import ImageReader, KMeansDistance, score_images
    >>> from sklearn.pipeline import make_pipeline
    >>> parts = np.full((9, 8, 8), 0.5) + np.linspace(0, 0.1, 9)[:, None, None]
    >>> system = make_pipeline(ImageReader(flatten=True), KMeansDistance(1)).fit(parts)
    >>> odd = np.zeros((1, 8, 8))
    >>> pd.concat(score_images(system, odd))["is_anomaly"].tolist()
    [True]
    """
    if on_error not in ("skip", "raise"):
        raise ValueError(f"on_error must be 'skip' or 'raise', but is {on_error!r}.")
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, but is {batch_size}.")
    scorer = Scorer(system)  # first: an unfitted system fails here
    if len(sources):
        sources = check_sources(sources, estimator_name="score_images")
    for start in range(0, len(sources), batch_size):
        stop = min(start + batch_size, len(sources))
        batch = [sources[i] for i in range(start, stop)]
        names = [describe_source(source, start + i) for i, source in enumerate(batch)]
        scores, p_values, errors = _score_or_halve(scorer, batch)
        for i, error in enumerate(errors):
            if error and (on_error == "raise" or _blames_no_image(error)):
                if i:
                    kept = [part[:i] for part in (names, scores, p_values, errors)]
                    yield _rows(scorer.threshold, *kept)
                raise error
        yield _rows(scorer.threshold, names, scores, p_values, errors)


class Scorer:
    """Score batches with a fitted system; an image that fails makes its batch fail.

    Parameters
    ----------
    system : estimator
        A fitted system with a threshold. Steps in it that leave out what they cannot
        read are copied and set to raise, so that no row vanishes.

    Attributes
    ----------
    threshold : float
        Anomaly scores above it are anomalous.

    Raises
    ------
    NotFittedError
        If the system is not fitted.

    TypeError
        If its detector has no threshold.

    Examples
    --------
    >>> from featad import KMeansDistance
    >>> scorer = Scorer(KMeansDistance(1).fit([[0.0], [2.0]]))
    >>> scorer.score([[1.0], [4.0]])
    (array([-0., -3.]), array([nan, nan]))
    """

    def __init__(self, system: BaseEstimator) -> None:
        self.threshold = anomaly_threshold(system)
        self._p_values_of = getattr(last_step(system), "p_values_from_scores", None)
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
        if self._p_values_of is None:
            return scores, np.full(len(scores), np.nan)
        return scores, self._p_values_of(scores)


def _raising(system: BaseEstimator) -> BaseEstimator:
    """Return the system with readers that raise: a row must not vanish or be NaN."""
    parts = iter_parts_and_templates(system)
    if all(part.get_params(deep=False).get("on_error") in _FINE for part in parts):
        return system
    system = copy.deepcopy(system)
    set_everywhere(system, "on_error", "raise")
    return system


@dataclass(frozen=True)
class ScoreSummary:
    """The result of a scoring run: images ``scored``, ``anomalous`` and ``failed``.

    ``first_error`` is the first failure's message, or None.
    """

    scored: int
    anomalous: int
    failed: int
    first_error: str | None


def score_to_file(
    system: BaseEstimator,
    sources: Sequence[Any],
    path: str | os.PathLike | None,
    *,
    batch_size: int = 64,
    on_error: str = "skip",
    stream: Any = None,
    progress: Callable[[int], None] = lambda n_images: None,
) -> ScoreSummary:
    """Score images into a ``.csv``, ``.parquet`` or ``.jsonl`` file as they come.

    Rows are written batch by batch, so that a fault does not lose earlier scores: on a
    full disk, or after an interrupt, the file holds all rows up to there, and whole
    ones. An older file of that name is kept until the first batch is scored. A second
    run that is to write the same file meanwhile is refused.

    Parameters
    ----------
    system : estimator
        A fitted system that takes sources.

    sources : sequence of sources
        Paths, bytes, PIL images or arrays.

    path : path-like or None
        Where to write. The ending selects the format; Parquet needs the extra
        ``parquet``. None writes CSV to ``stream``.

    batch_size : int, default=64
        Images scored, and rows written, at a time.

    on_error : {"skip", "raise"}, default="skip"
        See `score_images`.

    stream : text file, default=None
        Where CSV goes when ``path`` is None.

    progress : callable
        Called with the number of images of each batch once its rows are written.

    Returns
    -------
    summary : ScoreSummary

    Raises
    ------
    ValueError
        If the file has another ending.

    OSError
        If the file cannot be written, or another run is writing it.
    """
    scored = anomalous = failed = 0
    first_error = None
    check_format(path)
    frames = score_images(system, sources, batch_size=batch_size, on_error=on_error)
    with reserved(path):
        first = next(frames, None)  # what fails at once leaves an older file as it was
        if first is None:
            first = _rows(np.nan, [], np.empty(0), np.empty(0), [])
        with open_rows(path, stream) as write:
            for rows in chain([first], frames):
                write(rows)
                bad = rows["error"].notna()
                scored += int((~bad).sum())
                anomalous += int(rows["is_anomaly"].fillna(False).sum())
                failed += int(bad.sum())
                if first_error is None and bad.any():
                    first_error = rows["error"][bad].iloc[0]
                progress(len(rows))
    return ScoreSummary(scored, anomalous, failed, first_error)


def _score_or_halve(scorer, batch):
    """Return scores, p-values (NaN where it failed) and errors (None elsewhere).

    A batch that fails is halved until the images at fault stand alone.
    """
    try:
        return *scorer.score(batch), [None] * len(batch)
    except Exception as error:
        is_hopeless = _blames_no_image(error) and not is_out_of_memory(error)
        if len(batch) == 1 or is_hopeless:
            nothing = np.full(len(batch), np.nan)
            return nothing, nothing, [error] * len(batch)
    middle = len(batch) // 2
    left = _score_or_halve(scorer, batch[:middle])
    right = _score_or_halve(scorer, batch[middle:])
    scores, p_values = (
        np.concatenate(pair) for pair in zip(left[:2], right[:2], strict=True)
    )
    return scores, p_values, left[2] + right[2]


def _blames_no_image(error):
    """Whether an error is about the system or the machine, and would come again."""
    if isinstance(error, FeatadError):
        return not isinstance(error, ImageReadError)
    return is_out_of_memory(error) or isinstance(error, NotFittedError)


def _reason(error):
    """Return what an error says, in one line and never empty."""
    text = " ".join(str(error).split())
    if text and isinstance(error, (FeatadError, ValueError, OSError)):
        return as_text(text)
    return as_text(f"{type(error).__name__}: {text}".removesuffix(": "))


def _rows(threshold, names, scores, p_values, errors):
    fine = np.array([error is None for error in errors], dtype=bool)
    anomaly_score = as_anomaly_score(scores)
    is_anomaly = pd.array(anomaly_score > threshold, dtype="boolean")
    is_anomaly[~fine] = pd.NA
    reasons = [None if error is None else _reason(error) for error in errors]
    thresholds = np.where(fine, threshold, np.nan)
    columns = (names, anomaly_score, thresholds, is_anomaly, p_values, reasons)
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
