"""Folders and manifests become data sets; what is wrong with them is one sentence."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from featad.datasets import load_folder, save_split
from featad.errors import DatasetError


def _image(path, value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (value, 0, 0)).save(path)
    return path


@pytest.fixture
def mvtec(tmp_path):
    root = tmp_path / "part"
    for index in range(3):
        _image(root / "train" / "good" / f"{index:03}.png", index)
        _image(root / "test" / "good" / f"{index:03}.png", 50 + index)
        _image(root / "test" / "crack" / f"{index:03}.png", 90 + index)
    _image(root / "ground_truth" / "crack" / "000_mask.png")
    _image(root / "ground_truth" / "crack" / "001.png")
    return root


def _manifest(folder, text):
    for name in ("a.png", "b.png", "c.png"):
        _image(folder / "images" / name, ord(name[0]))
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plain_folder_is_all_normal_and_has_no_split(image_folder):
    dataset = load_folder(image_folder)
    assert len(dataset) == 6
    assert (dataset.labels == 1).all()
    assert not dataset.has_split
    assert dataset.masks is None


def test_the_mvtec_layout_gives_parts_kinds_and_labels(mvtec):
    dataset = load_folder(mvtec)
    assert dataset.parts.tolist() == ["train"] * 3 + ["test"] * 6
    assert dataset.kinds.tolist() == ["good"] * 3 + ["crack"] * 3 + ["good"] * 3
    np.testing.assert_array_equal(dataset.labels == -1, dataset.kinds == "crack")


def test_the_mvtec_layout_gives_masks_by_either_name(mvtec):
    dataset = load_folder(mvtec).part("test")
    assert [mask and mask.name for mask in dataset.masks[:3]] == [
        "000_mask.png",
        "001.png",
        None,
    ]


def test_the_mvtec_layout_without_masks_has_none(mvtec):
    for path in (mvtec / "ground_truth" / "crack").iterdir():
        path.unlink()
    assert load_folder(mvtec).masks is None


@pytest.mark.parametrize("pair", [("normal", "anomaly"), ("OK", "NOK"), ("no", "yes")])
def test_usual_pairs_of_folders_are_recognized(pair, tmp_path):
    for name in pair:
        _image(tmp_path / name / "1.png")
    assert load_folder(tmp_path).labels.tolist() == [1, -1]


def test_two_folders_of_any_name_can_be_named(tmp_path):
    _image(tmp_path / "fine parts" / "1.png")
    _image(tmp_path / "Ausschuß" / "1.png")
    dataset = load_folder(tmp_path, normal="fine parts", anomaly="Ausschuß")
    assert dataset.labels.tolist() == [1, -1]
    assert dataset.kinds.tolist() == ["good", "Ausschuß"]


def test_naming_one_of_two_folders_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="Name both folders"):
        load_folder(tmp_path, normal="good")


def test_a_manifest_gives_labels_parts_and_masks(tmp_path):
    text = "path,label,split,mask\nimages/a.png,1,train,\n"
    text += "images/b.png,-1,test,images/c.png\nimages/c.png,good,test,\n"
    dataset = load_folder(_manifest(tmp_path, text))
    assert dataset.labels.tolist() == [1, -1, 1]
    assert dataset.parts.tolist() == ["train", "test", "test"]
    assert [mask and mask.name for mask in dataset.masks] == [None, "c.png", None]


def test_a_manifest_from_a_spreadsheet_is_read(tmp_path):
    text = "\ufeffpath, label\r\nimages/a.png, Normal\r\nimages/b.png, anomalous\r\n"
    assert load_folder(_manifest(tmp_path, text)).labels.tolist() == [1, -1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path\nimages/a.png\n", "no column 'label'"),
        ("", "no column 'path'"),
        ("path,label\n", "lists no images"),
        ("path,label\nimages/a.png,0\nimages/b.png,1\n", "labels 0 and 1.*replace 1"),
        ("path,label\nimages/a.png,maybe\n", "the label 'maybe'"),
        ("path,label,split\nimages/a.png,1,valid\n", "the split 'valid'"),
        ("path,label\nimages/x.png,1\nimages/y.png,1\n", "2 of the 2.*x.png"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_sentence(text, said, tmp_path):
    with pytest.raises(DatasetError, match=said):
        load_folder(_manifest(tmp_path, text))


def test_a_manifest_that_is_no_text_is_refused(tmp_path):
    path = _image(tmp_path / "list.csv.png").rename(tmp_path / "list.csv")
    with pytest.raises(DatasetError, match="as CSV"):
        load_folder(path)


@pytest.mark.parametrize("kind", ["missing", "empty", "no images", "no train/good"])
def test_a_wrong_folder_is_refused_in_one_sentence(kind, tmp_path):
    root = tmp_path / "data"
    if kind != "missing":
        root.mkdir()
    if kind == "no images":
        (root / "notes.txt").write_text("hello")
    if kind == "no train/good":
        _image(root / "train" / "bad" / "1.png")
        _image(root / "test" / "bad" / "1.png")
    with pytest.raises(DatasetError, match="data"):
        load_folder(root)


def test_a_test_image_outside_any_kind_is_refused(mvtec):
    _image(mvtec / "test" / "stray.png")
    with pytest.raises(DatasetError, match=r"stray.png.*Move it to test/good"):
        load_folder(mvtec)


def test_an_unknown_part_names_the_parts_there_are(mvtec, image_folder):
    with pytest.raises(DatasetError, match="it has test, train"):
        load_folder(mvtec).part("valid")
    with pytest.raises(DatasetError, match="it has no parts"):
        load_folder(image_folder).part("train")


def test_selecting_keeps_every_field_in_step(mvtec):
    dataset = load_folder(mvtec)
    chosen = dataset.select(dataset.kinds == "crack")
    assert len(chosen) == len(chosen.images) == len(chosen.masks) == 3
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
    _image(mvtec / "train" / "good" / "000.png", 200)
    with pytest.raises(DatasetError, match=r"000.png.*is not the image"):
        load_folder(split)


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "n_train", "n_test", "n_anomalous"),
    [
        ("magnetic_tile", 761, 583, 392),
        ("mvtec_reduced/hazelnut", 50, 10, 8),
        ("mvtec_reduced/transistor", 50, 10, 8),
    ],
)
def test_real_inspection_sets_are_read_whole(
    folder, n_train, n_test, n_anomalous, real_data
):
    dataset = load_folder(real_data / folder)
    assert (dataset.parts == "train").sum() == n_train
    assert (dataset.parts == "test").sum() == n_test
    anomalous = dataset.labels == -1
    assert anomalous.sum() == n_anomalous
    assert [mask is not None for mask in dataset.masks] == anomalous.tolist()


@pytest.mark.data
def test_the_two_folders_of_brain_slices_are_read_whole(real_data):
    dataset = load_folder(real_data / "brain_mri", normal="no", anomaly="yes")
    assert [(dataset.labels == label).sum() for label in (1, -1)] == [98, 155]


def test_a_manifest_that_splits_some_rows_only_is_refused(tmp_path):
    text = "path,label,split\nimages/a.png,1,train\nimages/b.png,1,\n"
    with pytest.raises(DatasetError, match="1 of the 2 rows.*have no split"):
        load_folder(_manifest(tmp_path, text))


@pytest.mark.parametrize("outer", ["", "test"])
def test_a_folder_that_holds_tests_is_not_called_normal(outer, mvtec):
    folder = mvtec / outer if outer else mvtec.parent
    with pytest.raises(DatasetError, match="does not contain normal images only"):
        load_folder(folder)


GROUPED = "path,label,group\nimages/a.png,1,left\nimages/b.png,-1,right\n"


def test_the_groups_of_a_manifest_are_kept_in_step(tmp_path):
    dataset = load_folder(_manifest(tmp_path, GROUPED))
    assert dataset.groups.tolist() == ["left", "right"]
    assert dataset.select([1]).groups.tolist() == ["right"]
    assert dataset.to_frame()["group"].tolist() == ["left", "right"]


def test_a_recorded_split_keeps_the_groups(tmp_path):
    dataset = load_folder(_manifest(tmp_path, GROUPED))
    again = load_folder(save_split(dataset, tmp_path / "split.csv"))
    assert again.groups.tolist() == ["left", "right"]


def test_data_without_groups_have_none(image_folder):
    assert load_folder(image_folder).groups is None


def test_a_manifest_that_groups_some_rows_only_is_refused(tmp_path):
    text = "path,label,group\nimages/a.png,1,left\nimages/b.png,1,\n"
    with pytest.raises(DatasetError, match="1 of the 2 rows.*have no group"):
        load_folder(_manifest(tmp_path, text))
