"""``featad fit`` writes a model, and refuses bad data in one sentence."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from featad import holding_out
from featad.base import anomaly_scores, last_step
from featad.cli import main
from featad.datasets import load_folder
from featad.persistence import load

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


def test_a_parameter_no_step_has_is_refused(parts, tmp_path, capsys):
    arguments = [
        "fit",
        *FIT,
        "--data",
        str(parts),
        "-o",
        str(tmp_path / "m.joblib"),
    ]
    assert main([*arguments, "--set", "detector__nu=0.1"]) == 1
    assert "has no parameter 'detector__nu'" in _error(capsys)


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    parts, tmp_path, capsys
):
    (tmp_path / "file").write_text("in the way")
    output = str(tmp_path / "file" / "m.joblib")
    assert main(["fit", *FIT, "--data", str(parts), "-o", output]) == 1
    assert "file" in _error(capsys)


def test_weights_that_are_not_there_are_one_sentence(parts, tmp_path, capsys):
    arguments = ["fit", "--system", "squeezenet1_1-knn", "--data", str(parts)]
    arguments += ["-o", str(tmp_path / "m.joblib"), "--weights", "none.pth"]
    assert main(arguments) == 1
    assert "none.pth" in _error(capsys)


def test_a_folder_with_tests_below_is_not_all_normal(parts, tmp_path, capsys):
    shutil.copytree(parts, tmp_path / "outer" / "parts")
    data = str(tmp_path / "outer")
    assert main(["fit", *FIT, "--data", data, "-o", str(tmp_path / "m.joblib")]) == 1
    assert "does not contain normal images only" in _error(capsys)


def test_weights_of_an_architecture_that_is_not_there_are_refused(
    parts, tmp_path, capsys
):
    arguments = [
        "fit",
        *FIT,
        "--data",
        str(parts),
        "-o",
        str(tmp_path / "m.joblib"),
    ]
    assert main([*arguments, "--weights", "squeezenet=w.pth"]) == 1
    assert "names the architecture 'squeezenet'" in _error(capsys)


def test_a_system_of_whole_images_is_fitted_and_scores(parts, tmp_path, capsys):
    model, data = tmp_path / "m.joblib", str(parts / "train" / "good")
    options = ["--set", "detector__max_epochs=1", "--set", "detector__width=4"]
    options += ["--set", "size=16", "--target-fpr", "0.1"]
    arguments = ["fit", "--system", "images-autoencoder", "--data", data]
    assert main([*arguments, *options, "-o", str(model)]) == 0
    calibrated = last_step(load(model))
    assert last_step(calibrated.estimator_).sample_shape_ == (16, 16, 3)
    output = tmp_path / "scores.csv"
    assert main(["score", str(model), str(parts / "test"), "-o", str(output)]) == 0
    scores = pd.read_csv(output)["anomaly_score"]
    paths = pd.read_csv(output)["path"]
    np.testing.assert_allclose(scores, anomaly_scores(load(model), list(paths)))


def _fit(plates, tmp_path, *more):
    """Fit on the 60 plates, and return the exit code."""
    arguments = ["fit", "--system", "pixels-mahalanobis", "--set", "size=8"]
    arguments += ["--data", str(plates / "fit"), "-o", str(tmp_path / "m.joblib")]
    return main([*arguments, *more])


def test_fit_says_what_the_threshold_promises(plates, tmp_path, capsys):
    assert _fit(plates, tmp_path, "--target-fpr", "0.05") == 0
    printed = capsys.readouterr().out
    low, high = last_step(load(tmp_path / "m.joblib")).false_alarm_interval_
    assert "set by 60 held-out images: about 5 % of good images" in printed
    assert f"{100 * low:.2g} % to {100 * high:.2g} % with 95 % confidence" in printed
    assert "A rate of 5 % needs 19 good images or more" in printed
    assert "and 119 to be sure that it is at most 10 %" in printed
    assert len(printed.splitlines()) <= 6


def test_fit_names_the_images_nearest_to_the_threshold(plates, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(plates / "fit", data / "fit")
    shutil.copy(plates / "odd" / "odd00.png", data / "fit" / "stray.png")
    arguments = ["fit", "--system", "pixels-mahalanobis", "--set", "size=8"]
    arguments += ["--target-fpr", "0.05", "-o", str(tmp_path / "m.joblib")]
    assert main([*arguments, "--data", str(data)]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if "Look at" in x)
    detector = last_step(load(tmp_path / "m.joblib"))
    order = np.argsort(detector.held_out_scores_)
    paths = load_folder(data).images
    assert paths[order[0]].name == "stray.png"
    assert line.index("stray.png") < line.index(paths[order[1]].name)
    threshold = int((detector.calibration_scores_ < detector.offset_).sum())
    assert f"{paths[order[threshold]].name} (1.00)" in line


def test_fit_says_that_images_are_too_few_once(plates, tmp_path, capsys):
    assert _fit(plates, tmp_path) == 0
    captured = capsys.readouterr()
    assert "60 are too few: a rate of 1 % needs 99 good images or more" in captured.out
    assert "about 1.6 % of good images" in captured.out
    assert "too few" not in captured.err


def test_fit_takes_a_share_to_hold_out(plates, tmp_path, capsys):
    assert _fit(plates, tmp_path, "--target-fpr", "0.05", "--cv", "0.5") == 0
    assert "set by 30 held-out images" in capsys.readouterr().out


@pytest.mark.parametrize("folds", ["1", "0", "-2", "1.5", "2.5", "many"])
def test_folds_are_a_number_or_a_share(folds, plates, tmp_path, capsys):
    assert _fit(plates, tmp_path, "--cv", folds) == 2
    assert "a number of folds" in capsys.readouterr().err


def test_fit_takes_a_number_of_processes_and_does_not_store_it(
    plates, tmp_path, monkeypatch
):
    asked = []
    parallel = holding_out.Parallel

    def recorded(n_jobs):
        asked.append(n_jobs)
        return parallel(n_jobs=1)

    monkeypatch.setattr(holding_out, "Parallel", recorded)
    options = ["--target-fpr", "0.05", "--jobs", "2", "--groups", r"(\d+)"]
    assert _fit(plates, tmp_path, *options) == 0
    assert asked == [2]
    assert last_step(load(tmp_path / "m.joblib")).n_jobs is None


def test_fit_keeps_the_views_of_a_part_together(plates, tmp_path, capsys):
    arguments = ["fit", "--system", "pixels-mahalanobis", "--set", "size=8"]
    arguments += ["--data", str(plates / "views"), "-o", str(tmp_path / "m.joblib")]
    assert main([*arguments, "--target-fpr", "0.1", "--groups", "(.+)_view"]) == 0
    assert "60 held-out images of 20 parts" in capsys.readouterr().out
    assert pd.read_csv(f"{tmp_path / 'm.joblib'}.split.csv")["group"].nunique() == 20


def test_the_groups_of_a_manifest_are_used(plates, tmp_path, capsys):
    images = sorted((plates / "views").iterdir())
    rows = [f"{image},1,{image.name[:3]}" for image in images]
    (tmp_path / "parts.csv").write_text("\n".join(["path,label,group", *rows]))
    arguments = ["fit", *FIT, "--data", str(tmp_path / "parts.csv")]
    arguments += ["--target-fpr", "0.1", "-o", str(tmp_path / "m.joblib")]
    assert main(arguments) == 0
    assert "60 held-out images of 20 parts" in capsys.readouterr().out


def test_groups_follow_images_that_are_left_out(plates, tmp_path, capsys):
    shutil.copytree(plates / "views", tmp_path / "views")
    (tmp_path / "views" / "a_view0.png").write_bytes(b"text")
    arguments = ["fit", *FIT, "--data", str(tmp_path / "views")]
    arguments += ["--target-fpr", "0.1", "-o", str(tmp_path / "m.joblib")]
    assert main([*arguments, "--groups", "(.+)_view"]) == 0
    assert "60 held-out images of 20 parts" in capsys.readouterr().out


def test_copies_of_an_image_are_left_out_and_told(plates, tmp_path, capsys):
    shutil.copytree(plates / "fit", tmp_path / "fit")
    for number in range(3):
        shutil.copy(tmp_path / "fit" / "fit07.png", tmp_path / "fit" / f"z{number}.png")
    arguments = ["fit", *FIT, "--data", str(tmp_path / "fit")]
    assert main([*arguments, "--target-fpr", "0.1", "-o", str(tmp_path / "m")]) == 0
    captured = capsys.readouterr()
    assert "left out 3 images that are copies of others" in captured.err
    assert captured.err.count("z0.png") >= 1
    assert "set by 60 held-out images" in captured.out


def test_an_ensemble_is_fitted_on_its_members_options_and_scores(parts, tmp_path):
    model, scores = str(tmp_path / "m.joblib"), str(tmp_path / "s.csv")
    how = ["--system", "mini-ensemble", "--target-fpr", "0.1", "-o", model]
    small = ["--set", "features__image_size=32", "--weights", "random"]
    assert main(["fit", str(parts), *how, *small]) == 0
    ensemble = load(model)[-1].estimator_[-1]
    for member in ensemble.members_.values():
        assert (member["features"].image_size, member["features"].weights) == (32, None)
    assert main(["score", model, str(parts / "test"), "-o", scores]) == 0
