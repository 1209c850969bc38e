"""The contrastive loss, and distances between directions."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from featad import anomaly_scores
from featad.datasets import load_idx
from featad.detectors import CSI, SSD, PCAReconstruction
from featad.metrics import auroc
from featad.neural.contrast import fit_directions, nt_xent, squared_distances


def embedded(n, seed):
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_that_of_the_paper():
    first, second = embedded(3, 0), embedded(3, 1)
    u = torch.cat([first, second]).numpy().astype(float)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    similar = np.exp(u @ u.T / 0.5)
    expected = [
        -np.log(similar[i, (i + 3) % 6] / (similar[i].sum() - similar[i, i]))
        for i in range(6)
    ]
    found = nt_xent(first, second, 0.5)
    np.testing.assert_allclose(found, np.reshape(expected, (2, 3)).mean(0), rtol=1e-5)


def test_equal_views_cost_less_than_views_of_others():
    first = embedded(6, 0)
    assert (nt_xent(first, first, 0.5) < nt_xent(first, first.roll(1, 0), 0.5)).all()


def test_the_length_of_an_embedding_does_not_count():
    first, second = embedded(4, 0), embedded(4, 1)
    torch.testing.assert_close(
        nt_xent(7 * first, second, 0.5), nt_xent(first, second, 0.5)
    )


def test_one_sample_alone_costs_nothing():
    assert nt_xent(embedded(1, 0), embedded(1, 1), 0.5).item() == 0


@pytest.mark.parametrize("n", [4, 40])  # fewer than the features, and more
def test_distances_are_those_of_scikit_learn(n):
    train, test = embedded(n, 0), embedded(5, 1)
    unit, unit_test = (
        part.double().numpy() / np.linalg.norm(part.double(), axis=1, keepdims=True)
        for part in (train, test)
    )
    mean, scale = unit.mean(axis=0), unit.std(axis=0)
    reference = LedoitWolf().fit((unit - mean) / scale)
    np.testing.assert_allclose(
        squared_distances(fit_directions(train), test),
        reference.mahalanobis((unit_test - mean) / scale),
        rtol=1e-6,
    )


def test_silent_features_do_not_count():
    train, test = embedded(20, 0), embedded(5, 1)
    silent = torch.zeros(20, 1)
    found = fit_directions(torch.cat([train, silent], dim=1))
    distances = squared_distances(found, torch.cat([test, silent[:5]], dim=1))
    assert distances.isfinite().all()


@pytest.fixture(scope="module")
def coats(real_data):
    """Return 500 coats to train on, 1,000 clothes, their labels (coat: normal)."""
    train, train_kinds = load_idx(real_data / "fashion_mnist", "train")
    test, kinds = load_idx(real_data / "fashion_mnist", "test")
    chosen = np.random.default_rng(0).permutation(len(test))[:1000]
    train, test = train[train_kinds == 4][:500], test[chosen]
    y = np.where(kinds[chosen] == 4, 1, -1)
    return train / np.float32(255), test / np.float32(255), y


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("detector", [SSD, CSI])
def test_training_finds_more_coats_than_random_weights_and_pca(detector, coats):
    train, X, y = coats
    found, before, pca = (
        auroc(y, anomaly_scores(one.fit(train), X))
        for one in (
            detector(random_state=0),
            detector(max_epochs=0, random_state=0),
            PCAReconstruction(32),
        )
    )
    assert found > before + 0.008
    assert found > pca + 0.025
