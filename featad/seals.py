"""Seals by which a user's own model files are known again.

A seal is made of a file's sha256 with a key that only this user's account on this
machine has, so that nobody else can make one.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

_SIZE = 64  # characters of a key


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


def _seal(key: str, sha256: str) -> str:
    return hmac.new(key.encode(), sha256.encode(), hashlib.sha256).hexdigest()


def key_path() -> Path:
    """Return where the key is kept: ``featad/key`` in the user's configuration.

    Raises
    ------
    RuntimeError
        If the user has no home.
    """
    folder = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA")
    return (Path(folder) if folder else Path.home() / ".config") / "featad" / "key"


def _key(create: bool = False) -> str | None:
    try:
        path = key_path()
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with open(path, "x", opener=lambda p, _: os.open(p, write, 0o600)) as file:
                file.write(secrets.token_hex(_SIZE // 2))
        key = path.read_text(encoding="ascii")
    except (OSError, RuntimeError, ValueError):  # no home, or a read-only one
        return None
    return key if len(key) == _SIZE else None
