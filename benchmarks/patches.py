"""Time and memory of detectors of maps of features, beside the network that makes them.

    python -m benchmarks.patches

Some magnetic tiles are read and described by SqueezeNet's maps. Copies of them with
noise stand for as many as ``--images`` images. All times are of one processor, as it
counts them itself, so that other work on the machine hardly matters.
"""

import argparse
import sys
import time
import tracemalloc

import numpy as np
import torch

from benchmarks._report import DATA, SQUEEZENET, heading, markdown_table, write
from featad.coreset import greedy_coreset
from featad.detectors import PatchGaussian, PatchKMeans, PatchMemory
from featad.features import PatchFeatures
from featad.images import list_images

DETECTORS = {
    "PatchGaussian": PatchGaussian(),
    "PatchMemory, exact search": PatchMemory(search_variance=None, random_state=0),
    "PatchMemory": PatchMemory(random_state=0),
    "PatchKMeans": PatchKMeans(random_state=0),
}


def main() -> None:
    """Measure and write ``results/patches.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--read", type=int, default=100)
    parser.add_argument("--coresets", type=int, nargs="+", default=[1000, 7840])
    args = parser.parse_args()
    torch.set_num_threads(1)
    maps, extraction = _maps(args.images, args.read)
    text = heading("Detectors of maps of features", "benchmarks.patches")
    text += (
        f"\n{args.images:,} maps of {maps.shape[1]} x {maps.shape[2]} positions with "
        f"{maps.shape[3]} features in {maps.dtype}, made of {args.read} magnetic tiles "
        f"at 256 x 256 pixels by SqueezeNet (features.7 and features.9), and copies of "
        f"them with noise. Reading and describing a tile takes {extraction:.1f} ms. "
        "Times are of one processor.\n\nCoresets of all patches, exact:\n\n"
    )
    text += _coresets(maps, args.coresets)
    text += (
        f"\nFits on {args.images // 4:,} of the maps, and scores of {args.read}. "
        '"Speed kept" is that of reading, describing and scoring beside that of '
        "reading and describing alone.\n\n"
    )
    write("patches.md", text + _detectors(maps, args, extraction))


def _maps(n_images, n_read):
    """Return maps (n_images, 28, 28, 128), and milliseconds to make one."""
    paths = list_images(DATA / "magnetic_tile" / "train")[:n_read]
    options = {"weights": SQUEEZENET, "n_jobs": 1, "device": "cpu"}
    features = PatchFeatures(
        "squeezenet1_1",
        layer=("features.7", "features.9"),
        grid=28,
        image_size=256,
        n_components=128,
        dtype="float16",
        **options,
    ).fit(paths)
    features.transform(paths[:8])
    start = time.process_time()
    found = features.transform(paths)
    milliseconds = 1000 * (time.process_time() - start) / len(paths)
    maps = np.resize(found, (n_images, *found.shape[1:]))
    rng = np.random.default_rng(0)
    spread = found.astype(np.float32).std() / 10
    for one in maps[n_read:]:
        one += (spread * rng.standard_normal(one.shape, np.float32)).astype(one.dtype)
    return maps, milliseconds


def _coresets(maps, sizes):
    patches, rows = maps.reshape(-1, maps.shape[-1]), []
    for size in sizes:
        start = time.process_time()
        greedy_coreset(patches, size, random_state=np.random.RandomState(0))
        seconds = time.process_time() - start
        rows.append([f"{size:,} of {len(patches):,}", f"{seconds:.0f} s"])
        print(*rows[-1], file=sys.stderr)
    return markdown_table(["patches", "time"], rows)


def _detectors(maps, args, extraction):
    train, new, rows = maps[: args.images // 4], maps[-args.read :], []
    for name, detector in DETECTORS.items():
        detector.set_params(threshold="held-out")
        start = time.process_time()
        detector.fit(train)
        seconds = time.process_time() - start
        times = []
        for _ in range(3):
            start = time.process_time()
            detector.score_samples(new)
            times.append(1000 * (time.process_time() - start) / len(new))
        announced = detector.memory_of_fit(train.shape, train.dtype)
        rows.append(
            [
                name,
                f"{seconds:.1f} s",
                f"{announced / 1e6:.0f} MB",
                f"{_peak(detector, train) / 1e6:.0f} MB",
                f"{min(times):.2f} ms",
                f"{extraction / (extraction + min(times)):.0%}",
            ]
        )
        print(*rows[-1], file=sys.stderr)
    header = ["detector", "fit", "memory, said", "needed", "score", "speed kept"]
    return markdown_table(header, rows)


def _peak(detector, maps):
    """Return how much memory another fit takes besides the maps."""
    tracemalloc.start()
    detector.fit(maps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


if __name__ == "__main__":
    main()
