"""What both editions of vgg_mini are worth on every real data set.

Beside them is SqueezeNet, which the second one started from. VGG16, which taught it,
is in ``benchmarks.quality``, whose protocols these are. No image of these sets was seen
in training. Recipe and layers were chosen on the sets of ``CHOSEN_ON``; the others are
reported only.
"""

import argparse
import json
import sys

import numpy as np

import featad
from benchmarks._report import SQUEEZENET, heading, markdown_table, write
from benchmarks.quality import DATASETS
from featad.features.vgg_mini import WEIGHTS

SYSTEM = "stats-mahalanobis"
CHOSEN_ON = ("magnetic_tile", "deep_pcb", "hazelnut", "transistor")

NOTE = (
    f"\nAUROC of Mahalanobis distance ({SYSTEM}) or of the nearest neighbor. Recipe "
    f"and layers of vgg_mini were chosen on {', '.join(CHOSEN_ON)}; the other sets "
    "were not looked at for that. *generated*: the first edition. hazelnut and "
    "transistor have two normal test images: their figures move in steps of 0.0625.\n\n"
)


def main() -> None:
    """Measure, write ``results/mini.md`` and, if asked, the figures into the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of data sets", default=())
    parser.add_argument("--card", action="store_true", help="write them to the card")
    parser.add_argument("--layers", action="store_true", help="each one alone, too")
    args = parser.parse_args()
    tables = {}
    for name, load in DATASETS.items():
        if args.only and name not in args.only:
            continue
        try:
            dataset, cv, _, image_size = load()
        except featad.errors.DatasetError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)
            continue
        systems = _systems(image_size, args.layers)
        table = featad.compare(systems, dataset.images, dataset.labels, cv=cv)
        tables[name] = table["auroc"]
        print(name, table["auroc"].round(4).to_dict(), file=sys.stderr)
        rows = [
            [system, *_cells([tables[data].get(system) for data in tables])]
            for system in systems
        ]
        text = heading("vgg_mini, both editions", "benchmarks.mini") + NOTE
        write("mini.md", text + markdown_table(["features", *tables, "mean"], rows))
    if args.card:
        _write_card(tables)


def _cells(values):
    mean = np.mean(values) if None not in values else None
    return ["" if value is None else f"{value:.3f}" for value in [*values, mean]]


def _systems(image_size, each_layer):
    size = {"image_size": image_size}
    systems = {
        "vgg_mini": featad.build(f"mini-{SYSTEM}", **size),
        "vgg_mini, generated": featad.build(
            f"mini-{SYSTEM}", weights="generated", **size
        ),
        "vgg_mini, random weights": featad.build(
            f"mini-{SYSTEM}", weights=None, **size
        ),
    }
    if SQUEEZENET.exists():
        systems["SqueezeNet 1.1, ImageNet"] = featad.build(
            f"squeezenet1_1-{SYSTEM}", weights=str(SQUEEZENET), **size
        )
    systems["vgg_mini fc7"] = featad.build("mini-mahalanobis", **size)
    systems["vgg_mini, nearest neighbor"] = featad.build("mini-stats-knn", **size)
    systems["vgg_mini fc7, nearest neighbor"] = featad.build("mini-knn", **size)
    layers = ("conv2_2", "conv3_1", *featad.features.default_layers("vgg_mini")[1])
    for layer in layers if each_layer else ():
        systems[f"vgg_mini {layer}"] = featad.build(
            f"mini-{SYSTEM}", layer=layer, **size
        )
    return systems


def _write_card(tables):
    path = WEIGHTS.with_suffix(".json")
    card = json.loads(path.read_text(encoding="utf-8"))
    card["system"] = f"mini-{SYSTEM}, AUROC; see benchmarks/results/mini.md"
    card["chosen_on"] = CHOSEN_ON
    columns = {
        "vgg_mini": "vgg_mini",
        "generated": "vgg_mini, generated",
        "random": "vgg_mini, random weights",
        "squeezenet1_1": "SqueezeNet 1.1, ImageNet",
    }
    card["figures"] = {
        name: {
            column: round(table[system], 4)
            for column, system in columns.items()
            if system in table
        }
        for name, table in tables.items()
    }
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
