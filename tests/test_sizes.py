"""Images of any size, any number of them, and images that hold next to nothing."""

import numpy as np
import pytest

from featad.detectors import (
    CSI,
    SSD,
    Autoencoder,
    FeatureFlow,
    PatchFlow,
    PerceptualAutoencoder,
    all_detectors,
)
from featad.systems import trains_networks
from featad.testing.tools import needs_labels

TINY = {
    "max_epochs": 1, "batch_size": 4, "width": 2, "n_blocks": 1, "n_steps": 2,
    "n_pixels": 500, "device": "cpu", "random_state": 0,
}  # fmt: skip
LEARNED = [cls for cls in all_detectors().values() if trains_networks(cls())]


def tiny(cls, **options):
    """Return a detector that trains quickly."""
    own = cls().get_params()
    return cls(**{k: v for k, v in (TINY | options).items() if k in own})


def labels_for(detector, n):
    """Return labels where a detector needs them: the last third is anomalous."""
    return (
        np.where(np.arange(n) < n - n // 3, 1, -1) if needs_labels(detector) else None
    )


def assert_maps_fit(detector, X):
    scores = detector.fit(X, labels_for(detector, len(X))).score_samples(X)
    assert scores.shape == (len(X),)
    assert np.isfinite(scores).all()
    if hasattr(detector, "anomaly_map"):
        maps = detector.anomaly_map(X)
        assert maps.shape == X.shape[:3]
        assert np.isfinite(maps).all()


@pytest.mark.parametrize("cls", LEARNED)
def test_maps_have_the_size_of_images_whose_sides_are_odd(cls):
    X = np.random.default_rng(0).random((5, 33, 17, 1), dtype=np.float32)
    assert_maps_fit(tiny(cls), X)  # five: one more than a batch


@pytest.mark.slow
@pytest.mark.parametrize("cls", LEARNED)
@pytest.mark.parametrize(
    "shape", [(39, 39, 1), (33, 65, 3), (17, 200, 1), (64, 1, 3), (234, 256, 3)]
)
def test_maps_have_the_size_of_images_of_every_shape(cls, shape):
    n = 3 if min(shape[:2]) > 200 else 5  # five: one more than a batch
    X = np.random.default_rng(0).random((n, *shape), dtype=np.float32)
    if cls is PerceptualAutoencoder and 1 in shape[:2]:  # its network halves them
        with pytest.raises(ValueError, match="64 x 1 pixels are too small for layer"):
            tiny(cls).fit(X)
    else:
        assert_maps_fit(tiny(cls), X)


@pytest.mark.parametrize("cls", LEARNED)
@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_images_are_enough_or_refused_before_training(cls, n, monkeypatch):
    X = np.random.default_rng(0).random((n, 9, 8, 3), dtype=np.float32)
    detector = tiny(cls)
    if needs_labels(detector) and n == 1:
        monkeypatch.setattr(cls, "_losses", None)  # training would call it
        with pytest.raises(ValueError, match=rf"{cls.__name__} learns from"):
            detector.fit(X, [1])
    elif n == 1 and cls in (CSI, SSD, FeatureFlow, PatchFlow):
        monkeypatch.setattr(cls, "_losses", None)
        with pytest.raises(ValueError, match=rf"{cls.__name__} needs at least 2 samp"):
            detector.fit(X)
    else:
        y = [1, -1] if needs_labels(detector) else None
        assert np.isfinite(detector.fit(X, y).score_samples(X)).all()


@pytest.mark.parametrize("cls", LEARNED)
@pytest.mark.parametrize("kind", ["black", "mask"])
def test_black_frames_and_masks_give_finite_losses_and_scores(cls, kind):
    rng = np.random.default_rng(0)
    X = np.zeros((12, 8, 8, 1)) if kind == "black" else rng.random((12, 8, 8, 1)) > 0.5
    X = X.astype(np.float32)
    detector = tiny(cls, max_epochs=2, lr=0.01, width=4)
    detector.fit(X, labels_for(detector, 12))
    for record in detector.history_:
        assert np.isfinite([v for v in record.values() if type(v) is float]).all()
    for images in (X, rng.random(X.shape, dtype=np.float32)):
        assert np.isfinite(detector.score_samples(images)).all()


def test_training_samples_that_are_all_equal_are_a_warning(recwarn):
    X = np.zeros((6, 8, 8, 1), dtype=np.float32)
    with pytest.warns(UserWarning, match="trains on are equal"):
        tiny(Autoencoder).fit(X)
    X[5, 0, 0] = 1
    recwarn.clear()
    tiny(Autoencoder).fit(X)
    assert not recwarn.list
