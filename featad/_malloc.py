"""What the C library does with memory that is freed."""

import ctypes
import os
import sys
from contextlib import suppress
from functools import cache

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
_KEPT = 1 << 30  # bytes
_MOST_OF_OLD = 1 << 25  # bytes of a block that glibc before 2.35 can be told to keep


@cache
def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to a gigabyte, for what it needs next.

    glibc before 2.35 keeps no block of more than 32 MB.

    Networks free and take the same large blocks with each batch. glibc gives them back
    to the system and asks anew, so that each page is filled with zeros each time: a
    tenth of a small network's time, and half of it where Dask has started the process.
    The most that is used at a time stays as it is.

    Nothing is done without glibc, and where the variable ``MALLOC_MMAP_THRESHOLD_`` is
    set: then somebody has chosen.
    """
    if sys.platform != "linux" or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    with suppress(AttributeError):  # another C library
        library = ctypes.CDLL(None)
        if not library.mallopt(_MMAP_THRESHOLD, _KEPT):
            library.mallopt(_MMAP_THRESHOLD, _MOST_OF_OLD)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
