"""Scores: what they depend on, what they must not depend on, and the threshold."""

from typing import Any

import numpy as np

from featad.systems import trains_networks
from featad.testing.tools import (
    close,
    fit,
    fitted,
    labels_for,
    needs_labels,
    only,
    seeded,
)


def check_scores_are_one_float64_per_image(detector: Any, images: np.ndarray) -> None:
    """Images get one float64 each."""
    _check_scores(fitted(detector, images), images)


def check_scores_are_one_float64_per_row(detector: Any, images: np.ndarray) -> None:
    """Rows of a table get one float64 each."""
    table = images.reshape(len(images), -1)
    _check_scores(fitted(detector, table), table)


@only(lambda e: not trains_networks(e) and not hasattr(e, "anomaly_map"))
def check_flattened_images_score_the_same(detector: Any, images: np.ndarray) -> None:
    """A table of pixels scores as the images, where positions make no difference."""
    table = images.reshape(len(images), -1)
    expected = fitted(detector, images).score_samples(images)
    close(fitted(detector, table).score_samples(table), expected)


def check_scores_do_not_depend_on_the_batch(detector: Any, images: np.ndarray) -> None:
    """An image scores alone as among others, to 1e-4."""
    detector = fitted(detector, images)
    one_by_one = np.concatenate([detector.score_samples(x[None]) for x in images])
    close(detector.score_samples(images), one_by_one)


def check_scores_do_not_depend_on_the_order(detector: Any, images: np.ndarray) -> None:
    """Scores follow their samples."""
    detector = fitted(detector, images)
    order = np.random.default_rng(0).permutation(len(images))
    close(detector.score_samples(images[order]), detector.score_samples(images)[order])


def check_memory_layout_does_not_matter(detector: Any, images: np.ndarray) -> None:
    """Read-only images in Fortran order are fitted and scored as others."""
    fortran = np.asfortranarray(images)
    fortran.setflags(write=False)
    expected = fitted(detector, images).score_samples(images)
    close(fit(detector, fortran).score_samples(fortran), expected)


def check_float32_and_float64_score_alike(detector: Any, images: np.ndarray) -> None:
    """Fitted on either type, a detector scores the same values of both types alike."""
    single, double = images.astype(np.float32), images.astype(np.float64)
    for trained_on in (single, double):
        fitted_on = fitted(detector, trained_on)
        close(fitted_on.score_samples(double), fitted_on.score_samples(single))


def check_the_same_seed_gives_the_same_scores(
    detector: Any, images: np.ndarray
) -> None:
    """Two fits under one seed score the same to the last bit."""
    first = fit(seeded(detector), images).score_samples(images)
    np.testing.assert_array_equal(fit(detector, images).score_samples(images), first)


def check_a_second_fit_forgets_the_first(detector: Any, images: np.ndarray) -> None:
    """Fitting again on other samples leaves nothing of the first fit."""
    expected = fitted(detector, images).score_samples(images)
    fit(detector, images[: len(images) // 2] * 0.5)
    np.testing.assert_array_equal(fit(detector, images).score_samples(images), expected)


def check_predictions_follow_the_threshold(detector: Any, images: np.ndarray) -> None:
    """``predict`` is -1 strictly below ``offset_``."""
    detector = fitted(detector, images)
    scores = detector.score_samples(images)
    np.testing.assert_array_equal(
        detector.predict(images), np.where(scores < detector.offset_, -1, 1)
    )
    np.testing.assert_array_equal(
        detector.decision_function(images), scores - detector.offset_
    )


@only(lambda e: "contamination" in e.get_params(deep=False))
def check_contamination_is_met(detector: Any, images: np.ndarray) -> None:
    """A quarter of the normal training samples lies beyond the threshold, if asked."""
    detector = fitted(detector.set_params(contamination=0.25), images)
    if needs_labels(detector):
        images = images[labels_for(images) == 1]
    assert (detector.predict(images) == -1).sum() == len(images) // 4


def check_an_outlier_among_images_is_ranked_last(
    detector: Any, images: np.ndarray
) -> None:
    """A checkerboard among smooth images has the least score, and is predicted -1."""
    _check_outlier(detector, images, checkerboard(images))


def check_an_outlier_among_rows_is_ranked_last(
    detector: Any, images: np.ndarray
) -> None:
    """So has its row in a table of their pixels."""
    table = images.reshape(len(images), -1)
    _check_outlier(detector, table, checkerboard(images).reshape(1, -1))


def checkerboard(images: np.ndarray) -> np.ndarray:
    """Return a checkerboard as one more image, of shape (1, height, width, ...)."""
    return (np.indices(images.shape[1:]).sum(axis=0) % 2)[None].astype(images.dtype)


def _check_scores(detector, X):
    scores = detector.score_samples(X)
    assert scores.shape == (len(X),)
    assert scores.dtype == np.float64


def _check_outlier(detector, X, outlier):
    if needs_labels(detector):
        detector.fit(np.concatenate([X, outlier]), np.repeat([1, -1], [len(X), 1]))
    else:
        detector = fitted(detector, X)
    X = np.concatenate([X, outlier])
    assert detector.score_samples(X).argmin() == len(X) - 1
    assert detector.predict(X)[-1] == -1
