"""P-values and anomaly maps of whole systems, whatever their parts."""

import numpy as np
import pytest
from PIL import Image
from sklearn.frozen import FrozenEstimator

import featad
from featad.detectors import Autoencoder, Mahalanobis, VAERestoration
from featad.images import ImageReader

TINY = {"width": 4, "max_epochs": 1, "device": "cpu", "random_state": 0}


@pytest.fixture(scope="module")
def pictures():
    """Return 12 images of 20 x 26 pixels."""
    return np.random.default_rng(0).integers(0, 255, (12, 20, 26, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def system(pictures):
    steps = ImageReader(size=8), Autoencoder(2, **TINY)
    return featad.make_pipeline(*steps).fit(pictures)


def test_maps_have_the_size_of_the_images(system, pictures):
    maps = featad.anomaly_maps(system, pictures)
    assert maps.shape == (12, 20, 26)
    assert maps.dtype == np.float32


def test_maps_have_the_detector_s_size_if_asked(system, pictures):
    expected = system[-1].anomaly_map(system[:-1].transform(pictures))
    found = featad.anomaly_maps(system, pictures, resize=False)
    np.testing.assert_array_equal(found, expected)


def test_maps_of_files_of_several_sizes_are_a_list(system, pictures, tmp_path):
    paths = [str(tmp_path / "a.png"), tmp_path / "b.png"]
    Image.fromarray(pictures[0]).save(paths[0])
    Image.fromarray(pictures[1, :11]).save(paths[1])
    maps = featad.anomaly_maps(system, paths)
    assert [one.shape for one in maps] == [(20, 26), (11, 26)]


def test_maps_come_from_calibrated_and_frozen_systems(system, pictures):
    frozen = FrozenEstimator(system)
    expected = featad.anomaly_maps(system, pictures)
    calibrated = featad.calibrate(frozen, target_fpr=0.1).fit(pictures)
    np.testing.assert_array_equal(featad.anomaly_maps(calibrated, pictures), expected)
    fitted = featad.calibrate(system, target_fpr=0.3, random_state=0).fit(pictures)
    assert featad.anomaly_maps(fitted, pictures).shape == (12, 20, 26)


def test_an_image_that_cannot_be_read_is_named(system, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(featad.errors.ImageReadError, match=r"broken\.png"):
        featad.anomaly_maps(system, [tmp_path / "broken.png"])


def test_p_values_of_a_system_are_those_of_its_detector(pictures):
    reader = ImageReader(size=4, flatten=True)
    system = featad.make_pipeline(reader, Mahalanobis())
    system = featad.calibrate(system, target_fpr=0.3).fit(pictures)
    expected = system[-1].p_values(system[:-1].transform(pictures))
    np.testing.assert_array_equal(featad.p_values(system, pictures), expected)


def test_p_values_of_parts_are_in_the_order_of_their_sorted_names(pictures):
    parts = np.repeat(["d", "c", "b", "a"], 3)
    system = featad.make_pipeline(ImageReader(size=4, flatten=True), Mahalanobis())
    system = featad.calibrate(system, target_fpr=0.3)
    system.fit(pictures, detector__groups=parts)
    found = featad.p_values(system, pictures, groups=parts)
    alone = [
        featad.p_values(system, pictures[parts == p], groups=["x"] * 3) for p in "abcd"
    ]
    np.testing.assert_array_equal(found, np.concatenate(alone))


def test_a_system_without_calibration_has_no_p_values(system, pictures):
    with pytest.raises(TypeError, match=r"ends in Autoencoder. Fit featad\.calibrate"):
        featad.p_values(system, pictures)


@pytest.mark.parametrize(
    "detector", [Autoencoder(2, **TINY), VAERestoration(2, n_steps=3, **TINY)]
)
@pytest.mark.parametrize("kind", ["color", "gray", "table", "beyond 1"])
def test_samples_are_restored_in_their_own_shape_and_units(detector, kind):
    images = np.random.default_rng(0).random((10, 8, 8, 3))
    X = {
        "color": images,
        "gray": images[..., 0],
        "table": 50 + 9 * images[:, 0, 0],
        "beyond 1": 50 + 9 * images,
    }[kind]
    restored = detector.fit(X).restore(X[:4])
    assert restored.shape == X[:4].shape
    assert restored.dtype == np.float32
    assert np.abs(restored - X.mean()).max() < 5 * (X.max() - X.min())


def test_what_is_restored_tells_the_error_map():
    X = np.random.default_rng(0).random((10, 8, 8, 3)).astype(np.float32)
    detector = Autoencoder(2, loss="mse", **TINY).fit(X)
    errors = ((detector.restore(X) - X) ** 2).mean(axis=-1)
    np.testing.assert_allclose(detector.anomaly_map(X), errors, rtol=1e-3, atol=1e-6)


def test_detectors_that_guess_a_part_from_another_restore_nothing():
    assert not hasattr(featad.Inpainting(), "restore")
    assert not hasattr(featad.FenceGAN(), "restore")
    assert hasattr(featad.AnoGAN(), "restore")
