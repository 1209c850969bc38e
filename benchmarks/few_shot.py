"""How many normal images the recommended systems need: AUROC by number of images.

Each number of images is drawn ten times from the training images; the tests are always
the same. One image alone cannot be whitened: its row is the distance to it.
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
        rows = [_row(data, name, options) for data in SETS]
        header = ["images", *map(str, SIZES), "all"]
        sections.append(f"\n## {name}\n\n{markdown_table(header, rows)}")
    notes = (
        f"\nMean AUROC of {DRAWS} draws of the normal images to train on, lowest to "
        "highest; all: of all training images, whose number follows the set's name. "
        "Nothing is tuned. With two images the Ledoit-Wolf shrinkage is 0 by its "
        "formula, so that only their difference counts: take one image, or four.\n"
    )
    text = heading("Few images", "benchmarks.few_shot") + notes
    write("few_shot.md", text + "".join(sections))


def _row(data, name, options):
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
    return [f"{data}, {len(train)}", *cells]


def _fit(tail, X):
    if len(X) == 1:
        return featad.KMeansDistance(n_clusters=1).fit(X)
    return clone(tail).fit(X)


if __name__ == "__main__":
    main()
