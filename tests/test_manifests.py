"""Manifests become data sets; what is wrong with them is one sentence."""

import pytest
from PIL import Image

from featad.datasets import load_folder
from featad.errors import DatasetError, DatasetWarning


def _manifest(folder, text):
    (folder / "images").mkdir()
    for name in "abc":
        image = Image.new("RGB", (8, 8), (ord(name), 0, 0))
        image.save(folder / "images" / f"{name}.png")
    path = folder / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


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
        ("path,label\nimages/a.png,0\nimages/b.png,1\n", "labels 0 and 1.*anomaly=1"),
        ("path,label\nimages/a.png,maybe\n", "the label 'maybe'"),
        ("path,label,split\nimages/a.png,1,valid\n", "the split 'valid'"),
        ("path,label\nimages/x.png,1\nimages/y.png,1\n", "2 of the files.*x.png"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_sentence(text, said, tmp_path):
    with pytest.raises(DatasetError, match=said):
        load_folder(_manifest(tmp_path, text))


def test_a_manifest_that_is_no_text_is_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    path = (tmp_path / "image.png").rename(tmp_path / "list.csv")
    with pytest.raises(DatasetError, match="as CSV"):
        load_folder(path)


def test_a_manifest_that_splits_some_rows_only_is_refused(tmp_path):
    text = "path,label,split\nimages/a.png,1,train\nimages/b.png,1,\n"
    with pytest.raises(DatasetError, match="1 of the 2 rows.*have no split"):
        load_folder(_manifest(tmp_path, text))


def test_a_manifest_that_groups_some_rows_only_is_refused(tmp_path):
    text = "path,label,group\nimages/a.png,1,left\nimages/b.png,1,\n"
    with pytest.raises(DatasetError, match="1 of the 2 rows.*have no group"):
        load_folder(_manifest(tmp_path, text))


TABLE = "Path;Label;Split\nimages\\a.png;1;Train\nimages\\b.png;-1;TEST\n"


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace(";", ","),
        TABLE.replace(";", "\t"),
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("Path;Label", "PATH; LABEL"),
        "sep=;\n" + TABLE,
        TABLE + ";;\n\n",
        TABLE.encode("utf-16"),
        TABLE.encode("utf-16-le"),
        TABLE.encode("utf-16-be"),
        TABLE.encode("utf-8-sig"),
        TABLE.replace(";1;", ";1,0;").replace(";-1;", ";-1,0;"),
    ],
)
def test_what_excel_and_windows_write_is_read(text, tmp_path):
    dataset = load_folder(_manifest(tmp_path, text))
    assert [path.name for path in dataset.images] == ["a.png", "b.png"]
    assert dataset.labels.tolist() == [1, -1]
    assert dataset.parts.tolist() == ["train", "test"]


def test_names_in_windows_1252_are_read_where_they_are_those_of_files(tmp_path):
    text = "path,label\nimages/Bläschen.png,1\n".encode("cp1252")
    path = _manifest(tmp_path, text)
    with pytest.raises(DatasetError, match='not in UTF-8.*"CSV UTF-8"'):
        load_folder(path)
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "Bläschen.png")
    assert load_folder(path).images[0].name == "Bläschen.png"


def test_another_encoding_is_refused_with_the_way_out(tmp_path):
    text = "path,label\nimages/部品.png,1\n".encode("cp932") + b"\x81"
    with pytest.raises(DatasetError, match='save it as "CSV UTF-8"'):
        load_folder(_manifest(tmp_path, text))


def test_a_missing_column_shows_the_line_that_was_read(tmp_path):
    with pytest.raises(DatasetError, match=r"its first line is 'file\|label'"):
        load_folder(_manifest(tmp_path, "file|label\na|1\n"))


BITS = "path,label\nimages/a.png,0\nimages/b.png,1\n"
THREE = "path,label\nimages/a.png,fine\nimages/b.png,hole\nimages/c.png,cut\n"


@pytest.mark.parametrize("anomaly", [1, "1", "1.0"])
def test_the_label_that_means_anomalous_can_be_given(anomaly, tmp_path):
    dataset = load_folder(_manifest(tmp_path, BITS), anomaly=anomaly)
    assert dataset.labels.tolist() == [1, -1]


def test_the_label_that_means_anomalous_may_be_0(tmp_path):
    dataset = load_folder(_manifest(tmp_path, BITS), anomaly=0)
    assert dataset.labels.tolist() == [-1, 1]


def test_what_is_not_the_normal_label_is_a_kind_of_anomaly(tmp_path):
    dataset = load_folder(_manifest(tmp_path, THREE), normal="fine")
    assert dataset.labels.tolist() == [1, -1, -1]
    assert dataset.kinds.tolist() == ["good", "hole", "cut"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"anomaly": "hole"}, "labels cut, fine, hole.*Say which one is normal"),
        ({"anomaly": "dent"}, "no label 'dent'"),
        ({"normal": "fine", "anomaly": "hole"}, "the label 'cut'"),
    ],
)
def test_labels_that_stay_unclear_are_refused(names, said, tmp_path):
    with pytest.raises(DatasetError, match=said):
        load_folder(_manifest(tmp_path, THREE), **names)


def test_one_image_with_both_labels_is_refused(tmp_path):
    text = "path,label\nimages/a.png,1\nimages/../images/a.png,-1\nimages/b.png,1\n"
    with pytest.raises(DatasetError, match=r"a.png' is listed.*as normal and as anom"):
        load_folder(_manifest(tmp_path, text))


def test_an_image_to_train_and_to_test_on_is_warned_of(tmp_path):
    text = "path,label,split\nimages/a.png,1,train\nimages/a.png,1,test\n"
    said = r"Test images that are also training images: 1; first: .*a.png"
    with pytest.warns(DatasetWarning, match=said):
        load_folder(_manifest(tmp_path, text))


def test_a_mask_that_is_missing_is_named(tmp_path):
    text = "path,label,mask\nimages/a.png,-1,images/none.png\n"
    with pytest.raises(DatasetError, match=r"1 of the files.*none.png"):
        load_folder(_manifest(tmp_path, text))


def test_validation_images_are_a_part(tmp_path):
    text = "path,label,split\nimages/a.png,1,train\nimages/b.png,1,validation\n"
    assert len(load_folder(_manifest(tmp_path, text)).part("validation")) == 1


@pytest.mark.parametrize("name", ["../out.png", "images/../../out.png", "link/out.png"])
@pytest.mark.parametrize("column", ["path", "mask"])
def test_a_relative_path_may_not_lead_out_of_the_folder(name, column, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "out.png")
    (folder / "link").symlink_to(tmp_path)
    path, mask = (name, "") if column == "path" else ("images/a.png", name)
    manifest = _manifest(folder, f"path,label,mask\n{path},-1,{mask}\n")
    with pytest.raises(DatasetError, match=r"1 of the relative .*--allow-outside"):
        load_folder(manifest)
    assert len(load_folder(manifest, allow_outside=True)) == 1


def test_an_absolute_path_may_be_anywhere(tmp_path):
    (tmp_path / "set").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "out.png")
    text = f"path,label\n{tmp_path / 'out.png'},1\n"
    assert len(load_folder(_manifest(tmp_path / "set", text))) == 1


def test_a_manifest_below_a_link_is_read(tmp_path):
    (tmp_path / "set").mkdir()
    manifest = _manifest(tmp_path / "set", "path,label\nimages/a.png,1\n")
    (tmp_path / "link").symlink_to(tmp_path / "set")
    assert len(load_folder(tmp_path / "link" / manifest.name)) == 1
