"""Which checks a detector is held to, and running them."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import SkipTest

import numpy as np
from sklearn.svm import OneClassSVM
from sklearn.utils.estimator_checks import estimator_checks_generator

from featad.systems import trains_networks
from featad.testing import contract, labels, maps, scores, storage
from featad.testing.tools import (
    applies,
    given_labels,
    needs_labels,
    seeded,
    takes_labels,
    tiny_images,
)

TRAITS = (contract, scores, storage, labels, maps)

_ROUNDING = {
    "check_methods_subset_invariance": "float32 products round with the size of the "
    "batch; check_scores_do_not_depend_on_the_batch holds them to 1e-4",
    "check_methods_sample_order_invariance": "in torch 2.6 they round with the place "
    "in the batch too; check_scores_do_not_depend_on_the_order holds them to 1e-4",
}
_LABELED = {
    "check_fit2d_1sample": "one sample cannot be normal and anomalous; "
    "check_missing_labels_are_refused covers the message",
    "check_outliers_train": "the threshold is a quantile of the samples not labeled "
    "-1; check_contamination_is_met covers the share",
    "check_outliers_fit_predict": "the threshold is a quantile of the samples not "
    "labeled -1; check_contamination_is_met covers the share",
}
_LIBSVM = {
    f"check_sample_weight_equivalence_on_{kind}_data": "libsvm does not weigh a sample "
    "as it does copies of it; scikit-learn's own OneClassSVM fails this check too"
    for kind in ("dense", "sparse")
} | {
    "check_fit_returns_self_and_adds_only_learned_attributes": "scikit-learn's "
    "OneClassSVM keeps private attributes; that scoring leaves them alone is held by "
    "check_scoring_changes_nothing_in_the_detector",
}


def check_detector(
    estimator: Any,
    *,
    images: np.ndarray | None = None,
    expected_failed_checks: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Hold a detector to scikit-learn's contract and to featad's own.

    Checks apply by what the detector is: those of maps if it has ``anomaly_map``, those
    of labels if it learns from them. A detector that needs labeled anomalies says so
    with scikit-learn's tag ``target_tags.required``; it is then checked with the
    last third of the samples labeled -1.

    Parameters
    ----------
    estimator : estimator
        The detector, not fitted. Quick parameters make quick checks: it is fitted
        about two hundred times.

    images : ndarray of shape (n_samples, height, width, channels), default=None
        Normal images in [0, 1] for featad's checks; the number of samples must be a
        multiple of 4. None: 24 smooth random images of 8 x 8 pixels.

    expected_failed_checks : dict of str to str, default=None
        Reasons, by name of the check, why it may fail.

    Returns
    -------
    results : list of dict
        One per check, as scikit-learn's ``check_estimator`` returns them: estimator,
        check_name, exception, status ("passed", "skipped" or "xfail"),
        expected_to_fail, expected_to_fail_reason.

    Raises
    ------
    Exception
        What the first check that fails unexpectedly raises.

    See Also
    --------
    detector_checks : The same checks one by one, for pytest.

    Examples
    --------
    >>> from featad.detectors import PCAReconstruction
    >>> from featad.testing import check_detector
    >>> results = check_detector(PCAReconstruction(n_components=2))
    >>> {result["status"] for result in results} <= {"passed", "skipped"}
    True
    """
    reasons = expected_failures(estimator) | (expected_failed_checks or {})
    results = []
    for checked, check in detector_checks(estimator, images=images):
        name = check_name(check)
        status = "passed"
        exception: Exception | None = None
        try:
            check(checked)
        except SkipTest as skipped:
            status, exception = "skipped", skipped
        except Exception as error:
            if name not in reasons:
                raise
            status, exception = "xfail", error
        results.append(
            {
                "estimator": checked,
                "check_name": name,
                "exception": exception,
                "status": status,
                "expected_to_fail": name in reasons,
                "expected_to_fail_reason": reasons.get(name, ""),
            }
        )
    return results


def detector_checks(
    estimator: Any,
    *,
    images: np.ndarray | None = None,
    expected_failed_checks: dict[str, str] | None = None,
    mark: str | None = None,
) -> Iterator[Any]:
    """Yield every check that applies to a detector, for pytest.

    Parameters
    ----------
    estimator : estimator
        The detector, not fitted.

    images : ndarray of shape (n_samples, height, width, channels), default=None
        As for :func:`check_detector`.

    expected_failed_checks : dict of str to str, default=None
        Reasons, by name of the check, why it may fail. Only read with ``mark``.

    mark : {"xfail"} or None, default=None
        "xfail": yield ``pytest.param`` with names as ids and expected failures marked.

    Yields
    ------
    estimator, check : tuple
        ``check(estimator)`` raises if the detector does not hold.

    Examples
    --------
    In a test file::

        @pytest.mark.parametrize(
            ("estimator", "check"), detector_checks(MyDetector(), mark="xfail")
        )
        def test_contract(estimator, check):
            check(estimator)

    >>> from featad.detectors import Mahalanobis
    >>> from featad.testing import detector_checks
    >>> len(list(detector_checks(Mahalanobis()))) > 70
    True
    """
    images = tiny_images() if images is None else images
    reasons = expected_failures(estimator) | (expected_failed_checks or {})
    counts: dict[str, int] = {}
    for check in _all_checks(estimator, images):
        if mark is None:
            yield estimator, check
            continue
        import pytest

        name = check_name(check)
        counts[name] = counts.get(name, 0) + 1
        number = f"-{counts[name]}" if counts[name] > 1 else ""
        marks: tuple = ()
        if name in reasons:  # rounding may happen to agree: not strict
            marks = (pytest.mark.xfail(reason=reasons[name], strict=False),)
        label = f"{type(estimator).__name__}-{name}{number}"
        yield pytest.param(estimator, check, id=label, marks=marks)


def expected_failures(estimator: Any) -> dict[str, str]:
    """Return why checks of scikit-learn may fail for such a detector, by name."""
    reasons = dict(_ROUNDING) if trains_networks(estimator) else {}
    if isinstance(estimator, OneClassSVM):
        reasons |= _LIBSVM
    return reasons | (_LABELED if needs_labels(estimator) else {})


def check_name(check: Callable) -> str:
    """Return the name of a check that :func:`detector_checks` yields."""
    return check_name(check.func) if isinstance(check, partial) else check.__name__


def _all_checks(estimator, images):
    for _, check in estimator_checks_generator(estimator):
        yield _with_labels(check) if takes_labels(estimator) else check
    for trait in TRAITS:
        for name, check in vars(trait).items():
            ours = name.startswith("check_") and check.__module__ == trait.__name__
            if ours and applies(check, estimator):
                yield _on_a_seeded_clone(check, images)


def _with_labels(check):
    """Return a check of scikit-learn, whose classes are no labels of ours."""

    def run(estimator):
        with given_labels(estimator):
            check(estimator)

    run.__name__ = check_name(check)
    return run


def _on_a_seeded_clone(check, images):
    """Return a check of ours as a function of the estimator alone."""

    def run(estimator):
        check(seeded(estimator), images)

    run.__name__ = check.__name__
    return run
