"""What the command line leaves behind, whatever the console and whoever stops it."""

import io
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from featad import calibrate
from featad.cli import main
from featad.persistence import save
from featad.registry import build
from featad.scoring import Scorer

NAMES = ["a.png", "emoji😀.png", "tür.png", "螺丝_001.png"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    images = np.random.default_rng(0).random((12, 8, 8, 3))
    path = tmp_path_factory.mktemp("model") / "m.joblib"
    save(calibrate(build("pixels-kmeans"), target_fpr=0.2).fit(images), path)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    for name in NAMES:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / name)
    return str(folder)


def _names(text):
    return [os.path.basename(path) for path in pd.read_csv(text)["path"]]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-16"])
def test_rows_on_a_console_of_any_encoding_are_utf_8(
    encoding, model, folder, tmp_path, monkeypatch
):
    out = tmp_path / "out.csv"
    with open(out, "w", encoding=encoding) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["score", model, folder]) == 0
    assert _names(out) == NAMES


def test_names_on_a_console_that_lacks_them_are_escaped(
    model, folder, tmp_path, monkeypatch
):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    monkeypatch.setattr(sys, "stderr", stream)
    output = str(tmp_path / "螺.csv")
    assert main(["score", model, folder, "-o", output]) == 0
    stream.flush()
    assert rb"wrote" in stream.buffer.getvalue()
    assert rb"\u87ba.csv" in stream.buffer.getvalue()


def test_rows_survive_a_process_without_a_locale(model, folder):
    command = [sys.executable, "-m", "featad", "score", model, folder]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, env=os.environ | plain, capture_output=True)
    assert done.returncode == 0
    assert _names(io.BytesIO(done.stdout)) == NAMES


def test_a_name_that_begins_with_a_dash_follows_two_dashes(
    model, folder, monkeypatch, capsys
):
    monkeypatch.chdir(folder)
    shutil.copy("a.png", "-x.png")
    assert main(["score", model, "--", "-x.png"]) == 0
    assert _names(io.StringIO(capsys.readouterr().out)) == ["-x.png"]


def test_an_output_without_a_standard_error_stays_a_table(
    model, folder, capsys, monkeypatch
):
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["score", model, folder]) == 0
    assert _names(io.StringIO(capsys.readouterr().out)) == NAMES


@pytest.fixture
def stopped(monkeypatch):
    """Return a function that lets a signal come while the third image is scored."""

    def stop(which):
        n_batches, score = 0, Scorer.score

        def stopping(self, batch):
            nonlocal n_batches
            n_batches += 1
            if n_batches == 3:
                os.kill(os.getpid(), which)
            return score(self, batch)

        monkeypatch.setattr(Scorer, "score", stopping)

    return stop


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("which", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended")],
)
def test_a_signal_leaves_the_rows_so_far_and_one_sentence(
    suffix, which, code, word, model, folder, tmp_path, stopped, capsys
):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    stopped(which)
    out = tmp_path / f"s.{suffix}"
    arguments = ["score", model, folder, "-o", str(out), "--batch-size", "1"]
    assert main(arguments) == code
    told = capsys.readouterr().err.strip().splitlines()
    assert told[-1] == f"featad score: {word}; 2 of 4 images are scored"
    read = {
        "csv": pd.read_csv,
        "parquet": pd.read_parquet,
        "jsonl": lambda path: pd.read_json(path, lines=True),
    }
    assert len(read[suffix](out)) == 2
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_run_on_the_output_of_another_is_refused_in_one_sentence(
    model, folder, tmp_path, monkeypatch, capsys
):
    out = str(tmp_path / "s.csv")
    codes, score = [], Scorer.score

    def scoring(self, batch):
        monkeypatch.setattr(Scorer, "score", score)
        codes.append(main(["score", model, folder, "-o", out]))
        return score(self, batch)

    monkeypatch.setattr(Scorer, "score", scoring)
    codes.append(main(["score", model, folder, "-o", out]))
    assert codes == [1, 0]
    assert "Another run is writing this file: " + out in capsys.readouterr().err
    assert _names(out) == NAMES


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(model, folder, tmp_path, capsys):
    out = tmp_path / "s.csv"
    out.symlink_to("/dev/full")
    assert main(["score", model, folder, "-o", str(out)]) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert told == [
        f"{out} exists and will be replaced",
        f"featad score: error: No space left on device: {out}",
    ]


def test_a_name_too_long_is_refused_before_the_fit(folder, tmp_path, capsys):
    out = str(tmp_path / ("m" * 243 + ".joblib"))  # and .split.csv beside it
    assert main(["fit", "--system", "pixels-kmeans", "--data", folder, "-o", out]) == 1
    assert "File name too long" in capsys.readouterr().err
    assert not os.path.exists(out)


def test_an_output_may_have_a_name_of_250_bytes(model, folder, tmp_path):
    out = str(tmp_path / ("s" * 246 + ".csv"))
    assert main(["score", model, folder, "-o", out]) == 0
    assert _names(out) == NAMES
