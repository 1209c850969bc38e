"""One rule turns maps into scores, and smoothing keeps what it should."""

import numpy as np
import pytest
import torch

from featad import map_scores
from featad.map_scores import n_largest, reduce_maps, smooth_maps
from featad.neural.scores import REDUCTIONS, reduce_map

MAPS = np.random.default_rng(0).random((3, 20, 15)).astype(np.float32)


@pytest.mark.parametrize(
    ("how", "n"), [("mean", 300), ("top1%", 3), ("top10%", 30), ("max", 1)]
)
def test_the_score_is_the_mean_of_the_largest_values(how, n):
    expected = np.sort(MAPS.reshape(3, -1), axis=1)[:, -n:].mean(axis=1)
    np.testing.assert_allclose(reduce_maps(MAPS, how), expected, rtol=1e-6)


def test_the_largest_hundredth_holds_one_value_at_least():
    assert n_largest("top1%", 9) == 1


@pytest.mark.parametrize("how", map_scores.REDUCTIONS)
def test_tensors_are_reduced_by_the_same_rule(how):
    found = reduce_map(torch.from_numpy(MAPS), how).numpy()
    np.testing.assert_allclose(found, reduce_maps(MAPS, how), rtol=1e-6)


def test_maps_of_errors_have_the_same_words_and_one_more():
    assert set(REDUCTIONS) == {*map_scores.REDUCTIONS, "relative"}


def test_maps_are_left_as_they_are_by_reducing():
    before = MAPS.copy()
    reduce_maps(MAPS, "top1%")
    np.testing.assert_array_equal(MAPS, before)


def test_scores_of_float16_maps_are_averaged_in_float64():
    maps = np.full((1, 300, 300), 10, dtype=np.float16)
    assert reduce_maps(maps, "mean") == 10


def test_no_smoothing_leaves_maps_as_they_are():
    assert smooth_maps(MAPS, 0) is MAPS


def test_smoothing_does_not_mix_maps():
    one_by_one = np.concatenate([smooth_maps(m[None], 1.5) for m in MAPS])
    np.testing.assert_array_equal(smooth_maps(MAPS, 1.5), one_by_one)


def test_smoothing_keeps_a_constant_map_and_the_type():
    smooth = smooth_maps(np.full((1, 6, 5), 3, dtype=np.float32), 2)
    assert smooth.dtype == np.float32
    np.testing.assert_allclose(smooth, 3, rtol=1e-6)


def test_smoothing_lowers_and_spreads_a_peak():
    maps = np.zeros((1, 9, 9))
    maps[0, 4, 4] = 1
    smooth = smooth_maps(maps, 1)
    assert smooth.sum() == pytest.approx(1)
    assert smooth[0, 4, 4] == smooth.max() == pytest.approx(1 / (2 * np.pi), rel=0.01)
