"""Features of many images in one file."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import featad
from featad.errors import ImageReadError, ImageReadWarning
from featad.features import FilterBankFeatures, backbone, tables
from featad.images import ImageReader


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.npy"


@pytest.fixture(params=["network", "filters"])
def features(request, monkeypatch):
    monkeypatch.setattr(backbone, "_BLOCK", 5 * 128)
    monkeypatch.setattr(tables, "_IMAGES", 5)
    if request.param == "filters":
        return FilterBankFeatures(scales=(1,))
    return featad.BackboneFeatures(
        "squeezenet1_1", layer="features.3", weights=None, image_size=20
    )


def test_the_file_holds_what_transform_returns(images, features, path):
    table = featad.features_to_file(features, images, path)
    np.testing.assert_allclose(table, features.transform(images), rtol=1e-4, atol=1e-6)
    assert isinstance(table, np.memmap)
    assert table.dtype == np.float32
    np.testing.assert_array_equal(np.load(path), table)


def test_float16_takes_half_the_space(images, features, path):
    whole = featad.features_to_file(features, images, path)
    half = featad.features_to_file(features, images, path, dtype="float16")
    assert half.nbytes == whole.nbytes / 2
    np.testing.assert_allclose(half, features.transform(images), rtol=1e-3, atol=1e-6)


@pytest.fixture
def with_a_broken_one(tmp_path, images):
    from PIL import Image

    paths = [tmp_path / f"{i}.png" for i in range(12)]
    for image, path in zip(images, paths, strict=False):
        Image.fromarray((255 * image).astype(np.uint8)).save(path)
    paths[3].write_bytes(b"not an image")
    return paths


def test_a_skipped_image_has_no_row(with_a_broken_one, features, path):
    features.set_params(on_error="skip")
    with pytest.warns(ImageReadWarning):
        table = featad.features_to_file(features, with_a_broken_one, path)
    assert len(table) == 11
    assert path.stat().st_size == table.offset + table.nbytes
    rest = [p for p in with_a_broken_one if p.name != "3.png"]
    np.testing.assert_allclose(table, features.transform(rest), rtol=1e-4, atol=1e-6)


FILTERS = FilterBankFeatures(size=8, scales=(1,), on_error="skip")
READER = ImageReader(8, flatten=True, on_error="skip")


@pytest.mark.parametrize(
    "features", [FILTERS, READER, make_pipeline(FILTERS, Normalizer())]
)
def test_a_block_without_a_readable_image_costs_its_rows_alone(
    with_a_broken_one, features, path, monkeypatch
):
    monkeypatch.setattr(tables, "_IMAGES", 11)
    with_a_broken_one[11].write_bytes(b"not an image")
    with pytest.warns(ImageReadWarning, match="Left out 2 images") as caught:
        table = featad.features_to_file(features, with_a_broken_one, path)
    assert len(caught) == 1
    rest = [with_a_broken_one[i] for i in range(11) if i != 3]
    np.testing.assert_array_equal(table, features.transform(rest))
    with pytest.raises(ImageReadError, match="none of the 1 images could be read"):
        featad.features_to_file(features, with_a_broken_one[11:], path)


def test_an_image_that_cannot_be_read_leaves_no_file(with_a_broken_one, features, path):
    with pytest.raises(ImageReadError, match=r"3\.png"):
        featad.features_to_file(features, with_a_broken_one, path)
    assert not list(path.parent.glob("*.npy"))


class Large:
    def transform(self, X):
        return np.full((len(X), 2), 1e6, np.float32)


def test_what_float16_cannot_hold_is_refused(path):
    with pytest.raises(ValueError, match=r"feature of 1e\+06 is too large for float16"):
        featad.features_to_file(Large(), [1, 2], path, dtype="float16")
    assert not path.exists()


def test_another_type_and_no_images_are_refused(path):
    with pytest.raises(ValueError, match="got 'int8'"):
        featad.features_to_file(Large(), [1], path, dtype="int8")
    with pytest.raises(ValueError, match="X is empty"):
        featad.features_to_file(Large(), [], path)


@pytest.mark.parametrize("kind", ["mahalanobis", "mbkmeans", "nystroem"])
def test_a_system_fitted_on_a_file_scores_images(images, kind, path):
    system = featad.build(f"mini-stats-{kind}", image_size=32)
    features = system["features"].fit(images)
    system[1:].fit(featad.features_to_file(features, images, path))
    direct = featad.build(f"mini-stats-{kind}", image_size=32).fit(images)
    np.testing.assert_allclose(
        system.score_samples(images), direct.score_samples(images), rtol=1e-4
    )
