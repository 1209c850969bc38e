"""One batch of images: what fails is halved until the images at fault stand alone."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import NotFittedError

from featad.errors import FeatadError, ImageReadError, is_out_of_memory
from featad.images import as_text, describe_source
from featad.resuming import Known
from featad.scorer import Scorer

_NONE = np.empty(0)
_FIRST = 8  # images of the first batch at most, so that its rows come soon


class Batch(NamedTuple):
    """Images that are scored together, and what they are called in tables."""

    names: list[str]
    sources: list


class Attempt(NamedTuple):
    """What came of a batch: its scores, or that an earlier run has them.

    Attributes
    ----------
    key : str or None
        What a journal finds the batch by.

    is_known : bool
        Whether the journal has its rows. The other attributes are then empty.

    scores, p_values : ndarray of shape (n_images,), float64
        NaN where there is a reason.

    reasons : list of str or None
        Why an image could not be scored, in one line.

    error : Exception or None
        What ends the run after these images. Later images of the batch are left out.
    """

    key: str | None
    is_known: bool = False
    scores: np.ndarray = _NONE
    p_values: np.ndarray = _NONE
    reasons: Sequence[str | None] = ()
    error: Exception | None = None


def iter_batches(
    sources: Sequence[Any], places: Sequence[int], size: int
) -> Iterator[Batch]:
    """Yield the batches of a collection of sources; the first one is small.

    Parameters
    ----------
    sources : sequence of sources

    places : sequence of int
        Which sources, in which order. Images in memory are called by their places.

    size : int
        Images a batch.
    """
    n = len(places)
    ends = [0, *range(min(size, _FIRST), n, size), n] if n else []
    for start, stop in pairwise(ends):
        here = [int(place) for place in places[start:stop]]
        batch = [sources[place] for place in here]
        names = [describe_source(*pair) for pair in zip(batch, here, strict=True)]
        yield Batch(names, batch)


def attempt(
    scorer: Scorer, batch: Batch, on_error: str, known: Known | None = None
) -> Attempt:
    """Score a batch, unless it is known.

    Parameters
    ----------
    scorer : Scorer

    batch : Batch

    on_error : {"skip", "raise"}
        Whether an image that cannot be scored ends the run.

    known : Known or None, default=None
        The batches of earlier runs.
    """
    key = None
    if known is not None:
        key = known.key(batch.names, batch.sources)  # before the images are read
        if key in known:
            return Attempt(key, is_known=True)
    scores, p_values, errors = _score_or_halve(scorer, batch.sources)
    errors = [_renamed(*pair) for pair in zip(errors, *batch, strict=True)]
    end, error = len(errors), None
    for i, found in enumerate(errors):
        if found is not None and (on_error == "raise" or _blames_no_image(found)):
            end, error = i, found
            break
    reasons = [None if found is None else _reason(found) for found in errors[:end]]
    return Attempt(key, False, scores[:end], p_values[:end], reasons, error)


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


def _renamed(error, name, source):
    """Return an error that calls an image as the table does, wherever it was found."""
    if not isinstance(error, ImageReadError) or name == error.source:
        return error
    alone = describe_source(source), describe_source(source, 0)  # of a batch of one
    return ImageReadError(name, error.reason) if error.source in alone else error


def _reason(error):
    """Return what an error says, in one line and never empty."""
    text = " ".join(str(error).split())
    if text and isinstance(error, (FeatadError, ValueError, OSError)):
        return as_text(text)
    return as_text(f"{type(error).__name__}: {text}".removesuffix(": "))
