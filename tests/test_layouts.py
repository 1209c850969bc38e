"""The layouts of public data sets are read as they are published."""

import numpy as np
import pytest
from PIL import Image

from featad.datasets import load_folder
from featad.datasets.layouts import LAYOUTS, holds
from featad.errors import DatasetError

SETS = {
    "MVTec AD": {
        "train/good/000.png": ("train", "good"),
        "test/good/000.png": ("test", "good"),
        "test/crack/000.png": ("test", "crack", "ground_truth/crack/000_mask.png"),
    },
    "MVTec AD in upper case": {
        "Train/Good/000.PNG": ("train", "good"),
        "TEST/GOOD/000.PNG": ("test", "good"),
        "TEST/Crack/000.PNG": ("test", "Crack", "Ground_Truth/crack/000_MASK.PNG"),
    },
    "MVTec AD 2": {
        "train/good/000_regular.png": ("train", "good"),
        "validation/good/000_regular.png": ("validation", "good"),
        "test_public/good/000_regular.png": ("test", "good"),
        "test_public/bad/000_regular.png": (
            "test",
            "bad",
            "test_public/ground_truth/bad/000_regular_mask.png",
        ),
    },
    "MVTec LOCO": {
        "train/good/000.png": ("train", "good"),
        "validation/good/000.png": ("validation", "good"),
        "test/good/000.png": ("test", "good"),
        "test/logical_anomalies/000.png": (
            "test",
            "logical_anomalies",
            "ground_truth/logical_anomalies/000/000.png",
            "ground_truth/logical_anomalies/000/001.png",
        ),
        "test/logical_anomalies/001.png": (
            "test",
            "logical_anomalies",
            "ground_truth/logical_anomalies/001/000.png",
        ),
    },
    "BTAD": {
        "train/ok/0000.bmp": ("train", "good"),
        "test/ok/0000.bmp": ("test", "good"),
        "test/ko/0000.bmp": ("test", "ko", "ground_truth/ko/0000.png"),
        "test/ko/0001.bmp": ("test", "ko", "ground_truth/ko/0001.bmp"),
    },
    "VisA": {
        "Data/Images/Normal/0000.JPG": ("", "good"),
        "Data/Images/Anomaly/000.JPG": ("", "Anomaly", "Data/Masks/Anomaly/000.png"),
    },
    "VisA, one folder down": {
        "Images/Normal/0000.JPG": ("", "good"),
        "Images/Anomaly/000.JPG": ("", "Anomaly", "Masks/Anomaly/000.png"),
    },
    "OK and NG": {"OK/1.png": ("", "good"), "NG/1.png": ("", "NG")},
    "ok and ko": {"ok/1.png": ("", "good"), "ko/1.png": ("", "ko")},
    "normal and anomaly": {
        "normal/1.png": ("", "good"),
        "anomaly/1.png": ("", "anomaly", "masks/anomaly/1_mask.png"),
    },
    "no and yes": {"no/1.png": ("", "good"), "yes/1.png": ("", "yes")},
    "training images only": {"train/good/1.png": ("train", "good")},
    "other suffixes of masks": {
        "train/good/1.png": ("train", "good"),
        "test/bad/1.png": ("test", "bad", "ground_truth/bad/1.bm.png"),
        "test/bad/2.png": ("test", "bad", "ground_truth/bad/2_GT.TIF"),
        "test/bad/3.png": ("test", "bad", "ground_truth/bad/3-label.bmp"),
        "test/bad/4.png": ("test", "bad", "ground_truth/bad/4.JPG"),
    },
    "several masks of an image": {
        "good/benign (1).png": ("", "good"),
        "bad/benign (1).png": (
            "",
            "bad",
            "masks/bad/benign (1)_mask.png",
            "masks/bad/benign (1)_mask_1.png",
        ),
    },
    "nested folders of defects": {
        "train/good/1.png": ("train", "good"),
        "test/bad/other/1.png": ("test", "bad", "ground_truth/bad/other/1.png"),
        "test/bad/sub/1.png": ("test", "bad", "ground_truth/bad/sub/1.png"),
    },
    "nested folders of defects, masks without": {
        "train/good/1.png": ("train", "good"),
        "test/bad/3.png": ("test", "bad", "ground_truth/3.png"),
        "test/bad/other/2.png": ("test", "bad", "ground_truth/other/2.png"),
        "test/bad/sub/1.png": ("test", "bad", "ground_truth/bad/1.png"),
    },
}


@pytest.mark.parametrize("name", SETS)
def test_a_public_layout_is_read(name, tree):
    rows = SETS[name]
    root = tree(*rows, *(mask for row in rows.values() for mask in row[2:]))
    dataset = load_folder(root)
    found = {}
    masks = dataset.masks or [None] * len(dataset)
    for image, part, kind, mask in zip(
        dataset.images, dataset.parts, dataset.kinds, masks, strict=True
    ):
        several = mask if isinstance(mask, tuple) else (mask,) if mask else ()
        below = [path.relative_to(root).as_posix() for path in several]
        found[image.relative_to(root).as_posix()] = (part, kind, *below)
    assert found == rows
    np.testing.assert_array_equal(dataset.labels == 1, dataset.kinds == "good")
    assert not dataset.left_out


def test_images_without_known_labels_are_counted(tree):
    public = ("train/good/1.png", "test_public/good/1.png", "test_public/bad/1.png")
    with pytest.warns(UserWarning, match="1 image outside .*test_private/1.png"):
        assert len(load_folder(tree(*public, "test_private/1.png"))) == 3


def test_training_images_come_first_and_in_natural_order(tree):
    names = ("train/good/2.png", "train/good/10.png", "test/a/1.png", "test/good/1.png")
    root = tree(*names)
    assert load_folder(root).images == [root / name for name in names]


def _mask(path, value):
    Image.new("L", (8, 8), value).save(path)


def test_kolektor_images_are_normal_where_their_mask_is_empty(tree):
    names = ("train/1.png", "train/2.png", "test/3.png", "test/4.png")
    root = tree(*names)
    for name, value in zip(names, (0, 255, 0, 255), strict=True):
        _mask(root / name.replace(".png", "_GT.png"), value)
    dataset = load_folder(root)
    assert dataset.images == [root / name for name in names]
    assert dataset.labels.tolist() == [1, -1, 1, -1]
    assert dataset.parts.tolist() == ["train", "train", "test", "test"]
    assert [mask.name for mask in dataset.masks][:2] == ["1_GT.png", "2_GT.png"]


def test_masks_beside_images_do_without_parts(tree):
    root = tree("kos01/Part0.jpg", "kos01/Part1.jpg")
    _mask(root / "kos01/Part0_label.bmp", 0)
    _mask(root / "kos01/Part1_label.bmp", 255)
    dataset = load_folder(root)
    assert dataset.labels.tolist() == [1, -1]
    assert not dataset.has_split


def test_masks_beside_images_of_two_folders_are_not_images(tree):
    dataset = load_folder(tree("good/1.png", "bad/1.png", "bad/1_mask.png"))
    assert len(dataset) == 2
    assert [mask and mask.name for mask in dataset.masks] == [None, "1_mask.png"]


def test_a_name_like_that_of_a_mask_needs_no_other_masks(tree):
    names = ("good/part.png", "good/part_label.png", "bad/1.png")
    assert len(load_folder(tree(*names))) == 2


def test_an_image_without_a_mask_beside_it_is_named(tree):
    root = tree("train/1.png", "train/2.png", "test/3.png")
    _mask(root / "train/1_GT.png", 0)
    with pytest.raises(DatasetError, match="2 of the 3.*'train/2.png'"):
        load_folder(root)


BAD = ("train/good/1.png", "test/good/1.png", "test/bad/1.png", "test/bad/2.png")


def test_a_missing_mask_is_an_error_that_names_the_image(tree):
    with pytest.raises(DatasetError, match="1 of the 2.*first: 'test/bad/2.png'"):
        load_folder(tree(*BAD, "ground_truth/bad/1_mask.png"))


def test_an_empty_folder_of_masks_is_an_error(tree):
    root = tree(*BAD)
    (root / "ground_truth").mkdir()
    with pytest.raises(DatasetError, match="2 of the 2"):
        load_folder(root)


def test_a_layout_without_a_folder_of_masks_has_none(tree):
    assert load_folder(tree(*BAD)).masks is None


def test_masks_of_no_image_are_counted(tree):
    masks = [f"ground_truth/bad/{number}.png" for number in range(1, 5)]
    with pytest.warns(UserWarning, match=r"2 masks without images \(first: .*3.png"):
        load_folder(tree(*BAD, *masks))


def test_a_mask_that_fits_two_images_is_refused(tree):
    root = tree(*BAD, "test/bad/sub/1.png", "ground_truth/bad/1.png", "masks/bad/2.png")
    with pytest.raises(DatasetError, match=r"bad/1.png' could be the mask of two"):
        load_folder(root)


def _example(need):
    text = need.replace("NORMAL", "good").replace("ANOMALY", "bad")
    return tuple(text.split("/")) if text else ()


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_has_a_place_for_every_folder_it_needs(layout):
    for need in layout.needs:
        assert layout.place_of(_example(need)) is not None


def test_a_pattern_holds_a_folder_and_what_is_below():
    assert holds("train/NORMAL", ("Train", "OK", "lamp 1"))
    assert not holds("train/NORMAL", ("train",))
    assert not holds("train/NORMAL", ("train", "bad"))
    assert holds("a|b/KIND", ("B", "anything"))
