"""Relative perceptual error: zero, scale-free, one way, and what learns by it."""

import pickle

import numpy as np
import pytest
import torch

from featad.datasets.folders import load_folder
from featad.detectors import PerceptualAutoencoder, perceptual_autoencoder
from featad.errors import WeightsChangedError, WeightsNotFoundError
from featad.features.weights import load_network
from featad.images import ImageReader, read_image
from featad.metrics import pixel_auroc
from featad.neural.losses import relative_perceptual_error

from _probe import context, to_tensor


def build(**options):
    settings = {
        "arch": "squeezenet1_1", "layer": "features.1", "weights": None, "width": 4,
        "max_epochs": 2, "latent_dim": 4, "device": "cpu", "random_state": 0,
    }  # fmt: skip
    return PerceptualAutoencoder(**{**settings, **options})


@pytest.fixture
def fitted(images):
    return build().fit(images)


def hooks_of(detector, X):
    """Return networks, batch and context as a hook gets them."""
    t = context(detector)
    return detector.networks_, to_tensor(detector, X), t


@pytest.fixture
def taps():
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(3, c, 5, 4, generator=rng, requires_grad=True) for c in (2, 6)]


class Same(torch.nn.Module):
    def forward(self, x):
        return x


def test_a_perfect_reconstruction_scores_zero(fitted, images):
    nets, x, t = hooks_of(fitted, images)
    nets = {**nets, "encoder": Same(), "decoder": Same()}
    assert (fitted._strangeness_of(nets, x, t) == 0).all()
    assert (fitted._map_of(nets, x, t) == 0).all()


def test_scaling_all_features_changes_nothing(taps):
    others = [tap.flip(0).detach() for tap in taps]
    torch.testing.assert_close(
        relative_perceptual_error([7 * tap for tap in taps], [7 * o for o in others]),
        relative_perceptual_error(taps, others),
    )


def test_no_gradient_goes_through_the_denominator(taps):
    fixed = [tap.flip(0).detach() for tap in taps]
    error = relative_perceptual_error(fixed, taps).sum()
    found = torch.autograd.grad(error, taps)
    for gradient, tap, other in zip(found, taps, fixed, strict=True):
        size = tap.detach().abs().mean(dim=(1, 2, 3), keepdim=True)
        expected = (tap - other).sign() / size / tap[0].numel() / len(taps)
        torch.testing.assert_close(gradient, expected.detach())


def test_features_that_are_the_values_give_the_relative_error_of_the_values():
    X = np.random.default_rng(0).normal(size=(20, 5))
    detector = build().fit(X)
    nets, x, t = hooks_of(detector, X)
    rebuilt = nets["decoder"](nets["encoder"](x))
    expected = (rebuilt - x).abs().mean(dim=1) / x.abs().mean(dim=1)
    np.testing.assert_allclose(-detector.score_samples(X), expected, rtol=1e-5)


def test_the_score_is_the_loss_itself(fitted, images):
    nets, x, t = hooks_of(fitted, images)
    ((names, loss),) = fitted._losses(nets, x, t)
    assert names == ("encoder", "decoder")
    np.testing.assert_allclose(-fitted.score_samples(images), loss, rtol=1e-5)


def test_features_are_standardized_by_the_training_images(fitted, images):
    nets, x, t = hooks_of(fitted, images)
    _, (target,) = fitted._taps(nets, x, t)
    mean = target.mean(dim=(0, 2, 3))
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    assert target.std(dim=(0, 2, 3)).max() < 1


@pytest.mark.parametrize("layer", ["features.1", ("features.0", "features.3")])
def test_one_or_several_layers_give_a_map_of_the_image_size(images, layer):
    detector = build(layer=layer).fit(images)
    maps = detector.anomaly_map(images)
    assert maps.shape == (24, 8, 8)
    assert (maps >= 0).all()


def test_training_lowers_the_loss_and_leaves_the_backbone(images):
    detector = build(max_epochs=30, lr=0.01).fit(images)
    losses = [record["encoder+decoder"] for record in detector.history_]
    assert losses[-1] < 0.9 * losses[0]
    expected = load_network("squeezenet1_1", None)[0].state_dict()
    found = detector.networks_["backbone"].part.state_dict()
    assert found
    for key, value in found.items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=0)


def test_the_backbone_is_not_in_the_pickle(fitted):
    stored = pickle.dumps(fitted)
    for name, net in fitted.networks_.items():
        start = next(net.parameters()).numpy().tobytes()[:256]
        assert (start in stored) == (name != "backbone")


def save_backbone(file, seed=1):
    """Write random weights, and return their file as a parameter."""
    torch.save(load_network("squeezenet1_1", None, seed)[0].state_dict(), file)
    return str(file)


def test_other_weights_are_noticed_when_it_scores(images, tmp_path):
    weights = save_backbone(tmp_path / "backbone.pth")
    stored = pickle.dumps(build(weights=weights).fit(images))
    save_backbone(weights, seed=2)
    loaded = pickle.loads(stored)
    for use in (loaded.check_weights, lambda: loaded.score_samples(images)):
        with pytest.raises(WeightsChangedError, match="'backbone' of PerceptualAuto"):
            use()


def test_weights_that_have_moved_are_named_and_can_be_given(images, tmp_path):
    file, elsewhere = tmp_path / "backbone.pth", tmp_path / "moved.pth"
    fitted = build(weights=save_backbone(file)).fit(images)
    expected, stored = fitted.score_samples(images), pickle.dumps(fitted)
    file.rename(elsewhere)
    loaded = pickle.loads(stored)  # does not look for them
    with pytest.raises(WeightsNotFoundError, match=r"no weights file .*backbone\.pth"):
        loaded.check_weights()
    loaded.set_params(weights=elsewhere)
    np.testing.assert_array_equal(loaded.score_samples(images), expected)


def test_weights_from_caffe_see_blue_first(images, tmp_path):
    weights = save_backbone(tmp_path / "backbone.pth")
    with pytest.warns(UserWarning, match="PerceptualAutoencoder was given backbone"):
        usual = build(weights=weights).fit(images)
    caffe = build(weights=weights, preprocessing="caffe").fit(images)
    x = torch.rand(2, 3, 8, 8)
    mean, std = torch.tensor([123.68, 116.779, 103.939]).view(3, 1, 1), 255
    (expected,) = usual.networks_["backbone"].part((x * std - mean).flip(1)).values()
    (found,) = caffe.networks_["backbone"](x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_weights_set_after_fit_do_not_change_the_scores(images, tmp_path):
    weights = save_backbone(tmp_path / "backbone.pth")
    fitted = build(weights=weights).fit(images)
    changed = pickle.loads(pickle.dumps(fitted.set_params(weights=None)))
    np.testing.assert_array_equal(
        changed.score_samples(images), fitted.score_samples(images)
    )


def test_unpickling_downloads_nothing(fitted, images, monkeypatch):
    stored = pickle.dumps(fitted)
    monkeypatch.setattr(perceptual_autoencoder, "find_weights", None)  # not called
    assert pickle.loads(stored).sample_shape_ == (8, 8, 3)


def test_missing_weights_are_named(images, tmp_path):
    with pytest.raises(WeightsNotFoundError, match=r"nothing\.pth"):
        build(weights=str(tmp_path / "nothing.pth")).fit(images)


def test_gray_images_are_taken_as_three_equal_channels(images):
    gray = images[..., :1]
    expected = build().fit(gray).networks_["backbone"](torch.full((1, 1, 8, 8), 0.5))
    found = build().fit(images).networks_["backbone"](torch.full((1, 3, 8, 8), 0.5))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("change", [lambda x: x - 3, lambda x: x[..., :2]])
def test_images_that_a_backbone_cannot_see_are_refused(images, change):
    with pytest.raises(ValueError, match=r"in \[0, 1\] of 1 or 3 channels"):
        build().fit(change(images))


def test_images_that_are_too_small_for_a_layer_are_refused(images):
    with pytest.raises(ValueError, match="too small for layer features.12"):
        build(layer="features.12").fit(images)


def test_a_layer_without_a_map_is_refused():
    X = np.random.default_rng(0).random((2, 32, 32, 3))
    with pytest.raises(ValueError, match="needs layers that give maps"):
        build(layer="flatten").fit(X)


def test_an_unknown_layer_is_refused(images):
    with pytest.raises(ValueError, match="layer"):
        build(layer="conv9").fit(images)


def test_early_stopping_and_trimming_work_before_training_statistics(images):
    detector = build(early_stopping=1, trim=0.1).fit(images)
    assert "validation" in detector.history_[0]


@pytest.mark.data
@pytest.mark.slow
def test_transistors_are_localized(real_data, real_weights):
    dataset = load_folder(real_data / "mvtec_reduced" / "transistor")
    reader = ImageReader(64)
    test = dataset.part("test")
    masks = [
        np.zeros((64, 64), dtype=bool)
        if mask is None
        else read_image(mask, mode="L", size=64)[..., 0] > 0.5
        for mask in test.masks
    ]
    X = reader.fit_transform(dataset.part("train").images)
    unseen = reader.transform(test.images)
    found = {}
    for max_epochs in (0, 60):
        detector = build(
            weights=real_weights, layer="features.4", width=32, latent_dim=32,
            max_epochs=max_epochs,
        ).fit(X)  # fmt: skip
        found[max_epochs] = pixel_auroc(masks, detector.anomaly_map(unseen))
    assert found[60] >= 0.85
    assert found[60] > found[0] + 0.2


def test_its_defaults_need_no_download(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    X = np.random.default_rng(0).random((4, 16, 16, 1), dtype=np.float32)
    detector = PerceptualAutoencoder(max_epochs=1, width=4, device="cpu").fit(X)
    assert detector.frozen_ == ("backbone",)
    assert not list(tmp_path.iterdir())
