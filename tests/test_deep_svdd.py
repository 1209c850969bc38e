"""DeepSVDD: codes are pulled to a fixed center, but not into one point."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from featad.detectors import DeepSVDD
from featad.neural.context import Context
from featad.neural.hypersphere import LEAST_CENTER

from _probe import build, to_tensor

TINY = {"latent_dim": 4, "width": 4, "device": "cpu", "random_state": 0}
TRAINED = {**TINY, "max_epochs": 15, "lr": 0.01}


def codes(detector, X):
    return detector.networks_["encoder"](to_tensor(detector, X)).numpy()


def squared_distances(detector, X):
    return ((codes(detector, X) - detector.statistics_["center"]) ** 2).sum(axis=1)


@pytest.fixture(scope="module")
def trained(images):
    return DeepSVDD(**TRAINED).fit(images)


@pytest.mark.parametrize("dense", [False, True])
def test_no_parameter_is_a_bias(images, dense):
    detector = DeepSVDD(**TINY, max_epochs=1, dense=dense).fit(images)
    for net in detector.networks_.values():
        assert not [name for name, _ in net.named_parameters() if "bias" in name]


def test_black_images_have_the_code_zero(trained, images):
    np.testing.assert_array_equal(codes(trained, np.zeros_like(images)), 0)


def test_the_center_does_not_move_after_the_pretraining(trained, images):
    fixed = DeepSVDD(**{**TRAINED, "pretrain_epochs": 15, "max_epochs": 0}).fit(images)
    np.testing.assert_array_equal(
        trained.statistics_["center"], fixed.statistics_["center"]
    )


def test_the_center_is_the_mean_code_but_nowhere_near_zero(images):
    detector = DeepSVDD(**TINY, max_epochs=0).fit(images)
    mean, center = codes(detector, images).mean(axis=0), detector.statistics_["center"]
    small = np.abs(mean) < LEAST_CENTER
    assert small.any()
    np.testing.assert_allclose(center[~small], mean[~small], rtol=1e-5)
    np.testing.assert_allclose(np.abs(center[small]), LEAST_CENTER)
    np.testing.assert_array_equal(np.sign(center), np.where(mean < 0, -1, 1))


def test_training_pulls_the_codes_to_the_center(trained, images):
    fixed = DeepSVDD(**{**TRAINED, "pretrain_epochs": 15, "max_epochs": 0}).fit(images)
    before = squared_distances(fixed, images).mean()
    assert squared_distances(trained, images).mean() < 0.3 * before


def test_the_encoder_alone_is_trained_in_the_second_stage(trained):
    stages = {
        stage: [set(r) for r in trained.history_ if r["stage"] == stage]
        for stage in ("pretraining", "main")
    }
    assert all("encoder+decoder" in names for names in stages["pretraining"])
    assert all("encoder" in names for names in stages["main"])


def test_without_epochs_the_networks_stay_as_they_were(images):
    detector = DeepSVDD(**TINY, max_epochs=0).fit(images)
    for name, net in build(detector).items():
        for key, value in net.state_dict().items():
            torch.testing.assert_close(
                value, detector.networks_[name].state_dict()[key]
            )


def test_the_sphere_holds_all_but_the_share_nu(images):
    detector = DeepSVDD(**TRAINED, objective="soft-boundary", nu=0.25).fit(images)
    outside = squared_distances(detector, images) > detector.statistics_["radius"] ** 2
    assert outside.sum() == 6


def test_the_soft_boundary_is_the_radius_and_what_lies_beyond_it():
    detector = DeepSVDD(objective="soft-boundary", nu=0.5, warmup_epochs=3)
    distance, rng = torch.tensor([1.0, 2.0, 6.0]), torch.Generator()
    warming, warm = (
        detector._pulled(distance, Context(rng, epoch=epoch)) for epoch in (2, 3)
    )
    assert warming.tolist() == [1, 2, 6]
    assert warm.tolist() == [2, 2, 10]


def test_the_two_objectives_differ_after_the_warm_up(images):
    params = {**TINY, "max_epochs": 5, "pretrain_epochs": 2}
    plain, soft, warming = (
        DeepSVDD(**params, **own).fit(images).score_samples(images)
        for own in (
            {},
            {"objective": "soft-boundary", "warmup_epochs": 2},
            {"objective": "soft-boundary", "warmup_epochs": 5},
        )
    )
    np.testing.assert_array_equal(plain, warming)
    assert not np.allclose(plain, soft)


def test_the_distance_is_to_the_center(trained, images):
    detector = DeepSVDD(**TRAINED, score_by="latent").fit(images)
    np.testing.assert_allclose(
        -detector.score_samples(images), squared_distances(trained, images), rtol=1e-4
    )


def test_whitened_is_mahalanobis_distance_between_codes(trained, images):
    code = codes(trained, images).astype(np.float64)
    np.testing.assert_allclose(
        -trained.score_samples(images),
        LedoitWolf().fit(code).mahalanobis(code),
        rtol=1e-3,
    )


def test_the_codes_do_not_collapse(trained, recwarn):
    assert trained.statistics_["spread"] > 1e-4 * trained.statistics_["first_spread"]
    assert trained.statistics_["radius"] > 0
    assert not [w for w in recwarn if "collapsed" in str(w.message)]


def test_a_collapse_is_named():
    X = np.random.default_rng(0).random((16, 4, 4), dtype=np.float32)
    X[:, 0] = 1  # as good as a bias
    detector = DeepSVDD(
        **{**TINY, "latent_dim": 1},
        depth=0,
        lr=0.02,
        pretrain_epochs=1,
        max_epochs=1500,
    )
    with pytest.warns(UserWarning, match="DeepSVDD has collapsed.*subtract the mean"):
        detector.fit(X)
    assert detector.statistics_["radius"] < 1e-3
    assert detector.statistics_["spread"] < 1e-6 * detector.statistics_["first_spread"]


def test_weight_decay_shrinks_the_encoder(images):
    loose, tight = (
        DeepSVDD(**TRAINED, weight_decay=decay).fit(images).networks_["encoder"]
        for decay in (0.0, 1.0)
    )
    sizes = [sum(w.square().sum() for w in net.parameters()) for net in (loose, tight)]
    assert sizes[1] < sizes[0]


def test_early_stopping_watches_each_stage_by_its_own_loss(images):
    detector = DeepSVDD(**TINY, max_epochs=3, early_stopping=2).fit(images)
    assert all(np.isfinite(record["validation"]) for record in detector.history_)


def test_it_has_no_map(trained):
    assert not hasattr(trained, "anomaly_map")
