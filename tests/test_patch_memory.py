"""PatchMemory is the distance to the nearest patch of a greedy coreset."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from featad.detectors import PatchMemory

rng = np.random.default_rng(0)
MAPS = rng.normal(size=(12, 6, 5, 4))
NEW = 2 * rng.normal(size=(8, 6, 5, 4))


def fitted(maps=MAPS, coreset=1.0, **options):
    options = {"smoothing": 0, "search_variance": None, "random_state": 0} | options
    return PatchMemory(coreset, **options).fit(maps)


def brute_force(memory, X, n_neighbors=1):
    search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(memory)
    found, indices = search.kneighbors(X.reshape(-1, X.shape[-1]))
    return found.reshape(*X.shape[:3], -1), indices.reshape(*X.shape[:3], -1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maps_are_distances_to_the_nearest_of_all_patches(dtype):
    found = fitted(MAPS.astype(dtype)).anomaly_map(NEW)
    expected = brute_force(MAPS.reshape(-1, 4), NEW)[0][..., 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("coreset", "n_kept"), [(20, 20), (1000, 90), (0.1, 36), (1.0, 360), (1e-6, 1)]
)
def test_a_share_or_a_number_of_patches_is_kept(coreset, n_kept):
    detector = fitted(coreset=coreset)
    assert detector.memory_.shape == (n_kept, 4)
    assert detector.sources_.shape == (n_kept,)


def test_the_memory_is_the_plain_greedy_choice():
    patches, memory = MAPS.reshape(-1, 4), fitted(coreset=30).memory_
    for n in range(1, 30):
        covered = np.linalg.norm(patches[:, None] - memory[:n], axis=2).min(axis=1)
        np.testing.assert_array_equal(memory[n], patches[covered.argmax()])


def test_each_patch_of_the_memory_is_from_its_source():
    detector = fitted(coreset=30)
    for patch, source in zip(detector.memory_, detector.sources_, strict=True):
        assert (MAPS[source] == patch).all(axis=-1).any()


def test_the_weighted_score_is_that_of_the_paper():
    detector, b = fitted(n_neighbors=3), 3
    memory, plain = detector.memory_, detector.anomaly_map(NEW)
    nearest = brute_force(memory, NEW)[1][..., 0]
    for x, one, its_nearest, score in zip(
        NEW, plain, nearest, detector.score_samples(NEW), strict=True
    ):
        place = np.unravel_index(one.argmax(), one.shape)
        m = memory[its_nearest[place]]
        around = memory[np.argsort(np.linalg.norm(memory - m, axis=1))[:b]]
        to_others = np.exp(np.linalg.norm(around - x[place], axis=1))
        weight = 1 - np.exp(one.max()) / to_others.sum()
        assert -score == pytest.approx(weight * one.max(), rel=1e-5)


def test_a_search_along_few_axes_finds_almost_the_nearest():
    wide = MAPS @ rng.normal(size=(4, 30)) + 0.1 * rng.normal(size=(12, 6, 5, 30))
    exact = fitted(wide[:10]).anomaly_map(wide[10:])
    found = fitted(wide[:10], search_variance=0.9).anomaly_map(wide[10:])
    assert (found >= exact * (1 - 1e-6)).all()
    assert np.mean(found / exact) < 1.1


def test_weights_do_not_overflow():
    scores = fitted(1e4 * MAPS, n_neighbors=5).score_samples(1e4 * NEW)
    assert np.isfinite(scores).all()


def test_held_out_scores_leave_out_the_sample_s_own_patches():
    held_out = fitted().held_out_scores_
    for i in range(len(MAPS)):
        others = fitted(np.delete(MAPS, i, axis=0))
        assert held_out[i] == pytest.approx(others.score_samples(MAPS[[i]])[0])


def test_identical_samples_are_at_no_distance():
    same = np.repeat(MAPS[:1], 10, axis=0)
    detector = fitted(same)
    assert len(detector.memory_) == 30
    assert (detector.score_samples(same) == 0).all()
    assert (detector.score_samples(NEW) < 0).all()


def test_one_sample_is_enough():
    detector = fitted(MAPS[:1], coreset=0.5)
    assert detector.held_out_scores_ is None
    assert np.isfinite(detector.score_samples(NEW)).all()


def test_one_constant_feature_changes_nothing():
    constant = np.concatenate([MAPS, np.full((12, 6, 5, 1), 9.0)], axis=-1)
    new = np.concatenate([NEW, np.full((8, 6, 5, 1), 9.0)], axis=-1)
    np.testing.assert_allclose(
        fitted(constant, 40).score_samples(new), fitted(MAPS, 40).score_samples(NEW)
    )
