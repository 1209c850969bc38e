"""From JPEG files to scores: how busy the network is, and what decoding takes.

    python -m benchmarks.pipeline

Everything takes turns in one run. Times of decoding and resizing are of one thread, as
the processor counts them. The package simplejpeg shows libjpeg-turbo's own rate, where
FEATAD_SIMPLEJPEG names a Python that has it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

import featad
from benchmarks._report import VGG16, heading, markdown_table, write
from featad.features.engines import possible_precisions
from featad.features.extractor import Extractor
from featad.features.network import NetworkFeatures
from featad.images import read_image
from featad.systems import iter_parts

SIZES = {"1 Mpx": (1152, 864), "5 Mpx": (2592, 1944)}
SYSTEMS = {"vgg_mini": "mini-stats-mahalanobis", "VGG16": "vgg16-stats-mahalanobis"}
ENGINES = {
    "float32": ("torch", "float32"),
    "OpenVINO": ("openvino", "float32"),
    "bfloat16": ("openvino", "bfloat16"),
    "int8": ("openvino", "int8"),
}
_SIMPLEJPEG = """
import sys, time, simplejpeg
data, least = open(sys.argv[1], "rb").read(), []
for _ in range(int(sys.argv[2])):
    start = time.thread_time()
    simplejpeg.decode_jpeg(data)
    least.append(time.thread_time() - start)
print(min(least))
"""


def main() -> None:
    """Measure and write ``results/pipeline.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=list(SYSTEMS))
    parser.add_argument(
        "--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES)
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: _write_images(Path(folder), name, size, args.n_images)
            for name, size in SIZES.items()
        }
        decoding = [_decoding(name, f[0]) for name, f in files.items()]
        resizing = [row for name, f in files.items() for row in _resizing(name, f[0])]
        rates = [
            row
            for name in args.networks
            for engine in args.engines
            for row in _rates(name, engine, files, args)
        ]
    text = heading("From JPEG files to scores", "benchmarks.pipeline")
    text += (
        f"\n{args.n_images} JPEG files (quality 90) of {_sizes()}, to 224 pixels. "
        f"{torch.get_num_threads()} threads of the network and as many that read.\n\n"
        "Decoding, ms an image of one thread: libjpeg-turbo by itself (simplejpeg), "
        "Pillow's decoding alone, and reading (decoding, resizing, as float32 in "
        "[0, 1]) exactly and as drafts. The shares are libjpeg-turbo's time, or "
        "Pillow's where that was not measured, in that of reading.\n\n"
    )
    header = ["files", "libjpeg-turbo", "Pillow", "exact", "share", "draft", "share"]
    text += markdown_table(header, decoding)
    text += (
        "\nResizing decoded images to 224 pixels, bilinear with antialiasing, ms of "
        "one thread, the conversion to a tensor included, and the values that differ "
        "from Pillow's, which are torchvision's for PIL images:\n\n"
    )
    header = ["files", "with", "ms", "values that differ", "largest difference"]
    text += markdown_table(header, resizing)
    text += (
        f"\nImages/s, median of {args.rounds} rounds: the network alone, on arrays of "
        "224 pixels; files to features; files to rows of a CSV file. The limit is the "
        "rate at which all cores are always at work on decoding or the network, and "
        "nothing else. Busy is the share of the time in which a lane of the network "
        "runs. The last columns are processor time an image, all threads together: of "
        "the network and of reading by themselves, and of both together. It hardly "
        "depends on what else the machine does. The engine is torch in float32, or "
        "OpenVINO: in float32, or in the precision that is named.\n\n"
    )
    header = ["network", "engine", "files", "decode", "network alone", "limit"]
    header += ["features"]
    header += ["of the limit", "busy", "scores", "apart, ms", "together, ms"]
    write("pipeline.md", text + markdown_table(header, rates))


def _sizes():
    return " and ".join(f"{w} x {h}" for w, h in SIZES.values())


def _write_images(folder, name, size, n_images):
    """Write smooth pictures with grain, as cameras take them."""
    rng = np.random.default_rng(0)
    paths = []
    for index in range(n_images):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(size), np.int16)
        grain = rng.normal(0, 4, smooth.shape[:2])[..., None].astype(np.int16)
        pixels = (smooth + grain).clip(0, 255).astype(np.uint8)
        paths.append(str(folder / f"{name} {index}.jpg"))
        Image.fromarray(pixels).save(paths[-1], quality=90)
    return paths


def _least(run, n=9):
    """Return the milliseconds of one thread."""
    times = []
    for _ in range(n):
        start = time.thread_time()
        run()
        times.append(time.thread_time() - start)
    return 1000 * min(times)


def _decoding(name, path):
    def pillow():
        with Image.open(path) as image:
            image.load()

    own, usual, raw = None, _least(pillow), "not measured"
    if python := os.environ.get("FEATAD_SIMPLEJPEG"):
        command = [python, "-c", _SIMPLEJPEG, path, "9"]
        own = 1000 * float(subprocess.check_output(command))
        raw = f"{own:.1f}"
    row = [name, raw, f"{usual:.1f}"]
    for decode in ("exact", "draft"):
        took = _least(lambda how=decode: read_image(path, size=224, decode=how))
        row += [f"{took:.1f}", f"{(own or usual) / took:.0%}"]
    print(*row, file=sys.stderr)
    return row


def _resizing(name, path):
    image = Image.open(path).convert("RGB")
    usual = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR), np.int16)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def by_torch(dtype):
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(dtype)
        how = {"size": (224, 224), "mode": "bilinear", "antialias": True}
        return F.interpolate(pixels, **how)[0].permute(1, 2, 0).round().numpy()

    runs = {
        "Pillow": lambda: np.asarray(
            image.resize((224, 224), Image.Resampling.BILINEAR)
        ),
        "torch, uint8": lambda: by_torch(torch.uint8),
        "torch, float32": lambda: by_torch(torch.float32),
    }
    for label, run in runs.items():
        apart = np.abs(run().astype(np.int16) - usual)
        row = [name, label, f"{_least(run):.1f}", f"{(apart > 0).mean():.2%}"]
        yield [*row, int(apart.max())]
    torch.set_num_threads(n_threads)


def _rates(network, label, files, args):
    """Yield the rows of a network in an engine, if the processor has its precision."""
    engine, precision = ENGINES[label]
    if engine == "openvino" and precision not in possible_precisions():
        return
    weights = {}
    if network == "VGG16":
        weights = {"weights": str(VGG16) if VGG16.exists() else None}
    arrays = np.random.default_rng(0).random((args.n_images, 224, 224, 3), np.float32)
    systems = {}
    for decode in ("exact", "draft"):
        system = featad.build(SYSTEMS[network], decode=decode, **weights)
        system["features"].set_params(engine=engine, precision=precision)
        systems[decode] = featad.calibrate(system, cv=0.5)
        systems[decode].fit(files["1 Mpx"][:16])
    alone, found = [], {(name, d): [] for name in files for d in systems}
    for _ in range(args.rounds):
        alone.append(_rate(_features(systems["exact"]).transform, arrays))
        for (name, decode), rates in found.items():
            features = _features(systems[decode]).transform
            scores = lambda paths, system=systems[decode]: _score(system, paths)  # noqa: E731
            paths = files[name]
            rates.append((*_rate(features, paths), _rate(scores, paths)[0]))
    alone, _, worked = (statistics.median(r) for r in zip(*alone, strict=True))
    for (name, decode), rates in found.items():
        rate, busy, both, scored = map(statistics.median, zip(*rates, strict=True))
        path = files[name][0]
        read = _least(lambda p=path, d=decode: read_image(p, size=224, decode=d)) / 1000
        limit = 1 / (1 / alone + read / torch.get_num_threads())
        row = [network, label, name, decode, f"{alone:.1f}", f"{limit:.1f}"]
        row += [f"{rate:.1f}", f"{rate / limit:.0%}", f"{busy:.0%}", f"{scored:.1f}"]
        row += [f"{worked + 1000 * read:.1f}", f"{both:.1f}"]
        print(*row, file=sys.stderr)
        yield row


def _features(system):
    """Return the fitted features, wherever they are: int8 learns with its detector."""
    return next(p for p in iter_parts(system) if isinstance(p, NetworkFeatures))


def _score(system, paths):
    with tempfile.TemporaryDirectory() as folder:
        featad.score_to_file(system, paths, Path(folder) / "scores.csv")


def _rate(run, images):
    """Return images/s, the share in which lanes were busy, and processor ms."""
    with _busy() as spans:
        start, began = time.perf_counter(), time.process_time()
        run(images)
        seconds = time.perf_counter() - start
    worked = 1000 * (time.process_time() - began) / len(images)
    busy, last = 0.0, 0.0
    for begin, end in sorted(spans):  # lanes that run at the same time count once
        busy += max(0.0, end - max(begin, last))
        last = max(last, end)
    return len(images) / seconds, busy / seconds, worked


@contextmanager
def _busy():
    """Note when lanes of the network run."""
    spans = []
    usual = Extractor._features

    def clocked(self, *args, **kwargs):
        start = time.perf_counter()
        try:
            return usual(self, *args, **kwargs)
        finally:
            spans.append((start, time.perf_counter()))

    with mock.patch.object(Extractor, "_features", clocked):
        yield spans


if __name__ == "__main__":
    main()
