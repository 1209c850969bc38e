"""Progressive GAN: the weighted similarity over sizes, its counterpart, its stages."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from featad.detectors import ProgressiveGANSimilarity
from featad.neural.growing import halve
from featad.neural.losses import error_map, ssim_error

from _probe import to_tensor

TINY = {"latent_dim": 3, "width": 4, "device": "cpu", "random_state": 0}
FINEST = (0.0, 1.0)  # of the fixture's images, 8 pixels a side: sizes of 4 and 8


@pytest.fixture
def fitted(images):
    return ProgressiveGANSimilarity(**TINY, max_epochs=3).fit(images)


def counterparts(detector, images):
    x = to_tensor(detector, images)
    with torch.no_grad():
        shown = detector.networks_["generator"](detector.networks_["encoder"](x))
    return shown, x


def test_one_size_with_all_the_weight_is_the_ssim_of_the_counterpart(fitted, images):
    expected = ssim_error(*counterparts(fitted, images))
    scores = fitted.set_params(scale_weights=FINEST).score_samples(images)
    np.testing.assert_allclose(-scores, expected, rtol=1e-4)


def test_the_score_is_the_weighted_mean_over_the_sizes(fitted, images):
    shown, x = counterparts(fitted, images)
    fine, coarse = ssim_error(shown, x), ssim_error(halve(shown), halve(x))
    weighted = (2 * fine + coarse) / 3  # by the length of a side
    np.testing.assert_allclose(-fitted.score_samples(images), weighted, rtol=1e-4)
    scores = fitted.set_params(scale_weights=(6.0, 2.0)).score_samples(images)
    np.testing.assert_allclose(-scores, (fine + 3 * coarse) / 4, rtol=1e-4)


def test_an_image_equal_to_its_counterpart_scores_zero(fitted, images):
    x = to_tensor(fitted, images)
    assert fitted._error(x, x).abs().max() < 1e-5
    assert fitted._error(1 - x, x).min() > 0.1


def test_the_map_is_the_weighted_mean_of_enlarged_maps(fitted, images):
    shown, x = counterparts(fitted, images)
    coarse = error_map("ssim", halve(shown), halve(x))[:, None]
    coarse = F.interpolate(coarse, size=(8, 8), mode="bilinear")[:, 0]
    expected = (2 * error_map("ssim", shown, x) + coarse) / 3
    maps = fitted.anomaly_map(images)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.0, 3.0), (0.0, 0.0), (-1.0, 2.0)])
def test_weights_that_fit_no_sizes_are_refused(images, weights):
    detector = ProgressiveGANSimilarity(**TINY, scale_weights=weights)
    with pytest.raises(ValueError, match="needs 2 scale_weights"):
        detector.fit(images)


def test_the_encoder_s_stage_leaves_the_generator_as_it_is(images, fitted):
    params = {**TINY, "counterpart": "search", "max_epochs": 3, "n_steps": 5}
    searched = ProgressiveGANSimilarity(**params).fit(images)
    assert "encoder" not in searched.networks_
    for name in ("generator", "critic"):
        state = searched.networks_[name].state_dict()
        for key, value in fitted.networks_[name].state_dict().items():
            assert torch.equal(value, state[key])


def test_a_search_finds_counterparts_at_least_as_similar(images):
    params = {**TINY, "counterpart": "search", "max_epochs": 3}
    detector = ProgressiveGANSimilarity(**params, n_steps=0).fit(images)
    before = -detector.score_samples(images)
    after = -detector.set_params(n_steps=30).score_samples(images)
    assert (after <= before + 1e-6).all()
    assert after.mean() < before.mean() - 0.01


def test_every_size_is_trained(images):
    start = ProgressiveGANSimilarity(**TINY, max_epochs=0).fit(images)
    end = ProgressiveGANSimilarity(**TINY, max_epochs=3, ema=None).fit(images)
    for name in ("generator", "critic"):
        before = start.networks_[name].state_dict()
        for key, value in end.networks_[name].state_dict().items():
            assert not torch.equal(value, before[key]), f"{name} {key}"


def test_early_stopping_lets_it_grow_to_the_end(images):
    detector = ProgressiveGANSimilarity(**TINY, max_epochs=8, early_stopping=1)
    history = detector.fit(images).history_
    assert sum(record["stage"] == "growing" for record in history) == 8
    assert {"validation" in r for r in history if r["stage"] == "growing"} == {False}


def test_growing_trims_nothing(images):
    options = {**TINY, "max_epochs": 8, "counterpart": "search", "n_steps": 2}
    detector = ProgressiveGANSimilarity(**options, trim=0.3).fit(images)
    assert (detector.trimmed_share_ == 0).all()


@pytest.mark.parametrize("shape", [(13, 10, 3), (3, 40), (5, 5, 2)])
def test_images_of_any_size_have_scores_and_maps(shape):
    X = np.random.default_rng(0).random((6, *shape), dtype=np.float32)
    detector = ProgressiveGANSimilarity(**TINY, max_epochs=2).fit(X)
    assert np.isfinite(detector.score_samples(X)).all()
    assert detector.anomaly_map(X).shape == (6, *shape[:2])


def test_dense_networks_do_not_grow(images):
    detector = ProgressiveGANSimilarity(**TINY, dense=True, max_epochs=2).fit(images)
    assert not hasattr(detector.networks_["generator"], "blocks")
    assert detector.anomaly_map(images).shape == (24, 8, 8)
