"""Collections of image sources: naming, hashing, checking."""

import hashlib
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from PIL import Image
from scipy.sparse import issparse

from featad._pixels import torch_hint
from featad.errors import ImageReadError
from featad.images.opened import (
    BITS,
    MAX_SAMPLE,
    PHOTOMETRIC,
    is_deep_gray,
    is_scaled_ppm,
    load,
    orientation_of,
)

Contents: TypeAlias = bytes | bytearray | memoryview | io.BytesIO
"""What holds the contents of a file in memory."""

Source: TypeAlias = str | os.PathLike | Contents | Image.Image | np.ndarray
"""What an image can be read from: a path, a file's bytes, a PIL image or an array."""

SOURCE_TYPES = (
    *(str, os.PathLike, bytes, bytearray, memoryview, io.BytesIO),
    *(Image.Image, np.ndarray),
)
_KINDS_OF_X = (
    "a list, 1-D array or Series of paths, bytes, PIL images or arrays, or a batch "
    "array of shape (n, height, width, channels) or (n, height, width)"
)


def as_bytes(source: Contents) -> bytes:
    """Return the contents of a file in memory, wherever it was read up to."""
    return source.getvalue() if isinstance(source, io.BytesIO) else bytes(source)


def local_path(source: str | os.PathLike) -> Path:
    """Return the path of a file on this machine.

    Parameters
    ----------
    source : path-like
        ``~`` stands for the home folder. A ``file://`` URL is the path it names.

    Returns
    -------
    path : Path
        Absolute, if it was given with ``~`` or as a URL.

    Raises
    ------
    ImageReadError
        If it is the URL of something elsewhere.

    Examples
    --------
    >>> from featad.images import local_path
    >>> local_path("file:///data/screws/1.png").as_posix()
    '/data/screws/1.png'
    """
    text = os.fsdecode(source)
    if os.path.exists(text):
        return Path(text)
    if text.startswith("~"):
        return Path(os.path.expanduser(text))
    scheme = re.match(r"([a-z][a-z0-9+.-]+):/", text, re.I)  # Path makes one of //
    if scheme and scheme[1].lower() == "file":
        return Path(url2pathname(urlsplit(text).path))
    if scheme:
        raise ImageReadError(
            describe_source(source),
            "featad reads local files; download it, and pass its path or its bytes",
        )
    return Path(text)


def describe_source(source: Source, index: int | None = None) -> str:
    """Name a source in messages and tables.

    Parameters
    ----------
    source : path-like, bytes-like, PIL image or ndarray
        What to name.

    index : int, default=None
        Its position in the input, which distinguishes sources in memory.

    Returns
    -------
    name : str
        The path, or for instance ``"image 3 (ndarray of shape (8, 8, 3))"``.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.images import describe_source
    >>> describe_source(np.zeros((8, 8, 3)), 3)
    'image 3 (ndarray of shape (8, 8, 3))'
    """
    if isinstance(source, str | os.PathLike):
        return as_text(os.fsdecode(source))
    if isinstance(source, Contents):
        view = source.getbuffer() if isinstance(source, io.BytesIO) else source
        what = f"{memoryview(view).nbytes} bytes"
    elif isinstance(source, Image.Image):
        what = f"PIL image of {source.width} x {source.height} pixels, {source.mode}"
    else:
        what = f"{type(source).__name__} of shape {np.shape(source)}"
    return f"image ({what})" if index is None else f"image {index} ({what})"


def as_text(name: str) -> str:
    r"""Return a file's name, or a message with one, as text that every file can hold.

    Parameters
    ----------
    name : str
        As Python has it: bytes that its encoding of file names lacks are surrogates.

    Returns
    -------
    text : str
        The bytes as UTF-8. What is not UTF-8, and a null byte, is escaped: ``\xff``.

    Examples
    --------
    >>> from featad.images import as_text
    >>> print(as_text("part \udcff.png"))
    part \xff.png
    """
    try:
        encoded = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        encoded = name.encode("utf-8", "backslashreplace")
    return encoded.decode("utf-8", "backslashreplace").replace("\0", r"\x00")


def content_hash(source: Source) -> str:
    """Return the sha256 of a source's content.

    Parameters
    ----------
    source : path-like, bytes-like, PIL image or ndarray
        For a path, the bytes of the file are hashed. For an array, values, dtype and
        shape. For a PIL image, pixels, mode, size and whatever changes how it is read.

    Returns
    -------
    digest : str
        64 hexadecimal digits.

    Raises
    ------
    ImageReadError
        If the file cannot be read.

    Examples
    --------
    >>> from featad.images import content_hash
    >>> content_hash(b"the bytes of a file")[:8]
    '0f599b94'
    """
    digest = hashlib.sha256()
    if isinstance(source, Contents):
        digest.update(as_bytes(source))
    elif isinstance(source, np.ndarray):
        digest.update(f"array {source.dtype.str} {source.shape}".encode())
        digest.update(np.ascontiguousarray(source).tobytes())
    else:
        try:
            if isinstance(source, Image.Image):
                _update_with_pil(digest, source)
            else:
                with local_path(source).open("rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
        except ImageReadError:
            raise
        except Exception as error:
            raise ImageReadError(describe_source(source), reason_of(error)) from error
    return digest.hexdigest()


def _update_with_pil(digest: Any, image: Image.Image) -> None:
    load(image)
    pixels = image.tobytes()
    palette = image.palette.tobytes() if image.palette else b""
    clear, turn = image.info.get("transparency"), orientation_of(image) or 1
    digest.update(f"{image.mode} {image.size} {palette!r} {clear} {turn}".encode())
    if is_deep_gray(image):  # which value is white depends on the file
        tags = getattr(image, "tag_v2", {})
        white = [tags.get(tag) for tag in (BITS, PHOTOMETRIC, MAX_SAMPLE)]
        digest.update(f"{image.format} {white} {is_scaled_ppm(image)}".encode())
    digest.update(pixels)


def reason_of(error: Exception) -> str:
    """Turn an exception into a clause for :class:`ImageReadError`.

    Parameters
    ----------
    error : Exception
        What reading an image has raised.

    Returns
    -------
    reason : str
        What it says, and its type.

    Examples
    --------
    >>> from featad.images import reason_of
    >>> reason_of(ValueError("The header is damaged."))
    'The header is damaged (ValueError)'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return f"{str(error).rstrip('.') or 'no reason given'} ({type(error).__name__})"


def check_sources(X: Any, *, estimator_name: str) -> Sequence:
    """Check that X is a collection of sources, without reading them.

    Parameters
    ----------
    X : list, tuple, 1-D array, Series, or array of shape (n, H, W[, C])
        The sources.

    estimator_name : str
        The calling class, for messages.

    Returns
    -------
    sources : sequence
        Has a length and integer indexing.

    Raises
    ------
    ValueError, TypeError
        If X is one source, a table, a data frame, sparse, empty or of another type.

    Examples
    --------
    >>> from featad.images import check_sources
    >>> check_sources(["a.png", "b.png"], estimator_name="VGGFeatures")
    ['a.png', 'b.png']
    """
    name = estimator_name
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUT":
        return cast(Sequence, _checked_batch(X, name))  # it has all that is needed
    if isinstance(X, str | os.PathLike | Contents | Image.Image):
        raise TypeError(
            f"{name} expects {_KINDS_OF_X}; got one {type(X).__name__}. "
            "Pass [source] for a single image."
        )
    if issparse(X):
        raise TypeError(
            f"Sparse data was passed to {name}, but images are dense; {name} expects "
            f"{_KINDS_OF_X}."
        )
    if hasattr(X, "columns"):
        raise TypeError(
            f"{name} expects {_KINDS_OF_X}; got a {type(X).__name__}. Pass the column "
            "that holds the paths, for instance X['path']."
        )
    if not isinstance(X, list | tuple | np.ndarray):
        if getattr(X, "ndim", None) != 1 or not hasattr(X, "to_numpy"):
            hint = torch_hint(X) or " Pass list(X) if it is an iterable of sources."
            raise TypeError(
                f"{name} expects {_KINDS_OF_X}; got {type(X).__name__}.{hint}"
            )
        X = list(X)  # a pandas Series or Index
    if isinstance(X, np.ndarray) and X.ndim != 1:
        raise ValueError(
            f"{name} expects {_KINDS_OF_X}; got an array of {X.dtype} of shape "
            f"{X.shape}."
        )
    if len(X) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) while a minimum of 1 is required by {name}."
        )
    for index, source in enumerate(X):
        if not isinstance(source, SOURCE_TYPES):
            hint = torch_hint(source)
            if callable(getattr(source, "read", None)):
                hint = " Pass what it holds, as bytes: source.read()."
            raise TypeError(
                f"{name} expects {_KINDS_OF_X}; item {index} is a "
                f"{type(source).__name__}.{hint}"
            )
    return X


def _checked_batch(X: np.ndarray, name: str) -> np.ndarray:
    expected = f"{name} expects {_KINDS_OF_X}"
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported by {name}: {expected}.")
    if X.dtype.kind not in "biuf":
        raise TypeError(f"{expected}; got an array of {X.dtype}.")
    if X.ndim < 2:
        raise ValueError(
            f"{expected}; got a {X.ndim}D array of numbers. Reshape your data to "
            "X[None] if it is one image."
        )
    if X.ndim == 2 and X.shape[1] == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is "
            f"required by {name}."
        )
    if len(X) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is "
            f"required by {name}."
        )
    if X.ndim == 2:
        raise ValueError(
            f"{expected}; got a table of shape {X.shape}. Pass X[None] if it is one "
            "gray image, X.reshape(n, height, width) if its rows are images."
        )
    if X.ndim == 3 and X.shape[2] in (1, 3, 4) and X.shape[1] != X.shape[2]:
        raise ValueError(
            f"{expected}; X.shape={X.shape} looks like a single image. Pass X[None]."
        )
    if X.ndim > 4 or (X.ndim == 4 and X.shape[3] not in (1, 3, 4)):
        first = X.ndim == 4 and X.shape[1] in (1, 3, 4)
        hint = " Pass X.transpose(0, 2, 3, 1): channels come last." if first else ""
        raise ValueError(
            f"{expected} with 1, 3 or 4 channels; got an array of shape {X.shape}."
            f"{hint}"
        )
    return X
