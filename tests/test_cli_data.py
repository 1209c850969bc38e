"""``--data`` takes folders and manifests, and says what becomes of every file."""

import pandas as pd
import pytest
from PIL import Image

from featad.cli import main

FIT = ["fit", "--system", "pixels-kmeans", "--target-fpr", "0.2"]


@pytest.fixture
def good(part_folder):
    """Return the folder of 24 good parts."""
    return part_folder / "train" / "good"


@pytest.fixture
def manifest(good, tmp_path):
    """Return a manifest of good parts, one of which is labeled 1, the others 0."""
    rows = [f"{path},{int(index == 0)}" for index, path in enumerate(good.iterdir())]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["path,label", *rows]))
    return path


def test_the_label_that_means_anomalous_is_an_option(manifest, tmp_path, capsys):
    arguments = ["--data", str(manifest), "-o", str(tmp_path / "m.joblib")]
    assert main([*FIT, *arguments]) == 1
    assert "--anomaly-label 1" in capsys.readouterr().err
    assert main([*FIT, *arguments, "--anomaly-label", "1"]) == 0
    assert "on 23 normal images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--anomaly-label", "1"], "--anomaly-label are for CSV files"),
        (["--normal", "good"], "Name both folders: --normal NAME --anomaly NAME"),
    ],
)
def test_names_that_a_folder_cannot_have_are_refused(
    options, said, good, tmp_path, capsys
):
    arguments = ["--data", str(good), "-o", str(tmp_path / "m.joblib"), *options]
    assert main([*FIT, *arguments]) == 1
    assert said in capsys.readouterr().err


def test_folder_names_for_a_manifest_are_refused(manifest, tmp_path, capsys):
    arguments = ["--data", str(manifest), "-o", str(tmp_path / "m.joblib")]
    assert main([*FIT, *arguments, "--anomaly", "1"]) == 1
    assert "--anomaly-label LABEL" in capsys.readouterr().err


def test_validation_images_that_are_not_used_are_counted(good, tmp_path, capsys):
    for index, path in enumerate(sorted(good.iterdir())):
        part = "validation" if index < 3 else "train"
        file = tmp_path / "data" / part / "good" / path.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.read_bytes())
    arguments = ["--data", str(tmp_path / "data"), "-o", str(tmp_path / "m.joblib")]
    assert main([*FIT, *arguments]) == 0
    said = capsys.readouterr()
    assert "3 images of the validation part are not used" in said.err
    assert "on 21 normal images" in said.out


def test_fit_and_score_say_once_what_they_leave_out(good, tmp_path, capsys):
    folder, model = tmp_path / "new", tmp_path / "m.joblib"
    folder.mkdir()
    for index, path in enumerate(sorted(good.iterdir())):
        Image.open(path).save(folder / f"{index}.png")
    (folder / "photo.raw").touch()
    for command in (
        [*FIT, "--data", str(folder), "-o", str(model)],
        ["score", str(model), str(folder), "-o", str(tmp_path / "s.csv")],
    ):
        assert main(command) == 0
        error = capsys.readouterr().err
        assert error.count("Left out") == 1
        assert "1 file that does not end in" in error
        assert "first: photo.raw" in error
    assert len(pd.read_csv(tmp_path / "s.csv")) == 24


def test_a_list_may_lead_out_of_its_folder_if_asked(plates, tmp_path, capsys):
    rows = "".join(f"fit/fit{i:02}.png,good\n" for i in range(8))
    folder = plates / "lists"
    folder.mkdir(exist_ok=True)
    manifest = folder / "list.csv"
    manifest.write_text("path,label\n" + rows.replace("fit/", "../fit/"))
    output = ["-o", str(tmp_path / "m.joblib"), "--system", "pixels-kmeans"]
    assert main(["fit", str(manifest), *output]) == 1
    assert "or pass --allow-outside if the list is yours" in capsys.readouterr().err
    assert main(["fit", str(manifest), "--allow-outside", *output]) == 0
