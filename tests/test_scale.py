"""Images given to detectors as arrays are on one scale in fit and in use."""

import warnings

import numpy as np
import pytest

from featad import ImageReader, make_pipeline
from featad.detectors import (
    Autoencoder,
    KMeansDistance,
    Mahalanobis,
    NearestNeighbors,
    OneClassSVM,
    PCAReconstruction,
)

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
DETECTORS = [
    KMeansDistance(2, random_state=0),
    Mahalanobis(),
    NearestNeighbors(),
    PCAReconstruction(),
    OneClassSVM(),
    Autoencoder(max_epochs=1, depth=1, random_state=0),
]


def _name(value):
    return type(value).__name__


@pytest.mark.parametrize("detector", DETECTORS, ids=_name)
def test_bytes_and_their_255th_parts_are_the_same_images(detector):
    detector.fit(BYTES)
    assert detector.image_range_ == (0, 1)
    scores = detector.score_samples(BYTES)
    for same in (BYTES / 255, BYTES / np.float32(255), BYTES.astype(np.uint16) * 257):
        np.testing.assert_allclose(detector.score_samples(same), scores, rtol=1e-3)
    floats = detector.fit((BYTES / np.float32(255)).astype(np.float32))
    np.testing.assert_allclose(floats.score_samples(BYTES), scores, rtol=1e-3)


@pytest.mark.parametrize("detector", DETECTORS, ids=_name)
def test_raw_values_are_refused_by_a_detector_of_images_in_the_unit_interval(detector):
    detector.fit(BYTES)
    with pytest.raises(ValueError, match=r"from 0 to 1, but X .* to 255.*X / 255"):
        detector.predict(BYTES.astype(float))


@pytest.mark.parametrize("detector", DETECTORS, ids=_name)
def test_other_scales_are_refused_by_a_detector_of_raw_values(detector):
    detector.fit(BYTES.astype(float))
    detector.predict(BYTES.astype(np.float32))
    with pytest.raises(ValueError, match=r"another scale\. Multiply X"):
        detector.predict(BYTES / 255)
    with pytest.raises(ValueError, match=r"X\.astype\(float\)"):
        detector.predict(BYTES)


def test_black_frames_and_bright_spots_are_scored_not_refused():
    detector = KMeansDistance(2, random_state=0).fit(BYTES.astype(float))
    detector.predict(np.zeros((2, 8, 8, 3)))
    detector.fit(BYTES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.predict(np.zeros((2, 8, 8, 3), np.uint8))
        detector.predict(np.full((2, 8, 8, 3), 1.5))  # restored or filtered images


def test_what_may_be_another_scale_is_a_warning():
    detector = KMeansDistance(2, random_state=0).fit(BYTES)
    for images in (BYTES / 127.5 - 1, BYTES / 60):
        with pytest.warns(UserWarning, match="Scale X as the training images"):
            detector.predict(images)
    detector.fit(BYTES.astype(float))
    with pytest.warns(UserWarning, match="from 0 to 255, but X has .* to 65535"):
        detector.predict(BYTES * 257.0)


def test_feature_maps_have_any_scale():
    maps = RNG.normal(size=(20, 4, 4, 8))
    detector = KMeansDistance(2, random_state=0).fit(maps)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.predict(100 * maps)
        detector.predict(np.abs(maps) / 10)


def test_a_detector_and_the_reader_see_the_same_pixels():
    direct = KMeansDistance(2, random_state=0).fit(BYTES)
    read = make_pipeline(ImageReader(), KMeansDistance(2, random_state=0)).fit(BYTES)
    np.testing.assert_array_equal(
        direct.score_samples(BYTES), read.score_samples(BYTES)
    )


def test_images_of_integers_take_four_bytes_a_value(monkeypatch):
    seen = []
    monkeypatch.setattr(KMeansDistance, "_fit", lambda self, X: seen.append(X.dtype))
    monkeypatch.setattr(KMeansDistance, "_strangeness", lambda self, X: np.ones(len(X)))
    for images in (BYTES, BYTES > 9, BYTES.astype(np.uint16), list(BYTES)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            KMeansDistance().fit(images)
    assert seen == [np.float32] * 4


def test_tables_of_integers_stay_as_they_are():
    table = RNG.integers(0, 256, (40, 6), dtype=np.uint8)
    detector = KMeansDistance(2, random_state=0).fit(table)
    assert detector.image_range_ is None
    np.testing.assert_array_equal(
        detector.score_samples(table), detector.score_samples(table.astype(float))
    )


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.uint32])
def test_integers_without_a_usual_range_are_refused(dtype):
    for images in (BYTES.astype(dtype), BYTES.astype(dtype).tolist()):
        with pytest.raises(ValueError, match=r"no usual range.* X / 255"):
            KMeansDistance().fit(images)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_a_depth_below_16_bits_is_said(bits):
    images = RNG.integers(0, 2**bits, (20, 8, 8)).astype(np.uint16)
    images[0, 0, 0] = 2**bits - 1
    with pytest.warns(UserWarning, match=rf"use {bits} of 16 bits.*X / {2**bits - 1}"):
        detector = KMeansDistance(2, random_state=0).fit(images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.predict(images)  # as in fit: nothing new
        detector.fit(images / (2**bits - 1))


def test_masks_of_zeros_and_ones_are_said_unless_they_are_bool():
    masks = BYTES > 100
    with pytest.warns(UserWarning, match=r"use 1 of 8 bits.*X / 1\."):
        KMeansDistance(2, random_state=0).fit(masks.astype(np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert KMeansDistance(2, random_state=0).fit(masks).image_range_ == (0, 1)


def test_bytes_in_a_16_bit_array_are_said_when_training_images_were_bright():
    detector = KMeansDistance(2, random_state=0).fit(BYTES)
    with pytest.warns(UserWarning, match="use 8 of 16 bits"):
        detector.predict(BYTES.astype(np.uint16))


@pytest.mark.parametrize("detector", DETECTORS, ids=_name)
def test_gray_images_score_alike_with_and_without_a_channel_axis(detector):
    gray = BYTES[..., 0] / 255
    detector.fit(gray)
    scores = detector.score_samples(gray)
    np.testing.assert_array_equal(detector.score_samples(gray[..., None]), scores)
    detector.fit(gray[..., None])
    np.testing.assert_allclose(detector.score_samples(gray), scores, rtol=1e-5)


@pytest.mark.parametrize(
    ("fitted", "given"), [((8, 8), (8, 8, 3)), ((8, 8, 3), (8, 8))]
)
def test_gray_and_color_are_not_mixed(fitted, given):
    detector = KMeansDistance(2, random_state=0).fit(RNG.random((9, *fitted)))
    match = rf"of shape \({fitted[0]}, .*of shape \({given[0]}, .*mode='L' or 'RGB'"
    with pytest.raises(ValueError, match=match):
        detector.predict(RNG.random((2, *given)))


def test_channels_first_are_said_and_not_mixed_with_channels_last():
    first = BYTES.transpose(0, 3, 1, 2) / 255
    with pytest.warns(UserWarning, match=r"channels first.*transpose\(0, 2, 3, 1\)"):
        KMeansDistance(2, random_state=0).fit(first)
    detector = KMeansDistance(2, random_state=0).fit(BYTES)
    with pytest.raises(ValueError, match=r"X\.transpose\(0, 2, 3, 1\)"):
        detector.predict(first)


def test_pooled_maps_and_narrow_images_are_not_taken_for_channels_first():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shape in ((9, 1, 1, 64), (9, 3, 3, 64), (9, 8, 8, 3), (9, 1, 64)):
            KMeansDistance(1, random_state=0).fit(RNG.random(shape))


def test_torch_tensors_are_taken_and_loaders_refused_with_the_way_out():
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, TensorDataset

    x = torch.from_numpy(BYTES.transpose(0, 3, 1, 2).copy())
    detector = KMeansDistance(2, random_state=0).fit(x.permute(0, 2, 3, 1))
    assert detector.image_range_ == (0, 1)
    with pytest.warns(UserWarning, match=r"X\.permute\(0, 2, 3, 1\)\.numpy\(\)"):
        detector.fit(x)
    for X, said in (
        (TensorDataset(x), r"np\.stack"),
        (DataLoader(TensorDataset(x)), r"np\.concatenate"),
    ):
        with pytest.raises(TypeError, match=said):
            detector.fit(X)
