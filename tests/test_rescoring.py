"""Rows with an error are scored again, and nothing else changes."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from featad.calibration import calibrate
from featad.cli import main
from featad.persistence import save
from featad.registry import build
from featad.rescoring import rescore_file
from featad.score_files import read_rows
from featad.scoring import COLUMNS, score_to_file


@pytest.fixture(scope="module")
def system():
    images = np.random.default_rng(0).random((12, 8, 8, 3))
    return calibrate(build("pixels-kmeans"), target_fpr=0.2).fit(images)


@pytest.fixture
def paths(tmp_path):
    """Five files; the second is half written, the last one is missing."""
    rng = np.random.default_rng(1)
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:60])
    return [*paths, tmp_path / "gone.png"], whole


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_rows_with_an_error_are_scored_again_in_their_places(
    suffix, system, paths, tmp_path
):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    paths, whole = paths
    path, expected = tmp_path / f"s{suffix}", tmp_path / f"expected{suffix}"
    score_to_file(system, paths, path)
    paths[1].write_bytes(whole)
    score_to_file(system, paths, expected)
    rows = rescore_file(system, path)
    assert rows.index.tolist() == [1, 4]
    assert rows["error"].isna().tolist() == [True, False]
    pd.testing.assert_frame_equal(
        read_rows(path), read_rows(expected), check_dtype=False, rtol=1e-4
    )
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_rows_without_an_error_stay_to_the_byte(system, paths, tmp_path):
    path, output = tmp_path / "s.csv", tmp_path / "new.csv"
    score_to_file(system, paths[0], path)
    rescore_file(system, path, output)
    assert output.read_bytes() == path.read_bytes()


def test_nothing_to_score_again_changes_nothing(system, paths, tmp_path):
    path = tmp_path / "s.csv"
    score_to_file(system, paths[0][:1], path)
    before = path.read_bytes()
    assert len(rescore_file(system, path)) == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_another_output_is_written_though_nothing_has_an_error(
    suffix, system, paths, tmp_path
):
    path, output = tmp_path / f"s{suffix}", tmp_path / f"new{suffix}"
    score_to_file(system, paths[0][2:4], path)
    assert len(rescore_file(system, path, output)) == 0
    assert output.read_bytes() == path.read_bytes()


def test_another_threshold_is_refused(system, paths, tmp_path):
    path = tmp_path / "s.csv"
    score_to_file(system, paths[0], path)
    before = path.read_bytes()
    other = build("pixels-kmeans").fit(np.random.default_rng(2).random((9, 8, 8, 3)))
    with pytest.raises(ValueError, match="was written with the threshold"):
        rescore_file(other, path)
    assert path.read_bytes() == before


def test_another_table_is_refused(system, tmp_path):
    (tmp_path / "s.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="one row per image"):
        rescore_file(system, tmp_path / "s.csv")


def test_a_name_that_is_not_utf_8_is_found_again(system, paths, tmp_path):
    whole = paths[0][0].read_bytes()
    name = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    score_to_file(system, [os.fsdecode(name)], tmp_path / "s.csv")
    with open(name, "wb") as file:
        file.write(whole)
    assert rescore_file(system, tmp_path / "s.csv")["error"].isna().all()


def test_the_command_line_scores_again(system, paths, tmp_path, capsys):
    model, path = str(tmp_path / "m.joblib"), str(tmp_path / "s.csv")
    save(system, model)
    paths, whole = paths
    assert main(["score", model, *map(str, paths), "-o", path]) == 0
    paths[1].write_bytes(whole)
    assert main(["score", model, "--retry", path]) == 0
    assert "scored 1 of 2 images that had an error" in capsys.readouterr().err
    assert pd.read_csv(path)["error"].isna().tolist() == [True] * 4 + [False]
    assert list(pd.read_csv(path).columns) == list(COLUMNS)
    assert main(["score", model, "--retry", path, str(paths[0])]) == 2
    assert main(["score", model]) == 2


@pytest.fixture
def retry(system, paths, tmp_path):
    """Return a command that scores again, after a run of which two of five failed."""
    save(system, tmp_path / "m.joblib")
    score_to_file(system, paths[0], tmp_path / "s.csv")
    return ["score", str(tmp_path / "m.joblib"), "--retry", str(tmp_path / "s.csv")]


@pytest.mark.parametrize(("limit", "code"), [("0.3", 0), ("0.1", 1)])
def test_the_share_that_may_fail_is_that_of_the_file(limit, code, retry, paths, capsys):
    paths[0][1].write_bytes(paths[1])
    assert main([*retry, "--max-failed", limit]) == code
    assert ("1 of 5 images cannot be read" in capsys.readouterr().err) == bool(code)


def test_a_folder_for_an_output_is_refused_before_the_work(
    retry, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("featad.rescoring.score_images", None)
    (tmp_path / "new.csv").mkdir()
    assert main([*retry, "-o", str(tmp_path / "new.csv")]) == 1
    assert "The output is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--report", "r.html", "-o", "t.csv"], ["--on-error", "raise"]]
)
def test_options_that_scoring_again_does_not_follow_are_refused(options, capsys):
    assert main(["score", "m.joblib", "--retry", "s.csv", *options]) == 2
    told = "--report and --on-error raise: not allowed with --retry"
    assert told in capsys.readouterr().err
