"""Each detector against scikit-learn's own form of the same distance."""

import numpy as np
import pytest
from sklearn import neighbors
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from featad.base import anomaly_scores
from featad.detectors import (
    KMeansDistance,
    Mahalanobis,
    NearestNeighbors,
    PCAReconstruction,
)

RNG = np.random.default_rng(0)
SHAPES = pytest.mark.parametrize("shape", [(30, 80), (80, 30), (30, 30), (40, 2)])


def samples(shape, n_new=20):
    scales = np.linspace(0.1, 5, shape[1])
    X = RNG.normal(size=(shape[0] + n_new, shape[1])) * scales + 3
    return X[: shape[0]], X[shape[0] :]


def test_kmeans_distance_is_the_distance_to_the_nearest_center():
    X, new = samples((60, 4))
    kmeans = KMeans(3, n_init=3, random_state=0).fit(X)
    detector = KMeansDistance(3, random_state=0).fit(X)
    np.testing.assert_allclose(
        anomaly_scores(detector, new), kmeans.transform(new).min(axis=1)
    )


def test_more_clusters_than_samples_are_taken_as_one_each():
    detector = KMeansDistance(n_clusters=8).fit([[0.0], [1.0]])
    np.testing.assert_allclose(anomaly_scores(detector, [[1.5]]), 0.5)


def test_kmeans_repeats_to_the_last_bit_with_many_threads():
    X, _ = samples((2000, 10))
    with threadpool_limits(5):
        fits = [KMeansDistance(random_state=0).fit(X) for _ in range(5)]
    centers = {fit.kmeans_.cluster_centers_.tobytes() for fit in fits}
    assert len(centers) == 1


@pytest.mark.parametrize("n_neighbors", [1, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbor_distances_equal_scikit_learn(n_neighbors, dtype):
    X, new = (part.astype(dtype) for part in samples((50, 6)))
    search = neighbors.NearestNeighbors(n_neighbors=n_neighbors).fit(
        X.astype(np.float64)
    )
    distances, _ = search.kneighbors(new.astype(np.float64))
    kth = NearestNeighbors(n_neighbors).fit(X)
    mean = NearestNeighbors(n_neighbors, distance="mean").fit(X)
    np.testing.assert_allclose(anomaly_scores(kth, new), distances[:, -1])
    np.testing.assert_allclose(anomaly_scores(mean, new), distances.mean(axis=1))


@pytest.mark.parametrize("n_neighbors", [1, 4])
def test_a_training_sample_is_not_its_own_neighbor(n_neighbors):
    X, _ = samples((50, 6))
    search = neighbors.NearestNeighbors(n_neighbors=n_neighbors).fit(X)
    distances, _ = search.kneighbors()  # scikit-learn leaves it out without X
    detector = NearestNeighbors(n_neighbors).fit(X)
    np.testing.assert_allclose(anomaly_scores(detector, X), distances[:, -1])


def test_rounding_does_not_make_a_training_sample_its_own_neighbor():
    X, _ = samples((200, 30))
    X += 100  # far from zero: float32 keeps four digits of what differs
    detector = NearestNeighbors().fit(X)
    rounded = anomaly_scores(detector, X.astype(np.float32))
    np.testing.assert_allclose(rounded, anomaly_scores(detector, X), rtol=1e-4)
    assert rounded.min() > 0


def test_a_projection_scored_in_other_batches_is_the_same_training_sample():
    X, _ = samples((200, 300))
    pca = PCA(20, whiten=True).fit(X.astype(np.float32) + 50)
    detector = NearestNeighbors().fit(pca.transform(X.astype(np.float32) + 50))
    one_by_one = [pca.transform(x[None].astype(np.float32) + 50) for x in X]
    scores = anomaly_scores(detector, np.vstack(one_by_one))
    assert scores.min() > 0.1 * np.median(scores)


def test_an_outlier_does_not_widen_what_counts_as_the_same_sample():
    X, _ = samples((50, 6))
    clean = NearestNeighbors().fit(X).tolerance_
    assert NearestNeighbors().fit([*X, [1e9] * 6]).tolerance_ < 2 * clean


def test_small_distances_far_from_zero_are_exact_in_float32():
    X = np.float32([[4096.0, 4096.0], [4097.0, 4096.0], [4096.0, 4100.0]])
    new = np.float32([[4096.25, 4096.0]])
    detector = NearestNeighbors().fit(X)
    assert anomaly_scores(detector, new) == [0.25]


def test_more_neighbors_than_samples_are_capped_and_reported():
    detector = NearestNeighbors(10).fit([[0.0], [1.0], [3.0]])
    assert detector.n_neighbors_ == 2
    np.testing.assert_allclose(anomaly_scores(detector, [[0.0], [4.0]]), [3, 3])


def test_one_training_sample_is_the_neighbor_of_all():
    detector = NearestNeighbors(3).fit([[0.0, 0.0]])
    np.testing.assert_allclose(anomaly_scores(detector, [[0, 0], [3, 4]]), [0, 5])


def test_copies_of_a_training_sample_are_its_neighbors():
    detector = NearestNeighbors().fit([[0.0], [0.0], [5.0]])
    np.testing.assert_allclose(anomaly_scores(detector, [[0.0], [5.0]]), [0, 5])


def test_neighbors_are_the_same_in_small_batches(monkeypatch):
    X, new = samples((50, 6))
    detector = NearestNeighbors(3).fit(X)
    whole = detector.score_samples(new)
    monkeypatch.setattr("featad._blocks._VALUES", 18)
    np.testing.assert_array_equal(detector.score_samples(new), whole)


@SHAPES
def test_mahalanobis_equals_ledoit_wolf(shape):
    X, new = samples(shape)
    reference = LedoitWolf().fit(X)
    detector = Mahalanobis().fit(X)
    for part in (X, new):
        np.testing.assert_allclose(
            anomaly_scores(detector, part), reference.mahalanobis(part), rtol=1e-6
        )
    np.testing.assert_allclose(detector.shrinkage_, reference.shrinkage_)


@SHAPES
def test_held_out_scores_equal_refits_that_keep_the_shrinkage(shape):
    X, _ = samples(shape)
    detector = Mahalanobis().fit(X)
    shrinkage = LedoitWolf().fit(X).shrinkage_
    residual = shrinkage * X.var(axis=0).mean()
    for i, score in enumerate(detector.held_out_scores_):
        others = np.delete(X, i, axis=0)
        covariance = (1 - shrinkage) * np.cov(others.T, bias=True)
        covariance += residual * np.eye(shape[1])
        apart = X[i] - others.mean(axis=0)
        expected = -apart @ np.linalg.solve(covariance, apart)
        np.testing.assert_allclose(score, expected, rtol=1e-8)


def test_held_out_scores_are_there_for_every_training_sample_of_a_pair():
    X, _ = samples((10, 30))
    detector = Mahalanobis().fit(np.concatenate([X, X]))
    assert np.isfinite(detector.held_out_scores_).all()
    np.testing.assert_allclose(*np.split(detector.held_out_scores_, 2))


def test_a_held_out_threshold_holds_for_new_samples_of_many_features():
    rates = {"training": [], "held-out": []}
    for threshold, seen in rates.items():
        detector = Mahalanobis(contamination=0.1, threshold=threshold)
        for _ in range(5):
            X, new = samples((60, 200), n_new=200)
            seen.append((detector.fit(X).predict(new) == -1).mean())
    assert np.mean(rates["training"]) > 0.9
    assert 0.05 < np.mean(rates["held-out"]) < 0.15


def test_a_held_out_threshold_of_k_means_holds_for_new_samples_of_many_features():
    rates = {"training": [], "held-out": []}
    for seed in range(5):
        X = np.random.default_rng(seed).normal(size=(300, 100))
        for threshold, found in rates.items():
            detector = KMeansDistance(4, contamination=0.1, threshold=threshold)
            detector.set_params(random_state=0).fit(X[:40])
            found.append((detector.predict(X[40:]) == -1).mean())
    assert np.mean(rates["training"]) > 0.3
    assert 0.05 < np.mean(rates["held-out"]) < 0.17


def test_a_held_out_threshold_of_k_means_takes_each_center_without_the_sample():
    X = np.array([[0.0], [2.0], [20.0], [22.0], [26.0], [90.0]])
    detector = KMeansDistance(3, contamination=0.5, random_state=0)
    detector.set_params(threshold="held-out").fit(X)
    distances = [2, 2, 4, 1, 5, 90 - 68 / 3]
    assert detector.offset_ == pytest.approx(-np.median(distances))


def test_a_held_out_threshold_of_components_holds_for_new_samples_of_many_features():
    rates = {"training": [], "held-out": []}
    for seed in range(5):
        X = np.random.default_rng(seed).normal(size=(340, 200))
        for threshold, found in rates.items():
            detector = PCAReconstruction(contamination=0.1, threshold=threshold)
            found.append((detector.fit(X[:40]).predict(X[40:]) == -1).mean())
    assert np.mean(rates["training"]) == 1
    assert 0.05 < np.mean(rates["held-out"]) < 0.15


@pytest.mark.parametrize("detector", [KMeansDistance, PCAReconstruction])
def test_a_held_out_threshold_needs_two_samples(detector):
    with pytest.raises(ValueError, match="needs at least 2 samples, got 1 sample"):
        detector(threshold="held-out").fit([[0.0, 1.0]])


def test_a_held_out_threshold_needs_held_out_scores():
    with pytest.raises(ValueError, match="needs more samples .* threshold='training'"):
        Mahalanobis(threshold="held-out").fit(np.eye(2, 5))


@pytest.mark.parametrize("X", [np.ones((5, 3)), np.eye(2, 5), [[0.0], [0], [0], [1]]])
def test_there_are_no_held_out_scores_where_the_others_do_not_vary(X):
    assert Mahalanobis().fit(X).held_out_scores_ is None


@SHAPES
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_mahalanobis_of_float32_is_computed_in_float64(shape, offset):
    X, new = (np.float32(part + offset) for part in samples(shape))
    reference = LedoitWolf().fit(X.astype(np.float64))
    scores = anomaly_scores(Mahalanobis().fit(X), new)
    expected = reference.mahalanobis(new.astype(np.float64))
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_mahalanobis_leaves_out_directions_without_variance():
    X = np.zeros((3, 2))
    X[:, 0] = [-1, 1, -1]  # so few values that nothing is shrunk
    reference = LedoitWolf().fit(X)
    detector = Mahalanobis().fit(X)
    new = [[0.5, 0.0], [0.0, 2.0]]
    np.testing.assert_allclose(
        anomaly_scores(detector, new), reference.mahalanobis(new), atol=1e-12
    )


def test_equal_samples_leave_mahalanobis_nothing_to_measure():
    detector = Mahalanobis().fit(np.ones((5, 3)))
    np.testing.assert_array_equal(anomaly_scores(detector, [[1, 1, 1.0]]), 0)


def test_mahalanobis_refuses_one_sample():
    with pytest.raises(ValueError, match="at least 2 samples .* got 1 sample"):
        Mahalanobis().fit([[1.0, 2.0]])


@SHAPES
@pytest.mark.parametrize("n_components", [1, 0.97])
def test_pca_reconstruction_is_the_squared_residual(shape, n_components):
    X, new = samples(shape)
    pca = PCA(n_components, svd_solver="full").fit(X)
    residual = new - pca.inverse_transform(pca.transform(new))
    detector = PCAReconstruction(n_components).fit(X)
    np.testing.assert_allclose(
        anomaly_scores(detector, new), (residual**2).sum(axis=1), atol=1e-12
    )


@pytest.mark.parametrize("n_components", [3, 99, 0.999999])
def test_the_weakest_component_is_never_kept(n_components):
    X, new = samples((30, 3))
    pca = PCA().fit(X)
    detector = PCAReconstruction(n_components).fit(X)
    np.testing.assert_allclose(
        anomaly_scores(detector, new), pca.transform(new)[:, 2] ** 2
    )


def test_a_change_of_a_feature_that_was_constant_is_lost_in_reconstruction():
    X, _ = samples((30, 4))
    X[:, 1] = 0.1
    new = X[:1].copy()
    new[0, 1] += 2
    detector = PCAReconstruction(99).fit(X)
    np.testing.assert_allclose(anomaly_scores(detector, new), 4)


def test_pca_of_one_sample_measures_the_distance_to_it():
    detector = PCAReconstruction().fit([[1.0, 2.0]])
    np.testing.assert_allclose(anomaly_scores(detector, [[1, 2], [4, 6]]), [0, 25])
