"""PatchFlow: it starts from the covariance of each position and learns the rest."""

import numpy as np
import pytest

from featad import PatchFlow, PatchGaussian
from featad.map_scores import reduce_maps, smooth_maps

TINY = {"width": 8, "n_blocks": 2, "max_epochs": 2, "random_state": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    """Return 40 maps (40, 4, 5, 3), every position with a spread of its own."""
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.1, 10, size=(4, 5, 3))
    return (5 + spread * rng.normal(size=(40, 4, 5, 3))).astype(np.float32)


def curved(n, seed):
    """Return maps (n, 4, 4, 2) whose features lie on a parabola at every position."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(n, 4, 4))
    y = x**2 + rng.normal(0, 0.03, size=x.shape)
    return np.stack([x, y], axis=-1)


def test_an_odd_patch_is_found_at_its_position(maps):
    detector = PatchFlow(**TINY, smoothing=0).fit(maps)
    odd = maps[:1].copy()
    odd[0, 2, 3] += 100
    found = detector.anomaly_map(odd)[0]
    assert np.unravel_index(found.argmax(), found.shape) == (2, 3)
    assert detector.score_samples(odd)[0] < detector.score_samples(maps).min()


@pytest.mark.parametrize("score_by", ["max", "top1%", "mean"])
def test_the_score_is_that_of_the_smoothed_map(maps, score_by):
    detector = PatchFlow(**TINY, score_by=score_by, smoothing=0.8).fit(maps)
    smooth = detector.anomaly_map(maps)
    np.testing.assert_allclose(
        -detector.score_samples(maps), reduce_maps(smooth, score_by), rtol=1e-5
    )
    detector.set_params(smoothing=0)
    np.testing.assert_allclose(
        smooth, smooth_maps(detector.anomaly_map(maps), 0.8), rtol=1e-4
    )


def test_untrained_it_ranks_patches_as_a_gaussian_does(maps):
    flow = PatchFlow(**{**TINY, "max_epochs": 0}, smoothing=0).fit(maps)
    gaussian = PatchGaussian(smoothing=0).fit(maps)
    found, expected = (one.anomaly_map(maps).ravel() for one in (flow, gaussian))
    assert np.corrcoef(found, expected**2)[0, 1] > 0.98


def test_training_learns_what_a_covariance_does_not_tell():
    trained = PatchFlow(random_state=0, noise=0.1, smoothing=0, device="cpu")
    trained.fit(curved(100, 0))
    inside = np.full((1, 4, 4, 2), [0.0, 1 / 3])  # the mean, where no patch ever is
    normal = trained.anomaly_map(curved(50, 1))
    assert trained.anomaly_map(inside).mean() > np.quantile(normal, 0.9)


def test_each_position_is_whitened_by_its_covariance_shrunk_toward_all():
    rng = np.random.default_rng(0)
    X = np.einsum(
        "nhwd,hwde->nhwe",
        rng.normal(size=(200, 2, 2, 3)),
        np.eye(3) + rng.uniform(0, 1, size=(2, 2, 3, 3)),
    )
    roots = PatchFlow(**{**TINY, "max_epochs": 0}).fit(X).precision_root_
    own = [np.cov(x.T, bias=True) for x in X.reshape(200, 4, 3).swapaxes(0, 1)]
    pooled = np.mean(own, axis=0)
    pooled = pooled + 0.01 * np.trace(pooled) / 3 * np.eye(3)
    for root, one in zip(roots.reshape(4, 3, 3), own, strict=True):
        expected = np.linalg.inv((200 * one + 3 * pooled) / 203)
        np.testing.assert_allclose(root @ root.T, expected, rtol=1e-3, atol=1e-4)


def test_positions_that_never_vary_stay_finite(maps):
    still = maps.copy()
    still[:, 0] = 3
    detector = PatchFlow(**TINY).fit(still)
    changed = still[:1].copy()
    changed[0, 0, 0] += 30
    assert np.isfinite(detector.anomaly_map(changed)).all()
    assert detector.score_samples(changed) < detector.score_samples(still).min()


def test_maps_of_float16_are_taken_as_they_are(maps):
    detector = PatchFlow(**TINY).fit(maps)
    expected = detector.anomaly_map(maps.astype(np.float16).astype(np.float32))
    found = detector.anomaly_map(maps.astype(np.float16))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2)


def test_a_row_of_a_table_is_a_map_of_one_position(maps):
    table = maps[:, 0, 0]
    by_rows, by_maps = (
        PatchFlow(**TINY).fit(X).score_samples(X) for X in (table, maps[:, :1, :1])
    )
    np.testing.assert_allclose(by_rows, by_maps, rtol=1e-5)


def test_values_of_maps_have_no_scale(maps):
    detector = PatchFlow(**TINY).fit(maps)
    assert detector.image_range_ is None
    detector.score_samples(1000 * maps)  # neither refused nor warned of


def test_fewer_maps_than_features_are_whitened_by_the_others():
    X = np.random.default_rng(0).normal(size=(6, 2, 2, 20))
    detector = PatchFlow(**TINY)
    by_others = (detector._fit_whitened(X) ** 2).sum(axis=-1).mean()
    by_all = (detector._whitened(X) ** 2).sum(axis=-1).mean()
    assert by_others > by_all


def test_one_map_is_refused(maps):
    with pytest.raises(ValueError, match="PatchFlow needs at least 2 samples"):
        PatchFlow(**TINY).fit(maps[:1])
