"""Files of scores: any name in any format, whole rows, one run a file."""

import csv
import json
import os
import shutil
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest

from featad.images import describe_source
from featad.score_files import open_rows, read_rows, reserved

posix = pytest.mark.skipif(os.name == "nt", reason="names that Windows does not have")
NAMES = [
    *[f"control {chr(code)}.png" for code in range(1, 32)],
    "a,\"b\" 'c';\t.png",
    "=cmd|' /C calc'!A0.png",
    "-x.png",
    " spaces .png",
    "螺丝_001.png",
    "emoji😀.png",
    "line\x85end\u2028and\u2029.png",
    "crlf\r\n.png",
    "b" * 250 + ".png",
    describe_source(os.fsdecode(b"latin \xe9\xff.png")),
    describe_source("lone \ud800.png"),
    describe_source("null \0.png"),
]


def frame(names, error=None):
    n = len(names)
    rows = {
        "path": names,
        "anomaly_score": np.full(n, 0.1) / 3,
        "is_anomaly": pd.array([True] * n, dtype="boolean"),
        "p_value": np.full(n, np.nan),
        "error": [error] * n,
    }
    return pd.DataFrame(rows)


def write(path, *frames):
    with open_rows(path) as add:
        for rows in frames:
            add(rows)


def test_every_name_is_text_that_utf_8_can_hold():
    assert [name.encode("utf-8").decode("utf-8") for name in NAMES] == NAMES
    assert NAMES[-3:] == [r"latin \xe9\xff.png", r"lone \ud800.png", r"null \x00.png"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_every_name_survives_every_format(suffix, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"s{suffix}"
    write(path, frame(NAMES[:9]), frame(NAMES[9:], error="line\rend, \"quoted\" ''"))
    rows = read_rows(path)
    assert rows["path"].tolist() == NAMES
    assert rows["error"].iloc[-1] == "line\rend, \"quoted\" ''"
    assert rows["error"].isna().sum() == 9
    np.testing.assert_array_equal(rows["anomaly_score"], 0.1 / 3)
    assert rows["p_value"].isna().all()
    assert rows["is_anomaly"].all()


def test_every_name_survives_every_reader_of_csv(tmp_path):
    path = tmp_path / "s.csv"
    write(path, frame(NAMES))
    with open(path, encoding="utf-8", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == NAMES
    assert pd.read_csv(path)["path"].tolist() == NAMES
    reader = pytest.importorskip("pyarrow.csv")
    options = reader.ParseOptions(newlines_in_values=True)
    assert reader.read_csv(path, parse_options=options)["path"].to_pylist() == NAMES


def test_json_lines_are_lines_to_every_reader(tmp_path):
    path = tmp_path / "s.jsonl"
    write(path, frame(NAMES))
    lines = path.read_text("utf-8").splitlines()
    assert [json.loads(line)["path"] for line in lines] == NAMES


def test_parquet_with_damaged_notes_of_pandas_is_refused(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "s.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(path)
    table = parquet.read_table(path)
    notes = table.schema.metadata[b"pandas"].replace(b'"name": "a"', b'"nane": "a"')
    notes = notes.replace(b'"field_name"', b'"field_nane"')
    table = table.replace_schema_metadata({b"pandas": notes})
    parquet.write_table(table, path)
    with pytest.raises(ValueError, match="is damaged: KeyError"):
        read_rows(path)


def test_an_infinite_score_is_null_in_json(tmp_path):
    rows = frame(["a"])
    rows["anomaly_score"] = np.inf
    write(tmp_path / "s.jsonl", rows)
    assert '"anomaly_score": null' in (tmp_path / "s.jsonl").read_text()


@pytest.mark.parametrize(
    "cells", [("True", "False"), ("TRUE", "FALSE"), ("true", "false")]
)
def test_anomalies_are_read_however_a_program_writes_them(cells, tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("path,is_anomaly\na,{}\nb,{}\nc,\n".format(*cells))
    assert read_rows(path)["is_anomaly"].tolist() == [True, False, None]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (b"a,WAHR,1,1", "is_anomaly should be True or False, but is 'WAHR'"),
        (b"a,True,high,1", "anomaly_score should be a number, but is 'high'"),
        (b"a,True,1,1.5", r"size should be a whole number, but is '1\.5'"),
        (b"\xff,True,1,1", "it is not UTF-8"),
        (b'"a\n\xff",True,1,1', "it is not UTF-8"),
    ],
)
@pytest.mark.parametrize("n_before", [0, 5000])
def test_a_damaged_cell_is_named_by_its_line(n_before, row, told, tmp_path):
    header, whole = b"path,is_anomaly,anomaly_score,size\n", b"a,True,1,1\n"
    content = header + n_before * whole + row + b"\n" + whole
    (tmp_path / "s.csv").write_bytes(content)
    line = n_before + 2 + row.count(b"\n")
    with pytest.raises(ValueError, match=rf"s\.csv' is damaged at line {line}: {told}"):
        read_rows(tmp_path / "s.csv")


@pytest.mark.parametrize(
    "line", [b'{"path": "a', b"123", b"null", b"", b'{"path": "\xff"}', b"[" * 100_000]
)
def test_a_line_that_is_not_a_json_object_is_named(line, tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_bytes(b'{"path": "a"}\n' + line + b'\n{"path": "b"}\n')
    with pytest.raises(
        ValueError, match=r"s\.jsonl' is damaged at line 2: .* JSON obj"
    ):
        read_rows(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_columns_that_people_add_are_kept_as_they_are(suffix, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    notes = ["007", "a, b", "nan"]
    path, again = tmp_path / "s.csv", tmp_path / f"again{suffix}"
    write(path, frame(["a", "b", "c"]).assign(note=notes))
    write(again, read_rows(path))
    assert read_rows(again)["note"].tolist() == notes


@posix
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_full_disk_leaves_whole_rows_and_is_named(suffix, tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / f"s{suffix}"
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, usual[1]))
    try:
        with pytest.raises(OSError, match=f"s{suffix}"):
            write(path, frame(["name"] * 5), frame(["name"] * 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert path.read_bytes().endswith(b"\n")
    assert set(read_rows(path)["path"]) == {"name"}
    assert 1800 < path.stat().st_size <= 2000


def test_a_full_disk_leaves_parquet_readable(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    path = tmp_path / "s.parquet"
    full = type("usage", (), {"free": 0})

    def write_two():
        with open_rows(path) as add:
            add(frame(["a", "b"]))
            monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
            add(frame(["c"]))

    with pytest.raises(OSError, match=r"No space left.*s\.parquet"):
        write_two()
    assert read_rows(path)["path"].tolist() == ["a", "b"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_an_interrupt_leaves_the_rows_so_far(suffix, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"s{suffix}"

    def write_and_stop():
        with open_rows(path) as add:
            add(frame(["a", "b"]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_stop()
    assert read_rows(path)["path"].tolist() == ["a", "b"]


def test_a_second_run_on_a_file_is_refused_until_the_first_has_ended(tmp_path):
    path = tmp_path / "s.csv"
    with reserved(path):
        second = reserved(path)
        with pytest.raises(OSError, match=r"Another run is writing.*s\.csv"):
            second.__enter__()
        with reserved(tmp_path / "other.csv"):
            pass
    with reserved(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_locks_one_warning_says_so(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "s.csv"
    with pytest.warns(UserWarning, match="not kept apart"), reserved(path):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with reserved(path):
            pass


def test_a_stream_that_is_closed_is_refused():
    with pytest.raises(ValueError, match="nowhere to write"), open_rows(None, None):
        pass


@posix
def test_a_pipe_takes_rows(tmp_path):
    pipe = tmp_path / "p.csv"
    os.mkfifo(pipe)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(pipe.open()), daemon=True)
    reader.start()
    write(pipe, frame(["a"]))
    reader.join(10)
    assert len(lines) == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_named():
    with (
        open("/dev/full", "w") as stream,
        open_rows(None, stream) as add,
        pytest.raises(OSError, match="standard output"),
    ):
        add(frame(["a"]))
