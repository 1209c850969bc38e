"""Which files of a folder are images, and what becomes of all the others."""

import os
import re
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, NoReturn

from featad.errors import DatasetError, DatasetWarning

EXTENSIONS = frozenset(
    f".{suffix}"
    for suffix in ("bmp", "dib", "gif", "jfif", "jpe", "jpeg", "jpg", "pbm", "pgm")
    + ("png", "pnm", "ppm", "tif", "tiff", "webp")
    + ("avif", "heic", "heif", "hif", "j2k", "jp2")
)
"""Suffixes, in lower case, of the files that :func:`list_images` finds."""

SYSTEM_NAMES = frozenset(
    {"$recycle.bin", "#recycle", "@recycle", "recycler", "lost+found", "found.000"}
    | {"#snapshot", "~snapshot", "@recently-snapshot", "@eadir", "@__thumb"}
    | {"@tmp", "@sharebin", "$extend"}
    | {"__macosx", "temporary items", "network trash folder", "__pycache__"}
    | {"system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini"}
)
"""Names, in lower case, that systems and storage devices give to files of their own."""

_NUMBER = re.compile(r"(\d+)")


class Rule(NamedTuple):
    """Why files are left out.

    Attributes
    ----------
    one : str
        What one such file is called.

    many : str
        What several are called.

    Examples
    --------
    >>> from featad.images import Rule
    >>> Rule("empty file", "empty files").many
    'empty files'
    """

    one: str
    many: str


_ENDINGS = ", ".join(sorted(EXTENSIONS))
OTHER = Rule(
    f"file that does not end in {_ENDINGS}", f"files that do not end in {_ENDINGS}"
)
SYSTEM = Rule("hidden or system file", "hidden or system files")
SPECIAL = Rule("pipe, socket or device", "pipes, sockets or devices")
LOOP = Rule(
    "link to a folder that holds it or is listed already",
    "links to folders that hold them or are listed already",
)
REPEATED = Rule("link to an image listed already", "links to images listed already")


@dataclass
class Listing:
    """What was found in a folder: every file is an image or is left out by a rule.

    Attributes
    ----------
    folder : Path
        The folder.

    images : list of Path
        In natural order. None of them was opened.

    folders : list of Path
        The folders that were searched, the first included.

    left_out : dict of Rule to list of Path
        The files that are not listed, by the rule that leaves them out.

    real : dict of Path to str
        Where an image really lies, if a link leads to it.

    Examples
    --------
    >>> from featad.images import Listing, scan_folder
    >>> isinstance(scan_folder("."), Listing)
    True
    """

    folder: Path
    images: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    left_out: dict[Rule, list[Path]] = field(default_factory=dict)
    real: dict[Path, str] = field(default_factory=dict)

    def leave_out(self, rule: Rule, paths: Iterable[Path]) -> None:
        """Record that files are left out."""
        if paths := list(paths):
            self.left_out.setdefault(rule, []).extend(paths)

    def without_repeats(self, images: Sequence[Path]) -> list[Path]:
        """Return images without links to others of them, which are left out."""
        if self.real.keys().isdisjoint(images):
            return list(images)
        seen: set[str] = set()
        repeats = set()
        for path in sorted(images, key=self.real.__contains__):  # links come last
            real = self.real.get(path) or os.path.realpath(path)
            if real in seen:
                repeats.add(path)
            seen.add(real)
        self.leave_out(REPEATED, sorted(repeats, key=natural_key))
        return [path for path in images if path not in repeats]

    def summary(self) -> str:
        """Return a sentence on the files that are left out, "" if there are none."""
        if not self.left_out:
            return ""
        counted = [
            f"{len(paths)} {rule.one if len(paths) == 1 else rule.many} (first: "
            f"{min(paths, key=natural_key).relative_to(self.folder)})"
            for rule, paths in self.left_out.items()
        ]
        return f"Left out {'; '.join(counted)}, in {str(self.folder)!r}."

    def warn(self) -> None:
        """Warn once of the files that are left out, if there are any."""
        if self.left_out:
            warnings.warn(self.summary(), DatasetWarning, stacklevel=3)


def list_images(folder: str | os.PathLike, *, recursive: bool = True) -> list[Path]:
    """List the image files in a folder, in natural order: 2.png before 10.png.

    Parameters
    ----------
    folder : path-like
        Where to look. Linked folders are searched too.

    recursive : bool, default=True
        Whether to search subfolders as well.

    Returns
    -------
    paths : list of Path
        Files whose suffix, in lower case, is in ``EXTENSIONS``. They are not opened.

    Raises
    ------
    DatasetError
        If the folder is missing, is a file, cannot be listed, or contains no images.

    Warns
    -----
    DatasetWarning
        If files are left out: other files, hidden ones (names that begin with a dot),
        those in folders of the system such as ``@eaDir``, and links to an image that is
        in the list already. The warning has the count and the first name of each kind.

    Examples
    --------
    >>> from featad import list_images
    >>> list_images("no such folder")
    Traceback (most recent call last):
    featad.errors.DatasetError: There is no folder 'no such folder'.
    """
    listing = scan_folder(folder, recursive=recursive)
    images = listing.without_repeats(listing.images)
    listing.warn()
    return images


def scan_folder(
    folder: str | os.PathLike, *, recursive: bool = True, may_be_empty: bool = False
) -> Listing:
    """Decide what becomes of every file in a folder.

    Parameters
    ----------
    folder : path-like
        As in :func:`list_images`.

    recursive : bool, default=True
        As in :func:`list_images`.

    may_be_empty : bool, default=False
        Whether a folder without images is not an error.

    Returns
    -------
    listing : Listing
        Its images, also those that links repeat, and what is left out.

    Raises
    ------
    DatasetError
        As :func:`list_images`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from featad.images import scan_folder
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("a.png", "notes.txt"):
    ...     (folder / name).touch()
    >>> listing = scan_folder(folder)
    >>> [path.name for path in listing.images]
    ['a.png']
    >>> sum(len(paths) for paths in listing.left_out.values())
    1
    """
    folder = Path(folder)
    listing = Listing(folder)
    try:
        if not folder.exists():
            raise DatasetError(f"There is no folder {str(folder)!r}.")
        if not folder.is_dir():
            raise DatasetError(
                f"Expected a folder of images, but {str(folder)!r} is a file. Pass its "
                "folder, or [path] where a list of images is expected."
            )
        _walk(listing, recursive)
    except OSError as error:  # of a share that is away, for one
        _refuse_folder(error)
    listing.images.sort(key=natural_key)
    if not (listing.images or may_be_empty):
        expected = f"Expected files that end in {_ENDINGS}."
        raise DatasetError(
            f"There are no images in {str(folder)!r}. {listing.summary() or expected}"
        )
    return listing


def _walk(listing: Listing, recursive: bool) -> None:
    """Fill a listing: first from the folder itself, then through links to folders.

    A link that leads to a folder around it is left out. So is one inside a linked
    folder that leads to a folder searched before: the walk ends, however links cross.
    """
    root = os.path.realpath(listing.folder)
    searched: set[str] = set()
    waiting: deque = deque([(listing.folder, root, ())])
    while waiting:
        start, real, around = waiting.popleft()
        loops = any(_holds(real, place) for place in around)
        if loops or (len(around) > 2 and real in searched):
            listing.leave_out(LOOP, [start])
            continue
        for parent, folders, files in os.walk(start, onerror=_refuse_folder):
            folder = Path(parent)
            place = os.path.normpath(os.path.join(real, folder.relative_to(start)))
            searched.add(place)
            listing.folders.append(folder)
            if not recursive:
                folders.clear()
            for system in filter(is_system, (*folders, *files)):
                listing.leave_out(SYSTEM, _files_of(folder / system))
            below = [folder / f for f in sorted(folders) if not is_system(f)]
            folders[:] = [path.name for path in below if not path.is_symlink()]
            waiting += [
                (path, os.path.realpath(path), (root, *around, place))
                for path in below
                if path.is_symlink()
            ]
            for name in files:
                if not is_system(name):
                    _sort_in(listing, folder / name, place if around else None)


def _sort_in(listing: Listing, path: Path, place: str | None) -> None:
    """List a file or leave it out; ``place`` is its real folder, if a link led here."""
    if os.path.splitext(path)[1].lower() not in EXTENSIONS:
        listing.leave_out(OTHER, [path])
    elif os.path.isfile(path) or not os.path.exists(path):  # reading names broken links
        listing.images.append(path)
        if os.path.islink(path):
            listing.real[path] = os.path.realpath(path)
        elif place:
            listing.real[path] = os.path.join(place, path.name)
    else:
        listing.leave_out(SPECIAL, [path])


def is_system(name: str) -> bool:
    """Return whether a file or folder is hidden or belongs to a system, by its name."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def _holds(outer: str, inner: str) -> bool:
    """Return whether a folder is, or lies around, another one."""
    return inner == outer or inner.startswith(os.path.join(outer, ""))


def _files_of(path: Path) -> Iterator[Path]:
    """Yield a file, or the files below a folder; itself, if it cannot be listed."""
    if path.is_symlink() or not path.is_dir() or not os.access(path, os.R_OK):
        yield path
    else:
        for parent, _, names in os.walk(path):
            yield from (Path(parent, name) for name in names)


def _refuse_folder(error: OSError) -> NoReturn:
    reason = error.strerror or str(error)
    raise DatasetError(f"Cannot list {str(error.filename)!r}: {reason}.") from error


def natural_key(path: str | os.PathLike) -> tuple:
    """Return a sort key: "2.png" comes before "10.png", and case is ignored.

    Parameters
    ----------
    path : path-like
        The path to sort.

    Returns
    -------
    key : tuple
        Compares with other keys only.

    Examples
    --------
    >>> from featad.images import natural_key
    >>> sorted(["10.png", "2.png"], key=natural_key)
    ['2.png', '10.png']
    """
    text = str(path)
    folder, name = os.path.split(text)
    return (*_key_of_folder(folder), _key_of_name(name)), text


@lru_cache(maxsize=4096)
def _key_of_folder(folder: str) -> tuple:
    return tuple(_key_of_name(name) for name in Path(folder).parts)


def _key_of_name(name: str) -> tuple:
    return tuple(
        int(chunk) if chunk.isdecimal() else chunk
        for chunk in _NUMBER.split(name.casefold())
    )
