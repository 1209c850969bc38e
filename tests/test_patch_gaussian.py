"""PatchGaussian is a shrunk Gaussian for each position, in one product of matrices."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from featad.detectors import Mahalanobis, PatchGaussian

rng = np.random.default_rng(0)
MIX = rng.normal(size=(6, 6))
MAPS = rng.normal(size=(50, 3, 4, 6)) @ MIX + rng.normal(size=(3, 4, 6))
NEW = 3 * rng.normal(size=(8, 3, 4, 6))


def distances(detector, X):
    return detector.set_params(smoothing=0).anomaly_map(X)


@pytest.mark.parametrize("n_samples", [50, 5])  # more and fewer than features
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances_are_those_of_ledoit_and_wolf_at_each_position(n_samples, dtype):
    maps = MAPS[:n_samples].astype(dtype)
    found = distances(PatchGaussian(shrink_to="identity", floor=0).fit(maps), NEW)
    for row, column in np.ndindex(3, 4):
        reference = LedoitWolf().fit(maps[:, row, column].astype(np.float64))
        squares = reference.mahalanobis(NEW[:, row, column])
        np.testing.assert_allclose(found[:, row, column] ** 2, squares, rtol=1e-4)


@pytest.mark.parametrize("n_samples", [50, 5])  # more and fewer than features
def test_each_covariance_is_shrunk_toward_the_mean_of_all(n_samples):
    maps = MAPS[:n_samples]
    found = distances(PatchGaussian(floor=0).fit(maps), NEW)
    own = np.stack(
        [np.cov(maps[(slice(None), *i)].T, bias=True) for i in np.ndindex(3, 4)]
    )
    shrunk = (n_samples * own + 6 * own.mean(axis=0)) / (n_samples + 6)
    away = (NEW - maps.mean(axis=0)).reshape(8, 12, 6)
    squares = np.einsum("npi,pij,npj->np", away, np.linalg.inv(shrunk), away)
    np.testing.assert_allclose(found.reshape(8, 12) ** 2, squares, rtol=1e-4)


def test_held_out_distances_keep_the_pooled_covariance():
    detector = PatchGaussian(floor=0, smoothing=0).fit(MAPS)
    for i in range(3):
        others = np.delete(MAPS, i, axis=0)
        own = np.stack(
            [np.cov(others[(slice(None), *p)].T, bias=True) for p in np.ndindex(3, 4)]
        )
        all_own = np.stack(
            [np.cov(MAPS[(slice(None), *p)].T, bias=True) for p in np.ndindex(3, 4)]
        )
        shrunk = (50 * own + 6 * all_own.mean(axis=0)) / 56
        away = (MAPS[i] - others.mean(axis=0)).reshape(12, 6)
        squares = np.einsum("pi,pij,pj->p", away, np.linalg.inv(shrunk), away)
        assert -detector.held_out_scores_[i] == pytest.approx(squares.max() ** 0.5)


def test_a_shared_gaussian_is_that_of_all_patches():
    found = distances(PatchGaussian("shared", floor=0).fit(MAPS), NEW)
    reference = LedoitWolf().fit(MAPS.reshape(-1, 6))
    squares = reference.mahalanobis(NEW.reshape(-1, 6)).reshape(found.shape)
    np.testing.assert_allclose(found**2, squares, rtol=1e-4)


@pytest.mark.parametrize("positions", ["own", "shared"])
def test_a_diagonal_covariance_weighs_each_feature_by_itself(positions):
    detector = PatchGaussian(positions, covariance="diagonal", floor=0).fit(MAPS)
    axes = 0 if positions == "own" else (0, 1, 2)
    z = (NEW - MAPS.mean(axis=axes)) / MAPS.std(axis=axes)
    np.testing.assert_allclose(
        distances(detector, NEW), np.linalg.norm(z, axis=-1), rtol=1e-5
    )


def test_the_floor_is_a_share_of_the_mean_variance():
    found = distances(PatchGaussian(covariance="diagonal", floor=0.5).fit(MAPS), NEW)
    variance = MAPS.var(axis=0)
    z = (NEW - MAPS.mean(axis=0)) / np.sqrt(variance + 0.5 * variance.mean())
    np.testing.assert_allclose(found, np.linalg.norm(z, axis=-1), rtol=1e-5)


def test_the_floor_of_full_covariances_is_the_same():
    detector = PatchGaussian(shrink_to="identity", floor=0.5).fit(MAPS)
    found = distances(detector, NEW)[:, 1, 2]
    reference = LedoitWolf().fit(MAPS[:, 1, 2])
    floor = 0.5 * MAPS.var(axis=0).mean() * np.eye(6)
    away = NEW[:, 1, 2] - reference.location_
    inverse = np.linalg.inv(reference.covariance_ + floor)
    squares = np.einsum("ij,jk,ik->i", away, inverse, away)
    np.testing.assert_allclose(found**2, squares, rtol=1e-4)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_a_position_that_never_varies_is_looked_at(covariance):
    maps = MAPS.astype(np.float32)
    maps[:, 0] = 7  # a black margin
    detector = PatchGaussian(covariance=covariance).fit(maps)
    odd = maps[:1].copy()
    odd[0, 0, 1] += 5
    assert np.isfinite(detector.held_out_scores_).all()
    assert distances(detector, maps)[:, 0].max() == 0
    assert np.unravel_index(distances(detector, odd)[0].argmax(), (3, 4)) == (0, 1)


def test_a_feature_that_never_varies_is_looked_at():
    maps = MAPS.copy()
    maps[..., 2] = 7
    odd = maps[:1].copy()
    odd[0, 1, 1, 2] += 5
    assert distances(PatchGaussian().fit(maps), odd)[0].argmax() == 5


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_identical_samples_have_no_distance(covariance):
    same = np.repeat(MAPS[:1], 10, axis=0)
    detector = PatchGaussian(covariance=covariance).fit(same)
    assert (detector.score_samples(same) == 0).all()


def test_one_sample_is_too_few_for_positions_of_their_own():
    with pytest.raises(ValueError, match=r"at least 2 samples .* got 1 sample"):
        PatchGaussian().fit(MAPS[:1])


def test_one_patch_is_too_few_for_a_shared_gaussian():
    with pytest.raises(ValueError, match=r"at least 2 patches .* got 1 sample"):
        PatchGaussian("shared").fit(MAPS[:1, :1, :1])


def test_one_sample_is_enough_for_a_shared_gaussian():
    assert np.isfinite(PatchGaussian("shared").fit(MAPS[:1]).score_samples(NEW)).all()


def test_a_shared_gaussian_has_no_held_out_threshold():
    with pytest.raises(ValueError, match="Take threshold='training', or"):
        PatchGaussian("shared", threshold="held-out").fit(MAPS)


def test_a_table_is_scored_as_by_mahalanobis():
    table, new = MAPS[:, 0, 0], NEW[:, 0, 0]
    found, reference = PatchGaussian(floor=0).fit(table), Mahalanobis().fit(table)
    squares = found.score_samples(new) ** 2
    np.testing.assert_allclose(squares, -reference.score_samples(new), rtol=1e-9)
    np.testing.assert_allclose(
        found.held_out_scores_**2, -reference.held_out_scores_, rtol=1e-9
    )


def test_held_out_distances_of_a_diagonal_are_exact():
    options = {"covariance": "diagonal", "floor": 0, "smoothing": 0}
    detector = PatchGaussian(**options).fit(MAPS)
    for i in range(5):
        others = PatchGaussian(**options).fit(np.delete(MAPS, i, axis=0))
        assert detector.held_out_scores_[i] == pytest.approx(
            others.score_samples(MAPS[[i]])[0], rel=1e-6
        )


def test_the_precision_root_is_stored_as_the_maps_are():
    assert PatchGaussian().fit(MAPS).precision_root_.dtype == np.float64
    half = PatchGaussian().fit(MAPS.astype(np.float16))
    assert half.precision_root_.dtype == half.location_.dtype == np.float32
