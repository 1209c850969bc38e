"""Every learned detector finds odd images, and its untrained self finds fewer."""

import pytest
from sklearn.base import clone

from featad import (
    DualDiscriminatorGAN,
    PCAReconstruction,
    ReconstructionGAN,
    anomaly_scores,
)
from featad.metrics import auroc
from featad.registry import learned

pytestmark = [pytest.mark.data, pytest.mark.slow]

ON_EIGHTS = {  # AUROC to reach, images to test, parameters; PCA reaches 0.857 on 2,000
    "autoencoder": (0.907, 2000, {}),
    "centered": (0.907, 2000, {}),
    "unet": (0.88, 2000, {"max_epochs": 15}),
    "inpainting": (0.75, 400, {"max_epochs": 15}),
    "symmetric": (0.77, 2000, {"max_epochs": 12}),
    "vae": (0.907, 2000, {}),
    "restoration": (0.90, 600, {"dense": True, "max_epochs": 60}),
    "anogan": (0.82, 800, {}),
    "fanogan": (0.88, 2000, {}),
    "ganomaly": (0.83, 2000, {}),
    "trimmedgan": (0.75, 2000, {"max_epochs": 100}),
    "bigan": (0.75, 2000, {"max_epochs": 100}),
    "alad": (0.75, 2000, {"max_epochs": 70}),
    "progressive": (0.80, 2000, {"max_epochs": 10}),
    "deep-svdd": (0.907, 2000, {}),
}
ELSEWHERE = {
    "csi": "coats in test_contrast.py: its untrained self finds many",
    "contrasts": "hazelnuts in test_contrast_translation.py: a digit has one channel",
    "deep-sad": "digits in test_deep_sad.py: with a few labels and without",
    "discriminator": "zeros in test_discriminator_gan.py: three seeds",
    "fence": "digits in test_fence_gan.py: with its fence and without",
    "madgan": "a phantom in test_madgan.py: a digit has no slices",
    "ssd": "coats in test_contrast.py: its untrained self finds many",
    "perceptual": "transistors in test_perceptual_autoencoder.py: their maps",
}


def test_every_learned_detector_is_held_to_a_floor():
    assert ON_EIGHTS.keys() | ELSEWHERE.keys() == learned().keys()


@pytest.mark.parametrize("kind", ON_EIGHTS)
def test_a_learned_detector_finds_other_digits_among_eights(kind, eights):
    floor, n_test, params = ON_EIGHTS[kind]
    trained = learned()[kind].make().set_params(random_state=0, device="cpu", **params)
    untrained = clone(trained).set_params(max_epochs=0)
    found, before = areas((trained, untrained), eights, n_test)
    assert found > max(floor, before + 0.1)


def test_pca_finds_fewer_than_the_floors_above_it_say(eights):
    (found,) = areas((PCAReconstruction(32),), eights)
    assert found == pytest.approx(0.857, abs=0.001)


@pytest.mark.parametrize(
    ("detector", "floor"), [(ReconstructionGAN, 0.98), (DualDiscriminatorGAN, 0.975)]
)
def test_with_labels_it_tells_t_shirts_from_the_kinds_it_was_shown(
    detector, floor, t_shirts
):
    X, y, X_test, y_test = t_shirts
    options = {"dense": True, "batch_size": 256, "lr": 2e-3, "random_state": 0}
    found, before = (
        auroc(y_test, anomaly_scores(one.fit(X, y), X_test))
        for one in (detector(max_epochs=epochs, **options) for epochs in (2, 0))
    )
    assert found > max(floor, before + 0.1)


def areas(detectors, digits, n_test=2000):
    train, X, y = digits
    return [
        auroc(y[:n_test], anomaly_scores(one.fit(train), X[:n_test]))
        for one in detectors
    ]
