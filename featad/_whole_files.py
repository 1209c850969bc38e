"""Files that are complete or not there at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give a file beside a path to write to, and move it there once the block is done.

    Whoever reads the path finds the older file, whole, or the new one, whole. Missing
    folders are made. If the block raises, nothing is left.

    Parameters
    ----------
    path : path-like
        The file to write or to replace.

    Yields
    ------
    part : Path
        Where to write; its ending is that of ``path``.
    """
    path = Path(path)
    if not path.parent.is_dir():  # faster than to make what is there
        path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid4().hex}{path.suffix}")  # short: a name may be long
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
