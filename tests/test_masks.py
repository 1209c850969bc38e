"""Masks of any kind become True and False in one place."""

import io

import numpy as np
import pytest
from PIL import Image

from featad import read_mask
from featad.errors import ImageReadError

SPOT = np.zeros((24, 32), dtype=bool)
SPOT[8:16, 10:20] = True


def _png(pixels, mode=None, **options):
    image = Image.fromarray(pixels) if mode is None else pixels.convert(mode)
    file = io.BytesIO()
    image.save(file, format="PNG", **options)
    return file.getvalue()


GRAY = SPOT.astype(np.uint8) * 255
RED = np.where(SPOT[..., None], np.uint8([255, 0, 0]), np.uint8([0, 0, 0]))
BLUE_AND_WHITE = np.where(SPOT[..., None], np.uint8([0, 0, 255]), np.uint8([0, 0, 0]))
BLUE_AND_WHITE[8:12, 10:20] |= np.uint8([0, 0, 255])
BLUE_AND_WHITE[12:16, 10:20] = 255
CLEAR = np.dstack([np.full((24, 32, 3), 255, np.uint8), GRAY])
OPAQUE = np.dstack([GRAY, GRAY, GRAY, np.full((24, 32), 255, np.uint8)])
UNUSED = np.dstack([GRAY, GRAY, GRAY, np.zeros((24, 32), np.uint8)])


@pytest.mark.parametrize(
    "mask",
    [
        SPOT,
        GRAY,
        GRAY[..., None],
        GRAY // 255,
        SPOT.astype(float),
        GRAY.astype(">u2") * 257,
        RED,
        BLUE_AND_WHITE,
        CLEAR,
        OPAQUE,
        UNUSED,
        Image.fromarray(GRAY),
        Image.fromarray(SPOT),
        Image.fromarray(GRAY).convert("P"),
        Image.fromarray(RED).quantize(2),
        Image.fromarray(OPAQUE).convert("LA"),
        _png(GRAY),
        _png(CLEAR),
        _png(GRAY.astype(np.uint16) * 257),
    ],
)
def test_a_mask_of_any_form_is_true_where_it_is_bright(mask):
    found = read_mask(mask)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, SPOT)


def test_masks_of_a_defect_type_coded_as_gray_are_read(tmp_path):
    Image.fromarray(SPOT.astype(np.uint8) * 236).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), SPOT)


def test_class_numbers_are_anomalous_above_zero():
    classes = SPOT.astype(np.uint8)
    classes[8:12, 10:20] = 5
    np.testing.assert_array_equal(read_mask(classes), SPOT)


def test_the_traces_of_jpeg_compression_do_not_count(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "m.jpg", quality=60)
    assert len(np.unique(Image.open(tmp_path / "m.jpg"))) > 2
    np.testing.assert_array_equal(read_mask(tmp_path / "m.jpg"), SPOT)


def test_a_threshold_of_zero_takes_all_that_is_not_black():
    soft = GRAY.copy()
    soft[0, 0] = 3
    assert read_mask(soft).sum() == SPOT.sum()
    assert read_mask(soft, threshold=0).sum() == SPOT.sum() + 1


def test_a_black_mask_is_nowhere_true():
    assert not read_mask(np.zeros((4, 4), np.uint8)).any()


def test_several_masks_are_joined():
    other = np.zeros_like(GRAY)
    other[:2] = 255
    joined = read_mask([GRAY, other])
    np.testing.assert_array_equal(joined, SPOT | (other > 0))


def test_a_mask_is_resized_to_a_map():
    assert read_mask(GRAY, size=(12, 16)).sum() == SPOT.sum() / 4
    np.testing.assert_array_equal(read_mask(GRAY, size=(24, 32)), SPOT)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (b"text", "not a readable image"),
        (np.zeros((2, 3, 7)), r"expected a mask of shape.*\(2, 3, 7\)"),
        (np.full((2, 2), np.nan), "NaN"),
        ([GRAY, GRAY[:4]], "must have one size"),
        ("no such file.png", "no such file"),
    ],
)
def test_what_is_not_a_mask_is_refused(mask, said):
    with pytest.raises(ImageReadError, match=said):
        read_mask(mask)
