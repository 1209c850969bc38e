"""DeepSAD: labels pull to the center, or push away from it."""

import numpy as np
import pytest
import torch

from featad.base import anomaly_scores
from featad.datasets import load_idx
from featad.detectors import Autoencoder, DeepSAD, DeepSVDD
from featad.metrics import auroc
from featad.neural.context import Context

from _probe import to_tensor

TINY = {"latent_dim": 4, "width": 4, "device": "cpu", "random_state": 0}
TRAINED = {**TINY, "max_epochs": 20, "lr": 0.01}


def squared_distances(detector, X):
    code = detector.networks_["encoder"](to_tensor(detector, X)).numpy()
    return ((code - detector.statistics_["center"]) ** 2).sum(axis=1)


@pytest.mark.parametrize("y", [None, [0] * 24, [1] * 24], ids=["none", "zeros", "ones"])
def test_without_labeled_anomalies_it_is_deep_svdd(images, y):
    plain = DeepSVDD(**TINY, max_epochs=3).fit(images)
    labeled = DeepSAD(**TINY, max_epochs=3).fit(images, y)
    np.testing.assert_array_equal(
        labeled.score_samples(images), plain.score_samples(images)
    )


def test_labeled_anomalies_end_far_from_the_center(stripes):
    X, _ = stripes
    y = np.repeat([0, 1, 0, -1], [20, 10, 5, 5])
    detector = DeepSAD(**TRAINED).fit(X, y)
    distances = squared_distances(detector, X)
    assert distances[y == -1].mean() > 3 * distances[:30].mean()
    assert distances[30:35].mean() > 3 * distances[:30].mean()  # like them


def test_each_label_has_its_loss():
    y = torch.tensor([0, 1, -1])
    t = Context(torch.Generator(), y=y, stage="main")
    loss = DeepSAD(eta=2.0)._pulled(torch.tensor([4.0, 4.0, 4.0]), t)
    torch.testing.assert_close(loss, torch.tensor([4.0, 8.0, 0.5]))


def test_an_anomaly_in_the_center_has_a_finite_loss():
    t = Context(torch.Generator(), y=torch.tensor([-1]))
    assert torch.isfinite(DeepSAD()._pulled(torch.tensor([0.0]), t)).all()


def test_center_units_and_threshold_are_those_of_the_others(stripes):
    X, y = stripes
    detector = DeepSAD(**TINY, max_epochs=2, contamination=0.1).fit(X, y)
    scores = detector.score_samples(X[y == 1])
    assert (scores < detector.offset_).sum() == 3
    code = detector.networks_["encoder"](to_tensor(detector, X[y == 1])).numpy()
    np.testing.assert_allclose(
        detector.statistics_["mean"], code.mean(axis=0), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    "detector", [DeepSAD(**TINY), Autoencoder(**TINY, anomaly_weight=0.5)]
)
def test_zeros_and_ones_alone_are_warned_of(images, detector):
    detector.set_params(max_epochs=1)
    with pytest.warns(UserWarning, match=r"reads 0 as unlabeled.*np\.where\(y == 1"):
        detector.fit(images, [0, 1] * 12)


def test_other_labels_are_refused(images):
    with pytest.raises(ValueError, match=r"1 \(normal\) or -1 .* or 0 \(unlabeled\)"):
        DeepSAD(**TINY).fit(images, [1, 2] * 12)


@pytest.mark.data
@pytest.mark.slow
def test_a_few_labels_of_one_digit_help_to_find_the_others(eights, real_data):
    train, X, y = eights
    images, digits = load_idx(real_data / "mnist", "train")
    threes = images[digits == 3][:25] / np.float32(255)
    _, test_digits = load_idx(real_data / "mnist", "test")
    order = np.random.default_rng(0).permutation(len(test_digits))
    others = test_digits[order[: len(X)]] != 3
    shown = np.concatenate([train, threes]), np.repeat([0, -1], [len(train), 25])
    without, found = (
        auroc(y[others], anomaly_scores(detector, X[others]))
        for detector in (
            DeepSVDD(device="cpu", random_state=0).fit(train),
            DeepSAD(device="cpu", random_state=0).fit(*shown),
        )
    )
    assert found > without + 0.005  # 0.950 and 0.935
