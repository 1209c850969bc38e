"""The search for the nearest point is exact."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from featad import nearest
from featad.nearest import NearestPoint

rng = np.random.default_rng(0)
POINTS, X = rng.normal(size=(70, 9)), rng.normal(size=(200, 9))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_it_finds_what_scikit_learn_finds(dtype):
    x = X.astype(dtype)
    distances, indices = NearestPoint(POINTS.astype(np.float32)).query(x)
    reference = NearestNeighbors(n_neighbors=1).fit(POINTS).kneighbors(x)
    np.testing.assert_array_equal(indices, reference[1][:, 0])
    np.testing.assert_allclose(distances, reference[0][:, 0], rtol=1e-3)


def test_batches_change_nothing(monkeypatch):
    expected = NearestPoint(POINTS).query(X)
    monkeypatch.setattr(nearest, "_BATCH_VALUES", 200)
    found = NearestPoint(POINTS).query(X)
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0])


def test_small_distances_far_from_the_origin_are_exact():
    points = (POINTS + 1000).astype(np.float32)
    moved = points.copy()
    moved[:, 0] += 0.01
    distances, indices = NearestPoint(points).query(moved)
    np.testing.assert_array_equal(indices, np.arange(70))
    np.testing.assert_allclose(distances, 0.01, rtol=0.02)


def test_a_point_is_at_no_distance_from_itself():
    assert (NearestPoint(POINTS).query(POINTS)[0] == 0).all()


def test_one_point_is_the_nearest_of_all():
    distances, indices = NearestPoint(POINTS[:1]).query(X)
    assert (indices == 0).all()
    np.testing.assert_allclose(distances, np.linalg.norm(X - POINTS[0], axis=1))
