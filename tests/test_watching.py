"""Each image that comes into a folder has one row, whatever happens in between."""

import errno
import os
import random
import signal
import threading
import time
import tracemalloc
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError

from featad.calibration import calibrate
from featad.cli import main
from featad.errors import DatasetError, DatasetWarning
from featad.persistence import save
from featad.registry import build
from featad.score_files import read_rows
from featad.scoring import COLUMNS
from featad.watching import WATCH_COLUMNS, _scored, watch_folder
from tests.fuzz.kills import kill_once
from tests.fuzz.soak import watch_a_day

N_HANDLES = "/proc/self/fd"


@pytest.fixture(scope="module")
def system(images):
    return calibrate(build("pixels-kmeans"), target_fpr=0.1).fit(images)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def _put(folder, *names, value=100):
    for name in names:
        Image.new("RGB", (8, 8), (value, value, value)).save(folder / name)


class _Ended(Exception):
    """The script is at its end."""


def _watch(system, folder, path, *steps, **options):
    """Return the names of each batch; before each look but the first, do a step."""
    steps, batches = iter(steps), []

    def sleep(seconds):
        step = next(steps, None)
        if step is None:
            raise _Ended
        step()

    def collect():
        for rows in watch_folder(system, folder, path, sleep=sleep, **options):
            batches.append([os.path.basename(name) for name in rows["path"]])

    with pytest.raises(_Ended):
        collect()
    return batches


def _pass():
    """Let time pass."""


def test_an_image_is_scored_once_and_when_it_comes(system, folder, tmp_path):
    _put(folder, "1.png", "2.png")
    batches = _watch(
        system, folder, tmp_path / "s.csv",
        _pass, _pass, lambda: _put(folder, "3.png"), _pass, _pass,
    )  # fmt: skip
    assert batches == [["1.png", "2.png"], ["3.png"]]
    rows = read_rows(tmp_path / "s.csv")
    assert [os.path.basename(path) for path in rows["path"]] == [
        "1.png", "2.png", "3.png",
    ]  # fmt: skip
    assert rows["size"].tolist() == [p.stat().st_size for p in sorted(folder.iterdir())]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_second_run_scores_what_came_meanwhile(suffix, system, folder, tmp_path):
    path = tmp_path / f"s{suffix}"
    _put(folder, "1.png")
    _watch(system, folder, path, _pass)
    _put(folder, "2.png")
    assert _watch(system, folder, path, _pass) == [["2.png"]]
    assert len(read_rows(path)) == 2


def test_a_file_that_grows_is_left_until_it_is_whole(system, folder, tmp_path):
    _put(folder, "1.png")
    whole = (folder / "1.png").read_bytes()

    def grow(n):
        (folder / "1.png").write_bytes(whole[:n])

    grow(10)
    steps = [lambda: grow(30), lambda: grow(len(whole)), _pass]
    assert _watch(system, folder, tmp_path / "s.csv", *steps) == [["1.png"]]
    assert read_rows(tmp_path / "s.csv")["error"].isna().all()


def test_an_image_that_changes_later_has_another_row(system, folder, tmp_path):
    _put(folder, "1.png")
    steps = [_pass, lambda: _put(folder, "1.png", value=7), _pass]
    path = tmp_path / "s.csv"
    assert _watch(system, folder, path, *steps) == [["1.png"], ["1.png"]]
    assert read_rows(path)["anomaly_score"].nunique() == 2


def test_a_broken_image_is_one_row_with_an_error(system, folder, tmp_path):
    (folder / "1.png").write_bytes(b"not an image")
    _watch(system, folder, tmp_path / "s.csv", _pass, _pass, _pass)
    assert read_rows(tmp_path / "s.csv")["error"].notna().tolist() == [True]


def test_many_images_are_scored_in_batches(system, folder, tmp_path):
    _put(folder, *(f"{i}.png" for i in range(5)))
    batches = _watch(system, folder, tmp_path / "s.csv", _pass, batch_size=2)
    assert [len(batch) for batch in batches] == [2, 2, 1]


@pytest.mark.parametrize("name", ['a\nb".png', "a,\r.png", "ü.png"])
def test_rows_of_any_name_are_known_again(name, system, folder, tmp_path):
    _put(folder, name)
    for _ in range(2):
        _watch(system, folder, tmp_path / "s.csv", _pass)
    assert len(read_rows(tmp_path / "s.csv")) == 1


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("n_lost", [1, 20, 90])
def test_a_row_cut_short_is_scored_again(suffix, n_lost, system, folder, tmp_path):
    path = tmp_path / f"s{suffix}"
    _put(folder, "1.png", 'a\nb".png')
    _watch(system, folder, path, _pass, batch_size=1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-n_lost])
    _watch(system, folder, path, _pass, batch_size=1)
    assert path.read_bytes() == whole


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked")
def test_kills_lose_nothing_and_repeat_nothing(system, folder, tmp_path):
    _put(folder, *(f"{i}.png" for i in range(20)))
    rng = random.Random(0)

    def run(path):
        looks = iter([None])

        def sleep(seconds):
            if next(looks, _Ended) is _Ended:
                raise _Ended

        with suppress(_Ended):
            list(watch_folder(system, folder, path, sleep=sleep, batch_size=1))

    start = time.perf_counter()
    run(tmp_path / "whole.csv")
    seconds = time.perf_counter() - start
    for i in range(6):
        path = tmp_path / f"{i}.csv"
        kill_once(partial(run, path), seconds, rng)
        names = [os.path.basename(name) for name in read_rows(path)["path"]]
        assert sorted(names) == sorted(file.name for file in folder.iterdir())


def test_a_folder_that_is_away_is_waited_for(system, folder, tmp_path):
    _put(folder, "1.png")
    away = tmp_path / "away"
    steps = [lambda: folder.rename(away), _pass, lambda: away.rename(folder), _pass]
    with pytest.warns(DatasetWarning, match="no folder.*Waiting for it"):
        batches = _watch(system, folder, tmp_path / "s.csv", *steps)
    assert batches == [["1.png"]]


def test_a_share_that_is_lost_is_waited_for(system, folder, tmp_path, monkeypatch):
    _put(folder, "1.png")
    exists = Path.exists

    def lose(path):
        if path == folder:
            raise OSError(errno.ESTALE, "Stale file handle", str(path))
        return exists(path)

    steps = [
        lambda: monkeypatch.setattr(Path, "exists", lose),
        _pass,
        lambda: monkeypatch.setattr(Path, "exists", exists),
        _pass,
    ]
    with pytest.warns(DatasetWarning, match=r"Stale file handle\. Waiting for it"):
        batches = _watch(system, folder, tmp_path / "s.csv", *steps)
    assert batches == [["1.png"]]


def test_a_look_that_finds_nothing_complete_scores_nothing(
    system, folder, tmp_path, monkeypatch
):
    runs = []

    def score(*args, **options):
        runs.append(args)
        return iter(())

    monkeypatch.setattr("featad.watching.score_images", score)
    _put(folder, "1.png")
    _watch(system, folder, tmp_path / "s.csv")
    assert len(runs) == 0
    _watch(system, folder, tmp_path / "s.csv", _pass)
    assert len(runs) == 1


def test_memory_handles_and_threads_stay_as_they_are(system, folder, tmp_path):
    def replace():
        for file in folder.iterdir():
            file.unlink()
        _put(folder, *(f"{i}.png" for i in range(10)))

    found = []

    def measure():
        handles = len(os.listdir(N_HANDLES)) if os.path.exists(N_HANDLES) else 0
        size = tracemalloc.get_traced_memory()[0]
        found.append((handles, threading.active_count(), size))

    day = [replace, _pass, measure] * 12
    tracemalloc.start()
    try:
        _watch(system, folder, tmp_path / "s.csv", *day)
    finally:
        tracemalloc.stop()
    assert len(read_rows(tmp_path / "s.csv")) == 120
    assert found[3][:2] == found[-1][:2]
    assert found[-1][2] - found[3][2] < 100_000  # bytes, for 80 images


def test_a_day_of_looks_scores_each_file_once_and_holds_nothing(system, tmp_path):
    for stay in (True, False):
        place = tmp_path / f"{stay}"
        place.mkdir()
        held = [*watch_a_day(system, place, n_files=60, n_looks=20, stay=stay)]
        assert held[-1][0] == 60
        assert held[0][1:3] == held[-2][1:3]  # handles and threads, while it runs


def test_each_row_has_the_size_of_its_own_file(system, folder, tmp_path):
    for i in range(12):
        Image.new("RGB", (8 + i, 8)).save(folder / f"{i}.bmp")
    _watch(system, folder, tmp_path / "s.csv", _pass, batch_size=3)
    rows = read_rows(tmp_path / "s.csv")
    assert rows["size"].tolist() == [os.path.getsize(path) for path in rows["path"]]


def test_looking_takes_a_sixth_of_the_time(system, folder, tmp_path, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("featad.watching.time.perf_counter", lambda: next(clock))
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        raise _Ended

    with pytest.raises(_Ended):
        list(watch_folder(system, folder, tmp_path / "s.csv", sleep=sleep))
    assert waited == [5]


def test_another_table_is_refused(system, folder, tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("path,anomaly_score\na.png,1\n")
    with pytest.raises(ValueError, match="not written by a watch.*size, modified"):
        next(watch_folder(system, folder, path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", "path,label\na.png,1\nb.png,0"),
        ("s.csv", "one line"),
        ("s.csv", ",".join(COLUMNS) + "\n"),
        ("s.csv", ",".join(reversed(WATCH_COLUMNS)) + "\n"),
        ("s.csv", ",".join(WATCH_COLUMNS) + ",note\n"),
        ("s.jsonl", '{"path": "a.png", "label": 1}\n{"path": "b.png", "la'),
        ("s.jsonl", '{"path": "a.png", "label": 1}'),
        ("s.jsonl", '{"path": "a, \\"", "anomaly_score": 1, "label": 1'),
        ("s.jsonl", "123\n"),
        ("s.jsonl", "not JSON"),
    ],
)
def test_a_file_that_is_not_a_watch_s_is_left_to_the_byte(
    name, content, system, folder, tmp_path
):
    path = tmp_path / name
    path.write_bytes(content.encode())
    with pytest.raises(ValueError, match="not written by a watch"):
        _watch(system, folder, path)
    assert path.read_bytes() == content.encode()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_first_line_cut_anywhere_is_written_again(suffix, system, folder, tmp_path):
    path = tmp_path / f"s{suffix}"
    _put(folder, 'a, "ü.png')
    _watch(system, folder, path, _pass)
    whole = path.read_bytes()
    for n in range(whole.index(b"\n") + 1):
        path.write_bytes(whole[:n])
        assert _scored(path) == set()
        assert path.read_bytes() == b""


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_file_saved_again_by_other_programs_is_still_a_watch_s(
    end, quote, system, folder, tmp_path
):
    path = tmp_path / "s.csv"
    _put(folder, "1.png")
    _watch(system, folder, path, _pass)
    header, *rows = path.read_bytes().replace(b"True", b"TRUE").split(b"\n")
    header = quote + header.replace(b",", quote + b"," + quote) + quote
    path.write_bytes(b"\xef\xbb\xbf" + end.join([header, *rows]))
    assert _watch(system, folder, path, _pass) == []


def test_parquet_is_refused(system, folder, tmp_path):
    with pytest.raises(ValueError, match=r"\.csv or \.jsonl"):
        next(watch_folder(system, folder, tmp_path / "s.parquet"))


def test_an_unfitted_system_and_a_missing_folder_fail_at_once(system, tmp_path):
    with pytest.raises(NotFittedError):
        next(watch_folder(build("pixels-kmeans"), tmp_path, tmp_path / "s.csv"))
    with pytest.raises(DatasetError, match="no folder"):
        next(watch_folder(system, tmp_path / "none", tmp_path / "s.csv"))


def test_the_command_ends_with_a_sentence(system, folder, tmp_path, capsys):
    _put(folder, "good.png", value=120)
    _put(folder, "odd.png", value=0)
    (folder / "broken.png").write_bytes(b"not an image")
    save(system, tmp_path / "m.joblib")
    scores = tmp_path / "s.csv"
    ending = threading.Thread(target=_end_after_rows, args=(scores, 3))
    ending.start()
    code = main([
        "watch", str(tmp_path / "m.joblib"), str(folder), "-o", str(scores),
        "--interval", "0.2",
    ])  # fmt: skip
    ending.join()
    told = capsys.readouterr().err
    assert code == 143
    assert f"anomalous: {folder / 'odd.png'}" in told
    assert "featad watch: ended; 2 images are scored, 1 of them anomalous" in told
    assert len(read_rows(scores)) == 3


def _end_after_rows(path, n_rows):
    """Tell this process to end when a table has as many rows, or after a minute."""
    for _ in range(1200):
        if path.exists() and path.read_text().count("\n") > n_rows:
            break
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
