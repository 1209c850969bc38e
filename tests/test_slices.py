"""Windows of slices stay inside a scan; scores of scans do not know their order."""

import numpy as np
import pytest

from featad.datasets.slices import aggregate_scores, slice_windows
from featad.model_selection import OneClassKFold


def scans(depths=(7, 4, 9), size=(3, 2)):
    """Return scans whose every value tells scan and slice: 100 * scan + slice."""
    return [
        np.broadcast_to(100 * i + np.arange(depth)[:, None, None], (depth, *size))
        for i, depth in enumerate(depths)
    ]


def test_a_window_holds_adjacent_slices_on_its_channels():
    windows, groups = slice_windows(scans((5,)), n_slices=4)
    assert windows.shape == (2, 3, 2, 4)
    np.testing.assert_array_equal(windows[:, 0, 0], [[0, 1, 2, 3], [1, 2, 3, 4]])
    np.testing.assert_array_equal(groups, [0, 0])


def test_no_window_is_built_across_two_scans():
    windows, groups = slice_windows(scans(), n_slices=3)
    assert len(windows) == 5 + 2 + 7
    np.testing.assert_array_equal(windows // 100 == groups[:, None, None, None], True)
    np.testing.assert_array_equal(np.diff(windows, axis=-1), 1)


def test_slices_with_groups_give_the_windows_of_their_scans():
    volumes = scans()
    slices = np.concatenate(volumes)
    names = np.repeat(["c", "a", "b"], [7, 4, 9])
    expected, places = slice_windows(volumes, n_slices=3)
    windows, groups = slice_windows(slices, names, n_slices=3)
    np.testing.assert_array_equal(windows, expected)
    np.testing.assert_array_equal(groups, np.array(["c", "a", "b"])[places])


def test_slices_of_two_scans_may_be_interleaved():
    volumes = scans((4, 4))
    slices = np.stack(volumes, axis=1).reshape(8, 3, 2)
    windows, groups = slice_windows(slices, [0, 1] * 4, n_slices=3)
    expected, places = slice_windows(volumes, n_slices=3)
    np.testing.assert_array_equal(windows, expected)
    np.testing.assert_array_equal(groups, places)


def test_the_channels_of_a_slice_stay_together():
    volume = np.arange(4 * 2).reshape(4, 1, 1, 2)
    windows, _ = slice_windows([volume], n_slices=2)
    np.testing.assert_array_equal(
        windows[:, 0, 0], [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    )


@pytest.mark.parametrize(("step", "first"), [(1, [0, 1, 2, 3, 4]), (3, [0, 3])])
def test_windows_start_every_step_slices(step, first):
    windows, groups = slice_windows(scans((7,)), n_slices=3, step=step)
    np.testing.assert_array_equal(windows[:, 0, 0, 0], first)
    assert len(groups) == len(first)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([scans((7, 2))], {"n_slices": 3}, "scan 1 has only 2 slices"),
        ([scans((7,))], {"n_slices": 0}, "n_slices should be .* at least 1, got 0"),
        ([scans((7,))], {"step": 1.5}, "step should be .* at least 1, got 1.5"),
        ([[]], {}, "slices of shape none"),
        ([[np.zeros((7, 3, 2)), np.zeros((7, 2, 3))]], {}, r"\(2, 3\), \(3, 2\)"),
        ([np.zeros((7, 3))], {}, r"slices of shape \(\)"),
        ([np.zeros((7, 3, 2)), [0, 1]], {}, r"groups.shape=\(2,\)"),
    ],
)
def test_wrong_scans_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        slice_windows(*arguments, **options)


@pytest.mark.parametrize(
    ("how", "expected"),
    [("mean", [5, 3]), ("median", [5, 2]), ("min", [5, 1]), ("max", [5, 6])],
)
def test_windows_give_one_score_a_scan(how, expected):
    found = aggregate_scores([1, 2, 5, 6], ["b", "b", "a", "b"], how)
    np.testing.assert_array_equal(found, expected)


def test_the_score_of_a_scan_does_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    scores, groups = rng.random(30), rng.integers(0, 5, 30)
    order = rng.permutation(30)
    np.testing.assert_allclose(
        aggregate_scores(scores[order], groups[order]),
        aggregate_scores(scores, groups),
        rtol=1e-14,
    )


@pytest.mark.parametrize(
    ("scores", "groups", "how", "message"),
    [
        ([1.0], [0], "sum", "how should be one of mean, median, min, max, got 'sum'"),
        ([1.0, 2.0], [0], "mean", r"scores.shape=\(2,\) and groups.shape=\(1,\)"),
    ],
)
def test_wrong_scores_are_refused(scores, groups, how, message):
    with pytest.raises(ValueError, match=message):
        aggregate_scores(scores, groups, how)


def test_folds_keep_all_windows_of_a_scan_on_one_side():
    windows, groups = slice_windows(scans((7, 9, 6, 8, 7, 6)), n_slices=3)
    y = np.where(groups >= 4, -1, 1)
    for train, test in OneClassKFold(4, random_state=0).split(windows, y, groups):
        assert not set(groups[train]) & set(groups[test])
