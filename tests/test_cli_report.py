"""``featad report`` writes a page from files of scores, and scores nothing."""

import json
import re

import pandas as pd
import pytest

from featad.base import BaseDetector
from featad.cli import main

PAIR = ["--systems", "pixels-kmeans,filters-mahalanobis"]


@pytest.fixture(scope="module")
def compared(part_folder, tmp_path_factory):
    """Return the scores of a comparison."""
    path = tmp_path_factory.mktemp("compared") / "scores.csv"
    arguments = ["compare", "--data", str(part_folder), *PAIR, "--scores", str(path)]
    assert main(arguments) == 0
    return path


@pytest.fixture(scope="module")
def scored(part_folder, part_model, tmp_path_factory):
    """Return the scores of a model."""
    path = tmp_path_factory.mktemp("scored") / "scores.csv"
    arguments = ["score", str(part_model), str(part_folder / "test"), "-o", str(path)]
    assert main(arguments) == 0
    return path


def _data(page):
    text = page.read_text("utf-8")
    return json.loads(
        re.search(r'id="report">(.*?)</script>', text, re.DOTALL).group(1)
    )


def _error(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture
def no_scoring(monkeypatch):
    def scores(self, X):
        raise AssertionError("scored again")

    monkeypatch.setattr(BaseDetector, "score_samples", scores)


def test_scores_of_a_comparison_become_its_report(compared, tmp_path, no_scoring):
    page = tmp_path / "report.html"
    assert main(["report", str(compared), "-o", str(page)]) == 0
    data, table = _data(page), pd.read_csv(compared)
    assert data["kind"] == "comparison"
    own = table[table["system"] == "pixels-kmeans"]
    told = data["systems"]["pixels-kmeans"]["scores"]["value"]
    assert told == pytest.approx(own["anomaly_score"].tolist())
    assert all("picture" in image for image in data["images"])
    assert {image["kind"] for image in data["images"]} == {"good", "line", "spot"}


def test_the_data_set_gives_the_numbers_of_training_images(
    compared, part_folder, tmp_path
):
    page = tmp_path / "report.html"
    arguments = ["report", str(compared), "--data", str(part_folder)]
    assert main([*arguments, "-o", str(page)]) == 0
    assert ">24</td>" in page.read_text("utf-8")


def test_another_data_set_is_refused(compared, part_folder, tmp_path, capsys):
    arguments = ["report", str(compared), "--data", str(part_folder / "train" / "good")]
    assert main([*arguments, "-o", str(tmp_path / "report.html")]) == 1
    assert "are not in" in _error(capsys)


def test_scores_of_a_model_become_their_report(
    scored, part_model, tmp_path, no_scoring
):
    page = tmp_path / "report.html"
    arguments = ["report", str(scored), "--model", str(part_model)]
    assert main([*arguments, "-o", str(page)]) == 0
    data = _data(page)
    assert data["kind"] == "batch"
    assert len(data["images"]) == 16
    assert "expected to be called anomalous" in page.read_text("utf-8")


def test_scores_without_their_model_tell_less(scored, tmp_path):
    page = tmp_path / "report.html"
    assert main(["report", str(scored), "-o", str(page)]) == 0
    assert "expected to be called anomalous" not in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("which", "option"), [("compared", "--model"), ("scored", "--data")]
)
def test_an_option_for_the_other_kind_of_scores_is_refused(
    request, which, option, tmp_path, capsys
):
    scores = request.getfixturevalue(which)
    arguments = ["report", str(scores), option, "x", "-o", str(tmp_path / "r.html")]
    assert main(arguments) == 1
    assert f"{option} is for scores of" in _error(capsys)


def test_a_table_of_something_else_is_refused(tmp_path, capsys):
    table = tmp_path / "table.csv"
    table.write_text("path,score\na.png,1\n")
    assert main(["report", str(table), "-o", str(tmp_path / "r.html")]) == 1
    assert "has no column 'anomaly_score'" in _error(capsys)
