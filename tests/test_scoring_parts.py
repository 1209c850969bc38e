"""Batch scoring of parts that several images show: one row and decision per part."""

import os

import numpy as np
import pandas as pd
import pytest

from featad.calibration import calibrate
from featad.errors import ImageReadError
from featad.images import list_images
from featad.registry import build
from featad.report import summarize_batch
from featad.scoring import PART_COLUMNS, score_images, score_to_file


@pytest.fixture
def system(images):
    return calibrate(build("pixels-kmeans"), target_fpr=0.1, random_state=0).fit(images)


@pytest.fixture
def paths(image_folder):
    """Six files, the third of them broken."""
    (image_folder / "2.png").write_bytes(b"not an image")
    return list_images(image_folder)


def _table(system, sources, **options):
    return pd.concat(score_images(system, sources, **options), ignore_index=True)


@pytest.fixture
def part_system(images):
    """Return a system calibrated on 8 parts of 3 images each."""
    system = calibrate(build("pixels-kmeans"), target_fpr=0.2, random_state=0)
    return system.fit(images, detector__groups=np.repeat(np.arange(8), 3))


def test_a_part_is_judged_by_its_most_anomalous_image(part_system, images):
    groups = np.array(list("abcabcabcd"))
    images = images[:10]
    table = _table(part_system, images, groups=groups, batch_size=4)
    scores = 0 - part_system.score_samples(images)
    assert list(table.columns) == list(PART_COLUMNS)
    assert table["group"].tolist() == ["a", "b", "c", "d"]
    assert table["n_images"].tolist() == [3, 3, 3, 1]
    worst = [scores[groups == name].max() for name in "abcd"]
    np.testing.assert_allclose(table["anomaly_score"], worst, rtol=1e-4, atol=1e-4)
    p_values = part_system[-1].p_values_from_scores(0 - scores, groups=groups)
    np.testing.assert_allclose(table["p_value"], p_values)
    assert (table["is_anomaly"] == (table["p_value"] <= 0.2)).all()
    assert (table["is_anomaly"] == (table["score_ratio"] > 1)).all()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 100])
def test_parts_do_not_depend_on_the_batch_size(batch_size, part_system, images):
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(8), 3))
    expected = _table(part_system, images, groups=groups)
    table = _table(part_system, images, groups=groups, batch_size=batch_size)
    pd.testing.assert_frame_equal(table, expected, rtol=1e-4, atol=1e-4)


def test_a_part_with_an_unreadable_image_is_open_unless_it_is_anomalous(
    part_system, images, tmp_path
):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"text")
    odd = np.ones((8, 8, 3), np.float32)
    sources = [images[0], broken, images[1], odd, broken, images[2]]
    table = _table(part_system, sources, groups=list("aabbbc"))
    assert table["is_anomaly"].isna().tolist() == [True, False, False]
    assert table["is_anomaly"][1]
    assert table["error"].notna().tolist() == [True, True, False]
    assert table["error"][1].startswith("1 of 3 images: ")
    assert table[["score_ratio", "p_value"]].isna().all(axis=1).tolist() == [
        True,
        False,
        False,
    ]


def test_an_anomalous_part_with_an_unreadable_image_counts_as_scored(
    part_system, tmp_path
):
    sources, groups = [b"broken", np.ones((8, 8, 3), np.float32)], ["a", "a"]
    rows = _table(part_system, sources, groups=groups)
    summary = score_to_file(part_system, sources, tmp_path / "s.csv", groups=groups)
    assert (summary.scored, summary.anomalous, summary.failed) == (1, 1, 0)
    assert summary.first_error == rows["error"][0]
    batch = summarize_batch(rows, [None], system=part_system, max_images=0)["batch"]
    assert (batch["n_anomalous"], batch["n_failed"]) == (1, 0)
    assert [one["reason"] for one in batch["errors"]] == [summary.first_error]


def test_images_in_memory_are_called_by_their_places_in_the_input(part_system, images):
    odd = np.ones((8, 8, 3), np.float32)
    sources = [images[0], images[1], odd, b"broken"]
    table = _table(part_system, sources, groups=list("abab"), batch_size=2)
    assert table["path"][0] == "image 2 (ndarray of shape (8, 8, 3))"
    assert "'image 3 (6 bytes)'" in table["error"][1]


def test_parts_stop_at_the_first_fault_if_asked_to(part_system, paths):
    frames = score_images(
        part_system, paths, groups=list("abcdef"), batch_size=1, on_error="raise"
    )
    found = []
    with pytest.raises(ImageReadError, match="2.png"):
        found.extend(frame["group"].item() for frame in frames)
    assert found == ["a", "b"]


def test_a_part_whose_name_is_not_utf_8_is_a_row(part_system, images, tmp_path):
    groups = [os.fsdecode(b"part\xff")] * 3
    score_to_file(part_system, images[:3], tmp_path / "s.csv", groups=groups)
    assert pd.read_csv(tmp_path / "s.csv")["group"].tolist() == [r"part\xff"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_every_format_holds_parts(suffix, part_system, images, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"parts{suffix}"
    seen = []
    summary = score_to_file(
        part_system,
        images,
        output,
        groups=np.repeat(np.arange(8), 3),
        batch_size=5,
        progress=seen.append,
    )
    read = {
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
        ".jsonl": lambda path: pd.read_json(path, lines=True),
    }
    table = read[suffix](output)
    assert list(table.columns) == list(PART_COLUMNS)
    assert table["n_images"].tolist() == [3] * 8
    assert (summary.scored, sum(seen)) == (8, 24)


def test_parts_need_groups_in_the_calibration(system, images):
    with pytest.raises(ValueError, match="group"):
        _table(system, images, groups=np.repeat(np.arange(8), 3))


def test_parts_need_a_calibrated_system(images):
    with pytest.raises(TypeError, match="featad.calibrate"):
        _table(build("pixels-kmeans").fit(images), images, groups=np.arange(24))


def test_every_source_needs_a_group(part_system, images):
    with pytest.raises(ValueError, match="24 sources, but 3 groups"):
        _table(part_system, images, groups=["a", "b", "c"])
