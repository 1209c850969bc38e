"""What all commands share: the folder, failed images, older files, wording."""

import shutil

import pandas as pd
import pytest

from featad.cli import main
from featad.cli.wording import as_options

FIT = ["--system", "pixels-knn", "--target-fpr", "0.1"]


@pytest.fixture
def good(part_folder, tmp_path):
    """Return a folder of 12 good images, three more of which cannot be read."""
    folder = tmp_path / "good"
    folder.mkdir()
    for path in sorted((part_folder / "train" / "good").iterdir())[:12]:
        shutil.copy(path, folder)
    for number in range(3):
        (folder / f"broken{number}.png").write_bytes(b"text")
    return folder


def test_the_folder_needs_no_option(good, tmp_path, capsys):
    model = str(tmp_path / "m.joblib")
    assert main(["fit", str(good), *FIT, "-o", model]) == 0
    assert main(["fit", *FIT, "-o", model, str(good)]) == 0


def test_fit_fails_if_more_images_fail_than_accepted(good, tmp_path, capsys):
    arguments = ["fit", str(good), *FIT, "-o", str(tmp_path / "m.joblib")]
    assert main([*arguments, "--max-failed", "0.1"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "3 of 15 images cannot be read, a share of 0.2; --max-failed" in error
    assert main([*arguments, "--max-failed", "0.2"]) == 0


def test_score_fails_if_more_images_fail_than_accepted(
    good, part_model, tmp_path, capsys
):
    output = tmp_path / "s.csv"
    arguments = ["score", str(part_model), str(good), "-o", str(output)]
    assert main([*arguments, "--max-failed", "0.1"]) == 1
    assert len(pd.read_csv(output)) == 15  # what could be scored is there
    assert main([*arguments, "--max-failed", "0.2"]) == 0


def test_what_is_replaced_or_made_is_said(good, tmp_path, capsys):
    model = tmp_path / "new" / "m.joblib"
    assert main(["fit", str(good), *FIT, "-o", str(model)]) == 0
    assert f"made the folder {model.parent}" in capsys.readouterr().err
    assert main(["fit", str(good), *FIT, "-o", str(model)]) == 0
    assert f"{model} exists and will be replaced" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("python", "option"),
    [
        ("Pass weights='default' for", "Pass --weights default for"),
        ("pass weights=FILE; or", "pass --weights FILE; or"),
        ("Pass preprocessing='caffe' for", "Pass --set preprocessing=caffe for"),
        ("such as layer='conv3_1', or", "such as --set layer=conv3_1, or"),
        ("Set gamma='median'.", "Pass --set detector__gamma=median."),
        ("Pass size= to resize", "Pass --set size=VALUE to resize"),
        ("too few for target_fpr=0.01, which", "too few for --target-fpr 0.01, which"),
        (
            "pass max_pixels=9 (--max-pixels 9 on the command line)",
            "pass --max-pixels 9",
        ),
        ("pass versions=True (--other-versions).", "pass --other-versions."),
        ("with gamma=0.01, nine", "with gamma=0.01, nine"),
        ("Cannot read 'a/weights=3.png'", "Cannot read 'a/weights=3.png'"),
        ("(X.shape=(3, 4))", "(X.shape=(3, 4))"),
    ],
)
def test_advice_speaks_of_options(python, option):
    assert as_options(python) == option


def test_an_error_speaks_of_options(good, tmp_path, capsys):
    arguments = ["fit", str(good), "-o", str(tmp_path / "m.joblib")]
    assert main([*arguments, "--weights", "none.pth"]) == 1
    assert "Pass --weights default for" in capsys.readouterr().err


def test_a_warning_speaks_of_options(good, tmp_path, capsys):
    arguments = ["fit", str(good), "-o", str(tmp_path / "m.joblib")]
    blind = ["--set", "detector__gamma=10", "--target-fpr", "0.1"]
    assert main([*arguments, "--system", "pixels-ocsvm", *blind]) == 0
    assert "--set detector__gamma=median" in capsys.readouterr().err
