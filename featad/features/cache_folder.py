"""What a folder of cached features holds, and how much it may hold."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from featad._whole_files import replacing
from featad.errors import FeatadError

_LIMIT, _DTYPE = "limit", "dtype"  # files beside the folders of the extractors
_DTYPES = ("float32", "float16")
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

    dtype : {"float32", "float16"}
        In which type features that come are kept.
    """

    n_kinds: int
    n_entries: int
    n_bytes: int
    limit: int | None
    dtype: str = "float32"


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
    ...     row = FeatureCache(folder, "f" * 64, 2).put("a" * 64, np.zeros(2))
    ...     cache_info(folder)
    CacheInfo(n_kinds=1, n_entries=1, n_bytes=40, limit=None, dtype='float32')
    """
    folder = _checked(folder)
    sizes = [status.st_size for _, status in _entries(folder)]
    n_kinds = sum(1 for _ in _kinds(folder))
    settings = read_limit(folder), read_dtype(folder)
    return CacheInfo(n_kinds, len(sizes), sum(sizes), *settings)


def clear_cache(folder: str | os.PathLike) -> CacheInfo:
    """Remove all cached features from a folder, and return what they were.

    The settings of the folder stay, and so does everything that is not from featad.

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
    _set(folder, _LIMIT, None if limit is None else str(limit))
    if limit is not None:
        evict(Path(folder).expanduser(), limit)


def set_cache_dtype(folder: str | os.PathLike, dtype: str) -> None:
    """Set in which type a folder keeps features, for all who use it.

    float16 takes half the space. Features then differ from those in float32 by 1 / 2048
    of themselves at most, also when they are first computed. Features that are kept in
    the other type stay, and are found again when the type is set back.

    Parameters
    ----------
    folder : path-like
        What is given as ``cache``. It is made if it is not there.

    dtype : {"float32", "float16"}

    Raises
    ------
    ValueError
        If it is another type.

    FeatadError
        If the folder cannot be written.
    """
    if dtype not in _DTYPES:
        raise ValueError(f"dtype should be one of {_DTYPES}, got {dtype!r}.")
    _set(folder, _DTYPE, dtype)


def read_dtype(folder: Path) -> str:
    """Return in which type a folder keeps features.

    Raises
    ------
    FeatadError
        If its file of the type holds anything else.
    """
    found = _setting(folder, _DTYPE)
    if found is not None and found not in _DTYPES:
        raise FeatadError(
            f"{folder / _DTYPE} should hold float32 or float16. Set it again with "
            "`featad cache keep`, or remove the file."
        )
    return found or "float32"


def read_limit(folder: Path) -> int | None:
    """Return how many bytes a folder may hold; None without a limit.

    Raises
    ------
    FeatadError
        If its file of the limit holds anything but a number.
    """
    found = _setting(folder, _LIMIT)
    if found is None or found.isdecimal():
        return None if found is None else int(found)
    raise FeatadError(
        f"{folder / _LIMIT} should hold a number of bytes. Set the limit again with "
        f"`featad cache limit`, or remove the file."
    )


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


def _setting(folder: Path, name: str) -> str | None:
    """Return what a folder's file of a setting says; None if there is none."""
    try:
        return (folder / name).read_text(encoding="ascii", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _set(folder: str | os.PathLike, name: str, value: str | None) -> None:
    path = Path(folder).expanduser() / name
    try:
        if value is None:
            path.unlink(missing_ok=True)
        else:
            with replacing(path) as part:
                part.write_text(f"{value}\n", encoding="ascii")
    except OSError as error:
        raise FeatadError(
            f"The {name} of {str(folder)!r} cannot be written: "
            f"{error.strerror or error}."
        ) from error


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
