"""Features on disk: one small file an image, shared by processes."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from featad._locks import turn
from featad._whole_files import replacing
from featad.errors import FeatadError
from featad.features.cache_folder import evict, read_dtype, read_limit

_DIGEST = 32  # bytes of sha256, in front of the values
_EXPONENT = np.dtype("<i2")  # stands in front of values of float16
_TOP = 15  # the largest value of an entry in float16 is below 2 ** 15
_ROOM = 1 / 20  # share of the limit that is written until the folder is measured


class FeatureCache:
    """Features of images under a folder, found again by extractor and image.

    The files are ``folder/<extractor>/<first two digits>/<image>``. Each begins with a
    digest of its key and values, so a damaged file is noticed and counts as missing. It
    is written under another name and then moved, so no reader sees a part of it. A
    folder with a limit loses the entries that were not used for the longest time.

    In a folder of float16 the values of an entry are kept as float16 numbers times one
    power of two, so that none overflows. They differ from float32 by 1 / 2048 of
    themselves at most, or by 2e-12 of the largest of the entry.

    Parameters
    ----------
    folder : path-like
        Created if it does not exist.

    fingerprint : str
        Fingerprint of the extractor.

    shape : int or tuple of int
        Of the features of one image.

    dtype : numpy.dtype, default=numpy.float32

    Attributes
    ----------
    folder : Path
        That of the extractor.

    Raises
    ------
    FeatadError
        If the folder cannot be made or written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from featad.features.cache import FeatureCache
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = FeatureCache(folder, fingerprint="f1", shape=2)
    ...     stored = cache.put("image1", np.array([0.5, 2.0], dtype=np.float32))
    ...     cache.get("image1"), cache.get("image2")
    (array([0.5, 2. ], dtype=float32), None)
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        fingerprint: str,
        shape: int | tuple[int, ...],
        dtype: DTypeLike = np.float32,
    ) -> None:
        whole = Path(folder).expanduser()
        self._shape = shape
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._n_bytes = int(np.prod(shape)) * self._dtype.itemsize
        self._room = 0.0  # bytes to write until the folder is measured
        self.folder = whole / fingerprint[:16]
        try:
            self._halved = self._dtype == np.float32 and read_dtype(whole) == "float16"
            if self._halved:  # entries of both kinds never meet
                name = f"{fingerprint} float16".encode()
                fingerprint = hashlib.sha256(name).hexdigest()
                self._n_bytes = self._n_bytes // 2 + _EXPONENT.itemsize
                self.folder = whole / fingerprint[:16]
            self.folder.mkdir(parents=True, exist_ok=True)
            self._limit = read_limit(whole)
            with self.locked():
                pass
        except OSError as error:
            raise self._refusal(error) from error
        self._fingerprint = fingerprint
        self._name = os.fspath(self.folder)

    def locked(self) -> AbstractContextManager:
        """Return a context that one thread of one process is in at a time.

        Look again in it, compute what is still missing, store: then nothing is computed
        twice. Where the file system has no locks it may be, which changes no value.
        """
        return turn(self.folder)

    def get(self, key: str) -> np.ndarray | None:
        """Return an image's features; None if they are absent or damaged."""
        path = self._path(key)
        try:
            with open(path, "rb", buffering=0) as file:
                entry = file.read()
            if self._limit is not None:
                os.utime(path)  # it is used
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refusal(error) from error
        digest, values = entry[:_DIGEST], entry[_DIGEST:]
        if len(values) != self._n_bytes or digest != self._digest(key, values):
            return None
        return self._row(values)

    def put(self, key: str, row: np.ndarray) -> np.ndarray:
        """Store an image's features, and return them as `get` will."""
        values = _halves(row) if self._halved else row.astype(self._dtype).tobytes()
        try:
            with replacing(self._path(key)) as part:
                part.write_bytes(self._digest(key, values) + values)
        except OSError as error:
            raise self._refusal(error) from error
        self._make_room(_DIGEST + len(values))
        return self._row(values)

    def _make_room(self, n_bytes: int) -> None:
        """Count bytes that were written, and keep the folder within its limit."""
        if self._limit is None:
            return
        self._room -= n_bytes
        if self._room < 0:
            evict(self.folder.parent, self._limit)
            self._room = _ROOM * self._limit

    def _row(self, values: bytes) -> np.ndarray:
        """Return the features of an entry, in the byte order of this machine."""
        if self._halved:
            exponent = np.frombuffer(values, _EXPONENT, count=1)
            halves = np.frombuffer(values, "<f2", offset=_EXPONENT.itemsize)
            return np.ldexp(halves.astype(np.float32), -exponent).reshape(self._shape)
        found = np.frombuffer(values, dtype=self._dtype).reshape(self._shape)
        return found.astype(self._dtype.newbyteorder("="))

    def _path(self, key):
        return os.path.join(self._name, key[:2], key)  # a Path takes as long as reading

    def _digest(self, key, values):
        head = f"{self._fingerprint} {key} ".encode()
        return hashlib.sha256(head + values).digest()

    def _refusal(self, error):
        return FeatadError(
            f"cache={str(self.folder.parent)!r} should be a folder that can be read "
            f"and written: {error.strerror or error} ({error.filename})."
        )


def _halves(row: np.ndarray) -> bytes:
    """Return features as an exponent and values of float16."""
    largest = np.abs(row).max(where=np.isfinite(row), initial=0)
    exponent = np.array(_TOP - np.frexp(largest)[1] if largest else 0, _EXPONENT)
    return exponent.tobytes() + np.ldexp(row, exponent).astype("<f2").tobytes()


class JointCache:
    """Caches of several features of the same images, side by side in one row.

    Parameters
    ----------
    caches : sequence of FeatureCache

    split : callable
        Makes features (n, ...) for each cache out of rows (n, n_values).
    """

    def __init__(
        self,
        caches: Sequence[FeatureCache],
        split: Callable[[np.ndarray], list[np.ndarray]],
    ) -> None:
        self._caches = caches
        self._split = split

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Enter the contexts of all caches, always in the same order."""
        with ExitStack() as stack:
            for _, cache in sorted({c.folder: c for c in self._caches}.items()):
                stack.enter_context(cache.locked())
            yield

    def get(self, key: str) -> np.ndarray | None:
        """Return an image's row; None unless all caches have their part."""
        parts = []
        for cache in self._caches:
            part = cache.get(key)
            if part is None:
                return None
            parts.append(part.ravel())
        return np.concatenate(parts, dtype=np.float32)

    def put(self, key: str, row: np.ndarray) -> np.ndarray:
        """Store an image's features, each in its cache; return them as `get` will."""
        parts = zip(self._caches, self._split(row[None]), strict=True)
        stored = [cache.put(key, part).ravel() for cache, (part,) in parts]
        return np.concatenate(stored, dtype=np.float32)


Cache: TypeAlias = FeatureCache | JointCache
