"""``featad score`` writes a row for every image."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from featad.cli import main
from featad.scoring import COLUMNS

FIT = ["--system", "pixels-kmeans"]


@pytest.fixture(scope="module")
def parts(part_folder):
    """Return a folder in the MVTec layout: 24 good parts to train on, 16 to test."""
    return part_folder


@pytest.fixture(scope="module")
def model(part_model):
    return part_model


def _error(capsys):
    """Return the one line on stderr that tells of the error."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "\n".join(lines)
    return lines[-1]


def test_score_writes_a_row_for_every_input(model, parts, tmp_path, capsys):
    output = tmp_path / "scores.csv"
    assert main(["score", str(model), str(parts / "test"), "-o", str(output)]) == 0
    assert len(pd.read_csv(output)) == 16
    assert "scored 16 images" in capsys.readouterr().err


def test_score_prints_csv_without_an_output_file(model, parts, capsys):
    assert main(["score", str(model), str(parts / "train")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(",".join(COLUMNS))
    assert len(lines) == 25


def test_score_takes_files_and_folders_in_input_order(model, parts, capsys):
    last = sorted((parts / "train" / "good").iterdir())[-1]
    main(["score", str(model), str(last), str(parts / "test" / "good")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(str(last))
    assert len(lines) > 2


def test_one_broken_image_is_a_counted_skip(model, parts, tmp_path, capsys):
    folder = tmp_path / "new"
    shutil.copytree(parts / "train" / "good", folder)
    (folder / "broken.png").write_bytes(b"")
    output = tmp_path / "scores.csv"
    assert main(["score", str(model), str(folder), "-o", str(output)]) == 0
    assert pd.read_csv(output)["error"].notna().sum() == 1
    assert "could not score 1 images; first: Cannot read" in capsys.readouterr().err


def test_all_images_broken_is_a_failed_job_with_all_rows(model, tmp_path, capsys):
    for index in range(3):
        (tmp_path / f"{index}.jpg").write_bytes(b"text")
    output = tmp_path / "scores.csv"
    assert main(["score", str(model), str(tmp_path), "-o", str(output)]) == 1
    assert len(pd.read_csv(output)) == 3


def test_a_missing_image_is_a_row_with_an_error(model, tmp_path, capsys):
    assert main(["score", str(model), str(tmp_path / "none.png")]) == 1
    assert "none.png" in capsys.readouterr().out


def test_on_error_raise_stops_and_keeps_what_was_scored(model, parts, tmp_path, capsys):
    good = sorted((parts / "train" / "good").iterdir())[:2]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"")
    output = tmp_path / "scores.csv"
    images = [*map(str, good), str(broken)]
    arguments = ["score", str(model), *images, "-o", str(output)]
    assert main([*arguments, "--on-error", "raise"]) == 1
    assert len(pd.read_csv(output)) == 2
    assert "broken.png" in _error(capsys)


def test_scores_that_cannot_be_written_are_refused(model, parts, tmp_path, capsys):
    (tmp_path / "scores.csv").mkdir()
    output = str(tmp_path / "scores.csv")
    assert main(["score", str(model), str(parts), "-o", output]) == 1
    assert "scores.csv" in _error(capsys)


def test_a_model_cut_short_is_refused(model, parts, tmp_path, capsys):
    short = tmp_path / "short.joblib"
    short.write_bytes(model.read_bytes()[:500])
    assert main(["score", str(short), str(parts), "--trust"]) == 1
    assert "is not a model file, or is damaged" in _error(capsys)


def test_an_older_score_file_survives_a_model_that_cannot_score(
    model, parts, tmp_path, capsys
):
    output = tmp_path / "scores.csv"
    output.write_text("old")
    arguments = [
        "score",
        str(tmp_path / "none.joblib"),
        str(parts),
        "-o",
        str(output),
    ]
    assert main(arguments) == 1
    assert output.read_text() == "old"


def test_a_name_that_is_no_utf_8_is_a_row(model, parts, tmp_path, capsys):
    source = next((parts / "train" / "good").iterdir())
    folder = os.fsencode(tmp_path / "bytes")
    os.mkdir(folder)
    shutil.copy(os.fsencode(source), os.path.join(folder, b"a\xff.png"))
    output = tmp_path / "scores.csv"
    assert main(["score", str(model), os.fsdecode(folder), "-o", str(output)]) == 0
    assert pd.read_csv(output)["path"][0].endswith(r"a\xff.png")


def test_a_closed_pipe_ends_quietly(model, parts):
    command = [sys.executable, "-m", "featad", "score", str(model)]
    command += [str(parts / "train")] * 40 + ["--batch-size", "8"]
    scoring = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    scoring.stdout.readline()
    scoring.stdout.close()
    assert scoring.wait(timeout=60) == 0
    assert b"roken pipe" not in scoring.stderr.read()


def test_score_writes_a_report(model, parts, tmp_path, capsys):
    output, page = tmp_path / "scores.csv", tmp_path / "report.html"
    arguments = ["score", str(model), str(parts / "test"), "-o", str(output)]
    assert main([*arguments, "--report", str(page)]) == 0
    assert f"wrote {page}" in capsys.readouterr().err
    assert "The batch" in page.read_text("utf-8")


def test_a_report_needs_an_output_file(model, parts, tmp_path, capsys):
    arguments = ["score", str(model), str(parts), "--report", str(tmp_path / "r.html")]
    assert main(arguments) == 2
    assert "--report needs --output FILE" in _error(capsys)


def test_masks_among_the_images_are_said(model, parts, tmp_path, capsys):
    folder = tmp_path / "set"
    for name in ("test", "ground_truth"):
        (folder / name).mkdir(parents=True)
        first = sorted((parts / "train").rglob("*.png"))[0]
        shutil.copy(first, folder / name / "0.png")
    assert main(["score", str(model), str(folder), "-o", str(tmp_path / "s.csv")]) == 0
    told = capsys.readouterr().err
    assert "1 of the images in" in told
    assert "folders called ground_truth, as masks are" in told
