"""What a folder of cached features holds, and how much it may hold."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from featad._whole_files import replacing
from featad.errors import FeatadError

_LIMIT = "limit"  # file beside the folders of the extractors
_KEPT = 0.9  # share of the limit that is left after old entries are removed


@dataclass(frozen=True)
class CacheInfo:
    """What a folder of cached features holds.

    Attributes
    ----------
    n_kinds : int
        Number of different features: choices of network, layers, statistics and size.

    n_entries : int
        Features of one image each.

    n_bytes : int
        What the entries hold together.

    limit : int or None
        Number of bytes that the folder may hold.
    """

    n_kinds: int
    n_entries: int
    n_bytes: int
    limit: int | None


def cache_info(folder: str | os.PathLike) -> CacheInfo:
    """Return what a folder of cached features holds.

    Parameters
    ----------
    folder : path-like
        What was given as ``cache``.

    Returns
    -------
    info : CacheInfo

    Raises
    ------
    FeatadError
        If it is not a folder.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from featad.features.cache import FeatureCache
    >>> from featad.features.cache_folder import cache_info
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     FeatureCache(folder, "f" * 64, 2).put("a" * 64, np.zeros(2))
    ...     cache_info(folder)
    CacheInfo(n_kinds=1, n_entries=1, n_bytes=40, limit=None)
    """
    folder = _checked(folder)
    sizes = [status.st_size for _, status in _entries(folder)]
    n_kinds = sum(1 for _ in _kinds(folder))
    return CacheInfo(n_kinds, len(sizes), sum(sizes), read_limit(folder))


def clear_cache(folder: str | os.PathLike) -> CacheInfo:
    """Remove all cached features from a folder, and return what they were.

    The limit of the folder stays, and so does everything that is not from featad.

    Parameters
    ----------
    folder : path-like
        What was given as ``cache``. No other process should use it.

    Returns
    -------
    removed : CacheInfo

    Raises
    ------
    FeatadError
        If it is not a folder.

    OSError
        If an entry cannot be removed.
    """
    folder = _checked(folder)
    removed = cache_info(folder)
    for kind in list(_kinds(folder)):
        rmtree(kind)
    return removed


def set_cache_limit(folder: str | os.PathLike, limit: int | None) -> None:
    """Set how much a folder of cached features may hold, for all who use it.

    When it is full, the entries that were not used for the longest time are removed.

    Parameters
    ----------
    folder : path-like
        What is given as ``cache``. It is made if it is not there.

    limit : int or None
        Number of bytes. Processes that store features at the same time may exceed it by
        a twentieth each. None removes the limit.

    Raises
    ------
    FeatadError
        If the folder cannot be written.
    """
    path = Path(folder).expanduser() / _LIMIT
    try:
        if limit is None:
            path.unlink(missing_ok=True)
        else:
            with replacing(path) as part:
                part.write_text(f"{limit}\n", encoding="ascii")
    except OSError as error:
        raise FeatadError(
            f"The limit of {str(folder)!r} cannot be written: "
            f"{error.strerror or error}."
        ) from error
    if limit is not None:
        evict(path.parent, limit)


def read_limit(folder: Path) -> int | None:
    """Return how many bytes a folder may hold; None without a limit.

    Raises
    ------
    FeatadError
        If its file of the limit holds anything but a number.
    """
    path = folder / _LIMIT
    try:
        return int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise FeatadError(
            f"{path} should hold a number of bytes. Set the limit again with "
            f"`featad cache limit`, or remove the file."
        ) from error


def evict(folder: Path, limit: int) -> None:
    """Remove the entries that were not used for the longest time, if they are too many.

    Parameters
    ----------
    folder : Path

    limit : int
        Number of bytes. If they are exceeded, nine tenths are kept.
    """
    entries = sorted(_entries(folder), key=lambda entry: entry[1].st_mtime_ns)
    n_bytes = sum(status.st_size for _, status in entries)
    if n_bytes <= limit:
        return
    for path, status in entries:
        if n_bytes <= _KEPT * limit:
            return
        with suppress(OSError):  # another process has removed it, or reads it (Windows)
            path.unlink()
        n_bytes -= status.st_size


def _kinds(folder: Path) -> Iterator[Path]:
    """Yield the folders of the extractors."""
    for path in folder.iterdir():
        if len(path.name) == 16 and _is_hexadecimal(path.name) and path.is_dir():
            yield path


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files that hold features of an image."""
    for kind in _kinds(folder):
        for path in kind.glob("??/*"):
            if len(path.name) == 64 and _is_hexadecimal(path.name):
                with suppress(FileNotFoundError):
                    yield path, path.stat()


def _is_hexadecimal(name: str) -> bool:
    return set(name) <= set("0123456789abcdef")


def _checked(folder: str | os.PathLike) -> Path:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise FeatadError(
            f"{str(folder)!r} is not a folder of cached features. Pass the folder that "
            "was given as cache."
        )
    return path
