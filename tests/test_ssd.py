"""SSD: distances among contrastive features."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from featad.detectors import SSD
from featad.neural.views import fixed_crops

TINY = {"width": 4, "latent_dim": 8, "max_epochs": 2, "random_state": 0}


def directions(detector, X):
    x = torch.from_numpy(np.moveaxis(X, 3, 1).copy())
    with torch.no_grad():
        features = detector.networks_["encoder"](x).double().numpy()
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def test_with_a_random_encoder_the_score_is_that_of_scikit_learn(images):
    detector = SSD(**{**TINY, "max_epochs": 0}).fit(images[:16])
    train, test = (directions(detector, X) for X in (images[:16], images[16:]))
    mean, scale = train.mean(axis=0), train.std(axis=0)
    reference = LedoitWolf().fit((train - mean) / scale)
    expected = reference.mahalanobis((test - mean) / scale)
    np.testing.assert_allclose(-detector.score_samples(images[16:]), expected, 1e-4)


def test_by_the_neighbor_a_training_sample_has_the_highest_score(images):
    detector = SSD(score_by="neighbor", **TINY).fit(images[:16])
    np.testing.assert_allclose(detector.score_samples(images[:16]), 0, atol=1e-6)
    train, test = (directions(detector, X) for X in (images[:16], images[16:]))
    expected = (test @ train.T).max(axis=1) - 1
    np.testing.assert_allclose(detector.score_samples(images[16:]), expected, atol=1e-6)


@pytest.mark.parametrize("score_by", ["mahalanobis", "neighbor"])
def test_the_score_is_the_mean_over_the_image_and_its_crops(score_by, images):
    params = {**TINY, "max_epochs": 0, "score_by": score_by}
    detector = SSD(n_crops=2, **params).fit(images[:16])
    x = torch.from_numpy(np.moveaxis(images, 3, 1).copy())
    crops = fixed_crops(x, 2, torch.Generator().manual_seed(detector.seed_))
    parts = [images, *(np.moveaxis(crop.numpy(), 1, 3) for crop in crops)]
    scores = [SSD(**params).fit(one[:16]).score_samples(one[16:]) for one in parts]
    found = detector.score_samples(images[16:])
    np.testing.assert_allclose(found, np.mean(scores, axis=0), rtol=1e-3)


def test_a_score_that_was_not_measured_asks_for_another_fit(images):
    detector = SSD(**TINY).fit(images).set_params(score_by="neighbor")
    with pytest.raises(ValueError, match="score_by='neighbor' of SSD.*Fit again"):
        detector.score_samples(images)


def test_the_loss_falls(stripes):
    X, y = stripes
    history = SSD(**{**TINY, "max_epochs": 40}).fit(X[y == 1]).history_
    losses = [record["encoder+head"] for record in history]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


@pytest.mark.parametrize("views", [(), ("crop", "sparkle")])
def test_unknown_views_are_refused(views, images):
    with pytest.raises(ValueError, match="SSD: views must name one or more of flip, "):
        SSD(views=views).fit(images)


def test_every_view_can_be_chosen(images):
    views = ("crop", "flip", "jitter", "gray", "blur", "noise")
    scores = SSD(views=views, **TINY).fit(images).score_samples(images)
    assert np.isfinite(scores).all()


def test_images_of_one_pixel_can_be_learned():
    X = np.random.default_rng(0).random((12, 1, 1))
    assert np.isfinite(SSD(**TINY).fit(X).score_samples(X)).all()
