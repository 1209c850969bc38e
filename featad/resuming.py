"""Runs of scoring that go on where an earlier one was stopped, at any instruction."""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.base import BaseEstimator

import featad
from featad.errors import ImageReadError
from featad.images import content_hash
from featad.machine import portable_copy
from featad.score_files import appender, plain_values

_TEXTS = {"path", "error"}


def journal_path(path: str | os.PathLike) -> Path:
    """Return where the journal of a score file is, until the file is complete.

    Examples
    --------
    >>> journal_path("scores.csv").name
    'scores.csv.unfinished'
    """
    path = Path(path)
    return path.with_name(f"{path.name}.unfinished")


@contextmanager
def open_journal(
    path: str | os.PathLike, system: BaseEstimator, *, retry_errors: bool = False
) -> Iterator["Journal"]:
    """Open the journal of a score file; at the end of the block it is deleted.

    It stays if the block raises.

    Parameters
    ----------
    path : path-like
        The score file. The caller keeps other runs from it, see
        `featad.score_files.reserved`.

    system : estimator
        The fitted system. The rows of another system are not found.

    retry_errors : bool, default=False
        Whether batches with an error are to be scored again.

    Yields
    ------
    journal : Journal

    Raises
    ------
    OSError
        If the journal cannot be written.
    """
    path = journal_path(path)
    with open(path, "ab", buffering=0) as end, open(path, "rb") as lines:
        yield Journal(lines, end, system_digest(system), retry_errors)
    path.unlink()


class Known:
    """Which batches were scored, told by what they were scored from.

    Parameters
    ----------
    system : str
        A digest of the system.

    keys : collection of str, default=()
        Those of the batches.
    """

    def __init__(self, system: str, keys: Collection[str] = ()) -> None:
        self._system = system
        self._keys = keys

    def key(self, names: Sequence[str], sources: Sequence[Any]) -> str:
        """Return the digest of a batch: its system, its names and their contents."""
        digest = hashlib.sha256(self._system.encode())
        for name, source in zip(names, sources, strict=True):
            try:
                content = content_hash(source)
            except ImageReadError as error:
                content = error.reason
            digest.update(json.dumps([name, content]).encode())
        return digest.hexdigest()

    def __contains__(self, key: str) -> bool:
        return key in self._keys


class Journal(Known):
    """The rows of each batch that was scored, found by what they were scored from.

    ``n_found`` counts the rows of earlier runs that were found.

    Each line holds a key, a tab, and the rows as JSON. A process that dies can cut the
    last line short; that line is removed. Memory holds the keys, not the rows.

    Parameters
    ----------
    lines : binary file
        The journal, open for reading.

    end : binary file
        The same file, open for appending and unbuffered.

    system : str
        A digest of the system.

    retry_errors : bool
        Whether a batch with an error is to be scored again.
    """

    def __init__(self, lines: Any, end: Any, system: str, retry_errors: bool) -> None:
        super().__init__(system)
        self._places: dict[str, int] = {}
        self._lines = lines
        self._append = appender(end, end.name)
        self._retry_errors = retry_errors
        self.n_found = 0
        place = 0
        for line in lines:
            if not line.endswith(b"\n"):
                end.truncate(place)
                break
            self._places[line.partition(b"\t")[0].decode("ascii", "replace")] = place
            place += len(line)
        self._size = self._size_before = place

    def __contains__(self, key: str) -> bool:
        return self._columns(key) is not None

    def known(self) -> Known:
        """Return which batches `find` finds now; as what can be sent."""
        return Known(
            self._system, frozenset(key for key in self._places if key in self)
        )

    def find(self, key: str) -> pd.DataFrame | None:
        """Return the rows of a batch; None if it is to be scored."""
        columns = self._columns(key)
        if columns is None:
            return None
        rows = pd.DataFrame(columns)
        if self._places[key] < self._size_before:
            self.n_found += len(rows)
        dtypes = dict.fromkeys({*rows} - _TEXTS, float) | {"is_anomaly": "boolean"}
        return rows.astype(dtypes)

    def _columns(self, key):
        if key not in self._places:
            return None
        self._lines.seek(self._places[key])
        try:
            columns = json.loads(self._lines.readline().partition(b"\t")[2])
        except ValueError:  # a machine without power may leave anything
            return None
        return None if self._retry_errors and any(columns["error"]) else columns

    def add(self, key: str, rows: pd.DataFrame) -> None:
        """Append the rows of a batch."""
        values = zip(*plain_values(rows), strict=True)
        columns = dict(zip(rows.columns, values, strict=True))
        line = f"{key}\t{json.dumps(columns)}\n".encode()
        self._append(line)
        self._places[key] = self._size
        self._size += len(line)


def system_digest(system: BaseEstimator) -> str:
    """Return a digest of what decides about scores; devices and folders do not.

    Parameters
    ----------
    system : estimator
        A fitted system.

    Examples
    --------
    >>> from featad import KMeansDistance
    >>> digests = {system_digest(KMeansDistance(1).fit([[0.0], [x]])) for x in (1, 2)}
    >>> len(digests)
    2
    """
    return joblib.hash((featad.__version__, portable_copy(system)))
