"""DualDiscriminatorGAN: who learns from what, and real clothes."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from featad.detectors import DualDiscriminatorGAN
from featad.neural.context import Context
from featad.neural.losses import absolute_error, top_patches

from _probe import build, losses_of, to_tensor

TINY = {"latent_dim": 4, "width": 8, "dense": False, "random_state": 0}


@pytest.fixture(scope="module")
def fitted(stripes):
    return DualDiscriminatorGAN(**TINY, max_epochs=100, lr=3e-3).fit(*stripes)


def gradient(loss, weights):
    return torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True)


def test_known_anomalies_are_rebuilt_worse(fitted, stripes):
    X, y = stripes
    assert roc_auc_score(y, fitted.score_samples(X)) == 1.0


def test_labels_are_needed(stripes):
    with pytest.raises(ValueError, match="y must hold at least one -1"):
        DualDiscriminatorGAN(**TINY).fit(stripes[0])


@pytest.mark.parametrize("own", ["normal_critic", "anomaly_critic"])
def test_each_critic_learns_from_its_own_class_alone(fitted, stripes, own):
    X, y = stripes
    other = y == (-1 if own == "normal_critic" else 1)
    changed = X.copy()
    changed[other] = 1 - changed[other]

    def slopes(images):
        for names, loss, nets in losses_of(fitted, images, y):
            if names == (own,):
                return gradient(loss.mean(), list(nets[own].parameters()))

    for before, after in zip(slopes(X), slopes(changed), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_a_critic_does_not_move_the_autoencoder(fitted, stripes):
    for names, loss, nets in losses_of(fitted, *stripes):
        if len(names) == 1:
            weights = [*nets["encoder"].parameters(), *nets["decoder"].parameters()]
            assert all(g is None for g in gradient(loss.mean(), weights))


@pytest.mark.parametrize("kind", [1, -1])
def test_a_batch_of_one_class_trains_that_critic_and_the_autoencoder(
    fitted, stripes, kind
):
    X, _ = stripes
    found = [names for names, _, _ in losses_of(fitted, X[:6], [kind] * 6)]
    own = "normal_critic" if kind == 1 else "anomaly_critic"
    assert found == [(own,), ("encoder", "decoder")]


def test_unbalanced_batches_without_anomalies_do_not_stop_the_training(stripes):
    X, y = stripes
    y = np.where(np.arange(40) == 39, -1, 1)
    detector = DualDiscriminatorGAN(
        **TINY, max_epochs=2, batch_size=4, balance=None
    ).fit(X, y)
    assert np.isfinite(detector.history_[-1]["encoder+decoder"])


def test_the_patch_loss_has_a_gradient(fitted, stripes):
    X, _ = stripes
    rebuilt = to_tensor(fitted, X[:3]).requires_grad_()
    error = (rebuilt - 0.1).abs().mean(dim=1)
    worst = fitted._worst_patches(error).sum()
    (slope,) = torch.autograd.grad(worst, rebuilt)
    assert (slope != 0).flatten(1).any(dim=1).all()


def test_patches_are_a_quarter_of_the_image(fitted, stripes):
    error = torch.rand(2, 16, 24, generator=torch.Generator().manual_seed(0))
    expected = top_patches(error, size=4, stride=2, n_patches=10)
    torch.testing.assert_close(fitted._worst_patches(error), expected)


def test_the_autoencoder_is_asked_for_what_the_paper_says(stripes):
    X, y = stripes
    weights = {
        "anomaly_weight": 2.0,
        "adversarial_weight": 3.0,
        "latent_weight": 4.0,
        "patch_weight": 1.5,
    }
    detector = DualDiscriminatorGAN(**TINY, **weights, max_epochs=0).fit(X, y)
    *_, (_, loss, nets) = losses_of(detector, X, y)
    x = to_tensor(detector, X)
    code = nets["encoder"](x)
    rebuilt = nets["decoder"](code)
    error = absolute_error(rebuilt, x)
    worst = detector._worst_patches((rebuilt - x).abs()[:, 0])
    drift = absolute_error(nets["encoder"](rebuilt), code)
    real = -torch.log(torch.sigmoid(nets["normal_critic"](rebuilt)[0]))
    fake = -torch.log(1 - torch.sigmoid(nets["anomaly_critic"](rebuilt)[0]))
    normal = error + 4 * drift + 1.5 * worst + 3 * real
    odd = -2 * torch.log(1 - torch.exp(-10 * error)) + 3 * fake
    expected = torch.where(torch.as_tensor(y) == 1, normal, odd)
    torch.testing.assert_close(loss, expected)


def test_anomalies_gain_weight_over_the_first_fifth_of_training(fitted, stripes):
    X, y = stripes
    nets, x = build(fitted), to_tensor(fitted, X)
    found = []
    for progress in (0.0, 0.1, 0.2, 0.5):
        t = Context(torch.Generator(), y=torch.as_tensor(y), progress=progress)
        *_, (_, loss) = fitted._losses(nets, x, t)
        found.append(loss.detach()[y == -1].mean().item())
    np.testing.assert_allclose(np.divide(found, found[-1]), [0, 0.5, 1, 1], rtol=1e-5)


def test_one_step_on_anomalies_alone_raises_their_error(stripes):
    X, y = stripes
    detector = DualDiscriminatorGAN(**TINY, adversarial_weight=0.0)
    detector.set_params(max_epochs=1, lr=1e-4).fit(X, y)
    nets = build(detector)
    x = to_tensor(detector, X[30:])
    weights = [*nets["encoder"].parameters(), *nets["decoder"].parameters()]

    def error():
        return absolute_error(nets["decoder"](nets["encoder"](x)), x).mean()

    t = Context(torch.Generator(), y=torch.full((10,), -1))
    before = error().item()
    ((_, loss),) = detector._losses(nets, x, t)
    loss.mean().backward()
    torch.optim.SGD(weights, lr=1e-2).step()
    assert error().item() > before


@pytest.mark.parametrize("score_by", ["mean", "relative"])
def test_every_score_is_of_the_map(fitted, stripes, score_by):
    X, _ = stripes
    fitted.set_params(score_by=score_by)
    maps = fitted.anomaly_map(X)
    scores = -fitted.score_samples(X)
    fitted.set_params(score_by="mean")
    expected = {
        "mean": maps.mean((1, 2)),
        "relative": maps.mean((1, 2)) / np.sqrt(X.mean((1, 2))),
    }
    np.testing.assert_allclose(scores, expected[score_by], rtol=1e-4)
