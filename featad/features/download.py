"""One file from the net: whole and checked, or not at all, and never a long wait."""

import hashlib
import os
import re
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from filelock import FileLock
from tqdm import tqdm

TIMEOUT = 10
"""Seconds without an answer after which a server counts as out of reach."""

_RETRY_AFTER = 60  # seconds in which an address that failed is not asked again
_failures: dict[str, tuple[float, str]] = {}  # address -> when, why


def download(url: str, path: Path) -> None:
    """Fetch a file unless it is there, and hold it to the hash in its name.

    Safe with several processes: one downloads, the others wait for it. An address that
    failed is not asked again for a minute, so that a grid search without a network
    fails once and not at every fit.

    Parameters
    ----------
    url : str

    path : Path
        Where the file goes; the folder is made if need be.

    Raises
    ------
    OSError
        With a reason to show: out of reach, no such file, another hash, no space.
    """
    when, reason = _failures.get(url, (-_RETRY_AFTER, ""))
    if time.monotonic() - when < _RETRY_AFTER:
        raise OSError(reason)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.is_file():  # another process may have been faster
                _fetch(url, path)
    except (OSError, HTTPException) as error:
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">")
        reason = reason or type(error).__name__
        _failures[url] = (time.monotonic(), reason)
        raise OSError(reason) from error


def sha256_of(path: str | os.PathLike) -> str:
    """Return the sha256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def has_named_hash(path: Path) -> bool:
    """Return whether a file has the hash in its name, as in ``vgg16-397923af.pth``.

    True as well where the name holds none.
    """
    return sha256_of(path).startswith(named_hash(path.name))


def named_hash(name: str) -> str:
    """Return the hash in a file's name, or an empty string."""
    match = re.search(r"-([0-9a-f]{8,})\.", name)
    return match.group(1) if match else ""


def _fetch(url: str, path: Path) -> None:
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with _open(url) as response, open(partial, "wb") as file:
            size = int(response.headers.get("Content-Length") or 0) or None
            with tqdm(
                total=size, desc=path.name, unit="B", unit_scale=True, disable=None
            ) as bar:  # on stderr, where that is a terminal
                while block := response.read(1 << 18):
                    file.write(block)
                    bar.update(len(block))
        if not has_named_hash(partial):
            raise OSError("what came has another hash than the one in its name")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _open(url: str) -> Any:
    """Return the server's answer, or raise within `TIMEOUT` seconds.

    In a thread of its own, since the timeout of a socket covers neither the look-up of
    the name nor the sum over all addresses of a server.
    """
    answer: Future = Future()

    def ask() -> None:
        try:
            request = Request(url, headers={"User-Agent": "featad"})
            answer.set_result(urlopen(request, timeout=TIMEOUT))
        except Exception as error:  # raised below
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.result(timeout=TIMEOUT)
    except FutureTimeoutError:
        answer.add_done_callback(_close)  # it may still come
        raise TimeoutError(f"no answer within {TIMEOUT} seconds") from None


def _close(answer: Future) -> None:
    if answer.exception() is None:
        answer.result().close()
