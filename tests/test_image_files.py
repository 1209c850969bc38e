"""Files are opened whatever else they hold, and what cannot be read names a way out."""

import io
import logging
import pickle
import struct
import sys
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image, PngImagePlugin

from featad.errors import ImageReadError, ImageWarning
from featad.features import BackboneFeatures, FilterBankFeatures
from featad.images import (
    ImageReader,
    Notes,
    check_sources,
    content_hash,
    describe_source,
    map_images,
    read_image,
)
from featad.images.budget import PixelBudget, claim

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (8, 12, 3), dtype=np.uint8)


def _encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


PNG = _encoded(Image.fromarray(RGB), "PNG")
JPEG = _encoded(Image.fromarray(np.tile(RGB, (8, 8, 1))), "JPEG")
EXIF = Image.Exif()
EXIF[0x0112] = 6  # stored on its side
EXIF = EXIF.tobytes()  # begins with "Exif\0\0"


def _png_with(kind, content):
    place = PNG.index(b"IDAT") - 4
    return PNG[:place] + _chunk(kind, content) + PNG[place:]


def _jpeg_with(content, marker=0xE1):
    return (
        JPEG[:2]
        + struct.pack(">BBH", 0xFF, marker, len(content) + 2)
        + content
        + (JPEG[2:])
    )


DAMAGED = {
    "no tiff": _png_with(b"eXIf", bytes.fromhex("0008000201120003")),
    "png cut": _png_with(b"eXIf", EXIF[6:20]),
    "empty": _jpeg_with(b"Exif\0\0"),
    "cut": _jpeg_with(EXIF[:20]),
    "cut in the header": _jpeg_with(EXIF[:12]),
    "turn of 77": _jpeg_with(EXIF.replace(b"\0\1\0\6", b"\0\1\0\x4d")),
    "far away": _jpeg_with(b"Exif\0\0MM\0*\xff\xff\xff\xf0"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_exif_does_not_cost_the_pixels_even_where_warnings_are_errors(name):
    plain = read_image(PNG if DAMAGED[name].startswith(b"\x89PNG") else JPEG)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(DAMAGED[name]), plain)


@pytest.mark.parametrize("order", [b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0"])
def test_exif_without_entries_is_not_damaged(order, caplog):
    read_image(_jpeg_with(b"Exif\0\0" + order + bytes(6)))
    assert not caplog.records


def test_damaged_exif_is_said_once_a_run_with_the_first_names(tmp_path, caplog):
    paths = [tmp_path / f"{i}.jpg" for i in range(5)]
    for path in paths:
        path.write_bytes(DAMAGED["cut"])
    with caplog.at_level(logging.WARNING, "featad"):
        ImageReader(size=4, n_jobs=2).fit_transform(paths)
    assert len(caplog.records) == 1
    assert "5 images with damaged EXIF" in caplog.text
    assert "0.jpg" in caplog.text
    assert "4.jpg" not in caplog.text


@pytest.mark.parametrize(
    "data",
    [
        _jpeg_with(EXIF),
        _jpeg_with(b"Exif\0\0" + EXIF),
        _jpeg_with(b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'),
        _png_with(b"eXIf", EXIF[6:]),
        _png_with(
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(b"\nexif\n      32\n" + EXIF.hex().encode() + b"\n"),
        ),
    ],
    ids=["jpeg", "header twice", "xmp", "png", "imagemagick"],
)
def test_the_orientation_is_found_wherever_programs_write_it(data):
    turned = read_image(data)
    stored = read_image(PNG if data.startswith(b"\x89PNG") else JPEG)
    np.testing.assert_array_equal(turned, np.rot90(stored, -1))


def test_an_opened_image_with_damaged_exif_is_read_and_hashed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, at opening
        image = Image.open(io.BytesIO(_jpeg_with(EXIF[:20])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(image), read_image(JPEG))
        assert content_hash(image) == content_hash(Image.open(io.BytesIO(JPEG)))


def test_long_texts_and_profiles_are_left_aside():
    text = PngImagePlugin.PngInfo()
    text.add_text("x", "a" * (3 << 20), zip=True)
    image = Image.fromarray(RGB)
    for options in ({"pnginfo": text}, {"icc_profile": b"a" * (3 << 20)}):
        read = read_image(_encoded(image, "PNG", **options))
        np.testing.assert_array_equal(np.round(read * 255), RGB)


def test_what_pixels_need_is_kept():
    adobe = _encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
    assert b"Adobe" in adobe
    np.testing.assert_allclose(read_image(adobe)[4, 4], [1, 0, 0], atol=0.05)
    clear = _encoded(Image.new("RGB", (2, 2), (9, 9, 9)), "PNG", transparency=(9, 9, 9))
    np.testing.assert_array_equal(read_image(clear), 1)


def test_a_truncated_jpeg_is_read_as_far_as_it_goes_when_accepted():
    for missing in (20, 200):
        with pytest.raises(ImageReadError, match="truncated"):
            read_image(JPEG[:-missing])
        with pytest.warns(ImageWarning, match="1 image without the last bytes"):
            image = read_image(JPEG[:-missing], truncated="accept")
        np.testing.assert_array_equal(image[:40], read_image(JPEG)[:40])


def test_accepting_damage_says_nothing_of_whole_files():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(JPEG + b"junk" * 99, truncated="accept")
        read_image(PNG, truncated="accept")


def test_every_transformer_accepts_truncated_files_when_told():
    small = {"layer": "features.3", "weights": None, "image_size": 32}
    for transformer in (
        ImageReader(size=8, flatten=True, truncated="accept"),
        FilterBankFeatures(size=8, truncated="accept"),
        BackboneFeatures("squeezenet1_1", truncated="accept", **small),
    ):
        with pytest.warns(ImageWarning, match="2 images without the last bytes"):
            rows = transformer.fit_transform([JPEG[:-200], JPEG, JPEG[:-100]])
        assert np.isfinite(rows).all()


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)


def test_heic_without_its_package_names_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_1.jpg"
    path.write_bytes(HEIC)
    with pytest.raises(ImageReadError, match=r"IMG_1\.jpg.*HEIF.*pip install"):
        read_image(path)


def test_heic_is_read_with_its_package_whatever_the_name(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    if int(PIL.__version__.split(".")[0]) < 12:
        pytest.skip("newer releases of pillow-heif need a newer Pillow")
    path = tmp_path / "IMG_1.jpg"
    gray = Image.new("RGB", (64, 48), (90, 90, 90))
    heif.from_pillow(gray).save(path, quality=90)
    opened = heif.HeifImageFile(path)
    for source in (path, path.read_bytes(), opened):
        image = read_image(source)
        assert image.shape == (48, 64, 3)
        np.testing.assert_allclose(image, 90 / 255, atol=0.02)


def test_a_format_that_a_plugin_registered_is_read(monkeypatch):
    class Plugin(PngImagePlugin.PngImageFile):
        format = "NEW"

        def _open(self):
            self.fp.read(4)
            self.fp = io.BytesIO(self.fp.read())
            super()._open()

    Image.init()
    monkeypatch.setitem(Image.OPEN, "NEW", (Plugin, lambda head: head[:4] == b"NEW!"))
    image = read_image(b"NEW!" + PNG)
    np.testing.assert_array_equal(np.round(image * 255), RGB)


@pytest.mark.parametrize("kind", ["JPEG2000", "AVIF"])
def test_further_formats_of_pillow_are_read(kind):
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow is built without {kind}")
    data = _encoded(Image.new("RGB", (64, 64), (90, 90, 90)), kind)
    np.testing.assert_allclose(read_image(data), 90 / 255, atol=0.02)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x93NUMPY" + bytes(99), r"numpy\.load"),
        (b"%PDF-1.7" + bytes(99), "PDF"),
        (bytes(128) + b"DICM" + bytes(9), r"pydicom\.dcmread"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\0" * 99, "supported formats: PNG, JPEG"),
        (b"x", "supported formats"),
    ],
)
def test_other_files_are_named_with_the_way_out(data, said):
    with pytest.raises(ImageReadError, match=said):
        read_image(data)


def test_beyond_the_limit_of_pixels_the_way_out_is_named_and_works(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # Pillow refuses the double
    for source in (PNG, RGB, Image.fromarray(RGB)):
        with pytest.raises(ImageReadError, match=r"max_pixels=96 \(--max-pixels 96"):
            read_image(source)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_image(source, max_pixels=96).shape == (8, 12, 3)
    with pytest.raises(ImageReadError, match="limit of 95"):
        read_image(PNG, max_pixels=95)
    assert ImageReader(max_pixels=96).fit_transform([PNG]).shape == (1, 8, 12, 3)


def test_threads_decode_no_more_pixels_at_a_time_than_the_budget():
    budget, lock, running, most = PixelBudget(100), threading.Lock(), [0], [0]

    def read(pixels):
        with budget.reading():
            claim(pixels)
            claim(pixels)  # an image that is opened twice counts once
            with lock:
                running[0] += pixels
                most[0] = max(most[0], running[0])
            time.sleep(0.005)
            with lock:
                running[0] -= pixels

    threads = [threading.Thread(target=read, args=(40,)) for _ in range(8)]
    threads.append(threading.Thread(target=read, args=(250,)))  # alone
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert 80 <= most[0] <= 250
    assert running == [0]


def test_a_failed_image_gives_its_pixels_back():
    data = [JPEG[:-99]] * 3
    results = map_images(lambda s: read_image(s), data, n_jobs=2)
    assert all(isinstance(error, ImageReadError) for _, error in results)


@pytest.mark.parametrize("kind", [bytearray, memoryview, io.BytesIO])
def test_what_holds_a_file_in_memory_is_taken_as_its_bytes(kind):
    source = kind(PNG)
    if kind is io.BytesIO:
        source.read()  # wherever it was read up to
    for _ in range(2):
        np.testing.assert_array_equal(read_image(source), read_image(PNG))
    assert content_hash(source) == content_hash(PNG)
    assert describe_source(source, 3) == f"image 3 ({len(PNG)} bytes)"
    assert len(ImageReader().fit_transform([source, source])) == 2


def test_open_files_are_refused_with_the_way_out(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with path.open("rb") as file, pytest.raises(TypeError, match=r"source\.read\(\)"):
        check_sources([file], estimator_name="ImageReader")


def test_the_home_folder_and_file_urls_are_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    path = tmp_path / "a b.png"
    path.write_bytes(PNG)
    for source in ("~/a b.png", Path("~/a b.png"), path.as_uri()):
        np.testing.assert_array_equal(read_image(source), read_image(PNG))
        assert content_hash(source) == content_hash(PNG)


@pytest.mark.parametrize("url", ["s3://bucket/a.png", "https://example.org/a.png"])
def test_urls_are_refused_with_the_way_out(url):
    with pytest.raises(ImageReadError, match="reads local files"):
        read_image(url)
    with pytest.raises(ImageReadError, match="reads local files"):
        content_hash(Path(url))


def test_one_opened_image_may_be_given_to_many_threads(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.tile(RGB, (20, 20, 1))).save(path)
    for _ in range(10):
        with Image.open(path) as image:
            batch = ImageReader(size=8, n_jobs=8).transform([image] * 16)
        np.testing.assert_array_equal(batch, batch[:1].repeat(16, axis=0))


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">f8", "<u2"])
def test_arrays_of_either_byte_order_are_the_same(dtype):
    native = np.dtype(dtype).newbyteorder("=")
    values = (RGB * 257.0 if dtype[1] == "u" else RGB / 255).astype(native)
    np.testing.assert_array_equal(read_image(values.astype(dtype)), read_image(values))


def test_integers_without_a_usual_range_need_max_value():
    with pytest.raises(ImageReadError, match="int32 values .* max_value"):
        read_image(RGB.astype(np.int32))
    image = read_image(RGB.astype(np.int64), max_value=255)
    np.testing.assert_allclose(image, read_image(RGB), atol=1e-7)


def test_channels_first_are_refused_with_the_way_out():
    with pytest.raises(ImageReadError, match=r"np\.moveaxis\(array, 0, -1\)"):
        read_image(RGB.transpose(2, 0, 1))
    with pytest.raises(ValueError, match=r"X\.transpose\(0, 2, 3, 1\)"):
        check_sources(np.zeros((2, 3, 8, 9)), estimator_name="ImageReader")


def test_torch_collections_are_refused_with_the_way_out():
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, TensorDataset

    x = torch.zeros(2, 3, 8, 9)
    for X, said in (
        (x, r"X\.permute\(0, 2, 3, 1\)\.cpu\(\)\.numpy\(\)"),
        (x[0], r"X\.permute\(1, 2, 0\)\.cpu\(\)\.numpy\(\)\[None\]"),
        ([x[0]], r"permute\(1, 2, 0\)"),
        (TensorDataset(x), r"np\.stack\(.*permute\(1, 2, 0\)"),
        (DataLoader(TensorDataset(x)), r"np\.concatenate\(.*permute\(0, 2, 3, 1\)"),
    ):
        with pytest.raises(TypeError, match=said):
            check_sources(X, estimator_name="ImageReader")


def test_the_notes_of_a_reader_do_not_keep_it_from_being_pickled():
    pickle.loads(pickle.dumps(ImageReader(size=2).fit([PNG]))).transform([PNG])
    assert Notes().tell() is None
