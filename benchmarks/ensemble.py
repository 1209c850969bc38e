"""AUROC of statistics, of patches, and of both in units of held-out normal scores.

Units and rule were chosen on the sets of ``CHOSEN_ON``; the others are reported only.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import featad
from benchmarks._report import DATA, SQUEEZENET, heading, markdown_table, write
from featad.units import in_units

CHOSEN_ON = ("magnetic_tile", "transistor")
SETS = {
    "magnetic_tile": Path("magnetic_tile"),
    "transistor": Path("mvtec_reduced", "transistor"),
    "hazelnut": Path("mvtec_reduced", "hazelnut"),
    "breast_ultrasound": Path("breast_ultrasound"),
    "deep_pcb": Path("deep_pcb"),
    "elpv": Path("elpv"),
}
UNITS = ("p-value", "robust")
RULES = [(units, how) for units in UNITS for how in ("mean", "max")]


def main() -> None:
    """Measure each set, and write ``results/ensemble.md`` after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--arch", default="squeezenet1_1")
    args = parser.parse_args()
    rows = []
    for name in args.only:
        rows.append(_row(name, args.arch))
        write("ensemble.md", _text(args.arch, rows))


def _row(name, arch):
    dataset = featad.load_folder(DATA / SETS[name])
    train, test = dataset.part("train"), dataset.part("test")
    started = time.perf_counter()
    ensemble = featad.ScoreEnsemble(_members(arch), random_state=0)
    ensemble.fit(train.select(np.flatnonzero(train.labels == 1)).images)
    fitted = time.perf_counter()
    raw = [member.score_samples(test.images) for member in ensemble.members_.values()]
    scored = time.perf_counter()
    held_out = ensemble.member_held_out_scores_.T
    found = {}
    for units in UNITS:
        values = np.stack(
            [in_units(-s, -h, units) for s, h in zip(raw, held_out, strict=True)]
        )
        found |= {(units, "mean"): values.mean(axis=0), (units, "max"): values.max(0)}
    singles = [featad.metrics.auroc(test.labels, -scores) for scores in raw]
    areas = [*singles, *(featad.metrics.auroc(test.labels, found[r]) for r in RULES)]
    label = f"{name}{' (chosen on)' * (name in CHOSEN_ON)}"
    print(
        f"{label}: {fitted - started:.0f} s, {scored - fitted:.0f} s", file=sys.stderr
    )
    return [
        label,
        len(test),
        *(f"{a:.3f}" for a in areas),
        f"{areas[2] - max(singles):+.3f}",
    ]


def _members(arch):
    weights = {"weights": str(SQUEEZENET)} if arch == "squeezenet1_1" else {}
    stats = featad.build(f"{arch}-stats-mahalanobis", **weights)
    patches = featad.PatchFeatures(
        arch, n_components=100, dtype="float16", random_state=0, **weights
    )
    patches = featad.make_pipeline(patches, featad.PatchGaussian())
    return [("stats", stats), ("patches", patches)]


def _text(arch, rows):
    names = [f"{units}, {how}" for units, how in RULES]
    header = ["set", "test images", "stats", "patches", *names, "default - better one"]
    return (
        heading("Statistics and patches together", "benchmarks.ensemble")
        + f"\nImage AUROC of `{arch}-stats-mahalanobis`, of `PatchGaussian` on two "
        "middle layers of the same network with 100 projections, and of a "
        "`ScoreEnsemble` of both, by units and rule. The default is p-value, mean; the "
        "last column is what it gains or loses beside the better member. It was chosen "
        f"on {' and '.join(CHOSEN_ON)}. Transistor and hazelnut have two normal test "
        "images: their figures move in steps of 0.0625.\n\n"
        + markdown_table(header, rows)
    )


if __name__ == "__main__":
    main()
