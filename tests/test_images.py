"""Every kind of image is read right, and every kind of rubbish is refused by name."""

import gc
import io
import pickle
import struct
import threading
import warnings
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from featad.detectors import KMeansDistance
from featad.errors import (
    ImageReadError,
    ImageReadWarning,
    ImageWarning,
)
from featad.images import (
    ImageReader,
    check_sources,
    content_hash,
    list_images,
    map_images,
    read_image,
)

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 9), dtype=np.uint16)


def _encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _huge_png_header():
    """Return a PNG file that promises 60,000 x 60,000 pixels and has none."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data))
            + name
            + data
            + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 99))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_lossless_color_is_read_to_the_bit(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    image = read_image(_encoded(Image.fromarray(RGB), kind, **options))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(np.round(image * 255), RGB)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_keep_their_depth(kind):
    image = read_image(_encoded(Image.fromarray(DEEP), kind), mode="L")
    np.testing.assert_allclose(image[..., 0], DEEP / 65535, atol=1e-4)


def test_16_bits_keep_their_depth_through_a_resize():
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    image = read_image(_encoded(Image.fromarray(ramp), "PNG"), mode="L", size=16)
    assert len(np.unique(image)) == 256
    assert image.mean() == pytest.approx(0.5, abs=1e-3)


def test_max_value_scales_12_bits_in_a_16_bit_file():
    data = _encoded(Image.fromarray(DEEP >> 4), "PNG")
    image = read_image(data, mode="L", max_value=4095)
    np.testing.assert_allclose(image[..., 0], (DEEP >> 4) / 4095, atol=1e-4)


def test_alpha_is_composed_on_white():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((0, 0), (255, 255, 255, 255))
    np.testing.assert_array_equal(read_image(_encoded(image, "PNG")), 1)
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    np.testing.assert_allclose(read_image(image), 127 / 255, atol=1 / 255)


def test_a_transparent_palette_is_composed_on_white():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    np.testing.assert_allclose(read_image(image)[0, 0] * 255, [10, 20, 30], atol=0.5)
    data = _encoded(image, "PNG", transparency=1)
    np.testing.assert_array_equal(read_image(data), 1)


def test_cmyk_becomes_rgb():
    data = _encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
    np.testing.assert_allclose(read_image(data)[4, 4], [1, 0, 0], atol=0.05)


def test_one_bit_and_gray_become_rgb():
    for mode, white in (("1", 1), ("L", 255), ("LA", (255, 255))):
        image = Image.new(mode, (4, 4), white)
        np.testing.assert_array_equal(read_image(image), np.ones((4, 4, 3)))


def test_color_becomes_gray_of_one_channel():
    assert read_image(RGB, mode="L").shape == (6, 9, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = Image.new("L", (40, 20), 0)
    upright.paste(255, (0, 0, 20, 10))  # the upper left quarter
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }.get(orientation, [])
    stored = upright
    for step in undo:
        stored = stored.transpose(step)
    data = _encoded(stored, "JPEG", exif=exif, quality=95)
    image = read_image(data, mode="L")[..., 0]
    assert image.shape == (20, 40)
    assert image[:8, :18].min() > 0.9
    assert image[12:].max() < 0.1


def test_of_an_animation_the_first_frame_is_read():
    frames = [Image.new("L", (8, 8), value) for value in (255, 0)]
    data = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.warns(ImageWarning, match="several pages or frames"):
        np.testing.assert_array_equal(read_image(data), 1)


def test_path_bytes_pil_and_array_give_the_same(tmp_path):
    path = tmp_path / "ü b.png"
    Image.fromarray(RGB).save(path)
    sources = [path, str(path), path.read_bytes(), Image.open(path), RGB]
    images = [read_image(source, size=4) for source in sources]
    for image in images:
        np.testing.assert_array_equal(image, images[0])


@pytest.mark.parametrize(
    "array",
    [RGB, RGB[..., 0], RGB[..., :1], RGB / 255, RGB > 9, RGB.astype(np.uint16) * 257],
)
def test_arrays_of_every_kind_come_in_the_unit_interval(array):
    image = read_image(array)
    assert image.shape == (6, 9, 3)
    assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.parametrize("arch", ["squeezenet1_1", "efficientnet_b0"])
def test_a_center_crop_equals_torchvisions_preset(arch):
    models = pytest.importorskip("torchvision.models")
    preset = models.get_model_weights(arch).DEFAULT.transforms()
    pixels = RNG.integers(0, 256, (97, 131, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    expected = preset(image).numpy().transpose(1, 2, 0)
    expected = expected * np.array(preset.std) + np.array(preset.mean)
    ours = read_image(
        image,
        size=preset.crop_size[0],
        crop_from=preset.resize_size[0],
        interpolation=preset.interpolation.value,
    )
    np.testing.assert_allclose(ours, expected, atol=1e-5)


PNG = _encoded(Image.fromarray(np.tile(RGB, (20, 20, 1))), "PNG")
JPEG = _encoded(Image.fromarray(np.tile(RGB, (20, 20, 1))), "JPEG")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text.png", b"this is a text file, not an image"),
        ("empty.jpg", b""),
        ("cut.jpg", JPEG[: len(JPEG) // 2]),
        ("cut.png", PNG[: len(PNG) // 2]),
        ("huge.png", _huge_png_header()),
        ("cut.tif", _encoded(Image.fromarray(RGB), "TIFF")[:-60]),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(name, data, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageReadError, match=name) as caught:
            read_image(path)
    assert str(path) in str(caught.value)


def test_missing_files_and_folders_are_refused_by_name(tmp_path):
    with pytest.raises(ImageReadError, match="none.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageReadError, match=tmp_path.name):
        read_image(tmp_path)


@pytest.mark.parametrize(
    "array",
    [
        np.full((4, 4), np.nan),
        np.full((4, 4), 7.5),
        np.full((4, 4), -0.5),
        np.zeros((4, 4, 2)),
        np.zeros(4),
        np.zeros((0, 4)),
        np.zeros((4, 4), dtype=np.int64),
        np.zeros((4, 4), dtype=complex),
    ],
)
def test_arrays_that_are_no_images_are_refused(array):
    with pytest.raises(ImageReadError):
        read_image(array)


def test_an_error_survives_pickling(tmp_path):
    error = ImageReadError("a.png", "it is empty")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_hash_is_of_the_contents(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PNG)
    same = {content_hash(tmp_path / "a.png"), content_hash(tmp_path / "b.png")}
    assert same == {content_hash(PNG)}
    assert content_hash(RGB) != content_hash(RGB[::-1])
    assert content_hash(RGB) != content_hash(RGB.reshape(9, 6, 3))


def test_map_images_keeps_the_order_and_hands_over_errors():
    sources = [RGB, b"rubbish", RGB]
    values = list(map_images(read_image, sources, n_jobs=2))
    assert [index for index, _ in values] == [0, 1, 2]
    assert isinstance(values[1][1], ImageReadError)
    assert "image 1" in str(values[1][1])


def test_map_images_looks_ahead_a_bounded_number_of_images():
    read = []
    images = map_images(lambda s: read.append(1), [RGB] * 500, n_jobs=2)
    next(images)
    assert len(read) <= 7
    images.close()


def test_map_images_ends_its_threads_when_the_consumer_stops():
    gc.collect()  # iterators that errors of other tests still hold
    images = map_images(read_image, [RGB] * 100, n_jobs=2)
    next(images)
    images.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("featad-images")]


@pytest.mark.parametrize(
    ("X", "error", "said"),
    [
        ("a.png", TypeError, r"Pass \[source\]"),
        (RGB, ValueError, r"Pass X\[None\]"),
        (np.zeros((5, 5)), ValueError, "got a table"),
        (np.zeros(5), ValueError, "Reshape your data"),
        (pd.DataFrame({"path": ["a.png"]}), TypeError, r"X\['path'\]"),
        ([], ValueError, r"0 sample\(s\)"),
        ([1, 2], TypeError, "item 0 is a int"),
        (np.zeros((2, 4, 4, 7)), ValueError, "1, 3 or 4 channels"),
        (iter([RGB]), TypeError, r"Pass list\(X\)"),
    ],
)
def test_what_is_no_collection_of_sources_is_refused(X, error, said):
    with pytest.raises(error, match=said):
        check_sources(X, estimator_name="ImageReader")


def test_the_reader_takes_lists_series_object_arrays_and_batches(image_folder, images):
    paths = list_images(image_folder)
    expected = ImageReader().fit_transform(paths)
    for X in (pd.Series(paths), np.array(paths, dtype=object), [str(p) for p in paths]):
        np.testing.assert_array_equal(ImageReader().fit_transform(X), expected)
    batch = ImageReader().fit_transform(images)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, images, atol=1e-6)


def test_the_reader_resizes_and_flattens(images):
    assert ImageReader(size=4).fit_transform(images).shape == (24, 4, 4, 3)
    flat = ImageReader(size=(4, 2), mode="L", flatten=True)
    assert flat.fit_transform(images).shape == (24, 8)
    assert len(flat.get_feature_names_out()) == 8


def test_images_of_different_sizes_need_a_size(images):
    mixed = [images[0], np.zeros((9, 9, 3), np.uint8)]
    with pytest.raises(ValueError, match="size="):
        ImageReader().fit_transform(mixed)
    assert ImageReader(size=8).fit_transform(mixed).shape == (2, 8, 8, 3)


def test_a_broken_image_is_raised_skipped_or_nan(image_folder):
    (image_folder / "2.png").write_bytes(b"")
    paths = list_images(image_folder)
    with pytest.raises(ImageReadError, match="2.png"):
        ImageReader().fit_transform(paths)
    with pytest.warns(ImageReadWarning, match=r"1 .*2\.png"):
        assert len(ImageReader(on_error="skip").fit_transform(paths)) == 5
    with pytest.warns(ImageReadWarning, match=r"2\.png"):
        batch = ImageReader(on_error="nan").fit_transform(paths)
    assert np.isnan(batch[2]).all()
    assert np.isfinite(np.delete(batch, 2, axis=0)).all()


def test_the_reader_stands_in_pipelines_and_clones(images):
    system = clone(make_pipeline(ImageReader(size=8, flatten=True), KMeansDistance(2)))
    assert system.fit(images).predict(images).shape == (24,)


def test_the_reader_has_column_names_for_pandas(images):
    reader = ImageReader(size=2, mode="L", flatten=True).set_output(transform="pandas")
    frame = reader.fit_transform(images)
    assert list(frame.columns) == list(reader.get_feature_names_out())
