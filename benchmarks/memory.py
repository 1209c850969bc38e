"""Memory of many images: scored, described for training, and learned from.

Each row is a process of its own, so that the peaks do not mix. It loads what it needs
with a few images first; what it takes beyond that is told. Images are 64 generated JPEG
files of 96 x 72 pixels, each read many times. Tables are generated files of float16.
Pages of a file that the system keeps mapped are not counted: they make room for others.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._report import heading, markdown_table, write

SYSTEM = "mini-stats-mahalanobis"
FITTED = ("mahalanobis", "mbkmeans", "nystroem")
_ROWS = 4096  # of a generated table that are written together


def main() -> None:
    """Measure and write ``results/memory.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--d", type=int, default=512, help="columns of fitted tables")
    parser.add_argument("--page", default="memory.md", help="in results/")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        task, folder = args.child
        print(json.dumps(TASKS[task](args, Path(folder), args.counts[0])))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _write_images(Path(folder))
        for task in args.tasks:
            for count in args.counts:
                rows.append(_row(args, task, folder, count))
                print(*rows[-1], file=sys.stderr)
                write(args.page, _text(args, rows))  # so far


def _row(args, task, folder, count):
    command = [sys.executable, "-m", "benchmarks.memory", "--child", task, folder]
    command += ["--counts", str(count), "--d", str(args.d)]
    command += ["--image-size", str(args.image_size)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.splitlines() or ["killed"])[-1]
        return [task, f"{count:,}", why, "", ""]
    found = json.loads(done.stdout)
    before, beyond = (f"{found[name] / 1e6:.0f}" for name in ("before", "beyond"))
    return [task, f"{count:,}", before, beyond, f"{found['seconds']:.0f}"]


def _text(args, rows):
    text = heading("Memory of many images", "benchmarks.memory")
    text += (
        f"\n{SYSTEM} at {args.image_size} pixels, 3,456 features; fits read tables of "
        f"{args.d:,} columns of float16 from a file. *Before*: memory of the process "
        "with the network, after a few images. *Beyond*: the most that was taken "
        "beyond that. Pages of mapped files are not counted. In 100,000 images, "
        "*extract* makes a table of 1,382 MB in memory, *extract to file* one of "
        "691 MB on disk.\n\n"
    )
    header = ["task", "images", "before, MB", "beyond, MB", "seconds"]
    return text + markdown_table(header, rows)


def _write_images(folder):
    rng = np.random.default_rng(0)
    for index in range(64):
        coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 72)).save(folder / f"{index}.jpg")


def _with_images(run: Callable) -> Callable[[argparse.Namespace, Path, int], dict]:
    """Return a task that takes a system, paths and a folder."""

    def task(args, folder, count):
        import featad

        files = featad.list_images(folder)
        paths = [files[i % len(files)] for i in range(count)]
        system = featad.build(SYSTEM, image_size=args.image_size).fit(files)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            run(system, files, Path(place))  # loads what it takes
            with _watched() as found:
                run(system, paths, Path(place))
        return found

    return task


def _score(system, paths, folder):
    import featad

    featad.score_to_file(system, paths, folder / "scores.csv")


def _extract(system, paths, folder):
    system["features"].transform(paths)


def _extract_to_file(system, paths, folder):
    import featad

    features = system["features"]
    featad.features_to_file(features, paths, folder / "table.npy", dtype="float16")


def _fit(kind: str) -> Callable[[argparse.Namespace, Path, int], dict]:
    """Return a task that fits the detector of a named system to a table in a file."""

    def task(args, folder, count):
        import featad

        with tempfile.TemporaryDirectory(dir=folder) as place:
            table = _table(Path(place, "table.npy"), count, args.d)
            detector = featad.build(f"mini-stats-{kind}")["detector"]
            detector.fit(np.asarray(table[:64]))  # loads what it takes
            with _watched() as found:
                detector.fit(table)
        return found

    return task


def _table(path, n_rows, width):
    """Return a file of generated rows, with a spectrum like that of features."""
    rng = np.random.default_rng(0)
    scale = np.logspace(0, -2, width, dtype=np.float32)
    table = np.lib.format.open_memmap(path, "w+", np.float16, (n_rows, width))
    for start in range(0, n_rows, _ROWS):
        rows = table[start : start + _ROWS]
        rows[:] = rng.standard_normal(rows.shape, np.float32) * scale
    del table
    return np.load(path, mmap_mode="r")


@contextlib.contextmanager
def _watched() -> Iterator[dict]:
    """Measure seconds, memory before, and the most beyond that, in bytes."""
    before = _resident()
    peak, done = [before], threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], _resident())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    found: dict = {"before": before}
    start = time.perf_counter()
    yield found
    found["seconds"] = time.perf_counter() - start
    done.set()
    watcher.join()
    found["beyond"] = max(peak[0], _resident()) - before


def _resident():
    """Return the bytes of this process that are in memory and in no file."""
    status = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status if ":" in line)
    if "RssAnon" in fields:
        return 1024 * int(fields["RssAnon"].split()[0])
    return 1024 * int(fields["VmRSS"].split()[0])


TASKS: dict[str, Callable[[argparse.Namespace, Path, int], dict]] = {
    "score to file": _with_images(_score),
    "extract": _with_images(_extract),
    "extract to file": _with_images(_extract_to_file),
    **{f"fit {kind}": _fit(kind) for kind in FITTED},
}


if __name__ == "__main__":
    main()
