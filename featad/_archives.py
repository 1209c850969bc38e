"""Zip files from anywhere: what has to hold before a member is read."""

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from featad.errors import ModelFileError

RATIO = 100
"""How many times their packed size compressed members may have, all together."""

UNPACKED = 1 << 30
"""Bytes that compressed members may have, all together; stored ones are no larger
than the file."""

_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", re.ASCII)
_ENCRYPTED = 1


@contextmanager
def open_archive(file: str | os.PathLike | BinaryIO, name: str) -> Iterator[ZipFile]:
    """Open a zip file whose members can be read without harm.

    Members have plain relative names, all different, and are files. What they say of
    their sizes bounds what reading them takes: zipfile never returns more.

    Parameters
    ----------
    file : path-like or binary file

    name : str
        What errors call it.

    Yields
    ------
    archive : ZipFile

    Raises
    ------
    ModelFileError
        If the file is not a zip file, or breaks one of these rules.
    """
    try:
        archive = ZipFile(file)
    except Exception as error:  # a hostile file can lead anywhere
        raise ModelFileError(
            f"{name!r} is not a model file, or is damaged ({error})."
        ) from error
    with archive:
        if fault := _fault(archive):
            raise ModelFileError(f"{name!r} is not opened: {fault}.")
        yield archive


def _fault(archive: ZipFile) -> str | None:
    """Return what is wrong with an archive, as a clause, or None."""
    members = archive.infolist()
    for member in members:
        if fault := _fault_of(member):
            return f"its member {member.orig_filename!r} {fault}"
    names = Counter(member.filename.casefold() for member in members)
    if len(names) < len(members):
        return f"it has two members called {names.most_common(1)[0][0]!r}"
    archive.fp.seek(0, os.SEEK_END)  # type: ignore[union-attr]
    if sum(member.compress_size for member in members) > archive.fp.tell():  # type: ignore[union-attr]
        return "its members overlap"
    packed = [member for member in members if member.compress_type == ZIP_DEFLATED]
    unpacked = sum(member.file_size for member in packed)
    allowed = RATIO * sum(member.compress_size for member in packed)
    if unpacked > min(allowed, UNPACKED):
        return (
            f"its compressed members would fill {unpacked:,} bytes; at most {RATIO} "
            f"times their size and {UNPACKED:,} bytes are unpacked"
        )
    return None


def _fault_of(member: ZipInfo) -> str | None:
    """Return what is wrong with a member, as a predicate, or None."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    if not _NAME.fullmatch(member.orig_filename):
        return "does not have a plain relative name"
    if kind not in (0, stat.S_IFREG):
        return "is a link or another special file"
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return "is compressed in an unusual way"
    if member.compress_type == ZIP_STORED and member.file_size != member.compress_size:
        return "is not of the size that it claims"
    return None
