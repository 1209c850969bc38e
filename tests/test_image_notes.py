"""What may not be as it is meant is said once a run, with a count and first names."""

import io
import struct
import warnings
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone

from featad import KMeansDistance, make_pipeline, read_image, score_images
from featad.errors import ImageWarning
from featad.features import BackboneFeatures, FilterBankFeatures
from featad.images import ImageReader, Notes

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (8, 12, 3), dtype=np.uint8)


def _encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _warnings_of(job):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        job()
    return [str(w.message) for w in caught if issubclass(w.category, ImageWarning)]


def _of_depth(bits):
    values = RNG.integers(0, 2**bits, (8, 12)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    return values


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "array"])
def test_a_depth_below_16_bits_is_said_with_the_max_value_to_pass(bits, kind):
    values = _of_depth(bits)
    data = values if kind == "array" else _encoded(Image.fromarray(values), kind)
    white = 2**bits - 1
    with pytest.warns(
        ImageWarning, match=f"uses {bits} of 16 bits.*max_value={white} "
    ):
        read_image(data, mode="L")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(data, mode="L", max_value=white).max() == 1
        read_image(data, mode="L", max_value=65535)  # they are that dark


def _png_of_16_bits(values):
    """Return a PNG file, which Pillow does not write: gray + alpha, RGB or RGBA."""
    height, width, n_channels = values.shape
    color_type = {2: 4, 3: 2, 4: 6}[n_channels]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


CLEAR, OPAQUE = np.zeros((8, 12), np.uint16), np.full((8, 12), 65535, np.uint16)


def test_deep_color_and_alpha_are_looked_at_as_well():
    color = np.dstack([_of_depth(12) for _ in range(3)])
    alpha = np.dstack([color, OPAQUE])
    files = [_png_of_16_bits(values) for values in (color, alpha, alpha[..., 2:])]
    for source in (color, alpha, color.astype(">u2"), *files):
        with pytest.warns(ImageWarning, match="max_value=4095"):
            read_image(source)
        expected = color[..., 2:] if source is files[2] else color
        image = read_image(source, max_value=4095)
        np.testing.assert_allclose(
            image, np.broadcast_to(expected / 4095, color.shape), atol=1e-6
        )


@pytest.mark.parametrize("peak", [40_000, 65_535, 0])
def test_whole_16_bits_and_black_images_say_nothing(peak):
    values = np.full((4, 4), peak, np.uint16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(_encoded(Image.fromarray(values), "PNG"))


def test_8_bit_images_of_zeros_and_ones_are_said():
    masks = [(RGB > 99).astype(np.uint8)] * 3
    with pytest.warns(ImageWarning, match=r"3 images whose 8-bit.*--max-value 1 "):
        ImageReader().fit_transform(masks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ImageReader(max_value=1).fit_transform(masks).max() == 1
        ImageReader().fit_transform([RGB > 99, np.zeros_like(RGB)])


def test_a_pgm_that_declares_its_depth_is_read_by_it_whatever_max_value_says():
    pgm = b"P5 2 1 4095\n" + struct.pack(">HH", 4095, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for max_value in (None, 4095):
            image = read_image(pgm, mode="L", max_value=max_value)
            np.testing.assert_array_equal(image[..., 0], [[1, 0]])


def test_the_brightest_image_of_the_run_decides():
    dark, bright = np.full((4, 4), 900, np.uint16), np.full((4, 4), 50_000, np.uint16)
    assert _warnings_of(lambda: ImageReader().fit_transform([dark, bright])) == []
    [said] = _warnings_of(lambda: ImageReader().fit_transform([dark] * 40))
    assert said.startswith("The brightest of 40 16-bit images uses 10 of 16 bits")


def test_every_transformer_says_it_once_with_count_and_first_name(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path in paths:
        Image.fromarray(_of_depth(12)).save(path)
    small = {"layer": "features.3", "weights": None, "image_size": 32}
    for transformer in (
        ImageReader(n_jobs=2),
        ImageReader(n_jobs=1),
        FilterBankFeatures(size=8),
        BackboneFeatures("squeezenet1_1", **small),
    ):
        [said] = _warnings_of(lambda t=transformer: t.fit_transform(paths))
        assert "of 6 16-bit images uses 12 of 16 bits" in said
        assert "0.png" in said
        transformer.set_params(max_value=4095)
        assert _warnings_of(lambda t=transformer: t.fit_transform(paths)) == []


def test_scoring_in_batches_says_it_once(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path in paths:
        Image.fromarray(_of_depth(12)).save(path)
    system = make_pipeline(
        ImageReader(flatten=True, mode="L"), KMeansDistance(1, random_state=0)
    )
    assert len(_warnings_of(lambda: system.fit(paths))) == 1
    [said] = _warnings_of(lambda: list(score_images(system, paths, batch_size=2)))
    assert "of 6 16-bit images" in said


def test_a_file_counts_once_however_often_a_run_reads_it(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(_of_depth(12)).save(path)
    notes = Notes()
    with notes.taken():
        for _ in range(3):
            ImageReader().transform([path])
    with pytest.warns(ImageWarning, match="An image uses 12 of 16 bits"):
        notes.tell()
    assert _warnings_of(notes.tell) == []


def test_a_file_has_its_name_with_a_cache_too(tmp_path):
    path = tmp_path / "scan.tif"
    WHITE.save(path, save_all=True, append_images=[BLACK])
    plain = BackboneFeatures(
        "squeezenet1_1", layer="features.3", weights=None, image_size=20
    )
    cached = clone(plain).set_params(cache=tmp_path / "cache")
    notes = Notes()
    with notes.taken():
        for features in (cached, plain):
            features.transform([path])
    with pytest.warns(ImageWarning, match=r"1 image with several .*scan\.tif\)"):
        notes.tell()


def test_8_bit_exports_of_12_bit_images_score_alike():
    deep = [_of_depth(12) for _ in range(20)]
    system = make_pipeline(
        ImageReader(flatten=True, mode="L", max_value=4095),
        KMeansDistance(1, random_state=0),
    ).fit(deep)
    exported = [(values >> 4).astype(np.uint8) for values in deep]
    files = [_encoded(Image.fromarray(values), "PNG") for values in exported]
    for sources in (exported, files):
        np.testing.assert_allclose(
            system.score_samples(sources), system.score_samples(deep), rtol=0.02
        )


def _bmp_without_alpha():
    """Return a 32-bit BMP with a BITMAPV4 header whose fourth byte is never set."""
    height, width = RGB.shape[:2]
    pixels = np.dstack([RGB[::-1, :, ::-1], np.zeros((height, width), np.uint8)])
    body = pixels.tobytes()
    header = struct.pack(
        "<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(body), *[0] * 4
    )
    header += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = header.ljust(108, b"\0")
    return struct.pack("<2sIHHI", b"BM", 122 + len(body), 0, 0, 122) + header + body


RGBX = np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])


@pytest.mark.parametrize(
    "source",
    [
        _bmp_without_alpha(),
        _encoded(Image.fromarray(RGBX), "PNG"),
        _encoded(Image.fromarray(RGBX), "TIFF"),
        _png_of_16_bits(RGBX.astype(np.uint16) * 257),
        RGBX,
        RGBX.astype(np.uint16) * 257,
        RGBX / 255,
        Image.fromarray(RGBX),
    ],
    ids=["bmp", "png", "tiff", "png16", "uint8", "uint16", "float", "pil"],
)
def test_an_alpha_channel_of_zeros_is_unused(source):
    with pytest.warns(ImageWarning, match="1 image with an alpha channel that is zero"):
        image = read_image(source)
    np.testing.assert_allclose(image * 255, RGB, atol=1e-4)


def test_a_gray_alpha_channel_of_zeros_is_unused():
    gray = Image.fromarray(np.dstack([RGB[..., 0], RGBX[..., 3]]), "LA")
    deep = np.dstack([RGB[..., 0].astype(np.uint16) * 257, CLEAR])
    for data in (_encoded(gray, "PNG"), _png_of_16_bits(deep)):
        with pytest.warns(ImageWarning, match="alpha channel"):
            image = read_image(data, mode="L")
        np.testing.assert_allclose(image[..., 0] * 255, RGB[..., 0], atol=1e-4)


WHITE, BLACK = Image.new("RGB", (8, 8), "white"), Image.new("RGB", (8, 8))


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_further_pages_and_frames_are_not_left_out_in_silence(kind, tmp_path):
    data = _encoded(WHITE, kind, save_all=True, append_images=[BLACK, WHITE])
    one = _encoded(WHITE, kind)
    paths = [tmp_path / f"{i}.img" for i in range(4)]
    for path, content in zip(paths, (one, data, data, one), strict=True):
        path.write_bytes(content)
    [said] = _warnings_of(lambda: ImageReader().fit_transform(paths))
    assert said.startswith("Read 2 images with several pages or frames (first: ")
    assert "1.img" in said
    assert "0.img" not in said
    with Image.open(paths[1]) as image, pytest.warns(ImageWarning, match="several"):
        read_image(image)


def test_a_page_that_was_chosen_says_nothing(tmp_path):
    path = tmp_path / "a.tif"
    WHITE.save(path, save_all=True, append_images=[BLACK])
    with Image.open(path) as image, warnings.catch_warnings():
        warnings.simplefilter("error")
        image.seek(1)
        assert read_image(image).max() == 0
        assert read_image(image.copy()).max() == 0


def test_smaller_copies_in_a_tiff_are_not_pages():
    small = Image.new("RGB", (4, 4), "white")
    options = {"save_all": True, "append_images": [small], "tiffinfo": {254: 1}}
    data = _encoded(WHITE, "TIFF", **options)
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        assert image.tag_v2[254] == 1
    assert _warnings_of(lambda: read_image(data)) == []


@pytest.mark.parametrize(
    "transformer",
    [
        ImageReader(size=4, flatten=True, on_error="skip"),
        FilterBankFeatures(size=8, on_error="skip"),
        BackboneFeatures(
            "squeezenet1_1",
            layer="features.3",
            weights=None,
            image_size=32,
            normalize=True,
            on_error="skip",
        ),
    ],
    ids=lambda transformer: type(transformer).__name__,
)
@pytest.mark.filterwarnings("ignore::featad.errors.ImageReadWarning")
def test_data_frames_keep_the_index_of_the_images_that_were_read(transformer):
    data = _encoded(WHITE, "PNG")
    series = pd.Series([data, b"", data, data], index=[10, 20, 30, 40])
    transformer.set_output(transform="pandas")
    frame = transformer.fit_transform(series)
    assert list(frame.index) == [10, 30, 40]
    assert list(frame.columns) == list(transformer.get_feature_names_out())
    assert list(transformer.transform(list(series)).index) == [0, 2, 3]
    assert list(transformer.transform(series[[10, 40]]).index) == [10, 40]
    transformer.set_output(transform="default")
    assert isinstance(transformer.transform(series), np.ndarray)


def test_columns_are_those_of_the_parameters_in_force():
    features = BackboneFeatures(
        "squeezenet1_1", layer="features.3", weights=None, image_size=32
    ).set_output(transform="pandas")
    images = RNG.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    features.fit(images).set_params(layer="features.6")
    frame = features.transform(images)
    assert frame.columns[0] == "features.6_mean_0"
