"""Scoring on a Dask cluster: images a second for each worker, and memory of the client.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --workers 2 --counts 1000000

Workers are processes of one thread on this machine. The images are small and the system
is cheap, so that what a cluster adds is seen. Each run is a process of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._report import heading, markdown_table, write

_ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}  # as Dask's workers have


def main() -> None:
    """Measure and write ``results/scaling.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10000, 100000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--system", default="pixels-kmeans")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        folder, count, address = args.child
        print(json.dumps(_score(Path(folder), int(count), address)))
        return
    from distributed import LocalCluster

    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder), args.system)
        rows = [("none", n, _run(folder, n, "")) for n in args.counts]
        for n_workers in args.workers:
            with LocalCluster(
                n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
            ) as cluster:
                _run(folder, 1000, cluster.scheduler_address)  # loads the model
                for n in args.counts:
                    found = _run(folder, n, cluster.scheduler_address)
                    rows.append((str(n_workers), n, found))
    alone = {n: found["rate"] for workers, n, found in rows if workers == "none"}
    table = []
    for workers, n, found in rows:
        each = found["rate"] / max(1, int(workers.replace("none", "1")))
        table.append([
            *(workers, f"{n:,}", f"{found['rate']:.0f}", f"{each:.0f}"),
            *(f"{each / alone[n]:.2f}", f"{found['peak']:.0f} MB"),
        ])  # fmt: skip
    text = heading("Scoring on a cluster", "benchmarks.scaling")
    text += (
        f"\n{args.system}, PNG files of 32 x 32 pixels, read from this machine's disk. "
        "Workers are processes of one thread; *none* is a run without a cluster. "
        "The memory is that of the process that writes the rows, the list of paths "
        "included.\n\n"
    )
    header = ["workers", "images", "images/s", "each worker", "ratio", "peak memory"]
    write("scaling.md", text + markdown_table(header, table))


def _prepare(folder, name):
    """Write 1,000 small images, each of which is scored many times, and a model."""
    import featad

    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    for index in range(1000):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
    files = featad.list_images(folder / "images")
    featad.save(featad.build(name).fit(files[:50]), folder / "model.joblib")


def _run(folder, count, address):
    """Score in a process of its own; return images a second and its peak in MB."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--child"]
    command += [folder, str(count), address]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=_ONE_THREAD
    )
    found = json.loads(done.stdout)
    print(f"{address or 'no cluster'}, {count} images: {found}", file=sys.stderr)
    return found


def _score(folder, count, address):
    import featad

    files = [str(path) for path in featad.list_images(folder / "images")]
    paths = [files[i % len(files)] for i in range(count)]
    system = featad.load(folder / "model.joblib")
    featad.score_to_file(system, paths[:64], folder / "scores.csv")  # warms up
    options = {}
    if address:
        from distributed import Client

        options["client"] = Client(address)
    start = time.perf_counter()
    featad.score_to_file(system, paths, folder / "scores.csv", **options)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rate": count / seconds, "peak": peak}


if __name__ == "__main__":
    main()
