"""How many normal images the recommended systems need: AUROC by number of images.

Each number of images is drawn ten times from the training images; the tests are always
the same. One image alone cannot be whitened: its row is the distance to it. What is
found at 5 % false alarms follows, by systems that are calibrated.
"""

import argparse
import sys

import numpy as np
from sklearn.base import clone

import featad
from benchmarks._report import SQUEEZENET, heading, markdown_table, write
from benchmarks.quality import DATASETS
from featad.metrics import auroc
from featad.systems import split_stateless

SETS = ("magnetic_tile", "elpv", "deep_pcb", "breast_ultrasound")
SIZES = (1, 2, 4, 8, 16, 50)
DRAWS = 10
TARGET_FPR = 0.05


def main() -> None:
    """Draw, fit, test, and write ``results/few_shot.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", help="keep features here, for the next run")
    args = parser.parse_args()
    systems = {
        "mini-stats-mahalanobis": {},
        "squeezenet1_1-stats-mahalanobis": {"weights": str(SQUEEZENET)},
    }
    sections = []
    for name, options in systems.items():
        options |= {"cache": args.cache, "detector__threshold": "training"}
        rows, found = zip(*(_rows(data, name, options) for data in SETS), strict=True)
        header = ["images", *map(str, SIZES), "all"]
        sections.append(f"\n## {name}\n\n{markdown_table(header, rows)}")
        header = ["images", f"found, {SIZES[-1]}", "false", "found, all", "false"]
        sections.append(f"\n{markdown_table(header, found)}")
    notes = (
        f"\nMean AUROC of {DRAWS} draws of the normal images to train on, lowest to "
        "highest; all: of all training images, whose number follows the set's name. "
        "Nothing is tuned. With two images the Ledoit-Wolf shrinkage is 0 by its "
        "formula, so that only their difference counts: take one image, or four. The "
        "second tables: shares of the defective and of the good test images that are "
        "called anomalous by `featad.calibrate(system, target_fpr=0.05)`.\n"
    )
    text = heading("Few images", "benchmarks.few_shot") + notes
    write("few_shot.md", text + "".join(sections))


def _rows(data, name, options):
    """Return a row of AUROC, and one of what is found at the target rate."""
    dataset, [(train, test)], _, _ = DATASETS[data]()
    head, tail = split_stateless(featad.build(name, **options))
    features = head.fit_transform(dataset.images)
    y = dataset.labels[test]
    cells = []
    for size in SIZES:
        rng = np.random.default_rng(0)
        draws = [rng.choice(train, size, replace=False) for _ in range(DRAWS)]
        fitted = (_fit(tail, features[draw]) for draw in draws)
        areas = [auroc(y, featad.anomaly_scores(f, features[test])) for f in fitted]
        low, mean, high = np.min(areas), np.mean(areas), np.max(areas)
        cells.append(f"{mean:.3f} ({low:.3f} to {high:.3f})")
        print(f"{data} {name} {size}: {cells[-1]}", file=sys.stderr)
    fitted = _fit(tail, features[train])
    cells.append(f"{auroc(y, featad.anomaly_scores(fitted, features[test])):.3f}")
    rng = np.random.default_rng(0)
    draws = [rng.choice(train, SIZES[-1], replace=False) for _ in range(DRAWS)]
    found = [
        share for chosen in (draws, [train])
        for share in _found(tail, features, chosen, test, y)
    ]  # fmt: skip
    return [f"{data}, {len(train)}", *cells], [f"{data}, {len(train)}", *found]


def _found(tail, features, draws, test, y):
    """Return shares of anomalies found and of false alarms, over draws, as text."""
    shares = []
    for draw in draws:
        system = featad.calibrate(clone(tail), target_fpr=TARGET_FPR, random_state=0)
        is_odd = system.fit(features[draw]).predict(features[test]) == -1
        shares.append([is_odd[y == -1].mean(), is_odd[y == 1].mean()])
    return [
        f"{mean:.0%}" if low == high else f"{mean:.0%} ({low:.0%} to {high:.0%})"
        for low, mean, high in zip(
            np.min(shares, axis=0), np.mean(shares, axis=0), np.max(shares, axis=0),
            strict=True,
        )
    ]  # fmt: skip


def _fit(tail, X):
    if len(X) == 1:
        return featad.KMeansDistance(n_clusters=1).fit(X)
    return clone(tail).fit(X)


if __name__ == "__main__":
    main()
