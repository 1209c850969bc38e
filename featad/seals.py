"""Seals by which a user's own model files are known again.

A seal is made of a file's sha256 with a key that only this user's account on this
machine has, so that nobody else can make one.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from featad._locks import turn
from featad._whole_files import replacing

_SIZE = 64  # bytes of a key


def seal(sha256: str) -> str | None:
    """Return the seal of a file, None if no key can be kept.

    Parameters
    ----------
    sha256 : str
        Digest of the file.
    """
    key = _key(create=True)
    return None if key is None else _seal(key, sha256)


def is_sealed(sha256: str, found: object) -> bool:
    """Return whether a seal is the one that this user's key makes.

    Parameters
    ----------
    sha256 : str
        Digest of the file.

    found : object
        What a manifest holds as the seal.
    """
    key = _key()
    if key is None or not isinstance(found, str):
        return False
    return hmac.compare_digest(_seal(key, sha256).encode(), found.encode())


def _seal(key: bytes, sha256: str) -> str:
    return hmac.new(key, sha256.encode(), hashlib.sha256).hexdigest()


def key_path() -> Path:
    """Return where the key is kept: ``featad/key`` in the user's configuration.

    Raises
    ------
    RuntimeError
        If the user has no home.
    """
    folder = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA")
    return (Path(folder) if folder else Path.home() / ".config") / "featad" / "key"


def _key(create: bool = False) -> bytes | None:
    """Return this user's key, None if there is none and none can be kept."""
    try:
        path = key_path()
        key = _read(path)
        if key is None and create:
            path.parent.mkdir(parents=True, exist_ok=True)
            with turn(path.parent):
                key = _read(path) or _write(path)
    except (OSError, RuntimeError):  # no home, or a read-only one
        return None
    return key


def _read(path: Path) -> bytes | None:
    """Return the key in a file, None if there is no file or no whole key in it."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    return key if len(key) == _SIZE else None


def _write(path: Path) -> bytes | None:
    """Write a new key to a file that only its owner can read."""
    with (
        replacing(path) as part,
        open(part, "xb", opener=lambda name, how: os.open(name, how, 0o600)) as file,
    ):
        file.write(secrets.token_hex(_SIZE // 2).encode())
    return _read(path)  # another one, where a file system without locks lets both write
