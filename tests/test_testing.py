"""check_detector finds what is wrong with a detector, and names it."""

import numpy as np
import pytest

from featad.detectors import VAE, KMeansDistance, Mahalanobis, ReconstructionGAN
from featad.neural.detector import TorchDetector
from featad.testing import check_detector, detector_checks
from featad.testing.checks import check_name

QUICK = {"max_epochs": 1, "width": 4, "latent_dim": 2, "device": "cpu"}


def without_example(detector):
    return detector.__doc__.split("Examples\n")[0]  # doctest would run it again


class ByBatch(Mahalanobis):
    __doc__ = without_example(Mahalanobis)

    def _strangeness(self, X):
        return super()._strangeness(X) + len(X)


class Forgetful(Mahalanobis):
    __doc__ = without_example(Mahalanobis)

    def __getstate__(self):
        state = super().__getstate__()
        return {**state, "variances_": 2 * state["variances_"]}


class Writer(Mahalanobis):
    __doc__ = without_example(Mahalanobis)

    def _fit(self, X):
        super()._fit(X)
        with open("notes.txt", "w") as file:
            file.write("fitted")


class Roller(KMeansDistance):
    __doc__ = without_example(KMeansDistance)

    def _strangeness(self, X):
        np.random.rand()  # noqa: NPY002
        return super()._strangeness(X)


class SingleOnly(KMeansDistance):
    __doc__ = without_example(KMeansDistance)

    def _strangeness(self, X):
        if X.dtype != self.kmeans_.cluster_centers_.dtype:
            raise ValueError("Buffer dtype mismatch")
        return super()._strangeness(X)


class Undocumented(Mahalanobis):
    """Say nothing."""


Undocumented.__doc__ = "Say nothing."  # without what it inherits


class LabelReader(Mahalanobis):
    __doc__ = without_example(Mahalanobis)

    def fit(self, X, y=None):
        super().fit(X)
        self.variances_ = self.variances_ * (1 if y is None else 2)
        return self


class Eager(VAE):
    __doc__ = without_example(VAE)

    def __setstate__(self, state):
        super().__setstate__({**state, "fit_params_": self_params(state)})


def self_params(state):
    return {name: state[name] for name in state["fit_params_"]}


def ours(estimator, name):
    (check,) = (c for _, c in detector_checks(estimator) if check_name(c) == name)
    return check


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (ByBatch(), "check_scores_do_not_depend_on_the_batch"),
        (Forgetful(), "check_a_pickled_detector_scores_the_same"),
        (Writer(), "check_nothing_is_written"),
        (Roller(), "check_global_generators_are_left_alone"),
        (SingleOnly(), "check_float32_and_float64_score_alike"),
        (Undocumented(), "check_every_parameter_is_documented"),
        (LabelReader(), "check_labels_of_normal_samples_change_nothing"),
        (Eager(**QUICK), "check_parameters_set_after_fit_do_not_break_storage"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_found_by_its_check(broken, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parent = type(broken).__mro__[1](**broken.get_params())
    ours(parent, name)(parent)
    error = {"SingleOnly": ValueError, "Eager": RuntimeError}
    with pytest.raises(error.get(type(broken).__name__, AssertionError)):
        ours(broken, name)(broken)


def test_the_first_failure_is_raised():
    with pytest.raises(AssertionError, match="not documented: .*contamination"):
        check_detector(Undocumented())


def test_a_failure_may_be_expected_with_a_reason():
    names = [check_name(check) for _, check in detector_checks(Undocumented())]
    reason = "says nothing"
    results = check_detector(
        Undocumented(), expected_failed_checks=dict.fromkeys(names, reason)
    )
    failed = [r for r in results if r["status"] == "xfail"]
    assert [r["check_name"] for r in failed] == [
        "check_every_parameter_is_documented",
        "check_documented_defaults_match_the_signature",
        "check_every_fitted_attribute_is_documented",
    ]
    assert {r["expected_to_fail_reason"] for r in failed} == {reason}


def test_maps_are_checked_where_there_are_some():
    def names(estimator):
        return {check_name(check) for _, check in detector_checks(estimator)}

    found = names(VAE(**QUICK)) - names(Mahalanobis())
    assert found == {
        "check_maps_are_finite_float32_of_the_input_s_size",
        "check_maps_do_not_depend_on_the_batch",
        "check_maps_of_tables_are_refused",
    }


def test_a_detector_that_needs_labels_is_given_them_and_fails_where_it_must():
    found = check_detector(ReconstructionGAN(**QUICK))
    failed = {r["check_name"] for r in found if r["status"] == "xfail"}
    assert failed <= {
        "check_fit2d_1sample",
        "check_outliers_train",
        "check_outliers_fit_predict",
        "check_methods_subset_invariance",
    }
    assert {"check_fit2d_1sample", "check_outliers_train"} <= failed
    assert "check_labels_are_learned_from" in {r["check_name"] for r in found}


def test_giving_labels_leaves_the_class_as_it_was():
    list(detector_checks(ReconstructionGAN(**QUICK)))
    check = ours(ReconstructionGAN(**QUICK), "check_fit2d_1feature")
    check(ReconstructionGAN(**QUICK))
    assert "fit" not in vars(ReconstructionGAN)
    assert ReconstructionGAN.fit is TorchDetector.fit


def test_checks_are_named_for_pytest():
    params = list(detector_checks(VAE(**QUICK), mark="xfail"))
    ids = [param.id for param in params]
    assert len(set(ids)) == len(ids)
    assert "VAE-check_scores_do_not_depend_on_the_batch" in ids
    (rounding,) = (p for p in params if "subset_invariance" in p.id)
    assert rounding.marks[0].name == "xfail"
    assert "float32" in rounding.marks[0].kwargs["reason"]
