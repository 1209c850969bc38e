"""``featad cache`` tells what a folder holds, clears it and limits it."""

import numpy as np
import pytest

from featad.cli import main
from featad.features.cache import FeatureCache


@pytest.fixture
def folder(tmp_path):
    """Return a folder of three entries of 1,032 bytes."""
    cache = FeatureCache(tmp_path, "a" * 64, 250)
    for i in range(3):
        cache.put(f"{i:064x}", np.zeros(250))
    return tmp_path


def test_info_tells_what_a_folder_holds(folder, capsys):
    assert main(["cache", "info", str(folder)]) == 0
    expected = "3 entries of 1 choice of features, 3.1 kB; no limit\n"
    assert capsys.readouterr().out == expected


def test_clear_tells_what_was_removed(folder, capsys):
    assert main(["cache", "clear", str(folder)]) == 0
    told = capsys.readouterr().out
    assert told == "removed 3 entries of 1 choice of features, 3.1 kB\n"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ("2.5kB", "2 entries of 1 choice of features, 2.06 kB; limit 2.5 kB\n"),
        ("20GB", "3 entries of 1 choice of features, 3.1 kB; limit 20 GB\n"),
        ("0", "3 entries of 1 choice of features, 3.1 kB; no limit\n"),
    ],
)
def test_limit_sets_the_size_for_all_later_runs(folder, capsys, size, told):
    assert main(["cache", "limit", str(folder), "--size", size]) == 0
    assert capsys.readouterr().out == told


@pytest.mark.parametrize("size", ["much", "-1GB", "5 boxes", "1.2.3MB"])
def test_a_size_that_is_none_is_refused(folder, capsys, size):
    assert main(["cache", "limit", str(folder), f"--size={size}"]) == 2
    assert "expected a size such as 500MB or 20GB" in capsys.readouterr().err


def test_keep_sets_the_type_for_all_later_runs(folder, capsys):
    told = "3 entries of 1 choice of features, 3.1 kB; no limit"
    assert main(["cache", "keep", str(folder), "--dtype", "float16"]) == 0
    assert main(["cache", "info", str(folder)]) == 0
    assert capsys.readouterr().out == 2 * f"{told}; kept in float16\n"
    assert main(["cache", "keep", str(folder), "--dtype", "float32"]) == 0
    assert capsys.readouterr().out == f"{told}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["limit"], "needs --size"),
        (["keep"], "needs --dtype"),
        (["info", "--size", "1GB"], "`info` does not take it"),
        (["limit", "--size", "1GB", "--dtype", "float16"], "`limit` does not take it"),
    ],
)
def test_an_option_goes_with_what_it_is_for_alone(folder, capsys, arguments, told):
    what, *more = arguments
    assert main(["cache", what, str(folder), *more]) == 1
    assert told in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["cache", "info", str(tmp_path / "gone")]) == 1
    assert "gone' is not a folder of cached features" in capsys.readouterr().err
