"""ReconstructionGAN: its autoencoder, its critic, and real clothes."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from featad.detectors import Autoencoder, ReconstructionGAN

from _probe import build, losses_of, to_tensor

TINY = {"latent_dim": 4, "width": 8, "random_state": 0}


def test_known_anomalies_are_rebuilt_worse(stripes):
    X, y = stripes
    detector = ReconstructionGAN(**TINY, max_epochs=200).fit(X, y)
    assert roc_auc_score(y, detector.score_samples(X)) == 1.0
    assert np.isfinite(detector.history_[-1]["critic"])


@pytest.mark.parametrize("loss", ["mse", "l1"])
def test_without_the_critic_it_is_the_autoencoder_with_labels(stripes, loss):
    X, y = stripes
    shared = {**TINY, "loss": loss, "score_by": "mean", "max_epochs": 3}
    gan = ReconstructionGAN(**shared, adversarial_weight=0.0).fit(X, y)
    plain = Autoencoder(**shared, anomaly_weight=0.5, balance=0.5).fit(X, y)
    np.testing.assert_array_equal(gan.score_samples(X), plain.score_samples(X))


def test_labels_are_needed(stripes):
    with pytest.raises(ValueError, match="y must hold at least one -1"):
        ReconstructionGAN(**TINY).fit(stripes[0])


@pytest.fixture(scope="module")
def fitted(stripes):
    return (
        ReconstructionGAN(**TINY, noise=0, adversarial_weight=1.0)
        .set_params(max_epochs=0)
        .fit(*stripes)
    )


def test_the_critic_never_sees_an_anomaly(fitted, stripes):
    X, y = stripes
    changed = X.copy()
    changed[30:] = 1 - changed[30:]
    (_, before, _), _ = losses_of(fitted, X, y)
    (_, after, _), _ = losses_of(fitted, changed, y)
    torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_the_autoencoder_is_asked_for_least_squares(fitted, stripes):
    X, y = stripes
    _, (names, loss, _) = losses_of(fitted, X, y)
    nets, x = build(fitted), to_tensor(fitted, X)
    rebuilt = nets["decoder"](nets["encoder"](x))
    error = ((rebuilt - x) ** 2).flatten(1).mean(dim=1)
    logit = nets["critic"](rebuilt)[0]
    normal = error + (logit - 1) ** 2
    odd = -0.5 * torch.log(1 - torch.exp(-10 * error)) + logit**2
    assert names == ("encoder", "decoder")
    torch.testing.assert_close(
        loss, torch.where(torch.as_tensor(y) == 1, normal, odd), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("kind", [1, -1])
def test_a_batch_of_one_class_is_no_hindrance(fitted, stripes, kind):
    found = list(losses_of(fitted, stripes[0][:5], [kind] * 5))
    assert len(found) == (2 if kind == 1 else 1)
    assert all(torch.isfinite(loss).all() for _, loss, _ in found)


def test_the_mean_of_the_map_is_the_score(fitted, stripes):
    X, _ = stripes
    np.testing.assert_allclose(
        fitted.anomaly_map(X).mean((1, 2)), -fitted.score_samples(X), rtol=1e-5
    )
