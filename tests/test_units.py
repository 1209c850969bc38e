"""Common units: what they are of, and what becomes of samples beyond all others."""

import numpy as np
import pytest

from featad.units import UNITS, in_units

HELD_OUT = np.random.default_rng(0).normal(size=400)


@pytest.mark.parametrize("units", UNITS)
def test_units_do_not_depend_on_the_detector_s_own(units):
    values = np.array([-3.0, 0.0, 1.0, 5.0, 40.0])
    expected = in_units(values, HELD_OUT, units)
    found = in_units(1e6 * values + 7, 1e6 * HELD_OUT + 7, units)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_robust_units_are_standard_deviations_of_a_normal_distribution():
    np.testing.assert_allclose(
        in_units(np.array([0.0, 1.0, 4.0]), HELD_OUT, "robust"), [0, 1, 4], atol=0.3
    )


@pytest.mark.parametrize("p", [0.5, 0.2, 0.1, 0.02])
def test_p_values_are_the_shares_of_normal_samples_that_are_as_strange(p):
    value = np.quantile(HELD_OUT, 1 - p)
    assert in_units(value, HELD_OUT, "p-value") == pytest.approx(-np.log10(p), rel=0.1)


def test_p_values_beyond_all_held_out_samples_still_differ():
    found = in_units(np.array([5.0, 6.0, 600.0]), HELD_OUT, "p-value")
    assert (np.diff(found) > 0.5).all()


def test_p_values_rise_with_strangeness_without_a_step():
    grid = np.linspace(-2.5, 4, 2001)
    steps = np.diff(in_units(grid, HELD_OUT, "p-value"))
    assert steps.min() >= 0
    assert steps.max() < 0.05


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("held_out", [[1.0, 1.0, 1.0], [0.0, 1.0], [0.0, 0.0, 0.0]])
def test_few_or_equal_held_out_scores_give_finite_units(units, held_out):
    found = in_units(np.array([-1.0, 1.0, 2.0]), np.array(held_out), units)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()
    assert found[2] > found[0]


def test_a_score_that_is_not_a_number_stays_so():
    assert np.isnan(in_units(np.array([np.nan]), HELD_OUT, "p-value")).all()
