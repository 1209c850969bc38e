"""Reports: what they say is what the scores say, and any text is shown as text."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import featad
from featad import Mahalanobis, compare, compare_scores, make_spots_and_lines
from featad.report import (
    SCHEMA,
    summarize,
    summarize_batch,
    to_csv,
    to_html,
    to_json,
    write_report,
)

HOSTILE = "<script>alert(1)</script>\"'&\n\u202eתמונה\x00" + "x" * 10_000


@pytest.fixture(scope="module")
def parts():
    return make_spots_and_lines(30, 20, size=32, random_state=0)


@pytest.fixture(scope="module")
def compared(parts):
    train = np.flatnonzero(parts.parts == "train")
    test = np.flatnonzero(parts.parts == "test")
    systems = {
        "small": featad.make_pipeline(_reader(8), Mahalanobis()),
        "smaller": featad.make_pipeline(_reader(4), Mahalanobis()),
    }
    return compare(
        systems, parts.images, parts.labels, cv=[(train, test)], return_scores=True
    )


def _reader(size):
    return featad.ImageReader(size=size, flatten=True)


@pytest.fixture(scope="module")
def summary(compared, parts):
    table, scores = compared
    return summarize(scores, parts, table=table, command="featad compare --data parts")


def test_a_summary_is_json_with_a_version(summary, tmp_path):
    read = json.loads(to_json(summary, tmp_path / "r.json").read_text(encoding="utf-8"))
    assert read == summary
    assert read["schema"] == SCHEMA == "featad-report/2"


def test_figures_are_those_of_the_comparison(summary, compared):
    table, scores = compared
    recomputed = compare_scores(scores)
    for one in summary["systems"]:
        assert one["auroc"] == pytest.approx(recomputed.loc[one["name"], "auroc"])
        own = scores[scores["system"] == one["name"]]
        area = roc_auc_score(own["label"] == -1, own["anomaly_score"])
        assert one["auroc"] == pytest.approx(area)
        assert one["scores"]["value"] == own["anomaly_score"].tolist()
    assert [one["name"] for one in summary["systems"]] == list(table.index)


def test_curves_end_where_scikit_learns_do(summary):
    for one in summary["systems"]:
        roc = one["curves"]["roc"]
        assert (roc["x"][0], roc["y"][0]) == (0, 0)
        assert (roc["x"][-1], roc["y"][-1]) == (1, 1)


def test_scores_of_several_folds_become_places_among_the_normal_ones(parts):
    system = {"small": featad.make_pipeline(_reader(8), Mahalanobis())}
    _, scores = compare(system, parts.images, parts.labels, cv=3, return_scores=True)
    one = summarize(scores, parts)["systems"][0]
    assert one["n_folds"] == 3
    assert 0 <= min(one["scores"]["value"]) <= max(one["scores"]["value"]) <= 1
    first = scores[scores["fold"] == 1]
    normal = first.loc[first["label"] == 1, "anomaly_score"].to_numpy()
    expected = (normal < first["anomaly_score"].iloc[0]).mean()
    assert one["scores"]["value"][0] == pytest.approx(expected)


def test_the_data_card_counts_kinds_and_has_a_digest(summary, parts):
    card = summary["data"]
    assert card["n_images"] == len(parts)
    assert sum(kind["all"] for kind in card["kinds"]) == len(parts)
    assert card["sizes"] == ["32 x 32"]
    assert re.fullmatch("[0-9a-f]{64}", card["digest"])


def test_pictures_are_only_of_as_many_images_as_asked_for(compared, parts):
    table, scores = compared
    few = summarize(scores, parts, table=table, max_images=5)
    assert sum("picture" in image for image in few["images"]) == 5
    worst = np.argmax(few["systems"][0]["scores"]["value"])
    assert "picture" in few["images"][few["systems"][0]["scores"]["image"][worst]]


def test_masks_and_maps_are_drawn_where_there_are_any(compared, parts):
    table, scores = compared
    drawn = summarize(
        scores,
        parts,
        table=table,
        overlays=lambda images: [np.zeros((32, 32, 3)) for _ in images],
    )
    anomalous = [image for image in drawn["images"] if image["label"] == -1]
    assert all("map" in image for image in drawn["images"])
    assert all("mask" in image for image in anomalous)


def test_an_unknown_system_to_show_is_refused(compared):
    with pytest.raises(ValueError, match="shown should be one of small, smaller"):
        summarize(compared[1], table=compared[0], shown="large")


def test_a_table_without_images_makes_a_report(compared):
    html = to_html(summarize(compared[1], table=compared[0]))
    assert "<h1>Comparison</h1>" in html


def test_a_page_asks_no_other_host_for_anything(summary):
    html = to_html(summary)
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", html)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|http://|https://", html)


def test_hostile_names_and_kinds_are_text(compared, parts):
    table, scores = compared
    odd = summarize(scores, parts, table=table, command=HOSTILE)
    odd["title"] = HOSTILE
    for image in odd["images"]:
        image["name"] = image["kind"] = HOSTILE
    odd["data"]["kinds"][0]["kind"] = HOSTILE
    odd["systems"][0]["name"] = odd["shown"] = HOSTILE
    html = to_html(odd)
    assert "<script>alert" not in html
    data = re.search(r'id="report">(.*?)</script>', html, re.DOTALL).group(1)
    assert json.loads(data)["images"][0]["name"] == HOSTILE


def test_figures_of_systems_are_written_as_csv(summary, tmp_path):
    table = pd.read_csv(to_csv(summary, tmp_path / "t.csv"))
    assert table["auroc"].tolist() == [one["auroc"] for one in summary["systems"]]


def test_a_report_of_five_hundred_images_is_small(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (500, 64, 64, 3), np.uint8)
    rows = _rows(rng.normal(size=500))
    path = write_report(summarize_batch(rows, images), tmp_path / "r.html")
    assert path.stat().st_size < 10e6


def _rows(score, threshold=2.0):
    return pd.DataFrame(
        {
            "path": [f"image {i}" for i in range(len(score))],
            "anomaly_score": score,
            "score_ratio": np.nan,
            "threshold": threshold,
            "is_anomaly": score > threshold,
            "p_value": np.nan,
            "error": None,
        }
    )


@pytest.fixture(scope="module")
def calibrated():
    X = np.random.default_rng(0).random((200, 8, 8))
    system = featad.make_pipeline(_reader(8), Mahalanobis())
    return featad.calibrate(system, target_fpr=0.05, random_state=0).fit(X)


def test_a_batch_tells_how_many_are_flagged_and_what_is_expected(calibrated):
    X = np.random.default_rng(1).random((50, 8, 8))
    rows = pd.concat(featad.score_images(calibrated, X))
    batch = summarize_batch(rows, X, system=calibrated)["batch"]
    assert batch["n_anomalous"] == rows["is_anomaly"].sum()
    assert batch["target_fpr"] == 0.05
    assert not any(sentence["warns"] for sentence in batch["says"])


def test_a_batch_whose_good_images_moved_towards_the_threshold_is_warned_of(calibrated):
    rows = _rows(np.zeros(80)).assign(p_value=np.linspace(0.055, 0.2, 80))
    says = summarize_batch(rows, [None] * 80, system=calibrated, max_images=0)
    warned = [one["text"] for one in says["batch"]["says"] if one["warns"]]
    assert len(warned) == 1
    assert "of the images have p <= " in warned[0]


def test_images_that_could_not_be_scored_are_listed(calibrated, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    sources = [np.zeros((8, 8)), broken]
    rows = pd.concat(featad.score_images(calibrated, sources))
    summary = summarize_batch(rows, sources, system=calibrated)
    assert summary["batch"]["n_failed"] == 1
    assert "broken.png" in to_html(summary)


def test_a_batch_in_which_nothing_was_scored_is_refused(tmp_path):
    rows = _rows(np.array([np.nan])).assign(error="unreadable")
    with pytest.raises(ValueError, match="None of the 1 images was scored"):
        summarize_batch(rows, [tmp_path])
