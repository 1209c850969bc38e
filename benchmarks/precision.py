"""What each engine in each precision is worth: images per second, and AUROC.

Speed is that of the network alone, on one set of generated images; engines and
precisions take turns, so that what else runs on the machine slows all of them down.
Accuracy is that of whole systems on every real data set: their AUROC, and the smallest
cosine between the features of a test image and those of torch in float32. Data sets and
protocols are those of ``benchmarks.quality``. The ranges of int8 are measured on the
training images of each fold.
"""

import argparse
import os
import sys
import tempfile
from statistics import median

import numpy as np
from sklearn.base import clone

import featad
from benchmarks._arithmetic import operations, share_of_limit
from benchmarks._report import SQUEEZENET, VGG16, heading, markdown_table, write
from benchmarks.quality import DATASETS
from featad.cli.speed import Speed, measure_speed
from featad.features.precision import smallest_cosine

USUAL = ("torch", "float32")
SLOW = 0.5  # of the speed of torch in float32: what is slower has no AUROC

NOTE = (
    "\nSpeed: images per second of the network alone, eight images of 224 x 224 pixels "
    "at a time, the median of rounds in which all take turns; the ratio is to torch in "
    "float32. A precision that the processor has no instructions for is slow; its "
    "AUROC is measured only with `--slow`. OpenVINO refuses bfloat16 and float16 where "
    "the processor lacks them. The last column is the network's arithmetic as a share "
    "of the rate at which torch multiplies large matrices in that precision; "
    "Winograd's method can exceed it.\n"
)
ACCURACY = (
    "\n## AUROC\n\nThe change is that to torch in float32, and so is the cosine: the "
    "smallest of the test images of the first fold. hazelnut and transistor have two "
    "normal test images: their figures move in steps of 0.0625.\n\n"
)


def main() -> None:
    """Measure, and write ``results/precision.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of data sets")
    parser.add_argument(
        "--vgg16",
        nargs="+",
        metavar="SET",
        default=(),
        help="and VGG16, which is slow; its AUROC on these data sets",
    )
    parser.add_argument("--slow", action="store_true", help="AUROC of all precisions")
    parser.add_argument("--seconds", type=float, default=2.5, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    start, systems = os.getloadavg(), _systems(bool(args.vgg16))
    speeds, asked = {}, {}
    for system in systems.values():
        arch = system["features"].arch
        if arch not in speeds:
            asked[arch] = operations(system["features"])
            speeds[arch] = _speeds(system["features"], args)
            print(arch, speeds[arch], file=sys.stderr)
    text = heading("Engines and precision", "benchmarks.precision") + NOTE
    text += _load(start)
    text += "".join(_speed_table(arch, speeds[arch], n) for arch, n in asked.items())
    rows = []
    for data in args.only or DATASETS:
        try:
            loaded = DATASETS[data]()
        except featad.errors.DatasetError as error:
            print(f"{data}: skipped, {error}", file=sys.stderr)
            continue
        for name, system in systems.items():
            if name.startswith("vgg16") and data not in args.vgg16:
                continue
            found = speeds[system["features"].arch]
            chosen = [key for key in found if _is_judged(found, key, args)]
            rows += _accuracy(name, system, data, loaded, chosen)
            write("precision.md", text + ACCURACY + markdown_table(_COLUMNS, rows))


_COLUMNS = ["data set", "system", "engine", "precision", "AUROC", "change", "cosine"]


def _systems(with_vgg16):
    names = ("mini-stats-mahalanobis", "mini-patches-gaussian")
    systems = {name: featad.build(name) for name in names}
    if SQUEEZENET.exists():
        name, weights = "squeezenet1_1-stats-mahalanobis", str(SQUEEZENET)
        systems[name] = featad.build(name, weights=weights, preprocessing="imagenet")
    if with_vgg16 and VGG16.exists():
        name = "vgg16-stats-mahalanobis"
        systems[name] = featad.build(name, weights=str(VGG16))
    return systems


def _load(start):
    """Return what else ran on the machine while speed was measured."""
    waiting = max(start[0], os.getloadavg()[0])
    cores = os.cpu_count() or 1
    note = f"\nUp to {waiting:.0f} processes wanted the {cores} cores meanwhile. "
    if waiting < 1.5 * cores:
        return f"{note.rstrip()}\n"
    return f"{note}Speeds are those of a busy machine, so compare none of them.\n"


def _speeds(features, args):
    """Return {(engine, precision): Speed}, each the median of the rounds."""
    rounds = [
        list(measure_speed(clone(features), args.seconds)) for _ in range(args.rounds)
    ]
    return {
        (one[0].engine, one[0].precision): Speed(
            one[0].engine,
            one[0].precision,
            median(speed.rate for speed in one),
            min(speed.cosine for speed in one),
        )
        for one in zip(*rounds, strict=True)
    }


def _speed_table(arch, speeds, asked):
    rows = []
    for (engine, precision), speed in speeds.items():
        ratio = f"{speed.rate / speeds[USUAL].rate:.2f}"
        row = [engine, precision, f"{speed.rate:.1f}", ratio, f"{speed.cosine:.5f}"]
        rows.append([*row, share_of_limit(speed.rate, asked, precision)])
    columns = ["engine", "precision", "images/s", "ratio", "smallest cosine"]
    table = markdown_table([*columns, "of the arithmetic"], rows)
    return f"\n## {arch}\n\nAn image takes {asked:.2f} billion operations.\n\n{table}"


def _is_judged(speeds, key, args):
    if key == ("openvino", "float32"):  # the features of torch
        return False
    return args.slow or speeds[key].rate >= SLOW * speeds[USUAL].rate


def _accuracy(name, system, data, loaded, chosen):
    """Return rows of the table for a system on a data set, float32 first."""
    dataset, cv, _, image_size = loaded
    if not isinstance(cv, list):
        cv = list(cv.split(dataset.images, dataset.labels))
    with tempfile.TemporaryDirectory() as cache:
        variants = {
            f"{engine} {precision}": clone(system).set_params(
                features__engine=engine,
                features__precision=precision,
                features__cache=cache,
                features__image_size=image_size,
            )
            for engine, precision in chosen
        }
        found = featad.compare(variants, dataset.images, dataset.labels, cv=cv)
        train, test = cv[0]
        described = {
            key: clone(variant["features"])
            .fit(_of(dataset, train))
            .transform(_of(dataset, test))
            for key, variant in variants.items()
        }
    usual = " ".join(USUAL)
    rows = []
    for key in variants:
        auroc, before = (found["auroc"][each] for each in (key, usual))
        cosine = smallest_cosine(described[key], described[usual])
        row = [data, name, *key.split(), f"{auroc:.4f}", f"{auroc - before:+.4f}"]
        rows.append([*row, f"{cosine:.5f}"])
        print(*rows[-1], file=sys.stderr)
    return rows


def _of(dataset, places):
    return [dataset.images[place] for place in np.asarray(places)]


if __name__ == "__main__":
    main()
