"""The command line does the main job, and answers bad input in one sentence."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from featad.cli import main
from featad.cli.demo import _claim
from featad.registry import list_systems

FIT = ["--system", "pixels-kmeans"]


@pytest.fixture(scope="module")
def parts(part_folder):
    """Return a folder in the MVTec layout: 24 good parts to train on, 16 to test."""
    return part_folder


def _error(capsys):
    """Return the one line on stderr that tells of the error."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "\n".join(lines)
    return lines[-1]


def test_list_names_every_system(capsys):
    assert main(["list", "--names"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [s.name for s in list_systems()]
    assert all(
        line.endswith(f"({s.source})")
        for line, s in zip(lines, list_systems(), strict=True)
    )


def test_list_tells_summary_and_source(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert "far from every k-means center (MacQueen 1967)" in printed
    assert "vgg16" in printed


def test_list_names_the_scorers_of_each_kind(capsys):
    main(["list"])
    printed = capsys.readouterr().out
    patches = printed.split("FEATURES-patches-SCORER: ")[1].split("\n\n")[0]
    assert "unusual at its position" in patches
    assert "autoencoder" not in patches


def test_doctor_tells_versions_devices_and_weights(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "scikit-learn" in printed
    assert "auto selects" in printed
    assert "vgg16-397923af.pth" in printed


def test_doctor_tells_how_to_get_a_missing_extra(capsys, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "pyarrow" else find(n)
    )
    assert main(["doctor"]) == 0
    assert "pip install 'featad[parquet]'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit"], "required: -o"),
        (["fit", "-o", "m"], "required: --data"),
        (["fit", "x", "y", "-o", "m"], "unrecognized arguments: y"),
        (["compare", "x", "--max-failed", "2"], "a number from 0 to 1"),
        (["fit", "--data", "x", "-o", "m", "--system", "vgg16-ocsmv"], "did you mean"),
        (["compare", "--data", "x", "--systems", "nothing"], "no system 'nothing'"),
        (["fit", "--data", "x", "-o", "m", "--set", "nu"], "STEP__PARAM=VALUE"),
        ([], "required: COMMAND"),
        (["score", "model"], "required: images"),
    ],
)
def test_wrong_use_is_exit_code_2_and_says_why(arguments, said, capsys):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_weights_are_chosen_by_architecture():
    from featad.cli.options import _weights_of

    choices = ["other.pth", "squeezenet1_1=random", "vgg16=v.pth"]
    assert _weights_of("squeezenet1_1", choices) is None
    assert _weights_of("vgg16", choices) == os.path.abspath("v.pth")
    assert _weights_of("resnet18", choices) == os.path.abspath("other.pth")
    assert _weights_of("resnet18", []) == "default"


def test_values_of_set_are_python_literals_or_strings():
    from featad.cli.options import _assignment

    assert _assignment("detector__nu=0.1") == ("detector__nu", 0.1)
    assert _assignment("layer=conv4_3") == ("layer", "conv4_3")


@pytest.mark.slow
def test_demo_does_the_whole_job(tmp_path, capsys):
    output = tmp_path / "demo"
    arguments = ["demo", "-o", str(output), "--n-train", "40", "--n-test", "30"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "Using vgg_mini" in printed
    assert printed.endswith(f"Open this page: {output / 'report.html'}\n")
    assert "mini-stats-mahalanobis" in printed
    assert len(pd.read_csv(output / "scores.csv")) == 60
    assert (output / "model.joblib.json").exists()
    assert (output / ".featad-demo").exists()
    assert "Where should the threshold lie?" in (output / "report.html").read_text(
        "utf-8"
    )
    for picture in ("scores.png", "roc.png", "strangest.png"):
        assert np.ptp(np.asarray(Image.open(output / picture).convert("L"))) > 100


def test_an_unexpected_error_is_one_sentence(parts, tmp_path, capsys, monkeypatch):
    arguments = [
        "fit",
        *FIT,
        "--data",
        str(parts),
        "-o",
        str(tmp_path / "m.joblib"),
    ]
    assert main([*arguments, "--set", "reduce=abc"]) == 1
    assert "FEATAD_DEBUG=1" in _error(capsys)
    monkeypatch.setenv("FEATAD_DEBUG", "1")
    with pytest.raises(AttributeError):
        main([*arguments, "--set", "reduce=abc"])


def test_the_demo_leaves_folders_that_are_not_its_own(tmp_path, capsys):
    mine = tmp_path / "parts" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert main(["demo", "-o", str(tmp_path)]) == 1
    assert "was not written by the demo" in _error(capsys)
    assert mine.read_text() == "mine"
    assert not (tmp_path / ".featad-demo").exists()


def test_the_demo_replaces_its_own_folders(tmp_path):
    _claim(tmp_path)
    (tmp_path / "parts").mkdir()
    _claim(tmp_path)
