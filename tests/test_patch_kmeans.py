"""PatchKMeans is the distance to the nearest mean of a cluster of patches."""

import numpy as np
import pytest

from featad.detectors import PatchKMeans

rng = np.random.default_rng(0)
MAPS = rng.normal(size=(12, 6, 5, 4))
NEW = 2 * rng.normal(size=(8, 6, 5, 4))


def fitted(maps=MAPS, n_clusters=8, **options):
    return PatchKMeans(n_clusters, smoothing=0, random_state=0, **options).fit(maps)


def test_maps_are_distances_to_the_nearest_center():
    detector = fitted()
    away = NEW[..., None, :] - detector.centers_
    expected = np.linalg.norm(away, axis=-1).min(axis=-1)
    np.testing.assert_allclose(detector.anomaly_map(NEW), expected, rtol=1e-6)


def test_clusters_of_patches_are_found():
    middles = 10 * rng.normal(size=(5, 4))
    maps = middles[rng.integers(5, size=(12, 6, 5))] + 0.1 * MAPS
    centers = fitted(maps, 5, max_patches=100).centers_
    away = np.linalg.norm(middles[:, None] - centers, axis=2)
    assert away.min(axis=1).max() < 0.1


def test_one_center_is_the_mean_of_all_patches_though_few_are_drawn():
    centers = fitted(n_clusters=1, max_patches=10).centers_
    np.testing.assert_allclose(centers[0], MAPS.reshape(-1, 4).mean(axis=0))


def test_held_out_centers_leave_out_the_sample_s_own_patches():
    held_out = fitted(n_clusters=1).held_out_scores_
    for i in range(len(MAPS)):
        others = fitted(np.delete(MAPS, i, axis=0), 1)
        assert held_out[i] == pytest.approx(others.score_samples(MAPS[[i]])[0])


def test_a_cluster_of_one_sample_alone_does_not_hold_it():
    maps = MAPS.copy()
    maps[3, 2, 2] = 100  # a cluster by itself
    detector = fitted(maps)
    assert detector.score_samples(maps[[3]])[0] > -10
    assert detector.held_out_scores_[3] < -150


def test_there_are_no_more_centers_than_patches():
    assert fitted(MAPS[:1, :2, :2], 64).centers_.shape == (4, 4)


def test_one_sample_is_enough():
    detector = fitted(MAPS[:1])
    assert detector.held_out_scores_ is None
    assert np.isfinite(detector.score_samples(NEW)).all()
