"""Seconds to the first row of ``featad score``, and images/s of the whole folder.

The command runs as a process of its own on a folder of generated JPEG files, with a
saved model, and writes CSV to a pipe. The clock starts before the process does. Beside
it, in the same rounds, the imports that no start can do without: torch and
scikit-learn, alone and together; and torchvision, which a shipped network does without.
A round before the first one, which is not counted, writes byte code as pip does.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import featad
from benchmarks._report import ROOT, heading, markdown_table, write

_IMPORTS = ("torch", "sklearn.base", "torch, sklearn.base", "torchvision")
_SIZE = (1024, 768)
_FITTED_ON = 40


def main() -> None:
    """Measure and write ``start.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", default="mini-stats-mahalanobis")
    parser.add_argument("--n-images", type=int, default=1000)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 8])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, model = _prepare(folder, args.system, args.n_images)
        _score(model, images, args.batch_sizes[0], n_rows=1)
        imports: dict[str, list[float]] = {name: [] for name in _IMPORTS}
        runs: dict[int, list[tuple[float, float]]] = {n: [] for n in args.batch_sizes}
        for _ in range(args.rounds):
            for name, found in imports.items():
                found.append(_seconds_of_import(name))
            for batch_size, seconds in runs.items():
                seconds.append(_score(model, images, batch_size, args.n_images))
    text = heading("Seconds to the first row", "benchmarks.start")
    text += (
        f"\n`featad score` with a saved `{args.system}` on {args.n_images} JPEG files "
        f"of {_SIZE[0]} x {_SIZE[1]} pixels, OMP_NUM_THREADS="
        f"{os.environ.get('OMP_NUM_THREADS', 'unset')}; median (least to most), "
        f"rounds: {args.rounds}.\n\n"
    )
    rows = []
    for batch_size, found in runs.items():
        firsts, totals = zip(*found, strict=True)
        rates = [args.n_images / total for total in totals]
        rows.append([str(batch_size), _spread(firsts), _spread(totals), _spread(rates)])
    header = ["`--batch-size`", "first row, s", "all rows, s", "images/s, start to end"]
    text += markdown_table(header, rows)
    text += "\nThe imports alone, each in a process of its own:\n\n"
    header = ["`python -c`", "seconds"]
    text += markdown_table(
        header,
        [[f"`import {name}`", _spread(found)] for name, found in imports.items()],
    )
    write("start.md", text)


def _prepare(folder: Path, system: str, n_images: int) -> tuple[Path, Path]:
    """Write images and a model that was fitted on some of them; return their paths."""
    images, model = folder / "images", folder / "model.joblib"
    images.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n_images):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(_SIZE)
        image.save(images / f"{i:04d}.jpg", quality=90)
    fitted = featad.calibrate(featad.build(system), target_fpr=0.05)
    fitted.fit(sorted(images.iterdir())[:_FITTED_ON])
    featad.save(fitted, model)
    return images, model


def _score(
    model: Path, images: Path, batch_size: int, n_rows: int
) -> tuple[float, float]:
    """Return the seconds until the first row, and until so many rows, came."""
    command = [sys.executable, "-m", "featad", "score", str(model), str(images)]
    command += ["--batch-size", str(batch_size)]
    start = time.perf_counter()
    with _started(command) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the names of the columns
        times = []
        for _ in range(n_rows):
            assert process.stdout.readline()
            times.append(time.perf_counter() - start)
        process.terminate()
    return times[0], times[-1]


def _seconds_of_import(name: str) -> float:
    start = time.perf_counter()
    with _started([sys.executable, "-c", f"import {name}"]) as process:
        process.wait()
    return time.perf_counter() - start


def _started(command: list[str]) -> subprocess.Popen:
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _spread(values) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
