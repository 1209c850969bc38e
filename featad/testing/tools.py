"""What the checks share: images, labels, fitted detectors and refusals."""

import os
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.utils import get_tags

from featad.systems import uses_labels

_fitted: dict[str, bytes] = {}  # pickles by class, parameters and training samples


def tiny_images() -> np.ndarray:
    """Return 24 smooth random images, float32 (24, 8, 8, 3) in [0, 1], read-only."""
    rng = np.random.default_rng(0)
    color = rng.uniform(0.2, 0.8, size=(24, 1, 1, 3))
    noise = rng.normal(0, 0.05, size=(24, 8, 8, 3))
    images = np.clip(color + noise, 0, 1).astype(np.float32)
    images.setflags(write=False)
    return images


def seeded(estimator: Any) -> Any:
    """Return an unfitted copy whose ``random_state`` is 0, if it has one."""
    detector = clone(estimator)
    if "random_state" in detector.get_params():
        detector.set_params(random_state=0)
    return detector


def needs_labels(estimator: Any) -> bool:
    """Return whether ``fit`` must be given labels, by scikit-learn's tag."""
    return get_tags(estimator).target_tags.required


def takes_labels(estimator: Any) -> bool:
    """Return whether ``fit`` reads labels, be they needed or not."""
    return needs_labels(estimator) or bool(uses_labels(estimator))


def labels_for(X: Any) -> np.ndarray:
    """Return labels: 1, and -1 for the last third of the samples."""
    shape = getattr(X, "shape", None)  # sparse tables have no len
    if shape is None:
        shape = (len(X),) if hasattr(X, "__len__") else np.asarray(X).shape
    n_samples = shape[0] if shape else 0
    return np.where(np.arange(n_samples) < n_samples - n_samples // 3, 1, -1)


def only(condition: Callable[[Any], bool]) -> Callable[[Callable], Callable]:
    """Return a decorator for checks of those estimators that meet a condition."""

    def mark(check):
        check.condition = condition
        return check

    return mark


def applies(check: Callable, estimator: Any) -> bool:
    """Return whether a check is for such an estimator."""
    return getattr(check, "condition", lambda _: True)(estimator)


@contextmanager
def given_labels(estimator: Any) -> Iterator[None]:
    """Within, ``fit`` of the estimator's class gets the labels it needs, or none."""
    original = type(estimator).fit
    needed = needs_labels(estimator)

    @wraps(original)
    def fit(self, X, y=None):
        return original(self, X, labels_for(X) if needed else None)

    with mock.patch.object(type(estimator), "fit", fit):
        yield


def fit(detector: Any, X: np.ndarray) -> Any:
    """Fit a detector, with labels if it needs them, and return it."""
    return detector.fit(X, labels_for(X)) if needs_labels(detector) else detector.fit(X)


def fitted(detector: Any, X: np.ndarray) -> Any:
    """Return a fitted copy: it is fitted once, and loaded from bytes after that.

    Parameters
    ----------
    detector : estimator
        Not fitted, and seeded.

    X : ndarray of shape (n_samples, ...)
        Training samples.

    Returns
    -------
    detector : estimator
        A copy of its own for each call.
    """
    key = joblib.hash((type(detector), detector, X))
    if key not in _fitted:
        _fitted[key] = pickle.dumps(fit(clone(detector), X))
    return pickle.loads(_fitted[key])


def close(actual: np.ndarray, expected: np.ndarray) -> None:
    """Hold scores to one another to 1e-4 of their values."""
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-9)


@contextmanager
def refused(pattern: str) -> Iterator[None]:
    """Hold what happens within to a ValueError whose message matches ``pattern``."""
    try:
        yield
    except ValueError as error:
        if not re.search(pattern, str(error)):
            raise AssertionError(
                f"Expected a ValueError that says {pattern!r}, but it says: {error}"
            ) from error
    else:
        raise AssertionError(f"Expected a ValueError that says {pattern!r}, got none.")


@contextmanager
def empty_folder() -> Iterator[str]:
    """Work in an empty folder, and return to the one before."""
    before = os.getcwd()
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)
