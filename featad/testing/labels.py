"""Labels: detectors that need them read them, the others do not."""

from typing import Any

import numpy as np

from featad.testing.tools import (
    fit,
    fitted,
    labels_for,
    needs_labels,
    only,
    refused,
    takes_labels,
)


@only(lambda e: not needs_labels(e))
def check_labels_of_normal_samples_change_nothing(
    detector: Any, images: np.ndarray
) -> None:
    """A detector that needs no labels scores the same if all are 1."""
    expected = fitted(detector, images).score_samples(images)
    detector.fit(images, np.ones(len(images), dtype=int))
    np.testing.assert_array_equal(detector.score_samples(images), expected)


@only(takes_labels)
def check_other_labels_are_refused(detector: Any, images: np.ndarray) -> None:
    """A detector that reads labels takes 1, -1 and 0 alone."""
    with refused("Labels must be 1"):
        detector.fit(images, np.arange(len(images)))


@only(lambda e: takes_labels(e) and not needs_labels(e))
def check_unlabeled_samples_are_as_without_labels(
    detector: Any, images: np.ndarray
) -> None:
    """A detector that can use labels scores the same without any as if all are 0."""
    expected = fitted(detector, images).score_samples(images)
    detector.fit(images, np.zeros(len(images), dtype=int))
    np.testing.assert_array_equal(detector.score_samples(images), expected)


@only(needs_labels)
def check_missing_labels_are_refused(detector: Any, images: np.ndarray) -> None:
    """A detector that needs labels says so if there are none, or only one kind."""
    for y in (None, np.ones(len(images), dtype=int)):
        with refused("y must hold"):
            detector.fit(images, y)


@only(needs_labels)
def check_labels_are_learned_from(detector: Any, images: np.ndarray) -> None:
    """A detector that needs labels scores otherwise if they change places."""
    expected = fit(detector, images).score_samples(images)
    detector.fit(images, labels_for(images)[::-1])
    assert not np.array_equal(detector.score_samples(images), expected)
