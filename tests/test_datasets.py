"""One class against the rest, and generated parts."""

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from featad.datasets import load_digits_images, make_spots_and_lines, one_vs_rest
from featad.metrics import auroc


@pytest.fixture(scope="module")
def digits():
    return load_digits_images()


@pytest.fixture(scope="module")
def plates():
    return make_spots_and_lines(120, 120, random_state=1)


def test_digits_fill_the_range_of_8_bits(digits):
    images, _ = digits
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)


@pytest.mark.parametrize("contamination", [0, 0.05, 0.2])
def test_the_training_part_has_the_contamination_asked_for(contamination, digits):
    train = one_vs_rest(*digits, contamination=contamination, random_state=0).part(
        "train"
    )
    share = (train.labels == -1).mean()
    assert share == pytest.approx(contamination, abs=0.5 / len(train) + 1e-9)


def test_half_of_the_normal_class_trains_and_all_else_tests(digits):
    dataset = one_vs_rest(*digits, normal=8, random_state=0)
    normal = dataset.labels == 1
    assert normal.sum() == (digits[1] == 8).sum()
    assert (dataset.parts[normal] == "train").sum() == normal.sum() // 2
    assert set(dataset.parts) == {"train", "test"}
    assert len(dataset) == len(digits[1])


def test_the_same_seed_draws_the_same_split(digits):
    first, second, other = (
        one_vs_rest(*digits, random_state=seed).parts for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_kinds_are_the_classes(digits):
    dataset = one_vs_rest(*digits, normal=3, random_state=0)
    assert set(dataset.kinds[dataset.labels == 1]) == {"3"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"normal": 77}, "normal=77 is not among the labels"),
        ({"contamination": 0.6}, r"contamination must be in \[0, 0.5\]"),
        ({"test_size": 1}, "test_size must be in"),
    ],
)
def test_wrong_options_are_refused(options, said, digits):
    with pytest.raises(ValueError, match=said):
        one_vs_rest(*digits, **options)


def test_too_few_anomalies_for_the_contamination_are_refused():
    with pytest.raises(ValueError, match="some must be left to test"):
        one_vs_rest(np.zeros((100, 4)), [0] * 98 + [1] * 2, contamination=0.4)


def test_images_and_labels_must_match():
    with pytest.raises(ValueError, match="3 images, but 2 labels"):
        one_vs_rest(np.zeros((3, 4)), [0, 1])


def test_plates_come_in_the_numbers_asked_for(plates):
    assert len(plates.part("train")) == 120
    assert (plates.part("train").labels == 1).all()
    assert (plates.part("test").labels == -1).sum() == 60
    assert plates.images.shape == (240, 96, 96, 3)
    assert plates.images.dtype == np.uint8


def test_plates_repeat_under_one_seed(plates):
    again = make_spots_and_lines(120, 120, random_state=1)
    np.testing.assert_array_equal(plates.images, again.images)
    other = make_spots_and_lines(2, 0, random_state=2)
    assert (other.images != plates.images[:2]).any()


def test_the_first_plates_do_not_depend_on_how_many_there_are(plates):
    few = make_spots_and_lines(3, 0, random_state=1)
    np.testing.assert_array_equal(few.images, plates.images[:3])


def test_masks_are_where_the_plate_is_dark(plates):
    for image, mask, label in zip(
        plates.images, plates.masks, plates.labels, strict=True
    ):
        assert (mask is None) == (label == 1)
        if mask is not None:
            around = maximum_filter(mask, 7) & ~mask
            assert image[mask].mean() < image[around].mean()


def test_the_distance_to_the_mean_image_finds_nothing(plates):
    mean = plates.part("train").images.mean(axis=0)
    test = plates.part("test")
    distance = ((test.images - mean) ** 2).mean(axis=(1, 2, 3))
    assert auroc(test.labels, distance) < 0.65


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 8}, "16 pixels or more"),
        ({"anomaly_share": 2}, "anomaly_share must be"),
        ({"n_train": 0, "n_test": 0}, "at least one plate"),
    ],
)
def test_impossible_plates_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        make_spots_and_lines(**options)
