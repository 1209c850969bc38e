"""Watch a folder for 24 hours, without the waiting: each file is scored once.

One folder is emptied as its files are scored, as where a line moves its parts on; it is
looked into as often as in 24 hours. In the other one all files stay, so each look takes
longer than the one before. Half-way through, the watch is stopped and begun again.
"""

import argparse
import io
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator

from featad import build, calibrate, watch_folder
from featad.score_files import iter_rows

_LOOKS = 24 * 60 * 60 // 2  # of 24 hours, two seconds apart


class _Stopped(Exception):
    """The watch was stopped from outside."""


def watch_a_day(
    system: BaseEstimator, place: Path, n_files: int, n_looks: int, *, stay: bool
) -> Iterator[tuple[int, int, int, float]]:
    """Watch a folder in which files come at every look, and check its score file.

    Parameters
    ----------
    system : estimator
        Fitted on images of 8 x 8 pixels.

    place : Path
        An empty folder for all files.

    n_files : int
        How many files come.

    n_looks : int
        How often the folder is looked into.

    stay : bool
        Whether files stay. If not, a file goes once it is scored.

    Yields
    ------
    n_scored, n_handles, n_threads, megabytes
        After each tenth of the looks: rows so far, open files, threads, and memory of
        this process that is in no file.
    """
    folder, scores = place / "images", place / "scores.csv"
    folder.mkdir()
    contents = _contents()
    n_written = n_scored = look = 0

    def sleep(seconds):
        nonlocal n_written, look
        look += 1
        for i in range(n_written, min(n_files, n_files * look // n_looks)):
            Path(folder, f"{i}.png").write_bytes(contents[i % len(contents)])
            n_written = i + 1
        if look in stops:
            raise _Stopped

    stops = {n_looks // 2, n_looks + 2}  # the last files are complete two looks later
    tenth = 1
    for _ in range(len(stops)):
        try:
            for rows in watch_folder(system, folder, scores, sleep=sleep):
                n_scored += len(rows)
                if not stay:
                    for name in rows["path"]:
                        os.remove(name)
                if look >= tenth * n_looks // 10:
                    tenth += 1
                    yield n_scored, *_held()
        except _Stopped:
            pass
    yield n_scored, *_held()
    names = [Path(row["path"]).name for row in iter_rows(scores)]
    if sorted(names) != sorted(f"{i}.png" for i in range(n_files)):
        raise AssertionError(f"{n_files} files came, and {len(names)} rows were made.")


def _contents():
    """Return the bytes of 16 image files."""
    found = []
    for image in np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), np.uint8):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        found.append(file.getvalue())
    return found


def _held():
    status = Path("/proc/self/status").read_text()
    kilobytes = int(status.split("RssAnon:")[1].split()[0])
    n_handles = len(os.listdir("/proc/self/fd"))
    return n_handles, threading.active_count(), kilobytes * 1024 / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--looks", type=int, default=_LOOKS)
    parser.add_argument("--looks-if-files-stay", type=int, default=100)
    args = parser.parse_args()
    images = np.random.default_rng(1).random((20, 8, 8, 3))
    system = calibrate(build("pixels-kmeans"), target_fpr=0.1).fit(images)
    for stay, n_looks in ((False, args.looks), (True, args.looks_if_files_stay)):
        print(f"files {'stay' if stay else 'go'}, {n_looks} looks", flush=True)
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as place:
            day = watch_a_day(system, Path(place), args.files, n_looks, stay=stay)
            for n_scored, n_handles, n_threads, megabytes in day:
                print(
                    f"  {n_scored:,} rows: {n_handles} handles, {n_threads} threads, "
                    f"{megabytes:.0f} MB",
                    flush=True,
                )
        print(f"  each file once, {time.perf_counter() - start:.0f} s", flush=True)
