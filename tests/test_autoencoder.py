"""Autoencoder: properties of a reconstruction, and real digits."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from featad.detectors import Autoencoder

TINY = {"latent_dim": 4, "width": 8, "random_state": 0}


@pytest.fixture(scope="module")
def shapes():
    """Return 8 distinct images (8, 16, 16) with smooth content."""
    rows, columns = np.indices((16, 16)) / 15
    return np.stack(
        [
            0.5 + 0.4 * np.sin(3 * (np.cos(k) * rows + np.sin(k) * columns) + k)
            for k in range(8)
        ]
    ).astype(np.float32)


def test_it_learns_eight_images_by_heart(shapes):
    detector = Autoencoder(
        16, noise=0, max_epochs=150, lr=6e-3, random_state=0, width=16, score_by="mean"
    )
    assert -detector.fit(shapes).score_samples(shapes).min() < 1e-3


@pytest.mark.parametrize("k", [2, 5])
def test_a_linear_one_comes_within_five_percent_of_pca(k):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 8)) @ (rng.normal(size=(8, 8)) * np.geomspace(2, 0.1, 8))
    X = (X - X.mean(0)) / X.std(0)
    pca = PCA(k).fit(X)
    best = ((X - pca.inverse_transform(pca.transform(X))) ** 2).mean()
    options = {"max_epochs": 120, "batch_size": 300, "lr": 0.05, "random_state": 0}
    detector = Autoencoder(k, depth=0, noise=0, score_by="mean", **options)
    error = -detector.fit(X).score_samples(X).mean()
    assert best * (1 - 1e-6) <= error <= 1.05 * best


@pytest.mark.parametrize("loss", ["mse", "l1", "ssim", "ms-ssim"])
def test_every_loss_is_lowered(shapes, loss):
    history = Autoencoder(**TINY, loss=loss, max_epochs=60).fit(shapes).history_
    assert history[-1]["encoder+decoder"] < 0.8 * history[0]["encoder+decoder"]


def test_ssim_needs_images():
    with pytest.raises(ValueError, match=r"Autoencoder\(loss='ssim'\) needs images"):
        Autoencoder(loss="ssim").fit(np.ones((4, 3)))


def test_the_map_is_of_the_size_of_the_image(images):
    odd_size = images[:, :7, :5]
    maps = Autoencoder(**TINY, max_epochs=1).fit(odd_size).anomaly_map(odd_size)
    assert maps.shape == (24, 7, 5)
    assert maps.dtype == np.float32
    assert (maps >= 0).all()


def test_the_mean_of_the_map_is_the_mean_score(images):
    detector = Autoencoder(**TINY, max_epochs=1, score_by="mean").fit(images)
    np.testing.assert_allclose(
        detector.anomaly_map(images).mean((1, 2)),
        -detector.score_samples(images),
        rtol=1e-5,
    )


def test_brighter_and_darker_pixels_are_both_marked(shapes):
    detector = Autoencoder(**TINY, max_epochs=150, lr=3e-3).fit(shapes)
    for value in (0.0, 1.0):
        planted = shapes.copy()
        planted[:, 4:8, 4:8] = value
        error = detector.anomaly_map(planted)
        outside = np.delete(error.reshape(8, -1), np.arange(256)[mask_of(4, 8)], axis=1)
        assert error[:, 4:8, 4:8].mean() > 2 * outside.mean()


def mask_of(start, stop):
    mask = np.zeros((16, 16), dtype=bool)
    mask[start:stop, start:stop] = True
    return mask.ravel()


def test_a_normalized_map_is_the_plain_one_over_the_training_mean(images):
    detector = Autoencoder(**TINY, max_epochs=2).fit(images)
    plain = detector.anomaly_map(images)
    mean = plain.mean(0)
    expected = plain / (mean + mean.mean())
    assert detector.statistics_ == {}  # what nobody asked for is not measured
    with pytest.raises(ValueError, match=r"normalize_map=True of Autoencoder .* again"):
        detector.set_params(normalize_map=True).anomaly_map(images)
    detector.set_params(score_batch_size=7).fit(images)
    np.testing.assert_allclose(detector.anomaly_map(images), expected, rtol=1e-4)


def test_maps_do_not_depend_on_the_other_images(images):
    detector = Autoencoder(**TINY, max_epochs=2, normalize_map=True).fit(images)
    np.testing.assert_allclose(
        detector.anomaly_map(images[3:4])[0], detector.anomaly_map(images)[3], rtol=1e-3
    )


def test_relative_scores_are_over_the_root_of_what_an_image_shows(shapes):
    detector = Autoencoder(**TINY, max_epochs=0).fit(shapes)
    absolute = clone(detector).set_params(score_by="mean").fit(shapes)
    faint = 0.01 * shapes
    assert absolute.score_samples(faint).std() > 0
    expected = -absolute.score_samples(shapes) / (shapes**2).mean((1, 2)) ** 0.5
    np.testing.assert_allclose(-detector.score_samples(shapes), expected, rtol=1e-4)


@pytest.mark.parametrize("anomaly_loss", ["abc", "hinge"])
def test_labeled_anomalies_are_rebuilt_worse(shapes, anomaly_loss):
    X = np.concatenate([shapes, shapes[:4, ::-1] ** 3])
    y = np.repeat([1, -1], [8, 4])
    detector = Autoencoder(
        **TINY, noise=0, max_epochs=50, lr=0.01, score_by="mean", batch_size=12
    )

    def errors(**options):
        made = clone(detector).set_params(**options).fit(X, y)
        return -made.score_samples(X)

    ignored = errors()
    used = errors(anomaly_weight=0.05, anomaly_loss=anomaly_loss, margin=0.3)
    assert used[8:].mean() > 10 * ignored[8:].mean()
    assert used[8:].min() > used[:8].max()
    assert np.isfinite(used).all()


def test_labels_without_a_weight_are_ignored(shapes):
    plain = Autoencoder(**TINY, max_epochs=2).fit(shapes)
    labeled = Autoencoder(**TINY, max_epochs=2).fit(shapes, [1] * 4 + [-1] * 4)
    np.testing.assert_array_equal(
        plain.score_samples(shapes), labeled.score_samples(shapes)
    )


def test_a_batch_of_anomalies_alone_does_not_stop_the_training(shapes):
    detector = Autoencoder(**TINY, max_epochs=3, batch_size=1, anomaly_weight=1.0)
    history = detector.fit(shapes, [1] * 4 + [-1] * 4).history_
    assert np.isfinite(history[-1]["encoder+decoder"])


def test_balanced_batches_can_be_asked_for(shapes):
    detector = Autoencoder(**TINY, max_epochs=3, anomaly_weight=1.0, balance=0.5)
    assert len(detector.fit(shapes, [1] * 7 + [-1]).history_) == 3


def test_trimming_helps_on_a_contaminated_training_set():
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(2, 10))
    normal = rng.normal(size=(180, 2)) @ basis
    odd = 2 * rng.normal(size=(20, 10)) @ np.diag([3, *[0.3] * 9])
    X, y = np.concatenate([normal, odd]), np.repeat([1, -1], [180, 20])
    detector = Autoencoder(
        2, depth=0, noise=0, max_epochs=80, lr=0.02, random_state=0, score_by="mean"
    )
    plain, trimmed = (
        clone(detector).set_params(trim=trim).fit(X) for trim in (0.0, 0.1)
    )
    assert roc_auc_score(y, trimmed.score_samples(X)) >= roc_auc_score(
        y, plain.score_samples(X)
    )
    assert trimmed.trimmed_share_[180:].mean() > 4 * trimmed.trimmed_share_[:180].mean()
