"""Scores from the workers of a Dask cluster are those of this process."""

import io
import os
import threading
import warnings
from functools import partial

import numpy as np
import pytest
from PIL import Image

from featad import clusters
from featad.calibration import calibrate
from featad.errors import (
    ImageReadError,
    ImageWarning,
)
from featad.persistence import load, save
from featad.registry import build
from featad.resuming import journal_path
from featad.score_files import read_rows
from featad.scoring import score_to_file

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def system(images):
    return calibrate(build("pixels-kmeans"), target_fpr=0.1).fit(images)


@pytest.fixture
def both(system, client, tmp_path):
    """Return a function that scores here and there: summaries and contents of files."""

    def run(sources, suffix=".csv", **options):
        found = []
        for name, where in (("here", {}), ("there", {"client": client})):
            file = tmp_path / f"{name}{suffix}"
            summary = score_to_file(system, sources, file, **options, **where)
            found.append((summary, file.read_bytes()))
        return found

    return run


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_file_is_that_of_a_run_without_workers(both, paths, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    here, there = both(paths * 3, suffix, batch_size=4)
    assert here == there


def test_paths_are_called_as_they_were_given(both, paths, monkeypatch):
    monkeypatch.chdir(paths[0].parent)
    here, there = both([path.name for path in paths] + ["missing.png"], batch_size=2)
    assert here == there
    assert b"Cannot read '2.png'" in there[1]


def test_names_that_are_not_utf8_reach_the_workers(both, paths, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    try:
        paths[0].rename(odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    here, there = both([odd, *paths[1:]])
    assert here == there
    assert there[0].failed == 1


@pytest.mark.parametrize("kind", ["array", "bytes", "memoryview", "BytesIO", "PIL"])
def test_images_in_memory_are_sent(both, paths, images, kind):
    content = paths[0].read_bytes()
    sources = {
        "array": images,
        "bytes": [content, b"broken"],
        "memoryview": [memoryview(content)] * 3,
        "BytesIO": [io.BytesIO(content)] * 3,
        "PIL": [Image.open(paths[0])] * 3,
    }
    here, there = both(sources[kind], batch_size=2)
    assert here == there


def test_a_run_of_no_images_has_a_header(both):
    here, there = both([])
    assert here == there


def test_parts_are_judged_as_here(images, paths, client, tmp_path):
    system = calibrate(build("pixels-kmeans"), target_fpr=0.2)
    system.fit(images, detector__groups=np.repeat(np.arange(8), 3))
    options = {"batch_size": 2, "groups": ["a", "a", "b", "b", "b", "a"]}
    score_to_file(system, paths, tmp_path / "a.csv", **options)
    score_to_file(system, paths, tmp_path / "b.csv", client=client, **options)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_an_error_that_ends_the_run_is_raised_here(system, client, paths, tmp_path):
    file = tmp_path / "s.csv"
    options = {"batch_size": 2, "on_error": "raise", "client": client}
    with pytest.raises(ImageReadError, match=r"2\.png"):
        score_to_file(system, paths, file, **options)
    assert read_rows(file)["path"].tolist() == list(map(str, paths[:2]))


@pytest.mark.parametrize("second", ["here", "there"])
def test_a_stopped_run_is_resumed_wherever_it_began(
    second, system, client, paths, tmp_path
):
    def stop(n_images):
        raise KeyboardInterrupt

    first, then = {"client": client}, {}
    if second == "there":
        first, then = then, first
    options = {"batch_size": 2, "resume": True}
    file, whole = tmp_path / "s.csv", tmp_path / "whole.csv"
    with pytest.raises(KeyboardInterrupt):
        score_to_file(system, paths, file, progress=stop, **options, **first)
    assert journal_path(file).exists()
    assert score_to_file(system, paths, file, **options, **then).resumed >= 2
    score_to_file(system, paths, whole, batch_size=2)
    assert file.read_bytes() == whole.read_bytes()


def test_errors_are_retried_on_workers(system, client, paths, tmp_path):
    options = {"batch_size": 2, "resume": True, "client": client}

    def stop(n_images):
        stop.n_done += n_images
        if stop.n_done == 4:
            raise KeyboardInterrupt

    stop.n_done = 0
    file = tmp_path / "s.csv"
    with pytest.raises(KeyboardInterrupt):
        score_to_file(system, paths, file, progress=stop, **options)
    summary = score_to_file(system, paths, file, retry_errors=True, **options)
    assert (summary.failed, summary.resumed) == (1, 2)


def test_the_model_is_loaded_once_a_worker(system, client, paths, tmp_path):
    loads = _Loads(system)
    for _ in range(2):
        score_to_file(
            system, paths, tmp_path / "s.csv", batch_size=1, client=client, load=loads
        )
    assert _Loads.count == 1  # both workers are in this process


def test_a_file_that_holds_another_system_now_is_loaded_anew(
    system, images, client, paths, tmp_path
):
    model, found = tmp_path / "parts.joblib", []
    for fitted in (system, build("pixels-knn").fit(images), system):
        save(fitted, model)
        file = tmp_path / "s.csv"
        options = {"client": client, "load": partial(load, model)}
        score_to_file(fitted, paths, file, **options)
        score_to_file(fitted, paths, tmp_path / "here.csv")
        found.append(file.read_bytes())
        assert found[-1] == (tmp_path / "here.csv").read_bytes()
    assert found[0] == found[2] != found[1]


class _Loads:
    count = 0

    def __init__(self, system):
        self.system = system

    def __call__(self):
        _Loads.count += 1
        return self.system


def test_what_is_noticed_is_told_once_a_run(system, client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(6):
        Image.fromarray(np.full((8, 8), 200 + i, np.uint16)).save(f"{i}.png")
    names = [f"{i}.png" for i in range(6)]
    told = []
    for where in ({}, {"client": client}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            score_to_file(system, names, tmp_path / "s.csv", batch_size=2, **where)
        told.append([str(w.message) for w in caught if w.category is ImageWarning])
    assert told[0] == told[1]
    assert len(told[1]) == 1
    assert "6 16-bit images" in told[1][0]
    assert "(first: 0.png)" in told[1][0]


def test_few_partitions_are_with_the_workers(
    system, client, paths, monkeypatch, tmp_path
):
    sent, ahead = [], []
    submit = client.submit

    def counting(function, *args, **options):
        sent.append(function is clusters.score_partition)
        return submit(function, *args, **options)

    monkeypatch.setattr(client, "submit", counting)
    monkeypatch.setattr(clusters, "PARTITION", 2)
    score_to_file(
        system,
        paths * 10,
        tmp_path / "s.csv",
        batch_size=1,
        client=client,
        progress=lambda n_images: ahead.append(sum(sent) - len(ahead) / 2),
    )
    assert sum(sent) == 30
    assert max(ahead) <= clusters._AHEAD * 2


def test_an_interrupt_leaves_whole_rows_and_nothing_to_do(
    system, client, paths, tmp_path
):
    def stop(n_images):
        raise KeyboardInterrupt

    file = tmp_path / "s.csv"
    with pytest.raises(KeyboardInterrupt):
        score_to_file(
            system, paths * 9, file, batch_size=2, client=client, progress=stop
        )
    assert len(read_rows(file)) == 2
    for _ in range(100):
        if not (left := client.run_on_scheduler(_n_tasks)):
            break
        threading.Event().wait(0.02)
    assert left == 0


def _n_tasks(dask_scheduler):
    return len(dask_scheduler.tasks)


def test_images_that_nobody_sees_are_rows(both, tmp_path):
    here, there = both([tmp_path / "no.png", tmp_path / "nor.png"])
    assert here == there
    assert there[0].failed == 2
