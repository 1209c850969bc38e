"""GANomaly: its three losses, a critic that starts anew, and real digits."""

import numpy as np
import pytest
import torch

import featad.detectors.ganomaly
from featad.detectors import Autoencoder, GANomaly

from _probe import to_tensor

TINY = {
    "latent_dim": 3, "width": 4, "dense": False, "device": "cpu", "random_state": 0
}  # fmt: skip


@pytest.fixture
def fitted(images):
    return GANomaly(**TINY, max_epochs=3).fit(images)


def weights(detector, name):
    return torch.cat([w.flatten() for w in detector.networks_[name].parameters()])


def test_with_the_reconstruction_alone_it_is_the_autoencoder(images):
    class SameOptimizer(Autoencoder):
        _optimizers = GANomaly._optimizers

    alone = {"adversarial_weight": 0, "latent_weight": 0}
    ganomaly = GANomaly(**TINY, **alone, reconstruction_weight=1, max_epochs=5)
    plain = SameOptimizer(**TINY, loss="l1", noise=0, max_epochs=5).fit(images)
    expected = plain.anomaly_map(images)
    np.testing.assert_array_equal(ganomaly.fit(images).anomaly_map(images), expected)
    ganomaly.set_params(reconstruction_weight=50)  # Adam does not mind
    maps = ganomaly.fit(images).anomaly_map(images)
    np.testing.assert_allclose(maps, expected, rtol=1e-2, atol=1e-4)


def test_every_weight_changes_the_training(images, fitted):
    for name in ("adversarial_weight", "reconstruction_weight", "latent_weight"):
        other = GANomaly(**TINY, max_epochs=3, **{name: 0.0}).fit(images)
        moved = (weights(other, "encoder") - weights(fitted, "encoder")).abs().max()
        assert moved > 1e-6


def test_the_critic_takes_its_step_after_the_generator(fitted, images):
    x = to_tensor(fitted, images)
    steps = [names for names, _ in fitted._losses(fitted.networks_, x, None)]
    assert steps == [("encoder", "decoder", "second_encoder"), ("critic",)]


def test_a_critic_that_nothing_deceives_starts_anew(images, monkeypatch):
    start = GANomaly(**TINY, max_epochs=0).fit(images)
    kept = GANomaly(**TINY, max_epochs=1).fit(images)
    monkeypatch.setattr(featad.detectors.ganomaly, "_COLLAPSED", np.inf)
    anew = GANomaly(**TINY, max_epochs=1).fit(images)
    one_step = 1.01 * kept.lr
    first, after, fresh = (weights(one, "critic") for one in (start, kept, anew))
    assert (after - first).abs().max() <= one_step
    assert (fresh - first).abs().max() > 10 * one_step


def test_the_critic_is_not_reset_while_it_learns(images):
    history = GANomaly(**TINY, max_epochs=10).fit(images).history_
    assert min(record["critic"] for record in history) > 0.1


def test_the_score_is_the_distance_of_the_two_codes(fitted, images):
    nets, x = fitted.networks_, to_tensor(fitted, images)
    with torch.no_grad():
        code = nets["encoder"](x)
        second = nets["second_encoder"](nets["decoder"](code))
    expected = ((code - second) ** 2).mean(1)
    np.testing.assert_allclose(-fitted.score_samples(images), expected, rtol=1e-4)


def test_a_relative_score_is_the_error_over_the_root_of_what_the_image_shows(
    fitted, images
):
    error = fitted.anomaly_map(images).mean((1, 2))
    scores = fitted.set_params(score_by="relative").score_samples(images)
    np.testing.assert_allclose(
        -scores, error / images.mean((1, 2, 3)) ** 0.5, rtol=1e-4
    )


def test_a_score_does_not_depend_on_how_strange_the_others_are(fitted, images):
    together = fitted.score_samples(np.concatenate([images, 8 * images[:1]]))
    np.testing.assert_allclose(together[:-1], fitted.score_samples(images), rtol=1e-4)


def test_the_map_is_the_absolute_error(fitted, images):
    x = to_tensor(fitted, images)
    with torch.no_grad():
        rebuilt = fitted.networks_["decoder"](fitted.networks_["encoder"](x))
    expected = (rebuilt - x).abs().mean(1)
    np.testing.assert_allclose(fitted.anomaly_map(images), expected, rtol=1e-5)


def test_maps_have_the_input_s_size():
    X = np.random.default_rng(0).random((6, 13, 10, 3), dtype=np.float32)
    maps = GANomaly(**TINY, max_epochs=1).fit(X).anomaly_map(X)
    assert maps.shape == (6, 13, 10)
    assert maps.dtype == np.float32
