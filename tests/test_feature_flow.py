"""FeatureFlow: its likelihood is one, and training makes it find more."""

import numpy as np
import pytest
from sklearn.base import clone

from featad import FeatureFlow, PCAReconstruction, anomaly_scores
from featad.covariance import shrunk_covariance
from featad.datasets import load_idx
from featad.metrics import auroc

TINY = {"width": 8, "n_blocks": 2, "max_epochs": 3, "random_state": 0, "device": "cpu"}


def normal(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_the_nll_of_normal_data_is_their_entropy():
    detector = FeatureFlow(**{**TINY, "max_epochs": 10}).fit(normal(1000, 4))
    found = -detector.score_samples(normal(1000, 4, seed=1)).mean()
    assert found == pytest.approx(2 * np.log(2 * np.pi * np.e), rel=0.02)


def test_the_nll_follows_the_units_of_the_samples():
    X = normal(200, 3)
    plain, scaled = (
        FeatureFlow(**TINY).fit(unit * X + 3).score_samples(unit * X + 3)
        for unit in (1, 10)
    )
    np.testing.assert_allclose(scaled, plain - 3 * np.log(10), atol=1e-3)


def test_the_density_of_two_features_adds_up_to_one():
    detector = FeatureFlow(**TINY).fit(normal(100, 2) @ [[2, 1], [0, 1]])
    axis = np.linspace(-12, 12, 200)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.exp(detector.score_samples(grid))
    assert density.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=0.01)


def test_z2_is_the_squared_length_of_what_the_flow_makes_of_a_sample():
    X = normal(40, 4)
    detector = FeatureFlow(**TINY, score_by="z2").fit(X)
    made, _ = detector.networks_["flow"](
        detector._to_tensor(X),
    )
    squared = made.square().sum(dim=1).numpy()
    np.testing.assert_allclose(-detector.score_samples(X), squared, rtol=1e-5)


def test_untrained_and_with_all_axes_it_is_the_mahalanobis_distance():
    X, new = normal(500, 5), normal(50, 5, seed=1)
    detector = FeatureFlow(**{**TINY, "max_epochs": 0}, score_by="z2").fit(X)
    distances = shrunk_covariance(X).squared_lengths(new)
    np.testing.assert_allclose(-detector.score_samples(new), distances, rtol=0.15)


def test_what_lies_outside_the_axes_counts_by_its_length():
    X = normal(60, 30)
    detector = FeatureFlow(10, **TINY).fit(X)
    short = detector._whitened(X)
    assert short.shape == (60, 11)
    squared = (short[:, :10] ** 2).sum(axis=1) + short[:, 10] ** 3
    expected = shrunk_covariance(X).squared_lengths(X)
    np.testing.assert_allclose(squared, expected, rtol=1e-4)


def test_training_samples_look_as_new_ones_do_to_the_flow():
    slope = np.geomspace(0.01, 3, 200)
    X, new = normal(40, 200) * slope, normal(500, 200, seed=1) * slope
    detector = FeatureFlow(8, **TINY)
    seen = detector._fit_whitened(X)[:, -1].mean()
    as_scored, fresh = (detector._whitened(A)[:, -1].mean() for A in (X, new))
    assert abs(seen - fresh) < 0.2 * abs(as_scored - fresh)


def test_rounding_along_an_axis_that_never_varied_is_not_odd():
    X, new = normal(200, 5), normal(5, 5, seed=1)
    X[:, 4] *= 1e-7
    detector = FeatureFlow(**TINY).fit(X)
    moved = new * [1, 1, 1, 1, 1e-7]
    as_usual, rounded = map(detector.score_samples, (moved, moved + [0, 0, 0, 0, 1e-5]))
    np.testing.assert_allclose(rounded, as_usual, atol=0.1)


@pytest.mark.parametrize(
    "X", [np.ones((20, 3)), normal(20, 1), normal(3, 50), normal(2, 4)]
)
@pytest.mark.filterwarnings("ignore:All samples that FeatureFlow")
def test_it_fits_what_has_hardly_any_variance(X):
    assert np.isfinite(FeatureFlow(**TINY).fit(X).score_samples(X)).all()


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="at least 2 samples .* got 1 sample"):
        FeatureFlow().fit(normal(1, 4))


def test_it_learns_a_ring_of_which_the_mean_is_odd():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    options = {"max_epochs": 20, "lr": 0.003, "random_state": 0, "device": "cpu"}
    detector = FeatureFlow(width=32, noise=0.1, **options)
    middle, other = detector.fit(ring).score_samples([[0, 0], [0, 1]])
    assert middle < other - 2


def test_early_stopping_holds_out_samples_and_keeps_the_best_epoch():
    X = normal(40, 6)
    detector = FeatureFlow(
        **{**TINY, "max_epochs": 60}, noise=0, lr=0.02, early_stopping=3
    ).fit(X)
    found = [epoch["validation"] for epoch in detector.history_]
    assert len(found) < 60
    assert min(found) == min(found[:-3])


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "kind", "gain", "over_pca"),
    [("mnist", 8, 0.005, 0.02), ("fashion_mnist", 0, 0.015, 0.01)],
)
def test_training_finds_more_than_none_and_than_pca(
    real_data, folder, kind, gain, over_pca
):
    train, kinds = load_idx(real_data / folder, "train")
    test, test_kinds = load_idx(real_data / folder, "test")
    chosen = np.random.default_rng(0).permutation(len(test))[:2000]
    X, X_test = (
        images.reshape(len(images), -1) / np.float32(255)
        for images in (train[kinds == kind][:500], test[chosen])
    )
    y = np.where(test_kinds[chosen] == kind, 1, -1)
    detector = FeatureFlow(random_state=0, device="cpu")
    untrained = clone(detector).set_params(max_epochs=0)
    found, before, pca = (
        auroc(y, anomaly_scores(one.fit(X), X_test))
        for one in (detector, untrained, PCAReconstruction(32))
    )
    assert found > before + gain
    assert found > pca + over_pca
