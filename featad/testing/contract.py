"""Parameters, documentation, input and side effects: checks for every detector."""

import os
import pickle
import re
from ast import literal_eval
from inspect import getdoc, signature
from typing import Any

import numpy as np
from sklearn.utils.estimator_checks import check_param_validation

from featad.testing.tools import (
    empty_folder,
    fit,
    fitted,
    given_labels,
    needs_labels,
    refused,
)


def check_wrong_parameters_are_refused(detector: Any, images: np.ndarray) -> None:
    """Wrong parameters are refused in scikit-learn's standard sentence."""
    if needs_labels(detector):
        with given_labels(detector):
            check_param_validation(type(detector).__name__, detector)
    else:
        check_param_validation(type(detector).__name__, detector)


def check_constraints_cover_the_parameters(detector: Any, images: np.ndarray) -> None:
    """``_parameter_constraints`` names every parameter and nothing else."""
    names = detector.get_params(deep=False).keys()
    assert detector._parameter_constraints.keys() == names


def check_every_parameter_is_documented(detector: Any, images: np.ndarray) -> None:
    """The docstring has an entry for every parameter."""
    missing = set(detector.get_params(deep=False)) - _documented(detector)
    assert not missing, f"not documented: {sorted(missing)}"


def check_documented_defaults_match_the_signature(
    detector: Any, images: np.ndarray
) -> None:
    """What the docstring calls a default is the default."""
    section = _docstring(detector).split("Attributes\n")[0]
    documented = re.findall(r"^(\w+) : .*default=(.+)$", section, re.M)
    parameters = signature(type(detector)).parameters.items()
    actual = {name: p.default for name, p in parameters if p.default is not p.empty}
    assert {name: literal_eval(text) for name, text in documented} == actual


def check_every_fitted_attribute_is_documented(
    detector: Any, images: np.ndarray
) -> None:
    """The docstring has an entry for everything that ``fit`` learns."""
    learned = {name for name in vars(fitted(detector, images)) if _is_learned(name)}
    missing = learned - _documented(detector)
    assert not missing, f"not documented: {sorted(missing)}"


def check_fit_returns_self_and_adds_only_learned_attributes(
    detector: Any, images: np.ndarray
) -> None:
    """What ``fit`` adds ends in an underscore."""
    before = set(vars(detector))
    assert fit(detector, images) is detector
    added = set(vars(detector)) - before
    assert added, "fit adds no attribute"
    assert all(map(_is_learned, added)), f"fit adds {sorted(added)}"


def check_fit_changes_no_parameter(detector: Any, images: np.ndarray) -> None:
    """Parameters are the same objects after ``fit``."""
    before = detector.get_params()
    shown = repr(before)
    after = fit(detector, images).get_params()
    assert all(after[name] is value for name, value in before.items())
    assert repr(after) == shown


def check_scoring_changes_nothing_in_the_detector(
    detector: Any, images: np.ndarray
) -> None:
    """Scoring leaves attributes and their values as they were."""
    detector = fitted(detector, images)
    keys, before = set(vars(detector)), pickle.dumps(detector)
    detector.score_samples(images)
    detector.predict(images)
    assert set(vars(detector)) == keys
    assert pickle.dumps(detector) == before


def check_the_input_is_left_as_it_was(detector: Any, images: np.ndarray) -> None:
    """Neither ``fit`` nor ``predict`` writes into X."""
    X = images.copy()
    fit(detector, X).predict(X)
    np.testing.assert_array_equal(X, images)


def check_nothing_is_written(detector: Any, images: np.ndarray) -> None:
    """Fitting and predicting leave no files behind."""
    with empty_folder() as folder:
        fit(detector, images).predict(images)
        assert os.listdir(folder) == []


def check_global_generators_are_left_alone(detector: Any, images: np.ndarray) -> None:
    """Neither numpy's nor torch's global generator moves."""
    import torch

    before, torch_before = _numpy_state(), torch.get_rng_state()
    fit(detector, images).score_samples(images)
    after, torch_after = _numpy_state(), torch.get_rng_state()
    assert before["pos"] == after["pos"]
    np.testing.assert_array_equal(before["key"], after["key"])
    assert torch.equal(torch_before, torch_after)


def check_nan_is_refused(detector: Any, images: np.ndarray) -> None:
    """NaN is refused in ``fit`` and when scoring."""
    broken = images.copy()
    broken[3, 2, 2, 0] = np.nan
    with refused("contains NaN"):
        fit(detector, broken)
    with refused("contains NaN"):
        fitted(detector, images).score_samples(broken)


def check_a_foreign_shape_is_refused(detector: Any, images: np.ndarray) -> None:
    """Images of another size are refused, and the message says the expected one."""
    shape = re.escape(str(images.shape[1:]))
    with refused(f"fitted on samples of shape {shape}"):
        fitted(detector, images).predict(images[:, :4])


def check_a_missing_batch_axis_is_refused(detector: Any, images: np.ndarray) -> None:
    """A single image is refused, and the message says the way out."""
    with refused(r"Pass X\[None\] to score one image"):
        fitted(detector, images).predict(images[0])


def _numpy_state():
    return np.random.get_state(legacy=False)["state"]  # noqa: NPY002


def _docstring(detector):
    return getdoc(type(detector)) or ""


def _documented(detector):
    return set(re.findall(r"^(\w+) : ", _docstring(detector), re.M))


def _is_learned(name):
    return name.endswith("_") and name[0] != "_"
