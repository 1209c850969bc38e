"""Images per second of featad's features beside a plain torchvision loop.

Both sides read the same JPEG files, resize them the same way, run the same network in
float32, and take turns in one run; the ratio is of the medians.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models import get_model
from torchvision.transforms import functional as F

import featad
from benchmarks._report import heading, markdown_table, write
from featad.weights import preset


def main() -> None:
    """Measure and write ``results/speed.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archs", nargs="+", default=["vgg16", "squeezenet1_1"])
    parser.add_argument("--n-images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_images(Path(folder), args.n_images)
        for arch in args.archs:
            ours, theirs = _featad(arch), _plain_loop(arch)
            seconds = {ours: [], theirs: []}
            for run in seconds:
                run(paths[:32])  # warm up: load the network, start the threads
            for _ in range(args.rounds):
                for run, times in seconds.items():
                    start = time.perf_counter()
                    run(paths)
                    times.append(time.perf_counter() - start)
            rate = {r: len(paths) / statistics.median(t) for r, t in seconds.items()}
            rows.append(
                [
                    arch,
                    f"{rate[ours]:.1f}",
                    f"{rate[theirs]:.1f}",
                    f"{rate[ours] / rate[theirs]:.2f}",
                ]
            )
            print(*rows[-1], file=sys.stderr)
    text = heading("Speed of features", "benchmarks.speed")
    text += (
        f"\n{args.n_images} JPEG files of 1024 x 768 pixels to features at 224 pixels, "
        f"float32, {torch.get_num_threads()} threads, median of {args.rounds} rounds. "
        "The plain loop reads with Pillow and runs torchvision's own model, 32 images "
        "a batch, one step after the other.\n\n"
    )
    header = ["network", "featad, images/s", "plain torchvision, images/s", "ratio"]
    write("speed.md", text + markdown_table(header, rows))


def _write_images(folder, n_images):
    rng = np.random.default_rng(0)
    paths = []
    for index in range(n_images):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        paths.append(folder / f"{index}.jpg")
        Image.fromarray(coarse).resize((1024, 768)).save(paths[-1], quality=90)
    return paths


def _featad(arch):
    network = featad.VGGFeatures if arch.startswith("vgg") else featad.BackboneFeatures
    return network(arch, weights=None, random_state=0).fit_transform


def _plain_loop(arch):
    network = get_model(arch, weights=None).eval()
    settings = preset(arch)

    @torch.inference_mode()
    def run(paths):
        features = []
        for start in range(0, len(paths), 32):
            batch = []
            for path in paths[start : start + 32]:
                image = Image.open(path).convert("RGB").resize((224, 224), 2)
                tensor = F.to_tensor(image)
                batch.append(F.normalize(tensor, settings.mean, settings.std))
            features.append(network(torch.stack(batch)))
        return torch.cat(features).numpy()

    return run


if __name__ == "__main__":
    main()
