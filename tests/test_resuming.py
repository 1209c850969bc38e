"""A run that was stopped goes on, and its file is that of a run that was not."""

import os

import numpy as np
import pytest
from PIL import Image

from featad.calibration import calibrate
from featad.cli import main
from featad.persistence import save
from featad.registry import build
from featad.resuming import journal_path
from featad.score_files import read_rows
from featad.scorer import Scorer
from featad.scoring import score_to_file
from tests.fuzz.kills import score_under_fire


@pytest.fixture(scope="module")
def system(images):
    return calibrate(build("pixels-kmeans"), target_fpr=0.1).fit(images)


@pytest.fixture
def batches(monkeypatch):
    """Return a list of the batches that are scored, as names; stop at the n-th."""

    class Batches(list):
        stop_at: int | None = None

    seen, score = Batches(), Scorer.score

    def scoring(self, batch):
        if len(seen) == seen.stop_at:
            raise KeyboardInterrupt
        seen.append([path.name for path in batch])
        return score(self, batch)

    monkeypatch.setattr(Scorer, "score", scoring)
    return seen


@pytest.fixture
def stopped(system, paths, batches, tmp_path):
    """Return a score file in CSV of a run of batches of two, stopped at the second."""
    batches.stop_at = 1
    with pytest.raises(KeyboardInterrupt):
        score_to_file(system, paths, tmp_path / "s.csv", batch_size=2, resume=True)
    batches.stop_at = None
    batches.clear()
    return tmp_path / "s.csv"


def _whole(system, paths, tmp_path, **options):
    path = tmp_path / "whole.csv"
    score_to_file(system, paths, path, **options)
    return path.read_bytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked")
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_run_killed_anywhere_ends_in_the_file_of_one_that_was_not(suffix, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    assert score_under_fire(tmp_path, suffix, n_kills=8, seed=1) > 0


def test_what_was_scored_is_not_scored_again(system, paths, stopped, batches, tmp_path):
    summary = score_to_file(system, paths, stopped, batch_size=2, resume=True)
    assert ["0.png", "1.png"] not in batches
    assert (summary.scored, summary.failed, summary.resumed) == (5, 1, 2)
    assert not journal_path(stopped).exists()
    assert stopped.read_bytes() == _whole(system, paths, tmp_path, batch_size=2)


def test_what_this_run_has_scored_is_not_of_an_earlier_one(system, paths, tmp_path):
    options = {"batch_size": 1, "resume": True}
    same = [paths[0], paths[0]]
    assert score_to_file(system, same, tmp_path / "s.csv", **options).resumed == 0


def test_an_image_that_has_changed_is_scored_anew(
    system, paths, stopped, batches, tmp_path
):
    Image.new("RGB", (8, 8), "red").save(paths[1])
    score_to_file(system, paths, stopped, batch_size=2, resume=True)
    assert batches[0] == ["0.png", "1.png"]
    assert stopped.read_bytes() == _whole(system, paths, tmp_path, batch_size=2)


def test_another_system_scores_anew(paths, stopped, batches, images):
    other = calibrate(build("pixels-kmeans"), target_fpr=0.2).fit(images)
    assert score_to_file(other, paths, stopped, batch_size=2, resume=True).resumed == 0


def test_another_threshold_scores_anew(system, paths, stopped, images):
    other = calibrate(build("pixels-kmeans"), target_fpr=0.1).fit(images)
    other[-1].set_threshold(target_fpr=0.2)
    assert score_to_file(other, paths, stopped, batch_size=2, resume=True).resumed == 0


def test_the_same_system_elsewhere_resumes(system, paths, stopped, tmp_path):
    save(system, tmp_path / "m.joblib")
    assert main([
        "score", str(tmp_path / "m.joblib"), *map(str, paths), "-o", str(stopped),
        "--batch-size", "2", "--resume",
    ]) == 0  # fmt: skip


def test_images_added_and_removed_leave_the_rest(system, paths, stopped, batches):
    score_to_file(system, paths[:5], stopped, batch_size=2, resume=True)
    assert read_rows(stopped)["path"].tolist() == list(map(str, paths[:5]))
    assert ["0.png", "1.png"] not in batches


def test_a_line_cut_short_is_scored_anew(system, paths, stopped, batches, tmp_path):
    journal = journal_path(stopped)
    journal.write_bytes(journal.read_bytes()[:-5])
    assert score_to_file(system, paths, stopped, batch_size=2, resume=True).resumed == 0
    assert stopped.read_bytes() == _whole(system, paths, tmp_path, batch_size=2)


@pytest.mark.parametrize("lost", [b"\0" * 40 + b"\n", b"no tab\n", b"\xff\tnot JSON\n"])
def test_lines_that_a_power_cut_left_are_passed_over(lost, system, paths, stopped):
    journal = journal_path(stopped)
    key = journal.read_bytes().partition(b"\t")[0]
    journal.write_bytes(lost + key + b"\t" + lost)
    assert score_to_file(system, paths, stopped, batch_size=2, resume=True).resumed == 0


@pytest.mark.parametrize(
    ("retry_errors", "anew"),
    [(False, [["4.png", "5.png"]]), (True, [["2.png", "3.png"], ["4.png", "5.png"]])],
)
def test_errors_are_retried_if_asked_to(
    retry_errors, anew, system, paths, batches, tmp_path
):
    options = {"batch_size": 2, "resume": True, "retry_errors": retry_errors}
    batches.stop_at = 4  # the second batch is halved
    with pytest.raises(KeyboardInterrupt):
        score_to_file(system, paths, tmp_path / "s.csv", **options)
    batches.stop_at = None
    batches.clear()
    score_to_file(system, paths, tmp_path / "s.csv", **options)
    assert [batch for batch in batches if len(batch) == 2] == anew


def test_parts_resume(images, paths, batches, tmp_path):
    groups = np.repeat(np.arange(8), 3)
    system = calibrate(build("pixels-kmeans"), target_fpr=0.2)
    system.fit(images, detector__groups=groups)
    options = {"batch_size": 2, "groups": ["a", "a", "b", "b", "b", "a"]}
    batches.stop_at = 1
    file = tmp_path / "s.csv"
    with pytest.raises(KeyboardInterrupt):
        score_to_file(system, paths, file, resume=True, **options)
    batches.stop_at = None
    summary = score_to_file(system, paths, file, resume=True, **options)
    assert summary.resumed == 2
    assert file.read_bytes() == _whole(system, paths, tmp_path, **options)


def test_a_stream_cannot_be_resumed(system, paths):
    with pytest.raises(ValueError, match="resume needs path"):
        score_to_file(system, paths, None, resume=True)


def test_the_command_says_that_it_goes_on(system, paths, batches, tmp_path, capsys):
    save(system, tmp_path / "m.joblib")
    command = ["score", str(tmp_path / "m.joblib"), *map(str, paths), "--resume"]
    command += ["-o", str(tmp_path / "s.csv"), "--batch-size", "2"]
    batches.stop_at = 1
    assert main(command) == 130
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith("2 of 6 images are scored; the same command goes on from there")
    )
    batches.stop_at = None
    assert main(command) == 0
    assert "; 2 images by an earlier run; wrote" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["x.png", "--resume"], "--resume needs images and --output FILE"),
        (["--retry", "s.csv", "-o", "t.csv", "--resume"], "--resume needs images"),
        (["x.png", "-o", "s.csv", "--retry-errors"], "--retry-errors needs --resume"),
    ],
)
def test_options_that_need_others_say_so(options, told, capsys):
    assert main(["score", "m.joblib", *options]) == 2
    assert told in capsys.readouterr().err
