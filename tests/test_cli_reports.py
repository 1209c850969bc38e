"""Reports that commands write: of a comparison as it goes, and of a model's scores."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from featad import calibrate
from featad.base import as_anomaly_score
from featad.cli import main, reports
from featad.datasets import load_folder
from featad.detectors import Mahalanobis
from featad.registry import build

QUICK = ["--systems", "pixels-knn"]
PAIR = ["--systems", "pixels-kmeans,filters-mahalanobis"]


def _page(path):
    """Return a page's text, and what its script reads."""
    text = path.read_text("utf-8")
    data = re.search(r'id="report">(.*?)</script>', text, re.DOTALL).group(1)
    return text, json.loads(data)


def _error(capsys):
    """Return the one line on stderr that tells of the error."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "\n".join(lines)
    return lines[-1]


def test_compare_writes_a_report_with_threshold_and_p_values(part_folder, tmp_path):
    page = tmp_path / "report.html"
    arguments = ["compare", "--data", str(part_folder), *QUICK, "--report", str(page)]
    assert main(arguments) == 0
    _, data = _page(page)
    assert data["systems"]["pixels-knn"]["threshold"] is not None
    assert all(0 < image["p_value"] <= 1 for image in data["images"])
    assert "featad compare --data" in page.read_text("utf-8")


def test_a_report_is_an_html_file(capsys):
    assert main(["compare", "--data", "x", *QUICK, "--report", "report.pdf"]) == 2
    assert "takes an .html file, but is 'report.pdf'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stop", "code", "said"),
    [
        (
            ValueError("no <room>"),
            1,
            "failed in fold 1 of 1: ValueError: no &lt;room&gt;",
        ),
        (KeyboardInterrupt(), 130, "The run has stopped: interrupted"),
    ],
)
def test_a_stopped_comparison_leaves_a_report_of_what_was_done(
    part_folder, tmp_path, monkeypatch, capsys, stop, code, said
):
    def fails(self, X, y=None):
        raise stop

    monkeypatch.setattr(Mahalanobis, "fit", fails)
    page = tmp_path / "report.html"
    arguments = ["compare", "--data", str(part_folder), *PAIR, "--report", str(page)]
    assert main(arguments) == code
    text, data = _page(page)
    assert list(data["systems"]) == ["pixels-kmeans"]
    assert "1 of 2 systems" in text
    assert said in text
    assert "<room>" not in text
    assert "report.html shows what was done: 1 of 2 systems" in capsys.readouterr().err


def test_a_page_is_there_before_the_next_system_starts(
    part_folder, tmp_path, monkeypatch
):
    page = tmp_path / "report.html"
    fit, seen = Mahalanobis.fit, []

    def looks(self, X, y=None):
        seen.append(_page(page)[0] if page.exists() else "")
        return fit(self, X, y)

    monkeypatch.setattr(Mahalanobis, "fit", looks)
    arguments = ["compare", "--data", str(part_folder), *PAIR, "--report", str(page)]
    assert main(arguments) == 0
    assert "Missing: filters-mahalanobis" in seen[0]
    assert "Not finished" not in _page(page)[0]
    assert not list(tmp_path.glob(".*"))


def test_a_report_scores_only_a_few_test_images_again(part_folder, monkeypatch):
    dataset = load_folder(part_folder)
    train, test = (np.flatnonzero(dataset.parts == part) for part in ("train", "test"))
    system = calibrate(build("pixels-knn"), random_state=0)
    system.fit(dataset.select(train).images)
    scores = system.score_samples(dataset.select(test).images)
    monkeypatch.setattr(reports, "_COMPARED", 3)
    monkeypatch.setattr(reports, "overlays_by", lambda *_: (None, None))
    scored = []
    counting = SimpleNamespace(
        score_samples=lambda X: scored.append(len(X)) or system.score_samples(X)
    )
    monkeypatch.setattr("featad.systems.last_step", lambda _: system[-1])
    monkeypatch.setattr(reports, "nearest_of", lambda *_: "")
    table = _table(test, as_anomaly_score(scores))
    found = reports.seen_by(counting, dataset, table)
    assert scored == [3]
    expected = system[-1].p_values_from_scores(scores)
    assert list(found["p_values"].values()) == pytest.approx(expected)


def _table(samples, anomaly_score):
    import pandas as pd

    return pd.DataFrame({"sample": samples, "anomaly_score": anomaly_score})


def test_a_report_shows_each_images_nearest_training_images(part_folder, tmp_path):
    page = tmp_path / "report.html"
    arguments = ["compare", "--data", str(part_folder), *QUICK, "--report", str(page)]
    assert main(arguments) == 0
    text, data = _page(page)
    assert all(len(image["nearest"]) == 3 for image in data["images"])
    assert "Nearest among the 24 normal training images" in text


def test_few_images_are_compared_and_shown(part_folder, tmp_path, capsys):
    page = tmp_path / "report.html"
    arguments = ["compare", "--data", str(part_folder), *PAIR, "--few-shot", "12,6"]
    assert main([*arguments, "--report", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "Mean AUROC by number of training images:" in printed
    assert re.search(r"\n +6 +12\n", printed)
    assert "How many images does it take?" in _page(page)[0]


@pytest.mark.parametrize("wrong", ["1", "25", "x"])
def test_wrong_numbers_of_few_images_are_refused(part_folder, wrong, capsys):
    arguments = ["compare", "--data", str(part_folder), *QUICK, "--few-shot", wrong]
    assert main(arguments) in (1, 2)
    assert "--few-shot" in _error(capsys)


def test_few_images_need_a_test_part(part_folder, capsys):
    arguments = ["compare", "--data", str(part_folder), *QUICK, "--few-shot", "5"]
    assert main([*arguments, "--cv", "2"]) == 1
    assert "--few-shot needs a data set with a test part" in _error(capsys)


def test_a_models_nearest_images_are_those_listed_beside_it(
    part_folder, part_model, tmp_path
):
    page, output = tmp_path / "report.html", tmp_path / "scores.csv"
    arguments = ["score", str(part_model), str(part_folder / "test")]
    assert main([*arguments, "-o", str(output), "--report", str(page)]) == 0
    text, data = _page(page)
    assert "Nearest among the 24 normal training images" in text
    assert all(image["nearest"] for image in data["images"])


def test_a_model_without_its_list_of_images_shows_no_nearest_ones(
    part_folder, part_model, tmp_path
):
    import shutil

    model = tmp_path / "model.joblib"
    for ending in ("", ".json"):
        shutil.copy(f"{part_model}{ending}", f"{model}{ending}")
    page, output = tmp_path / "report.html", tmp_path / "scores.csv"
    arguments = ["score", str(model), str(part_folder / "test"), "-o", str(output)]
    assert main([*arguments, "--report", str(page)]) == 0
    text, data = _page(page)
    assert "a model does not keep its images" in text
    assert not any("nearest" in image for image in data["images"])
