"""Rows of scores to files and back: whole lines, whatever stops the writing."""

import csv
import errno
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from featad._locks import alone
from featad.errors import MissingExtraError

FORMATS = (".csv", ".parquet", ".jsonl")
"""The endings that a score file may have."""

Write = Callable[[pd.DataFrame], None]
"""Appends a frame of rows."""

_TEXTS = ("path", "modified", "group", "error")
_COUNTS = ("n_images", "region", "top", "left", "height", "width", "area", "size")
_RATIOS = ("score_ratio", "p_value", "peak", "mean")
_NUMBERS = ("anomaly_score", "threshold", *_RATIOS, "row", "column")
_TRUTHS = {"true": True, "false": False}  # Excel and R write TRUE
_PARSERS: dict[str, tuple[Callable, str]] = {  # other columns are text
    **dict.fromkeys(_COUNTS, (int, "a whole number")),
    **dict.fromkeys(_NUMBERS, (float, "a number")),
    "is_anomaly": (lambda text: _TRUTHS[text.lower()], "True or False"),
}
_BREAKS = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}  # to some readers
_FOOTER = 4096  # bytes of a Parquet file's end, for each group of rows


@dataclass(frozen=True)
class ScoreSummary:
    """The result of a scoring run.

    Attributes
    ----------
    scored : int
        Rows with a score.

    anomalous : int
        Rows that are beyond the threshold.

    failed : int
        Rows without a score.

    first_error : str or None
        The first message in the column ``error``. An anomalous part with an image that
        cannot be read has one, and a score.

    low_p_values : dict of float to int
        For each level, how many p-values are at most as large.

    resumed : int
        Images that an earlier run had scored.

    Examples
    --------
    >>> from featad.scoring import ScoreSummary
    >>> ScoreSummary(10, 2, 0, None, {0.01: 1}).anomalous
    2
    """

    scored: int
    anomalous: int
    failed: int
    first_error: str | None
    low_p_values: dict[float, int]
    resumed: int = 0


def check_format(path: str | os.PathLike | None) -> None:
    """Raise ValueError if a score file cannot have this ending; None is a stream."""
    if path is not None and _ending(path) not in FORMATS:
        raise ValueError(
            f"Scores are written to {', '.join(FORMATS)}, but the file is called "
            f"{Path(path).name!r}."
        )


@contextmanager
def reserved(path: str | os.PathLike | None) -> Iterator[None]:
    """Keep a file to this run; its folder is created if it does not exist.

    Parameters
    ----------
    path : path-like or None
        None needs no keeping.

    Raises
    ------
    OSError
        If another run writes the file now, or the folder cannot be made.
    """
    if path is None:
        yield
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path) as is_alone:
        if not is_alone:
            raise OSError(errno.EBUSY, "Another run is writing this file", str(path))
        yield


@contextmanager
def open_rows(
    path: str | os.PathLike | None, stream: Any = None, *, append: bool = False
) -> Iterator[Write]:
    """Open a file for rows; what it held before is lost now, unless it is appended to.

    Each row is written at once and whole: if the disk is full, or the process is
    interrupted, the rows before are in the file, and no part of another one.

    Parameters
    ----------
    path : path-like or None
        Its ending is one of ``FORMATS``. None writes CSV to ``stream``.

    stream : text file, default=None
        Such as ``sys.stdout``. It is not closed.

    append : bool, default=False
        Whether to keep the rows of a file that `repair` has left whole. Not for
        Parquet.

    Yields
    ------
    write : callable
        Takes a DataFrame; the columns of the first one stay.

    Raises
    ------
    OSError
        If the file cannot be written; it names the file.

    MissingExtraError
        If the file is Parquet and pyarrow is not installed.
    """
    if path is None:
        if stream is None:
            raise ValueError("Pass path, or a stream: there is nowhere to write to.")
        yield _lines(_csv_lines(), _stream_appender(stream))
    elif _ending(path) == ".parquet":
        with _parquet(Path(path)) as write:
            yield write
    else:
        with open(path, "ab" if append else "wb", buffering=0) as file:
            has_header = append and _end(file) > 0
            lines = _csv_lines(has_header) if _ending(path) == ".csv" else _json_lines
            yield _lines(lines, appender(file, path))


def read_rows(path: str | os.PathLike) -> pd.DataFrame:
    """Return the table of a score file.

    Parameters
    ----------
    path : path-like
        A file that `open_rows` has written.

    Returns
    -------
    rows : DataFrame

    Raises
    ------
    ValueError
        If the file is of another format, or damaged.

    OSError
        If it cannot be read.
    """
    check_format(path)
    if _ending(path) == ".parquet":
        try:
            return pd.read_parquet(path)
        except (KeyError, TypeError) as error:  # of pandas' own notes in the file
            raise ValueError(f"{str(path)!r} is damaged: {error!r}.") from error
    return pd.DataFrame(list(iter_rows(path)))


def iter_rows(path: str | os.PathLike) -> Iterator[dict]:
    """Yield the rows of a .csv or .jsonl score file; memory does not grow with it."""
    if _ending(path) == ".jsonl":
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if (row := json_object(line)) is None:
                    raise _damaged(path, number, "it is not a JSON object")
                yield row
        return
    with open(path, encoding="utf-8-sig", newline="") as file:  # of Excel, too
        rows = csv.DictReader(file)
        while True:
            try:
                if (row := next(rows, None)) is None:
                    return
            except csv.Error as error:
                raise _damaged(path, rows.line_num + 1, str(error)) from error
            except UnicodeDecodeError as error:  # of a block that begins at a line
                n = rows.reader.line_num + error.object.count(b"\n", 0, error.start)
                raise _damaged(path, n + 1, "it is not UTF-8") from error
            if None in row or None in row.values():
                raise _damaged(path, rows.line_num, "cells are missing or too many")
            yield {k: _value(path, rows.line_num, k, v) for k, v in row.items()}


def json_object(line: bytes) -> dict | None:
    """Return the object that a line of JSON holds; None if it holds something else."""
    with suppress(ValueError, RecursionError):
        row = json.loads(line.decode("utf-8-sig"))
        return row if isinstance(row, dict) else None
    return None


def _damaged(path, line, reason):
    return ValueError(f"{str(path)!r} is damaged at line {line}: {reason}.")


def repair(path: str | os.PathLike) -> None:
    """Remove the last row of a .csv or .jsonl file if a kill has cut it short."""
    whole = place = n_quotes = 0
    with open(path, "r+b") as file:
        for line in file:
            place += len(line)
            n_quotes += line.count(b'"') if _ending(path) == ".csv" else 0
            if line.endswith(b"\n") and n_quotes % 2 == 0:  # not inside of a text
                whole = place
        file.truncate(whole)


def plain_values(rows: pd.DataFrame) -> Iterator[tuple]:
    """Yield the plain values of each row; None where one is missing."""
    columns = (rows[name].to_numpy(object, na_value=None) for name in rows)
    return zip(*columns, strict=True)


def appender(file: Any, name: Any) -> Callable[[bytes], None]:
    """Return a function that appends bytes to an unbuffered file, all or none.

    Parameters
    ----------
    file : binary file
        Unbuffered, open for writing.

    name : path-like
        What errors call it.

    Returns
    -------
    append : callable
        Raises OSError if the bytes cannot be written.
    """

    def append(data):
        end = _end(file)
        try:
            with _named(name):
                while data:
                    data = data[file.write(data) or 0 :]
        except BaseException:
            if end is not None:
                with suppress(OSError):  # a device
                    file.truncate(end)
            raise

    return append


def _ending(path):
    return Path(path).suffix.lower()


@contextmanager
def _named(path):
    """Name the file in errors that writing it raises."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def _lines(lines_of, append):
    def write(rows):
        for line in lines_of(rows):
            append(line.encode("utf-8"))

    return write


def _value(path, line, name, text):
    """Return the value in a cell of a column; pandas rounds numbers."""
    parse, kind = _PARSERS.get(name, (str, "text"))
    try:
        return parse(text) if text else None
    except (KeyError, ValueError) as error:
        reason = f"{name} should be {kind}, but is {text[:40]!r}"
        raise _damaged(path, line, reason) from error


def _csv_lines(has_header=False):
    def lines(rows):
        nonlocal has_header
        if not has_header:
            yield _csv_line(rows.columns)
            has_header = True
        yield from map(_csv_line, plain_values(rows))

    return lines


def _csv_line(values):
    # "\r\n", or a carriage return in a name is not quoted before Python 3.11.9
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _json_lines(rows):
    for values in plain_values(rows):
        row = dict(zip(rows.columns, map(_as_json, values), strict=True))
        yield json.dumps(row, ensure_ascii=False).translate(_BREAKS) + "\n"


def _as_json(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _end(file):
    """Go to the end of a file and return where it is; None for a pipe."""
    try:
        return file.seek(0, os.SEEK_END)
    except OSError:
        return None


def _stream_appender(stream):
    binary = getattr(getattr(stream, "buffer", None), "raw", None)
    if binary is None:  # not a stream of the system, such as io.StringIO

        def append(data):
            stream.write(data.decode("utf-8"))
            stream.flush()

        return append
    stream.flush()
    return appender(binary, "standard output")


@contextmanager
def _parquet(path):
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            "A .parquet file needs pyarrow: pip install 'featad[parquet]'; or write "
            ".csv."
        ) from error
    writer = None
    n_groups = 0

    def write(rows):
        nonlocal writer, n_groups
        table = pa.Table.from_pandas(rows, _schema(pa, rows), preserve_index=False)
        n_groups += 1
        if writer is None:
            writer = parquet.ParquetWriter(path, table.schema, write_statistics=False)
        # a group that does not fit would cost those before it: the file's end is last
        needed = 2 * table.nbytes + _FOOTER * (n_groups + 1)
        if shutil.disk_usage(path.parent).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        with _named(path):
            writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            with _named(path):
                writer.close()


def _schema(pa, rows):
    kinds = {"is_anomaly": pa.bool_(), **dict.fromkeys(_TEXTS, pa.string())}
    kinds |= dict.fromkeys(_COUNTS, pa.int64()) | dict.fromkeys(_NUMBERS, pa.float64())
    others = rows[[name for name in rows if name not in kinds]]
    kinds |= {one.name: one.type for one in pa.Schema.from_pandas(others)}
    return pa.schema([(name, kinds[name]) for name in rows])
