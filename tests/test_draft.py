"""JPEG files that the decoder shrinks before they are resized."""

import io

import numpy as np
import pytest
from PIL import Image

from featad import ImageReader, PatchFeatures, read_image
from featad.features import BackboneFeatures, FilterBankFeatures
from featad.maps.views import reading_of, views

SCENE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def jpeg(size=(160, 120), mode="RGB", orientation=None, **options):
    """Return a smooth picture of a width and a height as the bytes of a JPEG file."""
    image = Image.fromarray(SCENE).resize(size, Image.Resampling.BICUBIC).convert(mode)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, exif=exif, **options)
    return file.getvalue()


@pytest.fixture
def drafted(monkeypatch):
    """Return the sizes that decoders were asked for."""
    from PIL.JpegImagePlugin import JpegImageFile

    sizes = []
    usual = JpegImageFile.draft

    def draft(image, mode, size):
        sizes.append(size)
        return usual(image, mode, size)

    monkeypatch.setattr(JpegImageFile, "draft", draft)
    return sizes


def largest_difference(source, **how):
    both = [read_image(source, decode=decode, **how) for decode in ("exact", "draft")]
    assert both[0].shape == both[1].shape
    return np.abs(both[0] - both[1]).max()


@pytest.mark.parametrize(
    ("size", "asked"),
    [(15, (20, 15)), (16, (40, 30)), (30, (40, 30)), (60, (80, 60)), (61, None)],
)
def test_the_smallest_size_that_is_not_below_what_is_asked_for(drafted, size, asked):
    read_image(jpeg(), size=size, decode="draft")
    assert drafted == ([] if asked is None else [asked])


def test_exact_reading_shrinks_nothing(drafted):
    read_image(jpeg(), size=15)
    read_image(jpeg(), decode="draft")  # in its own size
    assert drafted == []


def test_only_sizes_that_divide_both_sides_are_taken(drafted):
    read_image(jpeg((156, 120)), size=15, decode="draft")  # not a multiple of 8
    read_image(jpeg((157, 120)), size=15, decode="draft")
    assert drafted == [(39, 30)]


def test_the_shorter_side_of_a_crop_counts(drafted):
    how = {"size": 20, "crop_from": 30}
    assert largest_difference(jpeg(), **how) < 0.05
    assert drafted == [(40, 30)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_files_are_read_upright(drafted, orientation):
    data = jpeg(orientation=orientation)
    size = (40, 30) if orientation > 4 else (30, 40)  # of the upright image
    assert largest_difference(data, size=size) < 0.05
    assert drafted == [(40, 30)]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("wanted", ["RGB", "L"])
def test_color_modes_are_converted_as_ever(drafted, mode, wanted):
    how = {"size": (30, 40), "mode": wanted}
    assert largest_difference(jpeg(mode=mode), **how) < 0.06
    assert drafted


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}])
def test_progressive_files_and_those_with_full_colors_are_shrunk(drafted, options):
    assert largest_difference(jpeg(**options), size=(30, 40)) < 0.05
    assert drafted


@pytest.mark.filterwarnings("ignore::featad.errors.ImageWarning")
def test_a_truncated_file_is_shrunk_too_when_accepted(drafted):
    data = jpeg()[:-40]
    how = {"size": (30, 40), "truncated": "accept", "decode": "draft"}
    assert read_image(data, **how).shape == (30, 40, 3)
    assert len(drafted) == 2  # before and after the end was mended


def test_other_sources_are_read_exactly(drafted):
    opened = Image.open(io.BytesIO(jpeg()))
    png = io.BytesIO()
    opened.save(png, "PNG")
    for source in (opened, png, np.asarray(opened)):
        assert largest_difference(source, size=15) == 0
    assert drafted == []


def test_the_limit_of_pixels_is_that_of_the_file():
    with pytest.raises(Exception, match="more than the limit"):
        read_image(jpeg(), size=15, decode="draft", max_pixels=1000)


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="decode must be 'exact' or 'draft'"):
        read_image(jpeg(), decode="fast")


def _transformers():
    network = {"weights": None, "image_size": 32, "device": "cpu"}
    return [
        ImageReader(size=15, flatten=True),
        FilterBankFeatures(size=15),
        BackboneFeatures("squeezenet1_1", **network),
        PatchFeatures("squeezenet1_1", **network),
    ]


@pytest.mark.parametrize("step", _transformers(), ids=lambda step: type(step).__name__)
def test_every_transformer_takes_drafts_when_told(drafted, step):
    step.fit_transform([jpeg((320, 240))])
    assert drafted == []
    step.set_params(decode="draft").fit_transform([jpeg((320, 240))])
    assert len(drafted) == 1


@pytest.mark.parametrize(
    "step",
    [
        ImageReader(size=15, mode="L", decode="draft"),
        BackboneFeatures("squeezenet1_1", image_size=28, crop=True, decode="draft"),
    ],
    ids=["whole", "cropped"],
)
def test_maps_see_the_pixels_that_the_system_sees(drafted, step):
    reading = reading_of(step)
    (view,) = views([jpeg((320, 240))], reading, pixels=True)
    top, left, height, width = view.box
    part = view.pixels[top : top + height, left : left + width]
    assert np.array_equal(part, read_image(jpeg((320, 240)), **reading))
    assert drafted
    assert view.size == (240, 320)


def test_drafts_have_features_of_their_own_in_a_cache():
    features = BackboneFeatures("squeezenet1_1", weights=None, device="cpu")
    exact = features.extractor_fingerprint()
    assert features.set_params(decode="draft").extractor_fingerprint() != exact
