"""Groups of images are found from folders, names and times."""

import os

import numpy as np
import pytest

from featad.datasets import find_groups
from featad.errors import DatasetError

VIEWS = ["a17_view1.png", "a17_view2.png", "b2_view1.png"]


def _touch(folder, minutes):
    """Return files that were modified so many minutes after the first one."""
    paths = [folder / f"{index}.png" for index in range(len(minutes))]
    for path, minute in zip(paths, minutes, strict=True):
        path.touch()
        os.utime(path, (0, 1_700_000_000 + 60 * minute))
    return paths


def test_images_of_one_folder_are_a_group():
    groups = find_groups(["x/a.png", "x/b.png", "y/a.png", "./x/c.png"], "folder")
    assert (groups == groups[0]).tolist() == [True, True, False, True]
    assert groups[2].endswith("y")


def test_the_first_group_of_a_pattern_names_the_part():
    groups = find_groups([f"new/{name}" for name in VIEWS], r"(.+)_view(\d)")
    assert groups.tolist() == ["a17", "a17", "b2"]


def test_a_pattern_without_a_group_takes_the_whole_match():
    assert find_groups(VIEWS, r"^[a-z]\d+").tolist() == ["a17", "a17", "b2"]


def test_a_pattern_is_searched_in_the_name_not_in_the_folder():
    assert find_groups(["b/a.png", "b/b.png"], "[ab]").tolist() == ["a", "b"]


@pytest.mark.parametrize("pattern", [r"view(\d)", r"(x)?.*", "x*"])
def test_a_pattern_that_finds_nothing_names_the_file(pattern):
    with pytest.raises(DatasetError, match=r"1 of the 2 images; first: 'new/c.png'"):
        find_groups(["xview1.png", "new/c.png"], pattern)


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(DatasetError, match="not a regular expression"):
        find_groups(VIEWS, "(")


def test_a_pause_longer_than_the_minutes_begins_a_group(tmp_path):
    paths = _touch(tmp_path, [0, 1, 2.9, 10, 11.5, 30])
    assert find_groups(paths, "minutes=2").tolist() == ["1", "1", "1", "2", "2", "3"]


def test_groups_by_minutes_do_not_depend_on_the_order_of_the_files(tmp_path):
    paths = _touch(tmp_path, [30, 0, 10.5, 10, 1])
    assert find_groups(paths, "minutes=1.5").tolist() == ["3", "1", "2", "2", "1"]


@pytest.mark.parametrize("by", ["minutes=", "minutes=two", "minutes=0", "minutes=nan"])
def test_minutes_that_are_no_number_are_refused(by):
    with pytest.raises(DatasetError, match="a number of minutes above 0"):
        find_groups([], by)


def test_a_file_without_a_time_is_named(tmp_path):
    with pytest.raises(DatasetError, match="none.png"):
        find_groups([tmp_path / "none.png"], "minutes=2")


@pytest.mark.parametrize("by", ["folder", "minutes=2", "x"])
def test_no_images_have_no_groups(by):
    groups = find_groups([], by)
    assert (groups.shape, groups.dtype.kind) == ((0,), np.dtype(str).kind)
