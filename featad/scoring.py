"""Scoring many images: one row per input, and no score is lost to a later fault."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from featad.base import as_anomaly_score
from featad.batches import attempt, iter_batches
from featad.clusters import Workers
from featad.drift import LEVELS
from featad.images import Notes, check_sources, describe_source
from featad.resuming import open_journal
from featad.score_files import ScoreSummary, check_format, open_rows, reserved
from featad.scorer import Scorer
from featad.systems import last_step

COLUMNS = (
    "path",
    "anomaly_score",
    "score_ratio",
    "threshold",
    "is_anomaly",
    "p_value",
    "error",
)
"""The columns of a score table, one row per image."""

PART_COLUMNS = ("group", "n_images", *COLUMNS)
"""The columns of a score table with one row per part."""


def score_images(
    system: BaseEstimator,
    sources: Sequence[Any],
    *,
    groups: ArrayLike | None = None,
    batch_size: int = 64,
    on_error: str = "skip",
) -> Iterator[pd.DataFrame]:
    """Score images, or parts shown by several images, a batch at a time.

    Memory does not grow with the number of images: each batch is read, scored, yielded
    and discarded.

    Parameters
    ----------
    system : estimator
        A fitted system that takes sources, such as a pipeline that starts with
        ``VGGFeatures`` or ``ImageReader``.

    sources : sequence of sources
        Paths, bytes, PIL images or arrays.

    groups : array-like of shape (n_sources,), default=None
        The part that each image shows, see `featad.find_groups`. There is then one row
        and one decision per part. The system must be calibrated with groups.

    batch_size : int, default=64
        Images scored at a time. The first time they are 8 at most, so that rows come
        soon.

    on_error : {"skip", "raise"}, default="skip"
        What to do with an image that cannot be scored, whatever the exception: give the
        reason in its row and go on, or yield what was scored before it and raise. What
        no image is to blame for is raised in any case: weights or a cache that cannot
        be used, and too little memory for one image.

    Yields
    ------
    rows : DataFrame
        One row per image, in input order, with the columns ``path`` (or a description
        of an image in memory), ``anomaly_score`` (float, high = anomalous),
        ``score_ratio`` (float; 0 = a typical normal image, 1 = the threshold, see
        `Scorer.score_ratios`), ``threshold`` (float, on the scale of
        ``anomaly_score``), ``is_anomaly`` (bool), ``p_value`` (float in (0, 1]) and
        ``error`` (str or None). If there is an error, the five columns in the middle
        are missing. ``score_ratio`` and ``p_value`` are also missing if the system is
        not calibrated.

        With ``groups``: one row per part, in the order in which the parts first occur,
        with the columns ``group`` and ``n_images`` before these. ``path`` is the part's
        most anomalous image, ``anomaly_score`` is its score, and ``threshold``,
        ``score_ratio`` and ``p_value`` are those of parts. If one of its images cannot
        be scored, ``error`` says so, and the five columns are missing unless the part
        is anomalous all the same.

    Raises
    ------
    TypeError, ValueError
        If there are ``groups`` and the system was not calibrated with groups.
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
    _check_options(batch_size, on_error)
    yield from _frames(system, sources, groups, batch_size, on_error)


def score_to_file(
    system: BaseEstimator,
    sources: Sequence[Any],
    path: str | os.PathLike | None,
    *,
    groups: ArrayLike | None = None,
    batch_size: int = 64,
    on_error: str = "skip",
    resume: bool = False,
    retry_errors: bool = False,
    stream: Any = None,
    progress: Callable[[int], None] = lambda n_images: None,
    client: Any = None,
    load: Callable[[], BaseEstimator] | None = None,
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

    groups : array-like of shape (n_sources,), default=None
        See `score_images`: one row per part.

    batch_size : int, default=64
        Images scored, and rows written, at a time. The first time they are 8 at most,
        so that rows come soon.

    on_error : {"skip", "raise"}, default="skip"
        See `score_images`.

    resume : bool, default=False
        Whether to go on where an earlier run with ``resume=True`` was stopped, at
        whatever instruction. The file becomes, byte for byte, that of a run that was
        not stopped. Until it is complete, a second file, ``path`` + ".unfinished",
        holds the rows so far. A batch is scored anew if the system, the batch size, or
        the name or content of one of its images has changed.

    retry_errors : bool, default=False
        With ``resume``: whether batches with an image that could not be scored are
        scored again. Those whose files have changed are in any case.

    stream : text file, default=None
        Where CSV goes when ``path`` is None.

    progress : callable
        Called with the number of images of each batch once its rows are written.

    client : dask.distributed.Client, default=None
        Scores on the workers of its cluster (extra ``dask``); this process writes the
        rows. They are those of a run without workers where processors, versions and
        numbers of threads are the same. The workers read the files of images, so
        they need to see them under the same names. What a worker that is lost has not
        finished is done by another one.

    load : callable, default=None
        With ``client``: is called on each worker, once for each ``system``, which it
        returns; another system is refused. Such as ``functools.partial(featad.load,
        "/shared/model.featad")``. None sends them the system itself.

    Returns
    -------
    summary : ScoreSummary
        How many images were scored, are anomalous, and failed.

    Raises
    ------
    ValueError
        If the file has another ending, or there is none to resume.

    OSError
        If the file cannot be written, or another run is writing it.

    ClusterError
        If there are no workers, if they differ in their versions, do not see the images
        or the model, or die while they score the same images.

    Examples
    --------
    >>> import io
    >>> import featad
    >>> parts = featad.make_spots_and_lines(8, 0, size=32)
    >>> system = featad.build("pixels-knn").fit(parts.images)
    >>> table = io.StringIO()
    >>> summary = featad.score_to_file(system, parts.images, None, stream=table)
    >>> summary.scored, summary.failed
    (8, 0)
    >>> table.getvalue()[:18]
    'path,anomaly_score'
    """
    scored = anomalous = failed = 0
    first_error = None
    low = dict.fromkeys(LEVELS, 0)
    check_format(path)
    _check_options(batch_size, on_error)
    if path is None and resume:
        raise ValueError("resume needs path: a stream cannot be resumed.")
    if client is None and load is not None:
        raise ValueError("load needs client: without workers, system is used as it is.")
    workers = None if client is None else Workers(client, system, load)
    with ExitStack() as stack:
        stack.enter_context(reserved(path))
        journal = None
        if path is not None and resume:
            opened = open_journal(path, system, retry_errors=retry_errors)
            journal = stack.enter_context(opened)
        frames = _frames(
            system, sources, groups, batch_size, on_error, journal, workers
        )
        stack.enter_context(closing(frames))  # workers end with the run
        first = next(frames, None)  # what fails at once leaves an older file as it was
        if first is None:
            columns = COLUMNS if groups is None else PART_COLUMNS
            first = pd.DataFrame(columns=list(columns))
        with open_rows(path, stream) as write:
            for rows in chain([first], frames):
                write(rows)
                bad = rows["anomaly_score"].isna()
                scored += int((~bad).sum())
                anomalous += int(rows["is_anomaly"].fillna(False).sum())
                failed += int(bad.sum())
                if first_error is None and rows["error"].notna().any():
                    first_error = rows["error"].dropna().iloc[0]
                for level in low:
                    low[level] += int((rows["p_value"] <= level).sum())
                progress(len(rows) if groups is None else int(rows["n_images"].sum()))
        resumed = 0 if journal is None else journal.n_found
    return ScoreSummary(scored, anomalous, failed, first_error, low, resumed)


def _check_options(batch_size, on_error):
    if on_error not in ("skip", "raise"):
        raise ValueError(f"on_error must be 'skip' or 'raise', but is {on_error!r}.")
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, but is {batch_size}.")


def _frames(system, sources, groups, batch_size, on_error, journal=None, workers=None):
    """Yield the rows of images, or of parts, a batch at a time."""
    scorer = Scorer(system)  # first: an unfitted system fails here
    how = (batch_size, on_error, journal, workers)
    if groups is None:
        sources = _checked(sources)
        yield from _score_batches(scorer, sources, range(len(sources)), *how)
        return
    part_scorer = Scorer(system, by_group=True)
    sources = _checked(sources)
    places, groups = _in_order_of_parts(system, len(sources), groups)
    frames = _score_batches(scorer, sources, places, *how)
    yield from _join_parts(part_scorer, frames, groups)


def _checked(sources):
    """Return sources with a length and places; here there may be none of them."""
    collections = list | tuple | np.ndarray | pd.Series | pd.Index
    is_scalar = getattr(sources, "ndim", None) == 0
    if isinstance(sources, collections) and not is_scalar and not len(sources):
        return []
    return check_sources(sources, estimator_name="score_images")


def _score_batches(scorer, sources, places, batch_size, on_error, journal, workers):
    """Yield the rows of images, those that a journal has from there."""
    notes = Notes()
    if workers is None:
        batches = iter_batches(sources, places, batch_size)
        attempts = _attempts(scorer, batches, on_error, journal, notes)
    else:
        known = None if journal is None else journal.known()
        attempts = workers.attempts(sources, places, batch_size, on_error, known, notes)
    with closing(attempts):
        for names, found in attempts:
            if found.is_known:
                yield journal.find(found.key)
                continue
            rows = _rows(
                scorer,
                names[: len(found.scores)],
                found.scores,
                found.p_values,
                found.reasons,
            )
            if found.error is not None:
                if len(rows):
                    yield rows
                raise found.error
            if journal is not None:
                journal.add(found.key, rows)
            yield rows
    notes.tell()


def _attempts(scorer, batches, on_error, journal, notes):
    """Yield the names of each batch, and what came of it in this process."""
    for batch in batches:
        with notes.taken():
            found = attempt(scorer, batch, on_error, journal)
        yield batch.names, found


def _rows(scorer, names, scores, p_values, reasons):
    fine = np.array([reason is None for reason in reasons], dtype=bool)
    anomaly_score = as_anomaly_score(scores)
    is_anomaly = pd.array(anomaly_score > scorer.threshold, dtype="boolean")
    is_anomaly[~fine] = pd.NA
    columns = (
        names,
        anomaly_score,
        scorer.score_ratios(scores),
        np.where(fine, scorer.threshold, np.nan),
        is_anomaly,
        p_values,
        list(reasons),
    )
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _in_order_of_parts(system, n_sources, groups):
    """Return places and groups such that a part's images follow one another."""
    # names of files and folders need not be UTF-8
    groups = np.array([describe_source(str(group)) for group in groups], dtype=str)
    if len(groups) != n_sources:
        raise ValueError(f"There are {n_sources} sources, but {len(groups)} groups.")
    if n_sources:  # its checks of the groups
        last_step(system).p_values_from_scores(np.zeros(len(groups)), groups=groups)
    _, first, part = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(first[part], kind="stable")
    return order, groups[order]


def _join_parts(scorer, frames, groups):
    """Yield one row per part from the rows of its images, which follow one another."""
    last = np.append(groups[1:] != groups[:-1], True)  # of its part
    pending, done = pd.DataFrame(), 0
    for rows in frames:
        rows = rows.assign(group=groups[done : done + len(rows)])
        pending = pd.concat([pending, rows]) if len(pending) else rows
        done += len(rows)
        ends = np.flatnonzero(last[done - len(pending) : done])
        if len(ends):
            complete = ends[-1] + 1
            yield _part_rows(scorer, pending[:complete])
            pending = pending[complete:]


def _part_rows(scorer, rows):
    """Return one row per part from the rows of its images."""
    parts = []
    for name, part in rows.groupby("group", sort=False):
        worst = part.iloc[part["anomaly_score"].fillna(-np.inf).argmax()]
        failed, score, error = part["error"].dropna(), worst["anomaly_score"], None
        if len(failed):
            error = f"{len(failed)} of {len(part)} images: {failed.iloc[0]}"
            if not score > scorer.threshold:  # what was not seen may be anomalous
                score = np.nan
        parts.append((name, len(part), worst["path"], score, error))
    names, counts, paths, anomaly_scores, errors = zip(*parts, strict=True)
    scores = as_anomaly_score(anomaly_scores)  # turned back
    missing = [e if np.isnan(s) else None for e, s in zip(errors, scores, strict=True)]
    table = _rows(scorer, paths, scores, scorer.p_values(scores), missing)
    table = table.assign(error=np.array(errors, dtype=object))
    return pd.concat(
        [pd.DataFrame({"group": names, "n_images": counts}), table], axis=1
    )
