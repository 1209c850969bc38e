"""CenteredAutoencoder: codes are pulled together, but not into one point."""

import numpy as np
import pytest
import torch

from featad.detectors import Autoencoder, CenteredAutoencoder
from featad.metrics import auroc

from _probe import to_tensor

TINY = {"latent_dim": 4, "width": 8, "device": "cpu", "random_state": 0}
TRAINED = {**TINY, "max_epochs": 60, "warmup_epochs": 20}


def codes(detector, X):
    return detector.networks_["encoder"](to_tensor(detector, X)).numpy()


def test_without_weight_it_is_the_autoencoder(images):
    improved = CenteredAutoencoder(
        **TINY, max_epochs=5, weight=0, warmup_epochs=2, score_by="relative"
    ).fit(images)
    plain = Autoencoder(**TINY, max_epochs=5).fit(images)
    np.testing.assert_array_equal(
        improved.score_samples(images), plain.score_samples(images)
    )
    np.testing.assert_array_equal(
        improved.anomaly_map(images), plain.anomaly_map(images)
    )


def test_during_the_warm_up_only_the_reconstruction_counts(images):
    params = {**TINY, "max_epochs": 5, "warmup_epochs": 5}
    without = CenteredAutoencoder(**params, weight=0).fit(images)
    heavy = CenteredAutoencoder(**params, weight=100).fit(images)
    np.testing.assert_array_equal(codes(heavy, images), codes(without, images))


def test_the_weight_pulls_the_codes_together(images):
    loose = CenteredAutoencoder(**TRAINED, weight=0).fit(images)
    pulled = CenteredAutoencoder(**TRAINED, weight=0.1).fit(images)
    ratio = pulled.statistics_["spread"].sum() / loose.statistics_["spread"].sum()
    assert ratio < 0.5


def test_the_codes_do_not_collapse(images):
    detector = CenteredAutoencoder(**TRAINED).fit(images)
    assert codes(detector, images).var(axis=0).max() > 1e-4
    constant = images.var(axis=0).mean()
    assert detector.anomaly_map(images).mean() < 0.8 * constant


def test_the_distance_is_to_the_mean_code(images):
    detector = CenteredAutoencoder(**TINY, max_epochs=3, score_by="latent")
    code = codes(detector.fit(images), images)
    np.testing.assert_allclose(
        -detector.score_samples(images),
        ((code - code.mean(axis=0)) ** 2).sum(axis=1),
        rtol=1e-4,
    )


def test_with_trim_far_codes_do_not_move_the_center(images):
    detector = CenteredAutoencoder(**TINY, max_epochs=3, trim=0.25).fit(images)
    code = codes(detector, images)
    distance = ((code - code.mean(axis=0)) ** 2).sum(axis=1)
    near = np.argsort(distance)[:18]
    np.testing.assert_allclose(
        detector.statistics_["center"], code[near].mean(axis=0), rtol=1e-4
    )


def test_the_sum_weighs_both_parts_by_their_usual_size(images):
    detector = CenteredAutoencoder(**TINY, max_epochs=3).fit(images)
    scores = {
        by: -detector.set_params(score_by=by).score_samples(images)
        for by in ("combined", "latent", "relative")
    }
    # torch's median is the lower of the two in the middle
    parts = (scores[by] / np.sort(scores[by])[11] for by in ("latent", "relative"))
    np.testing.assert_allclose(scores["combined"], sum(parts), rtol=1e-4)


def on_a_line(n, rng):
    return rng.random((n, 1)) * np.ones(8) + 0.05 * rng.standard_normal((n, 8))


@pytest.mark.parametrize("seed", [0, 1])
def test_trimming_withstands_a_tenth_of_anomalies(seed):
    rng = np.random.default_rng(seed)
    X = np.concatenate([on_a_line(90, rng), 0.5 + 0.8 * rng.standard_normal((10, 8))])
    test = np.concatenate(
        [on_a_line(50, rng), 0.5 + 0.8 * rng.standard_normal((50, 8))]
    )
    y = np.repeat([1, -1], 50)
    params = {**TRAINED, "random_state": seed, "noise": 0.0}
    trimmed = CenteredAutoencoder(**params, trim=0.1).fit(X)
    assert auroc(y, -trimmed.score_samples(test)) > 0.95
    assert trimmed.trimmed_share_[90:].mean() > 3 * trimmed.trimmed_share_[:90].mean()


def test_maps_have_the_input_s_size():
    X = np.random.default_rng(0).random((6, 13, 10, 3), dtype=np.float32)
    maps = CenteredAutoencoder(**TINY, max_epochs=1).fit(X).anomaly_map(X)
    assert maps.shape == (6, 13, 10)
    assert maps.dtype == np.float32


def test_early_stopping_does_not_end_with_the_warm_up():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 8))
    options = {**TINY, "weight": 1.0, "warmup_epochs": 8, "batch_size": 8, "lr": 0.01}
    detector = CenteredAutoencoder(**options, max_epochs=25, early_stopping=25).fit(X)
    watched = [record["validation"] for record in detector.history_]
    assert np.argmin(watched) > 8


def test_trimming_does_not_need_statistics_while_training(images):
    detector = CenteredAutoencoder(
        **TINY, max_epochs=3, warmup_epochs=1, trim=0.1, early_stopping=2
    ).fit(images)
    assert torch.isfinite(torch.tensor(detector.history_[-1]["validation"]))
