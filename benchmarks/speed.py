"""Images per second of featad's features: beside a plain torchvision loop, and alone.

Beside the loop both sides read the same JPEG files, resize them the same way and run
the same network in float32. Alone, each network gets arrays of its own size, so that
nothing is read or resized. All take turns in one run; ratios are of the medians.
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
from torchvision.transforms import functional as F

import featad
from benchmarks._report import heading, markdown_table, write
from featad.features.weights import load_network, preset


def main() -> None:
    """Measure and write ``results/speed.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--archs", nargs="+", default=["vgg16", "vgg_mini", "squeezenet1_1"]
    )
    parser.add_argument("--n-images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_images(Path(folder), args.n_images)
        for arch in args.archs:
            runs = {"featad": _featad(arch), "loop": _plain_loop(arch)}
            ours, theirs = _rates(runs, paths, args.rounds).values()
            row = [arch, f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}"]
            rows.append(row)
            print(*row, file=sys.stderr)
    arrays = np.random.default_rng(0).random((args.n_images, 224, 224, 3), np.float32)
    rates = _rates({a: _featad(a) for a in args.archs}, arrays, args.rounds)
    slowest = min(rates.values())
    alone = [[a, f"{r:.1f}", f"{r / slowest:.1f}"] for a, r in rates.items()]
    text = heading("Speed of features", "benchmarks.speed")
    text += (
        f"\n{args.n_images} JPEG files of 1024 x 768 pixels to features at 224 pixels, "
        f"float32, {torch.get_num_threads()} threads, median of {args.rounds} rounds. "
        "The plain loop reads with Pillow and runs the same model, 32 images a batch, "
        "one step after the other.\n\n"
    )
    header = ["network", "featad, images/s", "plain torchvision, images/s", "ratio"]
    text += markdown_table(header, rows)
    text += (
        f"\nThe networks alone, {args.n_images} arrays of 224 x 224 pixels, the "
        "default batch, to the default layer (fc7 of a VGG), float32, median of "
        f"{args.rounds} rounds in one run:\n\n"
    )
    header = ["network", "images/s", "times the slowest"]
    write("speed.md", text + markdown_table(header, alone))


def _rates(runs, images, n_rounds):
    """Return images per second of each run, by name; they take turns."""
    seconds = {name: [] for name in runs}
    for run in runs.values():
        run(images[:32])  # warm up: load the network, start the threads
    for _ in range(n_rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(images)
            seconds[name].append(time.perf_counter() - start)
    return {name: len(images) / statistics.median(t) for name, t in seconds.items()}


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
    network = load_network(arch, None)[0]
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
