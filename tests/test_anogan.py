"""Latent search: planted samples are found, batches and order do not matter, digits."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone

from featad.detectors import AnoGAN

from _probe import context, to_tensor

TINY = {
    "latent_dim": 2, "width": 4, "max_epochs": 40, "lr": 0.01, "n_steps": 30,
    "device": "cpu", "random_state": 0,
}  # fmt: skip


def build(**options):
    return AnoGAN(**{**TINY, **options})


@pytest.fixture(scope="module")
def fitted(images):
    return build().fit(images)


def shown(detector, n, seed=1):
    """Return n samples of the generator, as images, from moderate z."""
    z = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)).clamp(-2, 2)
    with torch.no_grad():
        made = detector.networks_["generator"](z)
    return made.permute(0, 2, 3, 1).numpy()


def test_what_the_generator_can_show_scores_near_zero(fitted):
    planted = shown(fitted, 12)
    noise = np.random.default_rng(0).random(planted.shape).astype(np.float32)
    detector = clone(fitted).set_params(n_steps=200, n_starts=3, search_lr=0.05)
    detector.__dict__.update({k: v for k, v in vars(fitted).items() if k.endswith("_")})
    found, other = (-detector.score_samples(X) for X in (planted, noise))
    assert found.max() < 0.02
    assert found.max() < 0.1 * other.min()


def test_the_strangeness_is_the_least_value_of_the_objective(fitted, images):
    x = to_tensor(fitted, images)
    nets = fitted.networks_
    with torch.no_grad():
        found = fitted._search(nets, x, context(fitted))
        made = nets["generator"](found.best)
        f, g = (nets["critic"](s)[1] for s in (x, made))
    residual = (x - made).abs().flatten(1).mean(1) / x.abs().flatten(1).mean(1).sqrt()
    features = (f - g).abs().mean(1) / f.abs().mean(1)
    np.testing.assert_allclose(
        -fitted.score_samples(images), 0.9 * residual + 0.1 * features, rtol=1e-4
    )


def test_the_best_so_far_never_gets_worse_and_falls(fitted, images):
    x = to_tensor(fitted, images)
    with torch.no_grad():
        trace = fitted._search(fitted.networks_, x, context(fitted)).trace
    assert (trace.diff(dim=0) <= 0).all()
    assert (trace[-1] < trace[0]).all()


def test_more_starts_are_never_worse(images):
    one, three = (build(n_starts=n).fit(images).score_samples(images) for n in (1, 3))
    assert (three >= one - 1e-6).all()


def test_searching_changes_nothing_in_the_networks(fitted, images):
    before = copy.deepcopy(
        {name: net.state_dict() for name, net in fitted.networks_.items()}
    )
    fitted.score_samples(images)
    for name, net in fitted.networks_.items():
        assert not net.training
        assert all(weight.grad is None for weight in net.parameters())
        for key, value in net.state_dict().items():
            assert torch.equal(value, before[name][key])


@pytest.mark.parametrize("score_by", ["relative", "mean"])
def test_scores_and_maps_do_not_depend_on_batch_or_order(images, score_by):
    detector = build(score_by=score_by, score_batch_size=5).fit(images)
    X = images[:9]
    alone = np.concatenate([detector.score_samples(x[None]) for x in X])
    np.testing.assert_allclose(detector.score_samples(X), alone, rtol=1e-4)
    np.testing.assert_allclose(detector.score_samples(X[::-1])[::-1], alone, rtol=1e-4)
    alone = np.concatenate([detector.anomaly_map(x[None]) for x in X])
    np.testing.assert_allclose(detector.anomaly_map(X), alone, rtol=1e-3, atol=1e-5)


def test_the_score_is_the_same_twice(fitted, images):
    np.testing.assert_array_equal(
        fitted.score_samples(images), fitted.score_samples(images)
    )


def test_the_search_stays_within_the_limit(images):
    detector = build(code_limit=0.5, search_lr=1.0).fit(images)
    x = to_tensor(detector, images)
    with torch.no_grad():
        found = detector._search(detector.networks_, x, context(detector))
    assert found.best.abs().max() == 0.5
    assert np.isfinite(detector.score_samples(images)).all()


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_weight_chooses_between_pixels_and_features(images, weight):
    detector = build(feature_weight=weight, score_by="mean", n_steps=0).fit(images)
    x = to_tensor(detector, images)
    nets = detector.networks_
    with torch.no_grad():
        z = detector._search(nets, x, context(detector)).best
        made = nets["generator"](z)
        f, g = (nets["critic"](s)[1] for s in (x, made))
    expected = (f - g).abs().mean(1) if weight else (x - made).abs().flatten(1).mean(1)
    np.testing.assert_allclose(-detector.score_samples(images), expected, rtol=1e-4)


def test_a_planted_square_stands_out_in_the_map(fitted):
    X = shown(fitted, 8)
    X[:, 2:5, 3:6] = 1 - X[:, 2:5, 3:6].round()
    maps = fitted.anomaly_map(X)
    inside = np.zeros((8, 8), dtype=bool)
    inside[2:5, 3:6] = True
    assert (maps[:, inside].mean(1) > maps[:, ~inside].mean(1)).mean() >= 0.75
