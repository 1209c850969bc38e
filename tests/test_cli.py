"""The command line does the main job, and answers bad input in one sentence."""

import os
import shutil
import subprocess
import sys

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


@pytest.fixture(scope="module")
def model(parts, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.joblib"
    arguments = ["fit", *FIT, "--data", str(parts), "-o", str(path)]
    assert main([*arguments, "--target-fpr", "0.1"]) == 0
    return path


def _error(capsys):
    """Return the one line on stderr that tells of the error."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "\n".join(lines)
    return lines[-1]


def test_fit_writes_model_manifest_and_split(model):
    names = {path.name for path in model.parent.iterdir()}
    assert names == {"model.joblib", "model.joblib.json", "model.joblib.split.csv"}


def test_fit_records_the_images_it_saw(model):
    split = pd.read_csv(f"{model}.split.csv")
    assert list(split.columns) == ["path", "sha256", "label", "part"]
    assert len(split) == 24
    assert (split["label"] == 1).all()


def test_a_recorded_split_can_be_fitted_again(model, tmp_path):
    split = f"{model}.split.csv"
    again = str(tmp_path / "again.joblib")
    arguments = ["fit", *FIT, "--data", split, "-o", again, "--target-fpr", "0.1"]
    assert main(arguments) == 0


def test_score_writes_a_row_for_every_input(model, parts, tmp_path, capsys):
    output = tmp_path / "scores.csv"
    assert main(["score", str(model), str(parts / "test"), "-o", str(output)]) == 0
    assert len(pd.read_csv(output)) == 16
    assert "scored 16 images" in capsys.readouterr().err


def test_score_prints_csv_without_an_output_file(model, parts, capsys):
    assert main(["score", str(model), str(parts / "train")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("path,anomaly_score,threshold,is_anomaly,p_value,error")
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


def test_fit_leaves_out_broken_images_and_names_them(parts, tmp_path, capsys):
    folder = tmp_path / "good"
    shutil.copytree(parts / "train" / "good", folder)
    (folder / "broken.png").write_bytes(b"text")
    output = tmp_path / "m.joblib"
    arguments = ["fit", *FIT, "--data", str(folder), "-o", str(output)]
    assert main([*arguments, "--target-fpr", "0.1"]) == 0
    assert "left out 1 images that cannot be read" in capsys.readouterr().err
    assert len(pd.read_csv(f"{output}.split.csv")) == 24
    assert main([*arguments, "--on-error", "raise"]) == 1
    assert "broken.png" in _error(capsys)


def test_compare_prints_a_table_and_writes_it(parts, tmp_path, capsys):
    output = tmp_path / "table.csv"
    systems = "pixels-kmeans,filters-mahalanobis"
    arguments = ["compare", "--data", str(parts), "--systems", systems]
    assert main([*arguments, "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "AUROC" in printed
    assert "filters-mahalanobis" in printed
    table = pd.read_csv(output, index_col="system")
    assert set(table.index) == set(systems.split(","))
    assert table["auroc"].between(0, 1).all()


def test_compare_cross_validates_two_folders(parts, tmp_path, capsys):
    shutil.copytree(parts / "train" / "good", tmp_path / "fine")
    for kind in ("spot", "line"):
        shutil.copytree(parts / "test" / kind, tmp_path / "bad", dirs_exist_ok=True)
    arguments = ["compare", "--data", str(tmp_path), "--systems", "pixels-knn"]
    assert main([*arguments, "--normal", "fine", "--anomaly", "bad", "--cv", "3"]) == 0
    assert "pixels-knn" in capsys.readouterr().out


def test_compare_warns_of_test_images_that_were_trained_on(parts, tmp_path, capsys):
    shutil.copytree(parts, tmp_path / "leaky")
    source = next((parts / "train" / "good").iterdir())
    shutil.copy(source, tmp_path / "leaky" / "test" / "good" / "copy.png")
    data = str(tmp_path / "leaky")
    assert main(["compare", "--data", data, "--systems", "pixels-knn"]) == 0
    assert "1 test images are also training images" in capsys.readouterr().err


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
        (["fit"], "required: --data"),
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


def _prepare(case, folder):
    if case == "empty folder":
        (folder / "data").mkdir()
    elif case == "no images":
        (folder / "data").mkdir()
        (folder / "data" / "notes.txt").write_text("hello")
    elif case == "one image":
        (folder / "data").mkdir()
        Image.new("RGB", (8, 8)).save(folder / "data" / "only.png")
    elif case == "all broken":
        (folder / "data").mkdir()
        for index in range(4):
            (folder / "data" / f"{index}.png").write_bytes(b"text")
    elif case == "labels 0/1":
        Image.new("RGB", (8, 8)).save(folder / "a.png")
        Image.new("RGB", (8, 8)).save(folder / "b.png")
        (folder / "data").write_text("path,label\na.png,0\nb.png,1\n")
        (folder / "data").rename(folder / "data.csv")
        return folder / "data.csv"
    return folder / "data"


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("missing folder", "data"),
        ("empty folder", "no images"),
        ("no images", "no images"),
        ("one image", "takes 4 or more"),
        ("all broken", "None of the 4 images can be read"),
        ("labels 0/1", "-1"),
    ],
)
def test_bad_data_is_one_sentence_and_exit_code_1(case, said, tmp_path, capsys):
    data = _prepare(case, tmp_path)
    output = str(tmp_path / "m.joblib")
    assert main(["fit", *FIT, "--data", str(data), "-o", output]) == 1
    assert said in _error(capsys)


def test_comparing_without_anomalies_is_refused(parts, capsys):
    data = str(parts / "train" / "good")
    assert main(["compare", "--data", data, "--systems", "pixels-knn"]) == 1
    assert "no anomalous images" in _error(capsys)


def test_a_parameter_no_step_has_is_refused(parts, tmp_path, capsys):
    arguments = ["fit", *FIT, "--data", str(parts), "-o", str(tmp_path / "m.joblib")]
    assert main([*arguments, "--set", "detector__nu=0.1"]) == 1
    assert "has no parameter 'detector__nu'" in _error(capsys)


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    parts, tmp_path, capsys
):
    (tmp_path / "file").write_text("in the way")
    output = str(tmp_path / "file" / "m.joblib")
    assert main(["fit", *FIT, "--data", str(parts), "-o", output]) == 1
    assert "file" in _error(capsys)


def test_scores_that_cannot_be_written_are_refused(model, parts, tmp_path, capsys):
    (tmp_path / "scores.csv").mkdir()
    output = str(tmp_path / "scores.csv")
    assert main(["score", str(model), str(parts), "-o", output]) == 1
    assert "scores.csv" in _error(capsys)


def test_a_model_cut_short_is_refused(model, parts, tmp_path, capsys):
    short = tmp_path / "short.joblib"
    short.write_bytes(model.read_bytes()[:500])
    assert main(["score", str(short), str(parts)]) == 1
    assert "is not a model file, or is damaged" in _error(capsys)


def test_weights_that_are_not_there_are_one_sentence(parts, tmp_path, capsys):
    arguments = ["fit", "--system", "squeezenet1_1-knn", "--data", str(parts)]
    arguments += ["-o", str(tmp_path / "m.joblib"), "--weights", "none.pth"]
    assert main(arguments) == 1
    assert "none.pth" in _error(capsys)


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
    assert "mini-stats-mahalanobis" in printed
    assert len(pd.read_csv(output / "scores.csv")) == 60
    assert (output / "model.joblib.json").exists()
    assert (output / ".featad-demo").exists()
    for picture in ("scores.png", "roc.png", "strangest.png"):
        assert np.ptp(np.asarray(Image.open(output / picture).convert("L"))) > 100


def test_an_older_score_file_survives_a_model_that_cannot_score(
    model, parts, tmp_path, capsys
):
    output = tmp_path / "scores.csv"
    output.write_text("old")
    arguments = ["score", str(tmp_path / "none.joblib"), str(parts), "-o", str(output)]
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


def test_a_folder_with_tests_below_is_not_all_normal(parts, tmp_path, capsys):
    shutil.copytree(parts, tmp_path / "outer" / "parts")
    data = str(tmp_path / "outer")
    assert main(["fit", *FIT, "--data", data, "-o", str(tmp_path / "m.joblib")]) == 1
    assert "does not contain normal images only" in _error(capsys)


def test_weights_of_an_architecture_that_is_not_there_are_refused(
    parts, tmp_path, capsys
):
    arguments = ["fit", *FIT, "--data", str(parts), "-o", str(tmp_path / "m.joblib")]
    assert main([*arguments, "--weights", "squeezenet=w.pth"]) == 1
    assert "names the architecture 'squeezenet'" in _error(capsys)


def test_a_closed_pipe_ends_quietly(model, parts):
    command = [sys.executable, "-m", "featad", "score", str(model)]
    command += [str(parts / "train")] * 40 + ["--batch-size", "8"]
    scoring = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    scoring.stdout.readline()
    scoring.stdout.close()
    assert scoring.wait(timeout=60) == 0
    assert b"roken pipe" not in scoring.stderr.read()


def test_an_unexpected_error_is_one_sentence(parts, tmp_path, capsys, monkeypatch):
    arguments = ["fit", *FIT, "--data", str(parts), "-o", str(tmp_path / "m.joblib")]
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
