"""AUROC of every system on every real data set that is present.

Anomalies are never trained on, but for the share that a data set's name states. No
parameter is tuned: each system runs with the registry's defaults. Layers, whitening and
the recommended system were chosen on the sets of ``CHOSEN_ON``; the others are reported
only.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import featad
from benchmarks._report import (
    DATA,
    SQUEEZENET,
    VGG16,
    heading,
    markdown_table,
    write,
)
from featad.registry import scorers

CHOSEN_ON = ("magnetic_tile", "elpv", "brain_mri")
SMALL = ("hazelnut", "transistor")
SCORERS = tuple(scorers())
RANDOM = ("mahalanobis", "ocsvm")  # scorers that networks with random weights feed, too


def main() -> None:
    """Run every comparison and write ``results/quality.md`` and ``quality_64.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of data sets", default=())
    parser.add_argument("--systems", default="", help="those whose names start so")
    parser.add_argument("--cache", help="keep features here, for the next run")
    parser.add_argument(
        "--no-vgg16",
        nargs="+",
        help="data sets without VGG16, which is slow",
        default=(),
    )
    args = parser.parse_args()
    for output, datasets in OUTPUTS.items():
        sections, aurocs = [], {}
        for name, load in datasets.items():
            if args.only and name not in args.only:
                continue
            try:
                dataset, cv, protocol, image_size = load()
            except featad.errors.DatasetError as error:
                print(f"{name}: skipped, {error}", file=sys.stderr)
                continue
            table = _compare(args, name, dataset, cv, image_size)
            sections.append(_section(name, protocol, table))
            aurocs[name] = table["auroc"]
            text = heading("Quality on real images", "benchmarks.quality") + _notes()
            means = _means(pd.DataFrame(aurocs))
            write(output, text + means + "".join(sections))  # so far


def _compare(args, name, dataset, cv, image_size):
    vgg16 = VGG16.exists() and name not in args.no_vgg16
    systems = _systems(image_size, args.cache, vgg16).items()
    return featad.compare(
        {k: v for k, v in systems if k.startswith(args.systems)},
        dataset.images,
        dataset.labels,
        cv=cv,
        on_progress=lambda done, total, system: print(
            f"{name}: {done}/{total} {system}", file=sys.stderr
        ),
    )


def _systems(image_size, cache, vgg16):
    """Return every system there are weights for, by the name of its table row."""
    systems = {}
    options = {"image_size": image_size, "cache": cache}
    for kind in SCORERS:
        systems[f"pixels-{kind}"] = featad.build(f"pixels-{kind}")
        systems[f"filters-{kind}"] = featad.build(f"filters-{kind}")
        for name in (f"mini-{kind}", f"mini-stats-{kind}"):
            systems[name] = featad.build(name, **options)
        if kind == "mahalanobis":
            systems[f"mini-stats-{kind}, generated"] = featad.build(
                f"mini-stats-{kind}", weights="generated", **options
            )
        for arch, file, takes_part in (
            ("squeezenet1_1", SQUEEZENET, SQUEEZENET.exists()),
            ("vgg16", VGG16, vgg16 and image_size != 64),
        ):
            if takes_part:
                name = f"{arch}-stats-{kind}"
                system = featad.build(name, weights=str(file), **options)
                systems[f"{name}, ImageNet"] = system
        if kind in RANDOM:
            for name in (f"mini-stats-{kind}", f"squeezenet1_1-stats-{kind}"):
                system = featad.build(name, weights=None, **options)
                systems[f"{name}, random weights"] = system
    return systems


def _own_split(folder):
    dataset = featad.load_folder(DATA / folder)
    train = np.flatnonzero(dataset.parts == "train")
    test = np.flatnonzero(dataset.parts == "test")
    defects = (dataset.labels[test] == -1).sum()
    protocol = (
        f"Its own split: {len(train)} normal images to train on; {len(test)} to test "
        f"on, {defects} of them anomalous."
    )
    return dataset, [(train, test)], protocol, None


def _brain_mri():
    dataset = featad.load_folder(DATA / "brain_mri", normal="no", anomaly="yes")
    protocol = (
        f"5 folds: trained on four fifths of the {(dataset.labels == 1).sum()} slices "
        "without a tumor, tested on the other fifth and all "
        f"{(dataset.labels == -1).sum()} with one; means over the folds."
    )
    return dataset, featad.OneClassKFold(5, random_state=0), protocol, None


def _one_class(folder, contamination):
    images, labels = featad.load_idx(DATA / folder, "test")
    dataset = featad.one_vs_rest(
        images, labels, normal=0, contamination=contamination, random_state=0
    )
    train = np.flatnonzero(dataset.parts == "train")
    test = np.flatnonzero(dataset.parts == "test")
    protocol = (
        "The 10,000 images of the test set, one against the rest: class 0 is normal. "
        f"Half of it trains, with other classes mixed in, unlabeled, as "
        f"{contamination:.0%} of the {len(train)} training images; the remaining "
        f"{len(test):,} are the test. Networks see them at 64 pixels; VGG16 is left "
        "out."
    )
    return dataset, [(train, test)], protocol, 64


OUTPUTS = {
    "quality.md": {
        "magnetic_tile": lambda: _own_split("magnetic_tile"),
        "elpv": lambda: _own_split("elpv"),
        "deep_pcb": lambda: _own_split("deep_pcb"),
        "breast_ultrasound": lambda: _own_split("breast_ultrasound"),
        "hazelnut": lambda: _own_split(Path("mvtec_reduced", "hazelnut")),
        "transistor": lambda: _own_split(Path("mvtec_reduced", "transistor")),
        "brain_mri": _brain_mri,
    },
    "quality_64.md": {
        "mnist": lambda: _one_class("mnist", 0.05),
        "fashion_mnist": lambda: _one_class("fashion_mnist", 0.05),
    },
}
"""The data sets of each file of results: photographs, and small images."""

DATASETS = {name: load for sets in OUTPUTS.values() for name, load in sets.items()}


def _notes():
    vgg16 = (
        "VGG16 is its published ImageNet convolutions, rounded to float16; nothing "
        "could be compared for its fifth block, and without fully connected layers "
        "there is no fc7. "
        if VGG16.exists()
        else "VGG16's weights were not available on this machine. "
    )
    return (
        "\nEvery system with the registry's defaults, nothing tuned. AUROC with its "
        "95 % interval (1,000 bootstrap draws of test images); AP: average precision "
        "of the anomalies; TPR: share of anomalies found where 1 % of normal images "
        f"are called anomalous. {vgg16}*Random weights* are the line that pretraining "
        "has to beat, *pixels* and *filters* (no learning at all) the network's. "
        f"Layers and whitening were chosen on {', '.join(CHOSEN_ON)} and on sets that "
        "are not in the project; the other sets below were not looked at for that. "
        "vgg_mini was taught and its layers were chosen on magnetic_tile, deep_pcb, "
        "hazelnut and transistor; *generated* is its first edition. The "
        "recommended system was chosen by the means, and so were the numbers of trees "
        "and directions of the isolation forest. Speed is in `speed.md`. Detectors "
        "that train networks of their own are in `learned_*.md` and `mixed_*.md`.\n"
    )


def _means(aurocs):
    """Return a table of AUROC by system and set, the best mean first."""
    counted = [name for name in aurocs if name not in SMALL]
    aurocs["mean"] = aurocs[counted].mean(axis=1, skipna=False)
    aurocs = aurocs.sort_values("mean", ascending=False)
    rows = [
        [system, *("" if np.isnan(value) else f"{value:.3f}" for value in row)]
        for system, row in zip(aurocs.index, aurocs.to_numpy(), strict=True)
    ]
    small = [name for name in aurocs if name in SMALL]
    note = (
        f"; {' and '.join(small)} have two normal test images, so that their figures "
        "move in steps of 0.0625"
        if small
        else ""
    )
    return (
        f"\n## AUROC on all sets\n\nMeans are over {', '.join(counted)}{note}.\n\n"
        + markdown_table(["system", *aurocs.columns], rows)
    )


def _section(name, protocol, table):
    header = ["system", "AUROC", "95 % interval", "AP", "best F1", "TPR at 1 % FPR"]
    rows = [
        [
            system,
            f"{row['auroc']:.3f}",
            f"{row['auroc_low']:.3f} to {row['auroc_high']:.3f}",
            f"{row['average_precision']:.3f}",
            f"{row['f1_max']:.3f}",
            f"{row['tpr_at_fpr_1']:.3f}",
        ]
        for system, row in table.iterrows()
    ]
    return f"\n## {name}\n\n{protocol}\n\n{markdown_table(header, rows)}"


if __name__ == "__main__":
    main()
