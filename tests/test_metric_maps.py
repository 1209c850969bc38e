"""AUROC and per-region overlap of anomaly maps."""

import numpy as np
import pytest
from scipy.ndimage import label

from featad.metrics import aupro, pixel_auroc

RNG = np.random.default_rng(0)


def _masks():
    masks = np.zeros((3, 16, 16), dtype=bool)
    masks[0, 2:5, 2:5] = masks[0, 9:15, 8:15] = True
    masks[1, 4:6, 3:12] = True
    return masks


def test_a_perfect_map_scores_one():
    masks = _masks()
    assert pixel_auroc(masks, masks.astype(float)) == 1
    assert aupro(masks, masks.astype(float)) == pytest.approx(1)


def test_an_inverted_map_scores_zero():
    masks = _masks()
    assert pixel_auroc(masks, 1 - masks.astype(float)) == 0
    assert aupro(masks, 1 - masks.astype(float)) == pytest.approx(0)


def test_a_random_map_is_at_chance():
    masks = np.zeros((40, 32, 32), dtype=bool)
    masks[:, 5:15, 5:15] = True
    maps = RNG.random(masks.shape)
    assert pixel_auroc(masks, maps) == pytest.approx(0.5, abs=0.02)
    assert aupro(masks, maps) == pytest.approx(0.15, abs=0.02)


def test_a_constant_map_is_at_chance():
    assert aupro(_masks(), np.zeros((3, 16, 16)), max_fpr=1) == pytest.approx(0.5)


def test_small_regions_count_as_much_as_large_ones():
    masks = _masks()[:1]
    only_small = np.zeros((1, 16, 16))
    only_small[0, 2:5, 2:5] = 1
    only_large = masks.astype(float) - only_small
    low = aupro(masks, only_small)
    assert low == pytest.approx(aupro(masks, only_large))


def test_the_overlap_equals_its_definition():
    masks, maps = _masks(), RNG.random((3, 16, 16)).round(2) + 0.5 * _masks()
    thresholds = np.unique(maps)[::-1]
    fpr, pro = [0.0], [0.0]
    for threshold in thresholds:
        shares = []
        for mask, one in zip(masks, maps, strict=True):
            regions, n_regions = label(mask, np.ones((3, 3)))
            for region in range(1, n_regions + 1):
                shares.append((one[regions == region] >= threshold).mean())
        fpr.append((maps[~masks] >= threshold).mean())
        pro.append(np.mean(shares))
    for max_fpr in (0.01, 0.3, 0.999, 1.0):
        expected = _area_up_to(max_fpr, fpr, pro) / max_fpr
        assert aupro(masks, maps, max_fpr=max_fpr) == pytest.approx(expected)


def _area_up_to(limit, x, y):
    """Return the area under a line of points, trapezoid by trapezoid."""
    area = 0.0
    for left, right, low, high in zip(x, x[1:], y, y[1:], strict=False):
        if left >= limit:
            break
        if right > limit:
            share = (limit - left) / (right - left)
            right, high = limit, low + share * (high - low)
        area += (right - left) * (low + high) / 2
    return area


@pytest.mark.parametrize(
    ("scores", "max_fpr", "expected"),
    [
        # one anomalous pixel and two normal ones: 0, 1 or 2 false ones before it
        ([0.9, 0.5, 0.1], 1, 1.0),
        ([0.5, 0.9, 0.1], 1, 0.5),
        ([0.1, 0.9, 0.5], 1, 0.0),
        ([0.5, 0.9, 0.1], 0.75, 1 / 3),  # it goes up at 0.5, so a third is found
        ([0.5, 0.9, 0.1], 0.5, 0.0),
        ([0.5, 0.5, 0.1], 1, 0.75),  # a tie: one line from (0, 0) to (0.5, 1)
        ([0.5, 0.5, 0.1], 0.25, 0.25),
    ],
)
def test_the_overlap_of_a_step_curve_equals_the_area_by_hand(scores, max_fpr, expected):
    mask = np.array([[True, False, False]])
    score = aupro([mask], [np.array([scores])], max_fpr=max_fpr)
    assert score == pytest.approx(expected)


def test_a_false_pixel_before_the_only_true_one_scores_zero():
    mask = np.array([[True, False]])
    assert aupro([mask], [np.array([[0.1, 0.9]])], max_fpr=1) == 0


@pytest.mark.parametrize("max_fpr", [0, 1.1])
def test_an_impossible_limit_is_refused(max_fpr):
    with pytest.raises(ValueError, match=r"max_fpr should be in \(0, 1\]"):
        aupro(_masks(), np.zeros((3, 16, 16)), max_fpr=max_fpr)


@pytest.mark.parametrize("metric", [pixel_auroc, aupro])
def test_what_does_not_fit_is_refused(metric):
    with pytest.raises(
        ValueError,
        match=r"masks\[0\].*\(16, 16\).*\(8, 8\)",
    ):
        metric(_masks(), np.zeros((3, 8, 8)))
    with pytest.raises(ValueError, match="Some pixels must be anomalous"):
        metric(np.zeros((2, 4, 4)), np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="NaN or infinite"):
        metric(_masks(), np.full((3, 16, 16), np.nan))


@pytest.mark.parametrize("metric", [pixel_auroc, aupro])
def test_masks_and_maps_must_be_as_many(metric):
    with pytest.raises(ValueError, match="3 masks, but 2 maps"):
        metric(_masks(), np.zeros((2, 16, 16)))


@pytest.mark.parametrize("metric", [pixel_auroc, aupro])
def test_masks_of_0_and_255_are_masks(metric):
    maps = RNG.random((3, 16, 16))
    masks = _masks()
    assert metric(masks * np.uint8(255), maps) == metric(masks, maps)


@pytest.mark.parametrize("metric", [pixel_auroc, aupro])
def test_a_soft_mask_is_refused_with_the_way_out(metric):
    soft = _masks() * np.uint8(255)
    soft[1, 0, 0] = 3
    with pytest.raises(ValueError, match=r"masks\[1\] holds 3.*featad.read_mask"):
        metric(soft, np.zeros((3, 16, 16)))


@pytest.mark.parametrize("values", [(1, 2), (0, np.nan)])
def test_a_mask_whose_meaning_is_unclear_is_refused(values):
    mask = np.array([values])
    with pytest.raises(ValueError, match="holds 2 different values"):
        aupro([mask], [np.zeros((1, 2))])


def test_a_mask_in_color_is_refused_with_both_shapes():
    mask = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match=r"\(16, 16, 3\), but its map has \(16, 16\)"):
        aupro([mask], [np.zeros((16, 16))])


def test_a_perfect_map_is_not_better_than_perfect():
    mask = np.zeros((64, 64), np.uint8)
    mask[20:30, 20:30] = 255
    assert aupro([mask], [mask.astype(float)]) <= 1
