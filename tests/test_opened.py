"""Opened images are read as their files are, whoever loads them first."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from featad.errors import ImageReadError
from featad.features import BackboneFeatures
from featad.images import content_hash, read_image
from tests.test_image_notes import _png_of_16_bits

DEEP = 40 * np.arange(96, dtype=np.uint16).reshape(8, 12)
TWELVE_BITS, WHITE_IS_ZERO = {281: 4095}, {262: 0}
PGM = b"P5 2 1 4095\n" + struct.pack(">HH", 4095, 0)
COLOR = _png_of_16_bits(np.dstack([DEEP] * 3))


def _opened(data):
    return Image.open(io.BytesIO(data))


def _tiff(tags):
    buffer = io.BytesIO()
    Image.fromarray(DEEP).save(buffer, "TIFF", tiffinfo=tags)
    return _opened(buffer.getvalue())


def test_what_says_which_value_is_white_is_in_the_hash():
    images = [
        _tiff({}),
        _tiff(TWELVE_BITS),
        _tiff(WHITE_IS_ZERO),
        Image.fromarray(DEEP),
    ]
    assert len({content_hash(image) for image in images}) == 4
    assert content_hash(_tiff(TWELVE_BITS)) == content_hash(_tiff(TWELVE_BITS))
    scaled = _opened(PGM)
    whole = _opened(b"P5 2 1 65535\n" + struct.pack(">HH", 65535, 0))
    assert content_hash(scaled) != content_hash(whole)
    assert (scaled.mode, scaled.tobytes()) == (whole.mode, whole.tobytes())


def test_the_hash_of_8_bits_is_that_of_earlier_versions():
    image = Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12))
    assert content_hash(image).startswith("5cd0c14709762080")


@pytest.mark.filterwarnings("ignore::featad.errors.ImageWarning")
def test_a_cache_tells_images_of_other_ranges_apart(tmp_path):
    features = BackboneFeatures(
        "squeezenet1_1", layer="features.3", weights=None, image_size=20
    )
    images = [_tiff(TWELVE_BITS), _tiff(WHITE_IS_ZERO)]
    expected = features.transform(images)
    found = features.set_params(cache=tmp_path).transform(images)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_opened_pgm_is_read_by_its_own_range_however_often():
    image = _opened(PGM)
    for _ in range(2):
        found = read_image(image, mode="L", max_value=4095)
        np.testing.assert_array_equal(found[..., 0], [[1, 0]])
    content_hash(hashed := _opened(PGM))
    np.testing.assert_array_equal(read_image(hashed, mode="L", max_value=4095), found)


def test_16_bit_colors_of_an_opened_image_are_refused_also_once_it_is_hashed():
    image = _opened(COLOR)
    content_hash(image)
    with pytest.raises(ImageReadError, match="pass the path"):
        read_image(image)
