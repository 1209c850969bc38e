"""Restoration: never worse than the image, held by the weight, blobs move."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from featad.detectors import VAERestoration
from featad.detectors.vae_restoration import _bound, _Mixture, _variation
from featad.neural.losses import total_variation

from _probe import context, to_tensor


def build(**options):
    settings = {
        "latent_dim": 4, "width": 8, "max_epochs": 30, "n_steps": 20, "lr": 0.003,
        "tv_weight": 0.05, "device": "cpu", "random_state": 0,
    }  # fmt: skip
    return VAERestoration(**{**settings, **options})


def bars(n, seed):
    """Return images (n, 12, 12, 1) of a bright bar at a random height."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 0.1, size=(n, 12, 12, 1)).astype(np.float32)
    for image, top in zip(X, rng.integers(1, 7, size=n), strict=True):
        image[top : top + 4] += 0.6
    return X


@pytest.fixture(scope="module")
def fitted():
    return build().fit(bars(80, 0))


def restore(detector, X, weight=None):
    """Return images and restored images, as tensors."""
    t = context(detector)
    if weight is not None:
        t.statistics["tv_weight"] = torch.tensor(weight)
    x = to_tensor(detector, X)
    return x, detector._rebuilt(detector.networks_, x, t)


def objective(detector, x, u, weight):
    """Compute what is minimized, anew."""
    mean, log_variance = detector.networks_["encoder"](u).chunk(2, dim=1)
    rebuilt = detector.networks_["decoder"](mean)
    prior = torch.distributions.Normal(0, 1)
    code = torch.distributions.Normal(mean, (log_variance / 2).exp())
    kl = torch.distributions.kl_divergence(code, prior).sum(dim=1)
    error = ((rebuilt - u) ** 2).flatten(1).sum(dim=1)
    variance = float(detector.statistics_["variance"])
    return error + 2 * variance * kl + weight * _variation(x - u)


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.5])
def test_the_objective_never_gets_worse(fitted, weight):
    x, u = restore(fitted, bars(12, 1), weight)
    before, after = (objective(fitted, x, z, weight) for z in (x, u))
    assert (after <= before + 1e-4).all()


def test_the_objective_falls(fitted):
    x, u = restore(fitted, bars(12, 1), 0.05)
    before, after = (objective(fitted, x, z, 0.05) for z in (x, u))
    assert (after < 0.98 * before).all()


def test_a_huge_weight_moves_nothing(fitted):
    x, u = restore(fitted, bars(12, 1), 1e6)
    torch.testing.assert_close(x, u, rtol=0, atol=1e-6)


def test_a_larger_weight_moves_less(fitted):
    moves = [(x - u).abs().mean() for x, u in
             (restore(fitted, bars(12, 1), w) for w in (0.0, 0.1, 1.0))]  # fmt: skip
    assert moves[0] > moves[1] > moves[2]


def test_a_planted_blob_moves_more_than_what_is_around_it(fitted):
    clean = bars(20, 1)
    planted = clean.copy()
    planted[:, 4:8, 4:8] = 1 - np.round(clean[:, 4:8, 4:8])
    maps = fitted.anomaly_map(planted)
    inside = np.zeros((12, 12), dtype=bool)
    inside[4:8, 4:8] = True
    assert (maps[:, inside].mean(1) > maps[:, ~inside].mean(1)).mean() >= 0.9
    assert (fitted.score_samples(planted) < fitted.score_samples(clean)).mean() >= 0.9


def test_a_constant_difference_has_no_total_variation():
    assert (_variation(torch.full((2, 3, 5, 4), 0.25)) == 0).all()


def test_the_total_variation_of_large_steps_is_the_usual_one():
    x = torch.randint(5, (2, 3, 5, 4), generator=torch.Generator().manual_seed(0))
    close_to = total_variation(x.float())
    torch.testing.assert_close(_variation(x.float()), close_to, rtol=0.01, atol=0)


def test_restored_images_stay_in_the_unit_range(fitted):
    _, u = restore(fitted, bars(12, 1), 0.0)
    assert u.min() >= 0
    assert u.max() <= 1


def test_scores_and_maps_do_not_depend_on_batch_or_order(fitted):
    X = bars(9, 1)
    alone = np.concatenate([fitted.anomaly_map(x[None]) for x in X])
    np.testing.assert_allclose(fitted.anomaly_map(X[::-1])[::-1], alone, atol=1e-5)
    small = build(score_batch_size=2).fit(bars(80, 0))
    np.testing.assert_allclose(
        small.score_samples(X), fitted.score_samples(X), rtol=1e-4
    )


def test_the_variance_is_the_training_samples_mean_squared_error(fitted):
    x = to_tensor(fitted, bars(80, 0))
    mean = fitted.networks_["encoder"](x).chunk(2, dim=1)[0]
    error = ((fitted.networks_["decoder"](mean) - x) ** 2).mean()
    np.testing.assert_allclose(fitted.statistics_["variance"], error, rtol=1e-4)


def test_the_weight_is_chosen_from_the_candidates_on_held_out_samples():
    detector = build(tv_weight=None, max_epochs=5).fit(bars(80, 0))
    weight = float(detector.statistics_["tv_weight"])
    assert any(weight == pytest.approx(w) for w in (0.05, 0.1, 0.2, 0.4, 0.8))
    assert len(detector._hold_out(np.zeros(80))) == 8


def test_held_out_samples_are_not_trained_on():
    X = bars(80, 0)
    detector = build(tv_weight=None, max_epochs=2).fit(X)
    changed = X.copy()
    changed[detector._hold_out(np.zeros(80))] = 0.5
    other = build(tv_weight=None, max_epochs=2).fit(changed)
    assert detector.history_ == other.history_


def test_samples_that_are_all_alike_leave_the_usual_weight():
    detector = build(tv_weight=None, max_epochs=1).fit(np.full((12, 8, 8), 0.5))
    assert float(detector.statistics_["tv_weight"]) == pytest.approx(0.2)


def test_early_stopping_shares_the_held_out_samples():
    detector = build(tv_weight=None, early_stopping=1, max_epochs=3).fit(bars(40, 0))
    assert "validation" in detector.history_[0]


@pytest.mark.parametrize("score_by", ["relative", "mean", "top1%", "max"])
def test_every_way_to_score_ranks_a_damaged_image_last(score_by):
    X = bars(9, 1)
    X[0, 2:10, 2:10] = np.indices((8, 8)).sum(axis=0)[..., None] % 2
    detector = build(score_by=score_by).fit(bars(80, 0))
    assert detector.score_samples(X).argmin() == 0


def test_the_divergence_from_a_mixture_of_one_is_torchs():
    torch.manual_seed(0)
    prior = _Mixture(1, 3)
    prior.log_variances.data.normal_()
    mean, log_variance = torch.randn(2, 5, 3)
    code = Normal(mean, torch.exp(0.5 * log_variance))
    single = Normal(prior.means[0], torch.exp(0.5 * prior.log_variances[0]))
    expected = kl_divergence(code, single).sum(dim=1)
    torch.testing.assert_close(prior(mean, log_variance), expected)


def test_the_divergence_from_a_mixture_is_bounded_from_above_and_close():
    torch.manual_seed(0)
    prior = _Mixture(4, 2)
    prior.means.data *= 3
    mean, log_variance = torch.randn(20, 2), torch.full((20, 2), -2.0)
    code = Normal(mean, torch.exp(0.5 * log_variance))
    z = code.sample((20000,))
    near = Normal(prior.means, 1.0).log_prob(z[:, :, None]).sum(dim=-1)
    mixture = torch.logsumexp(near, dim=-1) - np.log(4)
    sampled = (code.log_prob(z).sum(dim=-1) - mixture).mean(dim=0)
    bound = prior(mean, log_variance)
    assert (bound > sampled - 0.05).all()
    assert (bound - sampled).mean() < 0.2 * sampled.mean()


def test_codes_at_the_means_of_a_mixture_cost_no_more_than_to_name_the_component():
    prior = _Mixture(2, 3)
    prior.means.data = torch.tensor([[4.0] * 3, [-4.0] * 3])
    divergence = prior(prior.means, torch.zeros(2, 3))
    torch.testing.assert_close(divergence, torch.full((2,), np.log(2)).float())


def test_restoration_under_a_mixture_never_gets_worse():
    detector = build(n_components=3).fit(bars(80, 0))
    x, u = restore(detector, bars(12, 1))
    nets, variance = detector.networks_, detector.statistics_["variance"]
    with torch.no_grad():
        before, after = (
            error + 2 * variance * kl + 0.05 * _variation(x - z)
            for z in (x, u)
            for error, kl in [_bound(nets, z)]
        )
    assert (after <= before).all()
    assert (after < before).any()
