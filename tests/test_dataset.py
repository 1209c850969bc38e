"""A data set keeps what is known about its images in step, and in its record."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from featad.datasets import (
    load_folder,
    make_spots_and_lines,
    save_folder,
    save_split,
)
from featad.errors import DatasetError
from featad.images import read_image, read_mask


@pytest.fixture
def mvtec(tree):
    """Return a folder in the MVTec layout with two cracks and their masks."""
    good = ("train/good/0.png", "train/good/1.png", "test/good/0.png")
    cracks = ("test/crack/0.png", "test/crack/1.png")
    masks = ("ground_truth/crack/0.png", "ground_truth/crack/1.png")
    return tree(*good, *cracks, *masks)


@pytest.fixture
def grouped(tree):
    """Return a manifest with groups."""
    path = tree("a.png", "b.png") / "list.csv"
    path.write_text("path,label,Group\na.png,1,left\nb.png,-1,right\n")
    return path


def test_an_unknown_part_names_the_parts_there_are(mvtec, image_folder):
    with pytest.raises(DatasetError, match="it has test, train"):
        load_folder(mvtec).part("valid")
    with pytest.raises(DatasetError, match="it has no parts"):
        load_folder(image_folder).part("train")


def test_selecting_keeps_every_field_in_step(mvtec):
    dataset = load_folder(mvtec)
    chosen = dataset.select(dataset.kinds == "crack")
    assert len(chosen) == len(chosen.images) == len(chosen.masks) == 2
    assert all("crack" in str(image) for image in chosen.images)


def test_a_recorded_split_is_read_again_as_it_was(mvtec, tmp_path):
    dataset = load_folder(mvtec)
    again = load_folder(save_split(dataset, tmp_path / "run" / "split.csv"))
    assert again.images == [path.resolve() for path in dataset.images]
    np.testing.assert_array_equal(again.labels, dataset.labels)
    np.testing.assert_array_equal(again.parts, dataset.parts)


def test_a_recorded_split_has_the_promised_columns(mvtec, tmp_path):
    frame = pd.read_csv(save_split(load_folder(mvtec), tmp_path / "split.csv"))
    assert list(frame.columns) == ["path", "sha256", "label", "part"]
    assert frame["sha256"].str.fullmatch("[0-9a-f]{64}").all()


def test_a_changed_image_is_refused_by_its_recorded_split(mvtec, tmp_path):
    split = save_split(load_folder(mvtec), tmp_path / "split.csv")
    Image.new("RGB", (9, 9)).save(mvtec / "train" / "good" / "0.png")
    with pytest.raises(DatasetError, match=r"0.png.*is not the image"):
        load_folder(split)


def test_the_groups_of_a_manifest_are_kept_in_step(grouped):
    dataset = load_folder(grouped)
    assert dataset.groups.tolist() == ["left", "right"]
    assert dataset.select([1]).groups.tolist() == ["right"]
    assert dataset.to_frame()["group"].tolist() == ["left", "right"]


def test_a_recorded_split_keeps_the_groups(grouped, tmp_path):
    dataset = load_folder(grouped)
    again = load_folder(save_split(dataset, tmp_path / "split.csv"))
    assert again.groups.tolist() == ["left", "right"]


def test_data_without_groups_have_none(image_folder):
    assert load_folder(image_folder).groups is None


def test_a_data_set_shows_itself_in_one_line(mvtec):
    assert repr(load_folder(mvtec)) == (
        "<ImageDataset 'data': 3 normal and 2 anomalous images; 2 in train; 3 in test; "
        "kinds crack, good; 2 with masks>"
    )
    assert len(repr(make_spots_and_lines(3, 3, size=16))) < 200


def test_a_data_set_shows_how_many_groups_it_has(grouped):
    assert repr(load_folder(grouped)).endswith("kinds anomaly, good; 2 groups>")


def test_a_data_set_is_the_same_once_written_as_a_folder(tmp_path):
    parts = make_spots_and_lines(2, 4, size=16)
    again = load_folder(save_folder(parts, tmp_path))
    order = [int(path.stem) for path in again.images]
    for name in ("labels", "parts", "kinds"):
        expected = getattr(parts, name)[order]
        np.testing.assert_array_equal(getattr(again, name), expected)
    for index, path, mask in zip(order, again.images, again.masks, strict=True):
        np.testing.assert_allclose(read_image(path) * 255, parts.images[index])
        if mask is not None:
            np.testing.assert_array_equal(read_mask(mask), parts.masks[index])


def test_paths_are_not_written_as_a_folder(mvtec, tmp_path):
    with pytest.raises(TypeError, match="a uint8 array, but they are list"):
        save_folder(load_folder(mvtec), tmp_path)
