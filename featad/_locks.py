"""Locks between processes, and what to do where a file system has none."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows, where every file system has locks of its own
    fcntl = None  # type: ignore[assignment]

_PATIENCE = 30.0  # seconds that one process waits for another
_ANSWER = 5.0  # seconds in which a file system says whether it has locks
_without: set[Path] = set()  # folders


def lock_across_forks() -> threading.Lock:
    """Return a lock of threads; no process is forked while one of them holds it."""
    lock = threading.Lock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire,
            after_in_parent=lock.release,
            after_in_child=lock.release,
        )
    return lock


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Enter as one thread of one process at a time, for what only saves work.

    Where the file system has no locks, or nobody leaves for half a minute, the turn is
    taken at once from then on, after one warning.

    Parameters
    ----------
    folder : Path
        Whose turn it is. Its file ``lock`` is the lock.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    lock = FileLock(folder / "lock", timeout=_PATIENCE)
    if has_locks(folder):
        try:
            lock.acquire(poll_interval=0.01)
        except Timeout:
            _do_without(folder, f"the lock has not been free for {_PATIENCE:.0f} s")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Keep other processes from a file; yield False if one of them holds it now.

    Where the file system has no locks there is one warning, and nobody is kept away.
    Where the folder cannot be written nobody is kept away either.

    Parameters
    ----------
    path : Path
        A file that need not exist, in a folder that does.
    """
    try:
        can_lock = has_locks(path.parent)
    except OSError:
        can_lock = False
    if not can_lock:
        yield True
        return
    name = sha256(path.name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    lock = FileLock(path.with_name(f".featad-{name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(OSError):  # Windows keeps an open file
            Path(lock.lock_file).unlink()
        lock.release()


def has_locks(folder: Path) -> bool:
    """Return whether locks work in a folder; warn once if they do not.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    has : bool
        False if a lock that nobody else can hold is refused, or never granted.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    if folder.resolve() not in _without:
        probe = folder / f".featad-{uuid4().hex[:12]}.lock"
        try:
            probe.touch()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder)) from error
        try:
            if not _is_granted(probe):
                _do_without(folder, "its file system has no locks")
        finally:
            probe.unlink(missing_ok=True)
    return folder.resolve() not in _without


def _is_granted(probe):
    granted = []

    def ask():
        if fcntl is None:
            granted.append(True)
            return
        # FileLock would put up with a file that a killed process leaves for ever
        with suppress(OSError), open(probe) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            granted.append(True)

    thread = threading.Thread(target=ask, daemon=True)  # it may never come back
    thread.start()
    thread.join(_ANSWER)
    return bool(granted)


def _do_without(folder, reason):
    _without.add(folder.resolve())
    warnings.warn(
        f"Processes are not kept apart in {str(folder)!r}: {reason}. Features may be "
        "computed twice, and two runs must not write the same file."
    )
