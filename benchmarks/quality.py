"""AUROC of every system on every real data set that is present.

Anomalies are never trained on, but for the share that a data set's name states. No
parameter is tuned: each system runs with the registry's defaults.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import featad
from benchmarks._report import DATA, SQUEEZENET, heading, markdown_table, write
from featad.features.weights import weights_status
from featad.registry import scorers

STATS = [kind for kind, scorer in scorers().items() if scorer.entry.stats]
KINDS = [f"stats-{kind}" for kind in STATS] + list(scorers())

RANDOM = ("stats-mahalanobis", "stats-knn", "ocsvm")  # kinds with random weights, too


def main() -> None:
    """Run every comparison and write ``results/quality.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of data sets", default=())
    parser.add_argument("--systems", default="", help="those whose names start so")
    parser.add_argument("--output", default="quality.md", help="in benchmarks/results")
    args = parser.parse_args()

    sections = []
    for name, load in DATASETS.items():
        if args.only and name not in args.only:
            continue
        try:
            dataset, cv, protocol, image_size = load()
        except featad.errors.DatasetError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)
            continue
        systems = _systems(image_size).items()
        table = featad.compare(
            {k: v for k, v in systems if k.startswith(args.systems)},
            dataset.images,
            dataset.labels,
            cv=cv,
            on_progress=lambda done, total, system, name=name: print(
                f"{name}: {done}/{total} {system}", file=sys.stderr
            ),
        )
        sections.append(_section(name, protocol, table))
    text = heading("Quality on real images", "benchmarks.quality") + _notes()
    write(args.output, text + "".join(sections))


def _systems(image_size):
    """Return every system there are weights for, by the name of its table row."""
    systems = {}
    size = {"image_size": image_size}
    for kind in scorers():
        systems[f"pixels-{kind}"] = featad.build(f"pixels-{kind}")
        systems[f"filters-{kind}"] = featad.build(f"filters-{kind}")
    for kind in KINDS:
        systems[f"mini-{kind}"] = featad.build(f"mini-{kind}", **size)
        name = f"squeezenet1_1-{kind}"
        if kind in RANDOM:
            for random in (f"mini-{kind}", name):
                system = featad.build(random, weights=None, **size)
                systems[f"{random}, random weights"] = system
        if SQUEEZENET.exists():
            weights = str(SQUEEZENET)
            systems[f"{name}, ImageNet"] = featad.build(name, weights=weights, **size)
        if weights_status("vgg16").is_cached:
            systems[f"vgg16-{kind}, ImageNet"] = featad.build(f"vgg16-{kind}", **size)
    return systems


def _own_split(folder):
    dataset = featad.load_folder(DATA / folder)
    train = np.flatnonzero(dataset.parts == "train")
    test = np.flatnonzero(dataset.parts == "test")
    defects = (dataset.labels[test] == -1).sum()
    protocol = (
        f"Its own split: {len(train)} good images to train on; {len(test)} to test on, "
        f"{defects} of them with defects."
    )
    return dataset, [(train, test)], protocol, None


def _brain_mri():
    dataset = featad.load_folder(DATA / "brain_mri", normal="no", anomaly="yes")
    protocol = (
        f"5 folds: trained on four fifths of the {(dataset.labels == 1).sum()} slices "
        "without a tumour, tested on the other fifth and all "
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
        f"{len(test):,} are the test. Networks see them at 64 pixels."
    )
    return dataset, [(train, test)], protocol, 64


DATASETS = {
    "magnetic_tile": lambda: _own_split("magnetic_tile"),
    "hazelnut": lambda: _own_split(Path("mvtec_reduced", "hazelnut")),
    "transistor": lambda: _own_split(Path("mvtec_reduced", "transistor")),
    "brain_mri": _brain_mri,
    "mnist": lambda: _one_class("mnist", 0.05),
    "fashion_mnist": lambda: _one_class("fashion_mnist", 0.05),
}


def _notes():
    vgg16 = (
        ""
        if weights_status("vgg16").is_cached
        else " Published VGG16 weights were not to be had on this machine."
    )
    return (
        "\nEvery system with the registry's defaults, nothing tuned. AUROC with its "
        "95 % interval (1,000 bootstrap draws of test images); AP: average precision "
        "of the anomalies; TPR: share of anomalies found where 1 % of normal images "
        "are called anomalous. Seconds and images per second include reading the files "
        "and the network. *Random weights* are the line that pretraining has to beat, "
        f"*pixels* and *filters* (no learning at all) the network's.{vgg16} Detectors "
        "that train networks of their own are in `learned_*.md` and `mixed_*.md`.\n"
    )


def _section(name, protocol, table):
    header = ["system", "AUROC", "95 % interval", "AP", "best F1", "TPR at 1 % FPR"]
    header += ["fit s", "images/s"]
    rows = [
        [
            system,
            f"{row['auroc']:.3f}",
            f"{row['auroc_low']:.3f} to {row['auroc_high']:.3f}",
            f"{row['average_precision']:.3f}",
            f"{row['f1_max']:.3f}",
            f"{row['tpr_at_fpr_1']:.3f}",
            f"{row['fit_seconds']:.1f}",
            f"{row['images_per_second']:.0f}",
        ]
        for system, row in table.iterrows()
    ]
    return f"\n## {name}\n\n{protocol}\n\n{markdown_table(header, rows)}"


if __name__ == "__main__":
    main()
