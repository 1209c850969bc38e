"""ContrastTranslation: pixels that are usual in each contrast, but not in all."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from featad.base import anomaly_scores
from featad.datasets import load_folder
from featad.detectors import Autoencoder, ContrastTranslation
from featad.detectors.contrast_translation import _guessed, _pixels
from featad.images import ImageReader, read_image
from featad.metrics import auroc, pixel_auroc

from _probe import to_tensor

TINY = {"width": 4, "max_epochs": 2, "device": "cpu", "random_state": 0}
SIZE = 12


def contrasts(n, rng):
    """Return blocks of any value, whose second contrast is 1 minus the first."""
    values = rng.uniform(0.2, 0.8, (n, 4, 4)).astype(np.float32)
    first = values.repeat(3, axis=1).repeat(3, axis=2)
    return np.stack([first, 1 - first], axis=-1)


def with_planted_block(n, rng):
    """Return images with one block that is 0.3 off in its second contrast.

    Values that leave [0.2, 0.8] come in again at its other end, so that in each
    contrast alone these images are like any.
    """
    X, inside = contrasts(n, rng), np.zeros((n, SIZE, SIZE), dtype=bool)
    for k, (row, column) in enumerate(3 * rng.integers(0, 4, (n, 2))):
        inside[k, row : row + 3, column : column + 3] = True
    X[inside, 1] = 0.2 + (X[inside, 1] + 0.1) % 0.6
    return X, inside


@pytest.fixture(scope="module")
def trained():
    X = contrasts(64, np.random.default_rng(0))
    return ContrastTranslation(device="cpu", random_state=0).fit(X)


def test_a_block_usual_in_each_contrast_but_not_in_both_is_found(trained):
    rng = np.random.default_rng(1)
    odd, inside = with_planted_block(40, rng)
    both, y = np.concatenate([contrasts(40, rng), odd]), np.repeat([1, -1], 40)
    labels = np.where(inside, -1, 1).ravel()
    assert auroc(y, anomaly_scores(trained, both)) > 0.95
    assert auroc(labels, trained.anomaly_map(odd).ravel()) > 0.95
    train = contrasts(64, np.random.default_rng(0))
    alone = [  # what an autoencoder of each contrast makes of it
        Autoencoder(device="cpu", random_state=0, max_epochs=20)
        .fit(train[..., k]).anomaly_map(odd[..., k])
        for k in range(2)
    ]  # fmt: skip
    assert auroc(labels, sum(alone).ravel()) < 0.65


def test_training_is_what_finds_it(trained):
    rng = np.random.default_rng(1)
    odd, inside = with_planted_block(40, rng)
    labels = np.where(inside, -1, 1).ravel()
    untrained = clone(trained).set_params(max_epochs=0)
    untrained.fit(contrasts(64, np.random.default_rng(0)))
    assert auroc(labels, untrained.anomaly_map(odd).ravel()) < 0.85


def test_the_errors_of_independent_contrasts_are_their_variance():
    rng = np.random.default_rng(0)
    levels = rng.normal(0.5, (0.05, 0.15), (250, 1, 1, 2)).clip(0, 1)
    X = (levels * np.ones((1, 4, 4, 1))).astype(np.float32)
    detector = ContrastTranslation(**{**TINY, "max_epochs": 40}).fit(X[:150])
    described = detector._described(detector.networks_, to_tensor(detector, X[150:]))
    errors = (described[:, -2:] ** 2).mean(dim=(0, 2, 3)).detach().numpy()
    np.testing.assert_allclose(errors, levels[150:].var(axis=(0, 1, 2)), rtol=0.3)


def test_the_map_is_what_scikit_learn_makes_of_the_pixels(images):
    detector = ContrastTranslation(n_components=3, n_dimensions=5, **TINY).fit(images)
    with torch.no_grad():
        x = to_tensor(detector, images)
        pixels = _pixels(detector._described(detector.networks_, x))
    assert pixels.shape == (24 * 64, 4 + 3)
    seed = detector.seed_
    scaled = StandardScaler().fit(pixels)
    reduced = PCA(5, random_state=seed).fit(scaled.transform(pixels))
    table = reduced.transform(scaled.transform(pixels))
    mixture = GaussianMixture(3, reg_covar=1e-4, random_state=seed).fit(table)
    expected = -mixture.score_samples(table).reshape(24, 8, 8)
    np.testing.assert_allclose(detector.anomaly_map(images), expected, rtol=0.02)
    density = detector.statistics_["density"]
    np.testing.assert_allclose(
        detector.anomaly_map(images).ravel(),
        -density[-1].score_samples(density[:-1].transform(pixels)),
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_hidden_contrast_is_not_seen(images):
    detector = ContrastTranslation(**TINY).fit(images)
    x = to_tensor(detector, images)
    other = x.clone()
    other[:, 1] = 1 - other[:, 1]
    for place, same in ((1, True), (0, False)):
        where = torch.full((24,), place)
        net = detector.networks_["unet"]
        features = [_guessed(net, seen, where)[0] for seen in (x, other)]
        assert torch.equal(*features) == same


def test_no_more_pixels_are_fitted_than_asked_for(images):
    detector = ContrastTranslation(n_components=2, n_pixels=100, **TINY).fit(images)
    few = detector.statistics_["density"]["standardscaler"].n_samples_seen_
    assert 90 <= few <= 110
    every = (
        ContrastTranslation(n_components=2, **TINY).fit(images).statistics_["density"]
    )
    assert every["standardscaler"].n_samples_seen_ == 24 * 64


def test_one_contrast_leaves_how_usual_its_values_are():
    rng = np.random.default_rng(0)
    X = rng.normal(0.5, 0.02, (20, 8, 8)).clip(0, 1).astype(np.float32)
    detector = ContrastTranslation(n_components=1, **{**TINY, "max_epochs": 20}).fit(X)
    odd = X[:5].copy()
    odd[:, 3, 3] = 1
    hottest = detector.anomaly_map(odd).reshape(5, -1).argmax(axis=1)
    np.testing.assert_array_equal(hottest, 3 * 8 + 3)


def test_trimming_and_early_stopping_need_no_mixture(images):
    params = {"trim": 0.1, "early_stopping": 1}
    detector = ContrastTranslation(n_components=2, **TINY, **params).fit(images)
    assert "validation" in detector.history_[0]


def test_the_loss_falls(images):
    detector = clone(ContrastTranslation(**TINY)).set_params(max_epochs=15)
    history = detector.fit(images).history_
    assert history[-1]["unet"] < history[0]["unet"]


@pytest.mark.data
@pytest.mark.slow
def test_it_maps_defects_of_hazelnuts(real_data):
    dataset = load_folder(real_data / "mvtec_reduced" / "hazelnut")
    train, test = dataset.part("train"), dataset.part("test")
    read = ImageReader(size=64).fit_transform
    detector = ContrastTranslation(batch_size=8, random_state=0, device="cpu")
    maps = detector.fit(read(train.images)).anomaly_map(read(test.images))
    masks = [
        np.zeros((64, 64), dtype=bool)
        if mask is None
        else read_image(mask, mode="L", size=64)[..., 0] > 0.5
        for mask in test.masks
    ]
    assert pixel_auroc(masks, maps) > 0.88
