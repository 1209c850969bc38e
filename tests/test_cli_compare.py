"""``featad compare``: table, scores and curves; what it needs, and says where not."""

import shutil

import numpy as np
import pandas as pd
import pytest

from featad.base import anomaly_scores
from featad.cli import main
from featad.cli.compare import format_table
from featad.comparison import compare
from featad.datasets import load_folder
from featad.detectors import Mahalanobis
from featad.figures import compare_scores
from featad.metrics import auroc
from featad.registry import COMPARED, build

PAIR = ["--systems", "pixels-kmeans,filters-mahalanobis"]
QUICK = ["--systems", "pixels-knn"]


def _error(capsys):
    """Return the one line on stderr that tells of the error."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "\n".join(lines)
    return lines[-1]


@pytest.fixture
def two_folders(part_folder, tmp_path):
    """Return a folder with 24 normal and 8 anomalous images in two folders."""
    folder = tmp_path / "two"
    shutil.copytree(part_folder / "train" / "good", folder / "good")
    for kind in ("spot", "line"):
        shutil.copytree(part_folder / "test" / kind, folder / "bad", dirs_exist_ok=True)
    return folder


def test_compare_prints_a_table_and_writes_it(part_folder, tmp_path, capsys):
    output = tmp_path / "table.csv"
    systems = "pixels-kmeans,filters-mahalanobis"
    arguments = ["compare", "--data", str(part_folder), "--systems", systems]
    assert main([*arguments, "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "AUROC" in printed
    assert "filters-mahalanobis" in printed
    table = pd.read_csv(output, index_col="system")
    assert set(table.index) == set(systems.split(","))
    train, test = (load_folder(part_folder).part(part) for part in ("train", "test"))
    system = build("filters-mahalanobis").fit(train.images)
    expected = auroc(test.labels, anomaly_scores(system, test.images))
    assert table["auroc"]["filters-mahalanobis"] == pytest.approx(expected)


def test_compare_cross_validates_two_folders(two_folders, capsys):
    (two_folders / "good").rename(two_folders / "fine")
    arguments = ["compare", "--data", str(two_folders), "--systems", "pixels-knn"]
    assert main([*arguments, "--normal", "fine", "--anomaly", "bad", "--cv", "3"]) == 0
    assert "pixels-knn" in capsys.readouterr().out


def test_compare_warns_of_test_images_that_were_trained_on(
    part_folder, tmp_path, capsys
):
    shutil.copytree(part_folder, tmp_path / "leaky")
    source = next((part_folder / "train" / "good").iterdir())
    shutil.copy(source, tmp_path / "leaky" / "test" / "good" / "copy.png")
    data = str(tmp_path / "leaky")
    assert main(["compare", "--data", data, "--systems", "pixels-knn"]) == 0
    assert "Test images that are also training images: 1" in capsys.readouterr().err


def test_comparing_without_anomalies_is_refused(part_folder, capsys):
    data = str(part_folder / "train" / "good")
    assert main(["compare", "--data", data, "--systems", "pixels-knn"]) == 1
    assert "no anomalous images" in _error(capsys)


@pytest.mark.parametrize("name", COMPARED)
def test_the_default_systems_need_no_download(name):
    features = build(name)["features"].get_params()
    assert features.get("arch", "vgg_mini") == "vgg_mini"


def test_without_a_list_the_default_systems_are_compared(
    two_folders, capsys, monkeypatch
):
    monkeypatch.setattr("featad.registry.COMPARED", ("pixels-knn", "pixels-pca"))
    assert main(["compare", "--data", str(two_folders), "--cv", "2"]) == 0
    printed = capsys.readouterr().out
    assert "pixels-knn" in printed
    assert "pixels-pca" in printed


def test_scores_of_all_folds_are_written_with_paths(two_folders, tmp_path, capsys):
    scores, table = str(tmp_path / "s.csv"), str(tmp_path / "t.csv")
    arguments = ["compare", "--data", str(two_folders), *PAIR, "--cv", "3"]
    assert main([*arguments, "--scores", scores, "-o", table]) == 0
    rows = pd.read_csv(scores)
    assert list(rows) == ["path", "label", "fold", "system", "anomaly_score"]
    assert len(rows) == 2 * (24 + 3 * 8)
    expected = pd.read_csv(table, index_col="system")
    found = compare_scores(rows)
    pd.testing.assert_frame_equal(found, expected[found.columns])


def test_the_curves_are_drawn(part_folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    figure = tmp_path / "new" / "roc.pdf"
    arguments = ["compare", "--data", str(part_folder), *PAIR]
    assert main([*arguments, "--figure", str(figure)]) == 0
    assert figure.read_bytes().startswith(b"%PDF")


def test_a_reference_gives_differences_and_p_values(two_folders, capsys):
    arguments = ["compare", "--data", str(two_folders), *PAIR, "--cv", "2"]
    assert main([*arguments, "--reference", "pixels-kmeans"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert "AUROC minus pixels-kmeans" in header
    other = next(row for row in rows if row.startswith("filters"))
    assert 0 < float(other.split()[-1]) <= 1


def test_chance_stands_below_the_systems(two_folders, capsys):
    assert main(["compare", "--data", str(two_folders), *QUICK, "--cv", "2"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split() == ["chance", "0.500", "0.400", "0.571", "0.010"]  # 8 of 20


def test_groups_are_kept_together(two_folders, tmp_path, capsys):
    for kind in ("good", "bad"):  # three views of each part
        for number, path in enumerate(sorted((two_folders / kind).iterdir())):
            path.rename(path.with_name(f"{kind}{number // 3}_{number % 3}.png"))
    scores = tmp_path / "s.csv"
    arguments = ["compare", "--data", str(two_folders), *QUICK, "--cv", "2"]
    assert main([*arguments, "--groups", "(.+)_", "--scores", str(scores)]) == 0
    normal = pd.read_csv(scores).query("label == 1")
    assert normal["group"].nunique() == 8
    assert (normal.groupby("group")["fold"].nunique() == 1).all()


def test_one_anomaly_gives_no_interval_and_a_sentence(two_folders, capsys):
    for path in sorted((two_folders / "bad").iterdir())[1:]:
        path.unlink()
    arguments = ["compare", "--data", str(two_folders), *PAIR, "--cv", "2"]
    assert main([*arguments, "--reference", "pixels-kmeans"]) == 0
    captured = capsys.readouterr()
    assert "only one anomalous test sample" in captured.err
    assert "(no interval)" in captured.out


def test_a_test_part_with_good_images_only_is_one_sentence(
    part_folder, tmp_path, capsys
):
    shutil.copytree(part_folder, tmp_path / "good")
    for kind in ("spot", "line"):
        shutil.rmtree(tmp_path / "good" / "test" / kind)
    assert main(["compare", "--data", str(tmp_path / "good"), *QUICK]) == 1
    assert "good has no anomalous test images to compare systems by" in _error(capsys)


def test_a_test_part_with_defects_only_is_one_sentence_that_leads_on(
    part_folder, tmp_path, capsys
):
    shutil.copytree(part_folder, tmp_path / "bad")
    shutil.rmtree(tmp_path / "bad" / "test" / "good")
    arguments = ["compare", "--data", str(tmp_path / "bad"), *QUICK]
    assert main(arguments) == 1
    assert "no normal test images" in (said := _error(capsys))
    assert "--cv 5" in said
    assert main([*arguments, "--cv", "2"]) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--reference", "pixels-pca"], "--reference should be one of the systems"),
        (["--scores", "s.txt"], "--scores takes a .csv file"),
        (["--figure", "roc.doc"], "Pictures are written to .png, .pdf or .svg files"),
    ],
)
def test_wrong_options_are_refused_before_the_work(
    options, said, part_folder, capsys, monkeypatch
):
    monkeypatch.setattr("featad.cli.compare._compare", None)
    assert main(["compare", "--data", str(part_folder), *QUICK, *options]) == 1
    assert said in _error(capsys)


def test_the_table_is_as_wide_as_its_systems_need(monkeypatch):
    X = np.random.default_rng(0).normal(size=(30, 2))
    X[20:] += 3
    table = compare({"a": Mahalanobis()}, X, np.repeat([1, -1], [20, 10]), cv=2)
    lines = format_table(table).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split()[-2:] == ["s", "images/s"]


def test_test_images_that_are_training_images_are_told_of_once(
    part_folder, tmp_path, capsys
):
    shutil.copytree(part_folder, tmp_path, dirs_exist_ok=True)
    original = next((tmp_path / "train" / "good").iterdir())
    shutil.copyfile(original, tmp_path / "test" / "good" / "copy.png")
    assert main(["compare", "--data", str(tmp_path), *QUICK]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(told) == 1
    assert "Test images that are also training images: 1" in told[0]
