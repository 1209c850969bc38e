"""A folder that images keep coming into: each is scored once, when it is complete."""

import hashlib
import os
import re
import time
import warnings
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from featad.errors import DatasetError, DatasetWarning
from featad.images import describe_source, scan_folder
from featad.score_files import (
    check_format,
    iter_rows,
    json_object,
    open_rows,
    repair,
    reserved,
)
from featad.scorer import Scorer
from featad.scoring import COLUMNS, score_images

WATCH_COLUMNS = (*COLUMNS, "size", "modified")
"""The columns of a file that `watch_folder` writes."""

_HEADER = ",".join(WATCH_COLUMNS).encode()
_JSON_VALUE = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|[^",{}]*')  # or its beginning
_AT_REST = 5  # times as long as looking takes, so that it takes a sixth of a processor


def watch_folder(
    system: BaseEstimator,
    folder: str | os.PathLike,
    path: str | os.PathLike,
    *,
    interval: float = 2.0,
    batch_size: int = 64,
    recursive: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[pd.DataFrame]:
    """Score the images of a folder, and go on with those that come, without end.

    An image is complete when its size and modification time are those of the look
    before. It is scored once, over any number of runs: the rows of the file say which
    ones were. An image that changes later is scored again, and has another row.

    Parameters
    ----------
    system : estimator
        A fitted system that takes sources.

    folder : path-like
        Where images come. It may be empty, and is searched with its subfolders. While
        it cannot be listed, as when a share is away, the run waits, after one warning.

    path : path-like
        A .csv or .jsonl file that rows are added to. If a run was killed while it wrote
        one, that row is removed and its image is scored again.

    interval : float, default=2.0
        Seconds between looks; more if a look takes long.

    batch_size : int, default=64
        Images scored, and rows written, at a time.

    recursive : bool, default=True
        Whether to search subfolders as well.

    sleep : callable
        Called with seconds between looks.

    Yields
    ------
    rows : DataFrame
        The rows of each batch once they are written: the columns of `score_images`,
        ``size`` (int, bytes) and ``modified`` (str, UTC) of the file.

    Raises
    ------
    ValueError
        If the file has another ending, was not written by a watch, which leaves it as
        it was, or is damaged.

    DatasetError
        If there is no such folder at the start.

    OSError
        If the file cannot be written, or another run is writing it.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.pipeline import make_pipeline
    >>> from PIL import Image
    >>> from featad import ImageReader, KMeansDistance, watch_folder
    >>> parts = np.full((9, 8, 8), 0.5) + np.linspace(0, 0.1, 9)[:, None, None]
    >>> reader = ImageReader(mode="L", flatten=True)
    >>> system = make_pipeline(reader, KMeansDistance(1)).fit(parts)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (8, 8)).save(Path(folder, "dark.png"))
    ...     log = Path(folder, "scores.csv")
    ...     rows = next(watch_folder(system, folder, log, interval=0.1))
    >>> rows["is_anomaly"].tolist()
    [True]
    """
    check_format(path)
    if Path(path).suffix.lower() == ".parquet":
        raise ValueError("Rows cannot be added to Parquet. Name a .csv or .jsonl file.")
    Scorer(system)  # an unfitted system fails here
    scan_folder(folder, recursive=recursive, may_be_empty=True)
    with reserved(path):
        scored = _scored(path)
        before: dict[Path, _Stamp] = {}
        with open_rows(path, append=True) as write:
            while True:
                start = time.perf_counter()
                now = _look(folder, recursive, scored)
                seconds = time.perf_counter() - start
                complete = [image for image in now if before.get(image) == now[image]]
                images = iter(complete)
                batches: Iterable[pd.DataFrame] = ()
                if complete:  # to begin may take a copy of the system
                    batches = score_images(system, complete, batch_size=batch_size)
                for rows in batches:
                    batch = [*islice(images, len(rows))]
                    stamps = [now.pop(image) for image in batch]
                    rows = rows.assign(**pd.DataFrame(stamps))
                    write(rows)
                    scored.update(map(_key, batch, stamps))
                    yield rows
                before = now
                sleep(max(interval, _AT_REST * seconds))


class _Stamp(NamedTuple):
    """What changes with a file's content, as its row has it."""

    size: int
    modified: str


def _look(folder, recursive, scored):
    """Return the images that are not scored yet, with their stamps."""
    try:
        images = scan_folder(folder, recursive=recursive, may_be_empty=True).images
    except DatasetError as error:
        warnings.warn(f"{error} Waiting for it.", DatasetWarning, stacklevel=3)
        return {}
    found = {}
    for image in images:
        try:
            status = image.stat()
        except OSError:  # it has gone, or its link leads nowhere yet
            continue
        modified = f"{np.datetime64(status.st_mtime_ns, 'ns')}Z"
        stamp = _Stamp(status.st_size, modified)
        if _key(image, stamp) not in scored:
            found[image] = stamp
    return found


def _scored(path):
    """Return the keys of the rows that a file holds; a row cut short is removed."""
    if not Path(path).exists():
        return set()
    with open(path, "rb") as file:
        first = file.readline()
    starts = _starts_csv if Path(path).suffix.lower() == ".csv" else _starts_jsonl
    if not starts(first):  # before anything of it is changed
        raise _foreign(path)
    repair(path)
    keys = set()
    for row in iter_rows(path):
        if not {*WATCH_COLUMNS} <= row.keys():
            raise _foreign(path)
        keys.add(_key(row["path"], _Stamp(row["size"], row["modified"])))
    return keys


def _foreign(path):
    return ValueError(
        f"{str(path)!r} was not written by a watch: its columns should be "
        f"{', '.join(WATCH_COLUMNS)}, in this order. Name another file."
    )


def _starts_csv(line):
    """Return whether a watch writes such a first line, or was killed while it did."""
    if line.endswith(b"\n"):
        line = line.removeprefix(BOM_UTF8).rstrip(b"\r\n")  # as Excel saves it
        return line in (_HEADER, b'"' + _HEADER.replace(b",", b'","') + b'"')  # or R
    return _HEADER.startswith(line)


def _starts_jsonl(line):
    """Return whether a watch writes such a first line, or was killed while it did."""
    if line.endswith(b"\n"):
        return {*WATCH_COLUMNS} <= (json_object(line) or {}).keys()
    rest, lead = line.decode("utf-8", "replace"), "{"
    for name in WATCH_COLUMNS:
        lead += f'"{name}": '
        if not rest.startswith(lead):
            return lead.startswith(rest)
        rest = _JSON_VALUE.sub("", rest.removeprefix(lead), 1)
        lead = ", "
    return "}".startswith(rest)


def _key(image, stamp):
    """Return 16 bytes for what would be 300 in memory."""
    text = f"{describe_source(str(image))}\t{stamp.size}\t{stamp.modified}"
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
