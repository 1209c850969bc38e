"""Every file of a folder is listed as an image, or is left out, counted and named."""

import errno
import os
import warnings
from pathlib import Path

import pytest

from featad.errors import DatasetError
from featad.images import list_images, scan_folder


def _touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _found(folder):
    """Return the images of a folder, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images = list_images(folder)
    texts = [str(warning.message) for warning in caught]
    return [path.relative_to(folder).as_posix() for path in images], texts


def test_files_are_listed_in_natural_order_whatever_their_case_and_script(tmp_path):
    names = ["img10.PNG", "img2.png", "Img1.JpG", "ü 部品 3.tiff", "b/1.bmp"]
    (tmp_path / "b").mkdir()
    for name in [*names, "notes.txt", ".hidden.png"]:
        (tmp_path / name).touch()
    found = [p.relative_to(tmp_path).as_posix() for p in list_images(tmp_path)]
    assert found == ["b/1.bmp", "Img1.JpG", "img2.png", "img10.PNG", "ü 部品 3.tiff"]


def test_folders_below_are_left_out_when_asked(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("a.png", "below/b.png"):
        (tmp_path / name).touch()
    assert [p.name for p in list_images(tmp_path, recursive=False)] == ["a.png"]


def test_listing_what_holds_no_images_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no images"):
        list_images(tmp_path)
    (tmp_path / "a.png").touch()
    with pytest.raises(DatasetError, match="is a file"):
        list_images(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="There is no folder"):
        list_images(tmp_path / "none")


def test_a_folder_on_a_lost_share_is_refused_by_name(tmp_path, monkeypatch):
    def lose(path):
        raise OSError(errno.ESTALE, "Stale file handle", str(path))

    monkeypatch.setattr(Path, "exists", lose)
    with pytest.raises(DatasetError, match=f"{tmp_path.name}': Stale file handle"):
        list_images(tmp_path)


def test_a_folder_of_images_alone_is_listed_without_a_word(tmp_path):
    _touch(tmp_path, "1.png", "below/2.JPG")
    assert _found(tmp_path) == (["1.png", "below/2.JPG"], [])


def test_files_with_other_suffixes_are_counted_and_the_first_is_named(tmp_path):
    _touch(tmp_path, "NOEXT", "b.raw", "c.jxl", "d.PNG.crdownload", "e.JPG")
    images, said = _found(tmp_path)
    assert images == ["e.JPG"]
    assert len(said) == 1
    assert "Left out 4 files that do not end in .avif" in said[0]
    assert "(first: b.raw)" in said[0]


def test_one_file_is_counted_as_one(tmp_path):
    _touch(tmp_path, "a.png", "notes.txt")
    assert "1 file that does not end in" in _found(tmp_path)[1][0]


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
        "$RECYCLE.BIN/b.png",
        "$Recycle.Bin/S-1/b.png",
        "__MACOSX/a.png",
        "__MACOSX/._a.png",
        "lost+found/c.png",
        "#recycle/c.png",
        ".Trash-1000/files/d.png",
        ".git/e.png",
        ".ipynb_checkpoints/f-checkpoint.png",
        "._1.png",
        "System Volume Information/x.png",
        "Thumbs.db",
        "below/@eaDir/x.jpg",
    ],
)
def test_what_systems_leave_in_folders_is_left_out_and_counted(name, tmp_path):
    _touch(tmp_path, "1.png", name)
    images, said = _found(tmp_path)
    assert images == ["1.png"]
    assert f"1 hidden or system file (first: {name})" in said[0]


def test_kinds_of_files_are_counted_in_one_warning(tmp_path):
    _touch(tmp_path, "1.png", "@eaDir/a.jpg", "@eaDir/b.jpg", "x.txt")
    said = _found(tmp_path)[1]
    assert len(said) == 1
    assert "2 hidden or system files" in said[0]
    assert "1 file that" in said[0]


def test_an_empty_system_folder_is_not_worth_a_word(tmp_path):
    _touch(tmp_path, "1.png")
    (tmp_path / "lost+found").mkdir()
    assert _found(tmp_path)[1] == []


def test_the_count_of_each_kind_is_there_for_programs(tmp_path):
    _touch(tmp_path, "1.png", "x.txt", "y.txt", ".hidden.png")
    left_out = scan_folder(tmp_path).left_out
    assert {rule.many.split()[0]: len(paths) for rule, paths in left_out.items()} == {
        "files": 2,
        "hidden": 1,
    }


def test_a_folder_without_images_says_what_it_holds_instead(tmp_path):
    _touch(tmp_path, "a.raw", "b.raw")
    with pytest.raises(DatasetError, match=r"Left out 2 files.*first: a.raw"):
        list_images(tmp_path)


@pytest.fixture
def store(tmp_path):
    """Return a folder of two images, outside the folder that is listed."""
    _touch(tmp_path / "store", "1.png", "2.png")
    return tmp_path / "store"


@pytest.fixture
def root(tmp_path):
    """Return a folder with one image."""
    _touch(tmp_path / "root", "a.png")
    return tmp_path / "root"


def test_a_linked_folder_is_searched(root, store):
    (root / "crack").symlink_to(store)
    assert _found(root) == (["a.png", "crack/1.png", "crack/2.png"], [])


def test_a_folder_that_is_itself_a_link_is_searched(root, store):
    (root / "link").symlink_to(store)
    assert len(list_images(root / "link")) == 2


@pytest.mark.parametrize("target", ["..", ".", "../..", "../below"])
def test_a_loop_of_links_ends_and_is_said(target, root):
    _touch(root, "below/b.png")
    (root / "below" / "loop").symlink_to(target)
    images, said = _found(root)
    assert images == ["a.png", "below/b.png"]
    assert "1 link to a folder that holds it" in said[0]


def test_linked_folders_that_link_to_each_other_end(tmp_path):
    names = "abcdefgh"
    for name in names:
        _touch(tmp_path / "all", f"{name}/{name}.png")
    for name in names:
        for other in set(names) - {name}:
            (tmp_path / "all" / name / f"to-{other}").symlink_to(f"../{other}")
    assert len(_found(tmp_path / "all")[0]) == len(names)


def test_a_folder_linked_twice_is_listed_once(root, store):
    (root / "x").symlink_to(store)
    (root / "y").symlink_to(store)
    images, said = _found(root)
    assert images == ["a.png", "x/1.png", "x/2.png"]
    assert "2 links to images listed already (first: y/1.png)" in said[0]


def test_a_link_to_an_image_of_the_folder_is_left_out(root):
    (root / "0.png").symlink_to("a.png")
    images, said = _found(root)
    assert images == ["a.png"]
    assert "1 link to an image listed already (first: 0.png)" in said[0]


def test_a_link_to_nothing_is_listed_and_fails_by_name_later(root):
    (root / "gone.png").symlink_to("nowhere.png")
    (root / "self.png").symlink_to("self.png")
    assert _found(root) == (["a.png", "gone.png", "self.png"], [])


def test_a_pipe_is_left_out(root):
    os.mkfifo(root / "pipe.png")
    images, said = _found(root)
    assert images == ["a.png"]
    assert "pipe.png" in said[0]
