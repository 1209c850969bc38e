"""P-values of samples and of groups from held-out scores."""

import numpy as np
import pytest

import featad
from featad.calibration import CalibratedDetector
from featad.conformal import HeldOutScores
from featad.detectors import Mahalanobis, NearestNeighbors

VIEWS = np.repeat(np.arange(20), 5)


def parts(n, seed, n_views=5, jitter=0.3):
    """Return views of parts, all alike within a part, and the part of each."""
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.normal(size=(n, 4)), n_views, axis=0)
    return X + jitter * rng.normal(size=X.shape), np.repeat(np.arange(n), n_views)


def test_a_group_counts_as_one_whatever_its_size():
    held_out = HeldOutScores.of(np.array([1.0, 2.0, 3.0, 9.0]), ["a", "a", "a", "b"])
    np.testing.assert_allclose(
        held_out.p_values([0.0, 1.0, 3.0, 9.0]), [1 / 3, 4 / 9, 2 / 3, 1]
    )


def test_groups_of_one_are_as_no_groups():
    scores = np.random.default_rng(0).normal(size=30)
    new = np.linspace(-3, 3, 20)
    grouped = HeldOutScores.of(scores, np.arange(30))
    plain = HeldOutScores.of(scores)
    np.testing.assert_array_equal(grouped.p_values(new), plain.p_values(new))
    assert grouped.threshold(0.1) == plain.threshold(0.1)


def test_weights_that_add_up_to_one_reach_the_target_exactly():
    scores = np.r_[np.arange(10.0), 100 + np.arange(18.0)]
    groups = np.r_[np.zeros(10), 1 + np.arange(18)]
    held_out = HeldOutScores.of(scores, groups)  # 19 groups: 0.1 is two of 20
    assert held_out.threshold(0.1) == 100


def test_a_part_is_judged_by_its_strangest_view():
    held_out = HeldOutScores.of(np.array([1.0, 5.0, 2.0, 6.0]), [0, 0, 1, 1])
    scores, groups = [9.0, 1.5, 7.0, 7.0], ["b", "b", "a", "a"]
    np.testing.assert_allclose(held_out.p_values(scores, groups), [1, 2 / 3])


def test_a_score_that_is_not_a_number_leaves_its_part_without_a_p_value():
    held_out = HeldOutScores.of(np.array([1.0, 5.0, 2.0, 6.0]), [0, 0, 1, 1])
    found = held_out.p_values([np.nan, 9.0, 9.0, 9.0], [0, 0, 1, 1])
    np.testing.assert_array_equal(np.isnan(found), [True, False])


def test_parts_cannot_be_judged_where_samples_were_calibrated_one_by_one():
    held_out = HeldOutScores.of(np.arange(9.0))
    with pytest.raises(ValueError, match=r"Pass groups= to fit"):
        held_out.p_values([1.0, 2.0], ["a", "a"])


def test_parts_with_more_views_than_in_calibration_are_warned_of():
    held_out = HeldOutScores.of(np.arange(6.0), [0, 0, 1, 1, 2, 2])
    with pytest.warns(UserWarning, match=r"holds 3 samples, .* held 2: .* more false"):
        held_out.p_values([1.0, 2.0, 3.0], ["a"] * 3)


@pytest.mark.parametrize("detector", [Mahalanobis(), NearestNeighbors(1)])
def test_views_and_parts_alarm_at_the_target_where_groups_are_given(detector):
    target, seeds, n_fresh = 0.1, range(15), 300
    views = whole = 0.0
    for seed in seeds:
        X, part = parts(59, seed)
        system = CalibratedDetector(detector, target_fpr=target, random_state=seed)
        system.fit(X, groups=part)
        X, part = parts(n_fresh, 1000 + seed)
        views += (system.predict(X) == -1).mean() / len(seeds)
        p_values = featad.p_values(system, X, groups=part)
        assert p_values.shape == (n_fresh,)
        whole += (p_values <= target).mean() / len(seeds)
    deviation = np.sqrt(target * (1 - target) * (1 / 61 + 1 / n_fresh) / len(seeds))
    assert abs(views - target) < 3 * deviation
    assert abs(whole - target) < 3 * deviation
