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


def test_along_the_axes_with_most_variance_it_finds_almost_the_nearest():
    wide = X @ rng.normal(size=(9, 40)) + 0.1 * rng.normal(size=(200, 40))
    points = wide[::2]
    search = NearestPoint(points, 0.95)
    distances, indices = search.query(wide[1::2])
    exact, _ = NearestPoint(points).query(wide[1::2])
    assert len(search._columns) < 20
    assert (distances >= exact).all()
    assert np.mean(distances / exact) < 1.05
    away = np.linalg.norm(wide[1::2] - points[indices], axis=1)
    np.testing.assert_allclose(distances, away)


def test_what_lies_outside_the_axes_counts():
    points = np.zeros((6, 8))
    points[:, 0] = [-30, -20, -10, 10, 20, 30]
    points[3:, 1] = 5  # hardly any variance
    row = np.zeros((1, 8))
    row[0, 1] = 5
    assert NearestPoint(points, 0.9).query(row)[1] == 3


@pytest.mark.parametrize("points", [POINTS[:1], np.repeat(POINTS[:1], 5, axis=0)])
def test_equal_points_have_no_axes(points):
    distances, _ = NearestPoint(points, 0.9).query(X)
    np.testing.assert_allclose(distances, np.linalg.norm(X - POINTS[0], axis=1))
