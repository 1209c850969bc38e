"""Scoring on a Dask cluster: images a second for each worker, and memory of the client.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --systems pixels-kmeans --counts 1000000 --workers 2 \
        --page scaling_million.md

Workers are processes of one thread on this machine. The images are small. One system is
cheap, so that what a cluster adds is seen; the other one has a network, as most have.
Each run is a process of its own.
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


COUNTS = {"pixels-kmeans": (1000, 10_000, 100_000), "mini-stats-mahalanobis": (1000,)}


def main() -> None:
    """Measure and write ``results/scaling.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", nargs="+", default=list(COUNTS))
    parser.add_argument("--counts", type=int, nargs="+", help="in place of the usual")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--page", default="scaling.md", help="in results/")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        folder, count, address = args.child
        print(json.dumps(_score(Path(folder), int(count), address)))
        return
    table = []
    for system in args.systems:
        with tempfile.TemporaryDirectory() as folder:
            _prepare(Path(folder), system)
            table += _measured(folder, system, args.counts or COUNTS[system], args)
    text = heading("Scoring on a cluster", "benchmarks.scaling")
    text += (
        "\nPNG files of 32 x 32 pixels, read from this machine's disk; the network "
        "sees them at 224. Workers are processes of one thread; *none* is a run "
        "without a cluster, of one thread as well. The scheduler and the process that "
        f"writes the rows share the {os.cpu_count()} cores with the workers. The "
        "memory is that of the process that writes the rows, the list of paths "
        "included.\n\n"
    )
    header = ["system", "workers", "images", "images/s", "each worker", "ratio"]
    write(args.page, text + markdown_table([*header, "peak memory"], table))


def _measured(folder, system, counts, args):
    """Return rows of a system: without a cluster, then with numbers of workers."""
    from distributed import LocalCluster

    rows = [("none", n, _run(folder, n, "")) for n in counts]
    for n_workers in args.workers:
        with LocalCluster(
            n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
        ) as cluster:
            _run(folder, 300, cluster.scheduler_address)  # loads the model
            for n in counts:
                found = _run(folder, n, cluster.scheduler_address)
                rows.append((str(n_workers), n, found))
    alone = {n: found["rate"] for workers, n, found in rows if workers == "none"}
    table = []
    for workers, n, found in rows:
        each = found["rate"] / max(1, int(workers.replace("none", "1")))
        table.append([
            *(f"`{system}`", workers, f"{n:,}", f"{found['rate']:.0f}"),
            *(f"{each:.0f}", f"{each / alone[n]:.2f}", f"{found['peak']:.0f} MB"),
        ])  # fmt: skip
    return table


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
