"""AUROC of the systems for many normal images, beside their exact relatives.

The features are those of mini-stats. Mini-batch k-means stands beside k-means, the
one-class SVM on landmarks beside the exact one, both after whitening; Mahalanobis
beside itself on features that were kept in float16, and on pixels alone.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

import featad
from benchmarks._report import DATA, heading, markdown_table, write
from benchmarks.quality import DATASETS
from featad.features.cache_folder import set_cache_dtype

CHOSEN_ON = ("magnetic_tile", "elpv")
SETS = (*CHOSEN_ON, "breast_ultrasound", "deep_pcb", "brain_mri", "fashion_mnist")
SYSTEMS = ("kmeans", "mbkmeans", "ocsvm", "nystroem", "mahalanobis")


def main() -> None:
    """Measure and write ``results/many.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of data sets", default=SETS)
    parser.add_argument("--cache", help="keep features below here, for the next run")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            rows.append(_measured(name, Path(args.cache or folder)))
            write("many.md", _text(rows))  # so far


def _measured(name, folder):
    images, labels, cv, size = _loaded(name)
    tables = {}
    for dtype in ("float32", "float16"):
        set_cache_dtype(folder / dtype, dtype)
        cache = folder / dtype
        system = featad.build("mini-stats-kmeans", image_size=size, cache=cache)
        tables[dtype] = system["features"].fit_transform(images)
    areas = areas_of(tables["float32"], labels, cv, SYSTEMS)
    areas += areas_of(tables["float16"], labels, cv, ["mahalanobis"])
    pixels = featad.build("pixels-mahalanobis")
    areas += areas_of(pixels["features"].fit_transform(images), labels, cv, [pixels])
    return [name, f"{len(cv[0][0]):,}", *areas]


def areas_of(X: np.ndarray, labels: np.ndarray, cv: list, systems: list) -> list[str]:
    """Return the mean AUROC over folds of detectors on one table."""
    areas = []
    for system in systems:
        named = featad.build(f"mini-stats-{system}") if type(system) is str else system
        scores = []
        for train, test in cv:
            fitted = clone(named[1:]).fit(X[train])
            scores.append(roc_auc_score(labels[test], fitted.score_samples(X[test])))
        areas.append(f"{np.mean(scores):.4f}")
    return areas


def _loaded(name):
    if name == "fashion_mnist":
        images, kinds = featad.load_idx(DATA / name, "train")
        shirts = images[kinds == 0][:2000]
        images, kinds = (part[:4000:2] for part in featad.load_idx(DATA / name, "test"))
        everything = np.concatenate([shirts, images])
        labels = np.r_[np.ones(len(shirts), int), np.where(kinds == 0, 1, -1)]
        cv = [np.split(np.arange(len(labels)), [len(shirts)])]
        return everything, labels, cv, 64
    dataset, cv, _, size = DATASETS[name]()
    if not isinstance(cv, list):
        cv = list(cv.split(dataset.images, dataset.labels))
    return dataset.images, dataset.labels, cv, size


def _text(rows):
    text = heading("Systems for many normal images", "benchmarks.many")
    text += (
        "\nAUROC of the detectors of `mini-stats-...`. The numbers of landmarks and of "
        f"steps of `nystroem` were chosen on {' and '.join(CHOSEN_ON)}; the other sets "
        "are reported only. brain_mri: means over 5 folds. fashion_mnist: 2,000 "
        "T-shirts to train on, 2,000 images of the test set, at 64 pixels. "
        "*float16*: Mahalanobis on features that a cache has kept in float16. "
        "*pixels*: `pixels-mahalanobis`, the trivial baseline.\n\n"
    )
    header = ["set", "normal images", *SYSTEMS, "float16", "pixels"]
    return text + markdown_table(header, rows)


if __name__ == "__main__":
    main()
