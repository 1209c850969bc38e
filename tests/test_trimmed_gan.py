"""TrimmedGAN: what is left out, and real digits among others."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from featad.base import anomaly_scores
from featad.datasets import load_idx, one_vs_rest
from featad.detectors import TrimmedGAN
from featad.metrics import auroc
from featad.neural.sampling import Trimming

from _probe import losses_of, to_tensor

TINY = {"latent_dim": 3, "width": 8, "random_state": 0}


def moved(loss, net):
    weights = list(net.parameters())
    found = torch.autograd.grad(
        loss.mean(), weights, allow_unused=True, retain_graph=True
    )
    return any(gradient is not None for gradient in found)


def test_critic_generator_and_encoder_take_turns(images):
    detector = TrimmedGAN(**TINY, max_epochs=0).fit(images)
    found = []
    for (name,), loss, nets in losses_of(detector, images):
        assert loss.shape == (24,)
        assert moved(loss, nets[name])
        if name == "critic":
            assert not moved(loss, nets["generator"])
        found.append(name)
    assert found == ["critic", "generator", "encoder"]


def test_without_trimming_nothing_of_it_is_left(images, monkeypatch):
    plain = TrimmedGAN(**TINY, max_epochs=6, trim=0.0).fit(images)
    monkeypatch.setattr(Trimming, "keep", lambda *args: np.ones(len(args[1]), bool))
    idle = clone(plain).set_params(trim=0.3).fit(images)
    np.testing.assert_array_equal(
        plain.score_samples(images), idle.score_samples(images)
    )
    assert (plain.trimmed_share_ == 0).all()


def test_the_encoder_learns_to_invert_the_generator(images):
    detector = TrimmedGAN(**TINY, max_epochs=120, batch_size=8, sample_weight=0.0)
    errors = [epoch["encoder"] for epoch in detector.fit(images).history_]
    assert np.mean(errors[-20:]) < 0.8 * np.mean(errors[:5])


def test_what_is_left_out_is_what_is_rebuilt_worst_whatever_scores(images):
    detector = TrimmedGAN(**TINY, max_epochs=3).fit(images)
    by_norm = clone(detector).set_params(score_by="latent").fit(images)
    np.testing.assert_array_equal(detector.trimmed_share_, by_norm.trimmed_share_)
    nets, x = by_norm.networks_, to_tensor(by_norm, images)
    with torch.no_grad():
        norm = (nets["encoder"](x) ** 2).mean(dim=1)
        key = by_norm._keep_key(nets, x, None)
    np.testing.assert_allclose(-by_norm.score_samples(images), norm, rtol=1e-5)
    np.testing.assert_allclose(-detector.score_samples(images), key, rtol=1e-5)


def test_the_map_is_the_squared_error_of_each_pixel(images):
    detector = TrimmedGAN(**TINY, max_epochs=2).fit(images)
    nets, x = detector.networks_, to_tensor(detector, images)
    with torch.no_grad():
        error = (nets["generator"](nets["encoder"](x)) - x) ** 2
    np.testing.assert_allclose(
        detector.anomaly_map(images), error.mean(dim=1), rtol=1e-4, atol=1e-7
    )


@pytest.fixture(scope="module")
def zeros(real_data):
    """Return MNIST's zeros with a tenth of other digits: to train on, and to test."""
    images, digits = load_idx(real_data / "mnist", "test")
    dataset = one_vs_rest(
        images / np.float32(255), digits, normal=0, contamination=0.1, random_state=0
    )
    return dataset.part("train"), dataset.part("test")


@pytest.mark.data
@pytest.mark.slow
def test_what_it_leaves_out_of_contaminated_zeros_is_mostly_other_digits(zeros):
    train, _ = zeros
    trimmed = TrimmedGAN(trim=0.1, random_state=0).fit(train.images)
    plain = TrimmedGAN(trim=0.0, random_state=0).fit(train.images)
    odd, dropped = train.labels == -1, trimmed.trimmed_share_
    assert dropped[odd].sum() / dropped.sum() > 4 * odd.mean()
    found, before = (
        auroc(train.labels, anomaly_scores(one, train.images))
        for one in (trimmed, plain)
    )
    assert found > 0.955
    assert found > before
