"""FilterBankFeatures: what the responses mean, and scikit-learn's rules for images."""

import pickle
import re
import warnings
from ast import literal_eval
from inspect import getdoc, signature

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from featad.base import anomaly_scores
from featad.datasets import make_spots_and_lines
from featad.detectors import Mahalanobis
from featad.errors import ImageReadError, ImageReadWarning
from featad.features import FilterBankFeatures
from featad.metrics import auroc


@pytest.fixture
def bank():
    """Return a small bank."""
    return FilterBankFeatures(size=16, scales=(1.0, 2.0))


def drawn(*, line=None, spot=None, slope=0):
    """Return a gray 64 x 64 picture with a line or a spot of another gray value."""
    rows, columns = np.mgrid[:64, :64] - 31.5
    image = np.full((64, 64), 0.5)
    if line is not None:
        image[np.abs(rows - slope * columns) / np.hypot(1, slope) < 2] = line
    if spot is not None:
        image[np.hypot(rows, columns) < 3] = spot
    return image


def maxima(image):
    """Return the largest response of each kind at scale 2."""
    bank = FilterBankFeatures(size=64, scales=(2.0,), pooling="max")
    (row,) = bank.transform(image[None])
    return {
        name.removeprefix("scale2_").removesuffix("_max"): value
        for name, value in zip(bank.get_feature_names_out(), row, strict=True)
    }


def test_tags_tell_what_it_takes():
    tags = get_tags(FilterBankFeatures())
    assert tags.input_tags.three_d_array
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    assert not tags.requires_fit


def test_docstring_defaults_match_the_signature():
    documented = re.findall(
        r"^(\w+) : .*default=(.+)$", getdoc(FilterBankFeatures), re.M
    )
    parameters = signature(FilterBankFeatures).parameters
    actual = {name: parameter.default for name, parameter in parameters.items()}
    assert {name: literal_eval(text) for name, text in documented} == actual


def test_a_flat_image_has_no_response():
    responses = maxima(np.full((64, 64), 0.5))
    assert responses.pop("brightness") == pytest.approx(0.5, abs=0.01)
    assert max(responses.values()) < 1e-5


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        ({"line": 0.0}, "line_dark"),
        ({"line": 1.0}, "line_bright"),
        ({"spot": 0.0}, "spot_dark"),
        ({"spot": 1.0}, "spot_bright"),
    ],
)
def test_each_response_answers_to_its_own_shape(picture, kind):
    turn = {"dark": "bright", "bright": "dark"}
    shape, shade = kind.split("_")
    responses = maxima(drawn(**picture))
    assert responses[kind] > 2 * responses[f"{shape}_{turn[shade]}"]


def test_a_line_is_no_spot():
    responses = maxima(drawn(line=0.0))
    assert responses["line_dark"] > 5 * responses["spot_dark"]


def test_the_direction_of_a_line_does_not_matter():
    level, steep = maxima(drawn(line=0.0)), maxima(drawn(line=0.0, slope=0.7))
    assert steep["line_dark"] == pytest.approx(level["line_dark"], rel=0.1)


def test_responses_grow_with_contrast():
    weak, strong = maxima(drawn(line=0.4)), maxima(drawn(line=0.0))
    assert strong["line_dark"] == pytest.approx(5 * weak["line_dark"], rel=0.1)


def test_a_quarter_turn_changes_nothing(images, bank):
    turned = np.rot90(images, axes=(1, 2))
    np.testing.assert_allclose(
        bank.transform(turned), bank.transform(images), rtol=1e-3, atol=1e-4
    )


def test_shape_dtype_and_names(images, bank):
    features = bank.fit_transform(images)
    names = bank.get_feature_names_out()
    assert features.dtype == np.float32
    assert features.shape == (24, 3 * (1 + 2 * 5)) == (24, len(set(names)))
    assert names[0] == "brightness_mean"
    assert "scale2_line_dark_max" in names


def test_color_is_described_channel_by_channel(images, bank):
    features = bank.set_params(mode="RGB").transform(images)
    red, green, blue = np.split(features, 3, axis=1)
    gray = bank.set_params(mode="L")
    np.testing.assert_allclose(red, gray.transform(images[..., 0]), atol=0.01)
    np.testing.assert_allclose(blue, gray.transform(images[..., 2]), atol=0.01)
    assert bank.set_params(mode="RGB").get_feature_names_out()[-1].startswith("blue_")
    assert np.abs(red - green).max() > 0.05


def test_one_statistic_may_be_given_as_a_word(images, bank):
    everything = bank.set_output(transform="pandas").transform(images)
    largest = bank.set_params(pooling="max").transform(images)
    pd.testing.assert_frame_equal(largest, everything[list(largest.columns)])


def test_images_are_described_one_by_one(images, bank):
    together = bank.transform(images)
    alone = np.concatenate([bank.transform(image[None]) for image in images])
    np.testing.assert_array_equal(together, alone)


def test_the_number_of_threads_changes_nothing(images, bank):
    one, four = (clone(bank).set_params(n_jobs=n).transform(images) for n in (1, 4))
    np.testing.assert_array_equal(one, four)


def test_nothing_is_learned(images, bank):
    unfitted = bank.transform(images)
    before = dict(vars(bank))
    assert bank.fit(images) is bank
    assert vars(bank) == before
    copy = pickle.loads(pickle.dumps(bank))
    np.testing.assert_array_equal(copy.transform(images), unfitted)


def test_paths_and_arrays_give_the_same(image_folder, bank):
    paths = sorted(image_folder.iterdir())
    arrays = np.stack([np.asarray(Image.open(path)) for path in paths])
    features = bank.transform(arrays)
    np.testing.assert_array_equal(bank.transform(paths), features)
    np.testing.assert_array_equal(bank.transform(pd.Series(paths).map(str)), features)


def test_images_may_have_different_sizes(bank):
    images = [drawn(line=0.0), drawn(line=0.0)[:40, :50]]
    assert bank.transform(images).shape == (2, 33)


@pytest.fixture
def with_a_broken_one(image_folder):
    """Return six paths of which 2.png is empty."""
    paths = sorted(image_folder.iterdir())
    paths[2].write_bytes(b"")
    return paths


def test_a_broken_image_is_an_error(with_a_broken_one, bank):
    with pytest.raises(ImageReadError, match=r"2\.png"):
        bank.transform(with_a_broken_one)


def test_a_broken_image_can_be_left_out(with_a_broken_one, bank):
    bank.set_params(on_error="skip")
    with pytest.warns(ImageReadWarning, match=r"Left out 1 image .*2\.png"):
        features = bank.transform(with_a_broken_one)
    assert features.shape == (5, 33)
    assert np.isfinite(features).all()


def test_a_broken_image_can_be_a_row_of_nan(with_a_broken_one, bank):
    bank.set_params(on_error="nan")
    with pytest.warns(ImageReadWarning, match=r"Filled with NaN 1 image .*2\.png"):
        features = bank.transform(with_a_broken_one)
    np.testing.assert_array_equal(np.isnan(features).any(axis=1), np.arange(6) == 2)


def test_when_all_images_are_broken_none_can_be_left_out(with_a_broken_one, bank):
    bank.set_params(on_error="skip")
    with pytest.raises(ImageReadError, match="none of the 1 images could be read"):
        bank.transform(with_a_broken_one[2:3])


def test_good_images_give_no_warning(image_folder, bank):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bank.set_params(on_error="skip").transform(sorted(image_folder.iterdir()))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scales": ()}, r"scales should be .* positive numbers, got \(\)"),
        (
            {"scales": (1.0, -2.0)},
            r"scales should be .* positive numbers, got .*-2",
        ),
        ({"pooling": ("mean", "median")}, "pooling should be one or several of"),
        ({"pooling": ()}, "pooling should be one or several of"),
        ({"size": (16, 16, 3)}, r"size must be .*\(height, width\)"),
        ({"mode": "HSV"}, "'mode' parameter of FilterBankFeatures"),
    ],
)
def test_wrong_parameters_are_refused(wrong, message, images):
    with pytest.raises(ValueError, match=message):
        FilterBankFeatures(**wrong).transform(images)


def test_a_table_is_refused():
    with pytest.raises(ValueError, match="FilterBankFeatures expects .* got a table"):
        FilterBankFeatures().transform(np.zeros((5, 4)))


def test_spots_and_lines_are_found_without_weights():
    parts = make_spots_and_lines(100, 80, random_state=0)
    train, test = parts.part("train"), parts.part("test")
    system = make_pipeline(FilterBankFeatures(), StandardScaler(), Mahalanobis())
    system.fit(train.images)
    assert auroc(test.labels, anomaly_scores(system, test.images)) > 0.85
