"""Storage: a detector that was stored scores as before."""

import io
import pickle
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator

from featad.testing.tools import fit, fitted


def check_a_pickled_detector_scores_the_same(detector: Any, images: np.ndarray) -> None:
    """``pickle`` keeps the scores to the last bit."""
    _check_stored(fit(detector, images), images, pickle)


def check_a_dumped_detector_scores_the_same(detector: Any, images: np.ndarray) -> None:
    """``joblib`` keeps the scores to the last bit."""
    _check_stored(fit(detector, images), images, joblib)


def check_parameters_set_after_fit_do_not_break_storage(
    detector: Any, images: np.ndarray
) -> None:
    """A detector whose parameters were set after ``fit`` can be stored and loaded.

    Every integer parameter is raised by one, one at a time, and set back after loading.
    """
    detector = fitted(detector, images)
    expected, stored = detector.score_samples(images), pickle.dumps(detector)
    for name, value in detector.get_params(deep=False).items():
        if isinstance(value, int) and not isinstance(value, bool):
            changed = pickle.loads(stored).set_params(**{name: value + 1})
            loaded = pickle.loads(pickle.dumps(changed))
            assert loaded.get_params()[name] == value + 1
            loaded.set_params(**{name: value})
            np.testing.assert_array_equal(loaded.score_samples(images), expected)


def _check_stored(detector: BaseEstimator, images: np.ndarray, library: Any) -> None:
    expected = detector.score_samples(images)
    file = io.BytesIO()
    library.dump(detector, file)
    file.seek(0)
    np.testing.assert_array_equal(library.load(file).score_samples(images), expected)
