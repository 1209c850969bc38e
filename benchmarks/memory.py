"""Peak memory of scoring 1,000 and 10,000 images: it should be the same.

Each run is a process of its own, so that the peaks do not mix.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._report import heading, markdown_table, write


def main() -> None:
    """Measure and write ``results/memory.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--system", default="squeezenet1_1-stats-mahalanobis")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(_peak(args.system, Path(args.child), args.counts[0]))
        return

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _write_images(Path(folder))
        for count in args.counts:
            command = [sys.executable, "-m", "benchmarks.memory", "--child", folder]
            command += ["--system", args.system, "--counts", str(count)]
            output = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append((count, float(output.stdout)))
            print(f"{count} images: {rows[-1][1]:.0f} MB", file=sys.stderr)
    first = rows[0][1]
    table = [[f"{n:,}", f"{peak:.0f} MB", f"{peak / first:.3f}"] for n, peak in rows]
    text = heading("Memory of scoring", "benchmarks.memory")
    text += f"\n{args.system} (random weights, 64 pixels), 512 x 384 JPEG files.\n\n"
    text += markdown_table(["images", "peak resident memory", "ratio"], table)
    write("memory.md", text)


def _write_images(folder):
    """Write 200 JPEG files; each is scored many times."""
    rng = np.random.default_rng(0)
    for index in range(200):
        pixels = rng.integers(0, 256, (384, 512, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.jpg")


def _peak(system, folder, count):
    """Fit on a few images, score ``count``, and return this process's peak in MB."""
    import featad

    files = featad.list_images(folder)
    paths = [files[i % len(files)] for i in range(count)]
    system = featad.build(system, weights=None, image_size=64)
    featad.score_to_file(system.fit(paths[:50]), paths, folder / "scores.csv")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
