"""Which images belong together: views, repeats or slices of one part."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featad.errors import DatasetError

_MINUTES = re.compile(r"minutes=(.*)", re.DOTALL)


def find_groups(paths: Sequence[str | os.PathLike], by: str) -> np.ndarray:
    r"""Find out from files which images show the same part.

    Images of one part resemble each other more than images of two parts do. Pass the
    groups to ``fit(X, groups=...)`` of a calibrated system, and the images of one part
    stay on one side of every split.

    Parameters
    ----------
    paths : sequence of path-like
        The image files.

    by : str
        One of

        - ``"folder"``: images in the same folder are a group;
        - ``"minutes=N"``: a group ends where no file was modified for more than N
          minutes. Copying may give files a new modification time; ``cp -p``, ``rsync
          -a`` and most archives keep the old one;
        - a regular expression, searched for in each file's name: images with the same
          first group of the pattern belong together, or with the same match if the
          pattern has no group. ``r"(.+)_view\d"`` puts ``a17_view1.png`` and
          ``a17_view2.png`` into the group ``a17``.

    Returns
    -------
    groups : ndarray of str, shape (n_paths,)
        The group of each image: its folder, the number of its burst in order of time,
        or the text that the pattern found.

    Raises
    ------
    DatasetError
        If the pattern is not a regular expression, does not match a file's name, or if
        N is not a number above 0, or the modification time of a file is not known.

    Examples
    --------
    >>> from featad import find_groups
    >>> find_groups(["new/a17_view1.png", "new/a17_view2.png", "new/b2.png"], "[a-z]+")
    array(['a', 'a', 'b'], dtype='<U1')
    """
    files = [Path(os.fspath(path)) for path in paths]
    if by == "folder":
        return _strings([str(file.absolute().parent) for file in files])
    minutes = _MINUTES.fullmatch(by)
    if minutes:
        return _bursts(files, by, minutes[1])
    return _matches(files, by)


def _bursts(files, by, text):
    """Return the number of each file's burst, counted from 1 in order of time."""
    try:
        pause = 60 * float(text)
    except ValueError:
        pause = np.nan
    if not 0 < pause < np.inf:
        raise DatasetError(
            f"minutes=N takes a number of minutes above 0, such as minutes=2, but the "
            f"groups are {by!r}."
        )
    try:
        times = np.array([file.stat().st_mtime for file in files], dtype=float)
    except OSError as error:
        raise DatasetError(
            f"The modification time of {error.filename!r} is not known: "
            f"{error.strerror}. Groups by minutes need it of every image."
        ) from error
    order = np.argsort(times, kind="stable")
    begins = np.diff(times[order], prepend=-np.inf) > pause
    numbers = np.empty(len(files), dtype=int)
    numbers[order] = np.cumsum(begins)
    return numbers.astype(str)


def _matches(files, pattern):
    """Return what the pattern finds in each file's name."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DatasetError(
            f"The groups {pattern!r} are not a regular expression ({error}). Expected "
            "'folder', 'minutes=N', or a pattern for file names."
        ) from error
    matches = [compiled.search(file.name) for file in files]
    found = [match and match[min(1, compiled.groups)] for match in matches]
    failed = [file for file, text in zip(files, found, strict=True) if not text]
    if failed:
        raise DatasetError(
            f"The pattern {pattern!r} finds no group in the names of {len(failed)} of "
            f"the {len(files)} images; first: {str(failed[0])!r}. Expected 'folder', "
            "'minutes=N', or a pattern that finds a text in every file name."
        )
    return _strings(found)


def _strings(texts):
    return np.array(texts, dtype=str) if texts else np.empty(0, dtype=str)
