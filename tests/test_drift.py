"""Good parts that have changed are noticed, and those that have not are let pass."""

import numpy as np
import pytest

from featad.drift import LEVELS, check_p_values, hidden_drift, rate_in_force


def _to_p_values(held_out, new):
    not_above = np.searchsorted(np.sort(held_out), new, side="right")
    return (1 + not_above) / (1 + len(held_out))


def _p_values(rng, n_calibration, n_samples, shift=0.0, scale=1.0):
    """Return p-values of new samples after a calibration on one held-out set."""
    held_out = rng.normal(size=n_calibration)
    return _to_p_values(held_out, rng.normal(-shift, scale, size=n_samples))


@pytest.mark.parametrize(("n_calibration", "n_samples"), [(100, 50), (30, 200)])
def test_good_parts_fail_as_often_as_the_error_says(n_calibration, n_samples):
    rng = np.random.default_rng(0)
    failed = [
        not check_p_values(
            _p_values(rng, n_calibration, n_samples), n_calibration, error=0.1
        ).is_uniform
        for _ in range(200)
    ]
    assert 0.01 < np.mean(failed) < 0.14


@pytest.mark.parametrize("change", [{"shift": 1.5}, {"shift": -1.5}, {"scale": 3.0}])
def test_changed_parts_are_noticed(change):
    rng = np.random.default_rng(0)
    assert not check_p_values(_p_values(rng, 100, 60, **change), 100).is_uniform


def test_the_tolerated_number_of_low_p_values_passes_and_one_more_does_not():
    rng = np.random.default_rng(0)
    p = _p_values(rng, 10_000, 200)
    limit = check_p_values(p, 10_000).n_tolerated
    even = np.linspace(0.051, 1, 200)
    checks = []
    for n_low in (limit, limit + 1):
        p = even.copy()
        p[:n_low] = 0.05
        checks.append(check_p_values(p, 10_000))
    assert [check.n_low for check in checks] == [limit, limit + 1]
    assert checks[1].probability <= 0.01


def test_many_p_values_are_checked_quickly():
    rng = np.random.default_rng(0)
    assert check_p_values(_p_values(rng, 5000, 5000), 5000).is_uniform


@pytest.mark.parametrize("p_values", [[], [0.0, 0.5], [np.nan], [1.5]])
def test_what_is_no_p_value_is_refused(p_values):
    with pytest.raises(ValueError, match="p-values above 0 and up to 1"):
        check_p_values(p_values, 100)


def _drift(p, n_calibration, target_fpr):
    counts = {level: int((p <= level).sum()) for level in LEVELS}
    n_anomalous = int((p <= target_fpr).sum())
    return hidden_drift(len(p), n_anomalous, counts, n_calibration, target_fpr)


def test_few_samples_have_a_higher_rate_than_the_target():
    assert rate_in_force(0.01, 19) == 0.05
    assert rate_in_force(0.01, 99) == 0.01


@pytest.mark.parametrize(
    ("target_fpr", "level"), [(0.01, 0.05), (0.05, 0.1), (0.06, 0.2), (0.25, 0.5)]
)
def test_a_hidden_drift_shows_at_twice_the_alarm_rate_or_more(target_fpr, level):
    p = np.linspace(0.9 * level, level, 50)
    assert _drift(p, 1000, target_fpr) == level


def test_a_rate_of_a_quarter_or_more_hides_no_drift():
    assert _drift(np.full(50, 0.45), 1000, 0.3) is None


@pytest.mark.parametrize("target_fpr", [0.01, 0.05, 0.1])
def test_a_hidden_drift_is_rarely_seen_in_good_parts(target_fpr):
    rng = np.random.default_rng(0)
    seen = [_drift(_p_values(rng, 100, 100), 100, target_fpr) for _ in range(400)]
    assert sum(level is not None for level in seen) <= 2


@pytest.mark.parametrize(("n_samples", "at_least"), [(30, 8), (100, 18)])
def test_a_hidden_drift_is_seen_in_shifted_parts(n_samples, at_least):
    rng = np.random.default_rng(0)
    seen = [_drift(_p_values(rng, 200, n_samples, 1.3), 200, 0.01) for _ in range(20)]
    assert sum(level == 0.05 for level in seen) >= at_least


@pytest.mark.parametrize("shift", [3, 4, 5])
def test_defects_among_good_parts_are_no_hidden_drift(shift):
    rng = np.random.default_rng(0)
    held_out, new = rng.normal(size=200), rng.normal(size=150)
    new[100:] -= shift
    assert _drift(_to_p_values(held_out, new), 200, 0.01) is None


def test_a_batch_of_defects_alone_is_no_hidden_drift():
    assert _drift(np.full(50, 0.005), 200, 0.01) is None
