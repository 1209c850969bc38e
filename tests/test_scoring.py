"""Batch scoring: a row for every input, nothing scored is lost."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline

from featad.base import BaseDetector
from featad.calibration import CalibratedDetector, calibrate
from featad.detectors import KMeansDistance
from featad.errors import FeatadError, ImageReadError
from featad.images import ImageReader, list_images
from featad.registry import build
from featad.scorer import Scorer
from featad.scoring import COLUMNS, score_images, score_to_file
from featad.trimming import TrimmedDetector


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


def test_there_is_a_row_for_every_input_in_input_order(system, paths):
    table = _table(system, paths[::-1], batch_size=4)
    assert list(table.columns) == list(COLUMNS)
    assert table["path"].tolist() == [str(path) for path in paths[::-1]]


def test_a_broken_image_has_an_error_and_no_score(system, paths):
    row = _table(system, paths).iloc[2]
    assert "2.png" in row["error"]
    assert row[list(COLUMNS[1:-1])].isna().all()


def test_a_broken_image_changes_no_other_score(system, paths):
    table = _table(system, paths)
    alone = _table(system, [path for path in paths if path.name != "2.png"])
    np.testing.assert_allclose(
        table["anomaly_score"].dropna(), alone["anomaly_score"], rtol=1e-4, atol=1e-4
    )


def test_scores_do_not_depend_on_the_batch_size(system, images):
    one = _table(system, images, batch_size=1)["anomaly_score"]
    all_at_once = _table(system, images, batch_size=100)["anomaly_score"]
    np.testing.assert_allclose(one, all_at_once, rtol=1e-4, atol=1e-4)


def test_the_first_rows_come_after_few_images(system, images):
    frames = score_images(system, [*images, *images[:6]], batch_size=10)
    assert [len(rows) for rows in frames][:2] == [8, 10]
    assert [len(rows) for rows in score_images(system, images, batch_size=3)][0] == 3


def test_the_table_agrees_with_the_system(system, images):
    table = _table(system, images)
    np.testing.assert_allclose(
        table["anomaly_score"], 0 - system.score_samples(images), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(table["is_anomaly"], system.predict(images) == -1)
    scores = system.score_samples(images)
    np.testing.assert_allclose(
        table["p_value"], system[-1].p_values_from_scores(scores)
    )


def test_an_anomaly_is_a_score_above_the_threshold(system, images):
    odd = np.concatenate([images, np.ones((1, 8, 8, 3), np.float32)])
    table = _table(system, odd)
    assert table["is_anomaly"].iloc[-1]
    np.testing.assert_array_equal(
        table["is_anomaly"], table["anomaly_score"] > table["threshold"]
    )


def test_a_system_without_calibration_has_neither_p_values_nor_ratios(images):
    table = _table(build("pixels-ocsvm").fit(images), images)
    assert table[["p_value", "score_ratio"]].isna().all(axis=None)
    assert table["anomaly_score"].notna().all()


def test_raise_hands_over_what_came_before_the_fault(system, paths, tmp_path):
    output = tmp_path / "scores.csv"
    with pytest.raises(ImageReadError, match="2.png"):
        score_to_file(system, paths, output, on_error="raise", batch_size=4)
    assert len(pd.read_csv(output)) == 2


def test_an_unfitted_system_is_refused_as_such(images):
    with pytest.raises(NotFittedError):
        list(score_images(build("pixels-kmeans"), images))


def test_images_of_one_foreign_size_are_errors_of_their_own(images):
    system = make_pipeline(ImageReader(flatten=True), KMeansDistance(2)).fit(images)
    table = _table(system, [*images[:3], np.zeros((9, 9, 3), np.uint8), images[3]])
    assert table["error"].notna().tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_every_format_holds_the_same_table(suffix, system, paths, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"scores{suffix}"
    summary = score_to_file(system, paths, output, batch_size=2)
    read = {
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
        ".jsonl": lambda path: pd.read_json(path, lines=True, dtype={"path": str}),
    }
    table = read[suffix](output)
    expected = _table(system, paths, batch_size=2)
    assert list(table.columns) == list(COLUMNS)
    assert table["path"].tolist() == expected["path"].tolist()
    np.testing.assert_allclose(
        table["anomaly_score"].astype(float), expected["anomaly_score"], rtol=1e-9
    )
    assert table["is_anomaly"].isna().tolist() == [i == 2 for i in range(6)]
    assert (summary.scored, summary.failed) == (5, 1)
    assert "2.png" in summary.first_error


def test_json_lines_hold_null_where_there_is_no_score(system, paths, tmp_path):
    score_to_file(system, paths, tmp_path / "s.jsonl")
    lines = (tmp_path / "s.jsonl").read_text("utf-8").strip().split("\n")
    rows = [json.loads(line) for line in lines]
    assert rows[2]["anomaly_score"] is None
    assert rows[0]["error"] is None


def test_an_unknown_format_is_refused_before_anything_is_scored(tmp_path):
    with pytest.raises(ValueError, match=r"written to .csv, .parquet, .jsonl"):
        score_to_file(None, [], tmp_path / "scores.xlsx")


def test_names_with_commas_quotes_and_unicode_survive_csv(system, images, tmp_path):
    path = tmp_path / 'a,"b" ü 部品.png'
    Image.fromarray((images[0] * 255).astype(np.uint8)).save(path)
    score_to_file(system, [path], tmp_path / "scores.csv")
    assert pd.read_csv(tmp_path / "scores.csv")["path"].tolist() == [str(path)]


def test_memory_does_not_grow_with_the_number_of_images(system, image_folder):
    paths = list_images(image_folder)
    peaks = []
    for count in (20, 200):
        tracemalloc.start()
        for _ in score_images(system, (paths * 100)[:count], batch_size=10):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 200_000


def test_a_series_is_scored_in_its_own_order(system, images, image_folder):
    paths = pd.Series(list_images(image_folder), index=[5, 3, 1, 0, 2, 4])
    assert _table(system, paths)["path"].tolist() == [str(p) for p in paths]


@pytest.mark.parametrize("one", ["a.png", "", b"", Path("a.png")])
def test_one_source_is_refused_rather_than_taken_for_many(one, system):
    with pytest.raises(TypeError, match=r"Pass \[source\]"):
        list(score_images(system, one))


def test_a_generator_is_refused_with_the_way_out(system):
    with pytest.raises(TypeError, match=r"Pass list\(X\)"):
        list(score_images(system, (name for name in ["a.png"])))


@pytest.mark.parametrize(
    "none", [[], (), np.empty((0, 8, 8)), pd.Series([], dtype=str)]
)
def test_there_may_be_no_images(none, system):
    assert list(score_images(system, none)) == []


def test_an_error_calls_an_image_in_memory_as_its_row_does(system, images):
    good = images[0]
    table = _table(system, [good, b"broken", good, b"bad"], batch_size=2)
    assert table["path"][3] == "image 3 (3 bytes)"
    for i in (1, 3):
        assert f"'{table['path'][i]}'" in table["error"][i]


def test_a_system_that_skips_images_still_gives_every_row(images, paths):
    system = build("pixels-kmeans").fit(images)
    for on_error in ("skip", "nan"):
        system.set_params(features__on_error=on_error)
        assert _table(system, paths)["error"].notna().tolist() == [
            i == 2 for i in range(6)
        ]
    assert system["features"].on_error == "nan"


def test_a_fault_at_the_start_leaves_an_older_file_as_it_was(images, tmp_path):
    output = tmp_path / "scores.csv"
    output.write_text("old")
    with pytest.raises(NotFittedError):
        score_to_file(build("pixels-kmeans"), images, output)
    assert output.read_text() == "old"


def test_no_images_give_a_file_without_rows(system, tmp_path):
    score_to_file(system, [], tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().startswith("path,anomaly_score")


def _reader(on_error):
    return make_pipeline(
        ImageReader(8, flatten=True, on_error=on_error), KMeansDistance(2)
    )


def _calibrated(on_error):
    return CalibratedDetector(_reader(on_error), target_fpr=0.2)


def _searched(on_error):
    grid = {"kmeansdistance__n_clusters": [1]}
    return GridSearchCV(_reader(on_error), grid, scoring=lambda *_: 0.0, cv=2)


def _trimmed(on_error):
    return TrimmedDetector(_reader(on_error))


def _frozen(on_error):
    images = np.random.default_rng(1).random((9, 8, 8, 3))
    return CalibratedDetector(FrozenEstimator(_reader(on_error).fit(images)))


def _united(on_error):
    readers = [(n, ImageReader(8, flatten=True, on_error=on_error)) for n in "ab"]
    return make_pipeline(FeatureUnion(readers), KMeansDistance(2))


def _searched_and_calibrated(on_error):
    grid = {"target_fpr": [0.2]}
    return GridSearchCV(_calibrated(on_error), grid, scoring=lambda *_: 0.0, cv=2)


@pytest.mark.parametrize("on_error", ["skip", "nan"])
@pytest.mark.parametrize(
    "make",
    [_calibrated, _searched, _trimmed, _frozen, _united, _searched_and_calibrated],
)
def test_a_reader_that_skips_inside_a_system_still_gives_every_row(
    make, on_error, images, paths
):
    system = make(on_error).fit(images)
    assert _table(system, paths)["error"].notna().tolist() == [i == 2 for i in range(6)]


def test_scoring_leaves_the_system_as_it_was(images, paths):
    system = _calibrated("skip").fit(images)
    _table(system, paths)
    assert system.estimator_[0].on_error == system.estimator[0].on_error == "skip"


class Forgetful(BaseDetector):
    """Give no score for images that are dark."""

    def __init__(self, contamination=0.1):
        self.contamination = contamination

    def _fit(self, X):
        pass

    def _strangeness(self, X):
        means = X.reshape(len(X), -1).mean(axis=1)
        return means[means > 0.1]


def test_a_short_answer_is_a_failed_batch(images):
    system = Forgetful().fit(images)
    sources = [*images[:3], np.zeros((8, 8, 3)), *images[3:5]]
    table = _table(make_pipeline(ImageReader(), system), sources)
    assert table["error"].notna().tolist() == [i == 3 for i in range(6)]
    assert "returned 0 scores for 1 images" in table["error"][3]
    expected = 0 - system.score_samples(images[:5])
    np.testing.assert_allclose(table["anomaly_score"].dropna(), expected, rtol=1e-6)


def test_low_p_values_are_counted(system, images, tmp_path):
    summary = score_to_file(system, images, tmp_path / "scores.csv", batch_size=5)
    p = pd.read_csv(tmp_path / "scores.csv")["p_value"]
    assert summary.low_p_values == {at: (p <= at).sum() for at in (0.05, 0.1, 0.2, 0.5)}


def test_a_scorer_returns_scores_and_p_values(system, images):
    scorer = Scorer(system)
    scores, p_values = scorer.score(list(images))
    np.testing.assert_array_equal(scores, system.score_samples(images))
    np.testing.assert_array_equal(p_values, system[-1].p_values_from_scores(scores))
    assert scorer.threshold == 0 - system[-1].offset_


class Touchy(Forgetful):
    """Raise ``on_dark`` for batches with a dark image, MemoryError for large ones."""

    def __init__(self, on_dark=None, max_batch=None, contamination=0.1):
        super().__init__(contamination)
        self.on_dark = on_dark
        self.max_batch = max_batch

    def _strangeness(self, X):
        means = X.reshape(len(X), -1).mean(axis=1)
        if self.max_batch is not None and len(X) > self.max_batch:
            raise MemoryError
        if self.on_dark is not None and (means < 0.1).any():
            raise self.on_dark
        return means


def _touchy(images, **parameters):
    detector = Touchy().fit(images).set_params(**parameters)
    return make_pipeline(ImageReader(), detector)


@pytest.fixture
def one_dark(images):
    return [*images[:3], np.zeros((8, 8, 3)), *images[3:5]]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (RuntimeError("two\nlines"), "RuntimeError: two lines"),
        (ValueError(""), "ValueError"),
        (OSError("name \udcff"), r"name \xff"),
    ],
)
def test_whatever_an_image_raises_is_in_its_row(error, told, images, one_dark):
    table = _table(_touchy(images, on_dark=error), one_dark)
    assert table["error"].notna().tolist() == [i == 3 for i in range(6)]
    assert table["error"][3] == told


def test_a_score_that_is_no_number_is_an_error(images, one_dark):
    system = _touchy(images)
    system[-1]._strangeness = lambda X: np.where(X.any(axis=(1, 2, 3)), 1.0, np.nan)
    table = _table(system, one_dark)
    assert table["error"].notna().tolist() == [i == 3 for i in range(6)]


@pytest.mark.parametrize(
    "error", [FeatadError("no weights"), MemoryError(), NotFittedError()]
)
def test_what_no_image_is_to_blame_for_ends_the_run_after_the_rows_so_far(
    error, images, one_dark, tmp_path
):
    path = tmp_path / "s.csv"
    with pytest.raises(type(error)):
        score_to_file(_touchy(images, on_dark=error), one_dark, path, batch_size=2)
    assert 2 <= len(pd.read_csv(path)) <= 3


def test_a_batch_that_memory_does_not_hold_is_halved(images):
    table = _table(_touchy(images, max_batch=2), images, batch_size=6)
    assert table["error"].isna().all()


def test_an_interrupt_is_no_row(images, one_dark):
    with pytest.raises(KeyboardInterrupt):
        _table(_touchy(images, on_dark=KeyboardInterrupt()), one_dark)


def test_an_error_of_scoring_is_not_taken_for_one_of_writing(
    images, one_dark, tmp_path
):
    system = _touchy(images, on_dark=OSError(5, "bad sector"))
    with pytest.raises(OSError, match="bad sector") as raised:
        score_to_file(
            system, one_dark, tmp_path / "s.csv", batch_size=1, on_error="raise"
        )
    assert raised.value.filename is None
