"""Folders become data sets; what is wrong with them is one sentence."""

import warnings

import pytest

from featad.datasets import load_folder
from featad.errors import DatasetError, DatasetWarning

MVTEC = ("train/good/0.png", "train/good/1.png", "test/good/0.png", "test/crack/0.png")


def _rows(folder, **names):
    """Return (path, part, kind) of every image, in order."""
    dataset = load_folder(folder, **names)
    paths = [path.relative_to(folder).as_posix() for path in dataset.images]
    return list(zip(paths, dataset.parts.tolist(), dataset.kinds.tolist(), strict=True))


def test_a_plain_folder_is_all_normal_and_has_no_split(image_folder):
    dataset = load_folder(image_folder)
    assert len(dataset) == 6
    assert (dataset.labels == 1).all()
    assert not dataset.has_split
    assert dataset.masks is None


def test_two_folders_of_any_name_can_be_named(tree):
    root = tree("fine parts/1.png", "Ausschuß/1.png")
    assert _rows(root, normal="fine parts", anomaly="Ausschuß") == [
        ("fine parts/1.png", "", "good"),
        ("Ausschuß/1.png", "", "Ausschuß"),
    ]


def test_the_folders_that_are_named_may_be_further_down(tree):
    root = tree(*MVTEC)
    with pytest.warns(DatasetWarning, match="1 image outside"):
        rows = _rows(root, normal="train/good", anomaly="test/crack")
    assert rows == [
        ("train/good/0.png", "", "good"),
        ("train/good/1.png", "", "good"),
        ("test/crack/0.png", "", "test/crack"),
    ]


def test_naming_one_of_two_folders_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="Name both folders"):
        load_folder(tmp_path, normal="good")


def test_a_named_folder_that_is_missing_is_refused(tree):
    with pytest.raises(DatasetError, match=r"There is no folder '.*fine'"):
        load_folder(tree("bad/1.png"), normal="fine", anomaly="bad")


def test_a_named_folder_without_images_is_refused(tree):
    root = tree("bad/1.png")
    (root / "fine").mkdir()
    with pytest.raises(DatasetError, match=r"There are no images in '.*fine'"):
        load_folder(root, normal="fine", anomaly="bad")


@pytest.mark.parametrize("kind", ["missing", "empty", "no images"])
def test_a_folder_without_images_is_refused_in_one_sentence(kind, tmp_path):
    root = tmp_path / "data"
    if kind != "missing":
        root.mkdir()
    if kind == "no images":
        (root / "notes.txt").write_text("hello")
    with pytest.raises(DatasetError, match="data"):
        load_folder(root)


def test_tests_without_normal_training_images_are_refused(tree):
    with pytest.raises(DatasetError, match="no images in train/good"):
        load_folder(tree("train/bad/1.png", "test/bad/1.png"))


def test_a_test_image_outside_any_kind_is_refused(tree):
    with pytest.raises(DatasetError, match=r"stray.png.*Move it to test/good"):
        load_folder(tree(*MVTEC, "test/stray.png"))


@pytest.mark.parametrize("outer", ["", "a/"])
def test_a_folder_of_data_sets_names_the_folders_to_give(outer, tree):
    root = tree(
        *(f"{outer}{part}/{path}" for part in ("nut", "bolt") for path in MVTEC)
    )
    said = f"holds 2 data sets.*BTAD.: {outer}bolt, {outer}nut"
    with pytest.raises(DatasetError, match=said):
        load_folder(root)


@pytest.mark.parametrize(
    "names",
    [
        ("good/1.png", "crack/1.png"),
        ("a/1.png", "a/defect/1.png"),
        ("1.png", "ground_truth/1.png"),
    ],
)
def test_a_folder_that_holds_defects_is_not_called_normal(names, tree):
    with pytest.raises(DatasetError, match="does not contain normal images only"):
        load_folder(tree(*names))


def test_what_the_layout_has_no_place_for_is_counted(tree):
    root = tree(*MVTEC, "train/bad/0.png", "train/bad/1.png")
    said = "2 images outside train/good, validation/good, test/KIND .first: train/bad/0"
    with pytest.warns(DatasetWarning, match=said):
        dataset = load_folder(root)
    assert len(dataset) == 4
    (left_out,) = dataset.left_out.values()
    assert [path.name for path in left_out] == ["0.png", "1.png"]


def test_all_that_is_left_out_is_said_in_one_warning(tree):
    root = tree(*MVTEC, "train/bad/0.png", "train/good/@eaDir/0.png")
    (root / "license.txt").touch()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_folder(root)
    (said,) = [str(warning.message) for warning in caught]
    assert all(word in said for word in ("1 image outside", "1 hidden", "1 file that"))


def test_a_kind_that_is_a_link_is_read(tree, tmp_path):
    root = tree(*MVTEC)
    (root / "test" / "crack").rename(tmp_path / "store")
    (root / "test" / "crack").symlink_to(tmp_path / "store")
    assert "crack" in load_folder(root).kinds


def test_a_data_set_of_links_to_a_store_inside_it_is_read(tree):
    root = tree("store/0.png", "store/1.png")
    for part, name in (("train", "0.png"), ("test", "1.png")):
        (root / part / "good").mkdir(parents=True)
        (root / part / "good" / name).symlink_to(root / "store" / name)
    with pytest.warns(DatasetWarning, match="2 images outside"):
        dataset = load_folder(root)
    assert dataset.parts.tolist() == ["train", "test"]


def test_a_link_to_an_image_of_the_same_part_is_left_out(tree):
    root = tree(*MVTEC)
    (root / "train" / "good" / "9.png").symlink_to("0.png")
    with pytest.warns(DatasetWarning, match="1 link to an image listed already"):
        assert len(load_folder(root)) == 4


def test_a_link_that_gives_an_image_both_labels_is_refused(tree):
    root = tree("good/0.png", "bad/0.png")
    (root / "bad" / "1.png").symlink_to(root / "good" / "0.png")
    with pytest.raises(DatasetError, match="as normal and as anomalous"):
        load_folder(root)


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
