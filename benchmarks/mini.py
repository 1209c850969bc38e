"""What vgg_mini is worth on every real data set, beside ImageNet and random weights.

None of the sets was seen in its pretraining. The protocols are those of
``benchmarks.quality``; the layers are the same for all sets.
"""

import argparse
import json
import sys

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import featad
from benchmarks._report import SQUEEZENET, heading, markdown_table, write
from benchmarks.quality import DATASETS
from featad.features.vgg_mini import WEIGHTS

SYSTEM = "stats-mahalanobis"


def main() -> None:
    """Measure, write ``results/mini.md`` and, if asked, the figures into the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of data sets", default=())
    parser.add_argument("--card", action="store_true", help="write them to the card")
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
        systems = _systems(image_size)
        table = featad.compare(systems, dataset.images, dataset.labels, cv=cv)
        tables[name] = table["auroc"]
        print(name, table["auroc"].round(4).to_dict(), file=sys.stderr)
    rows = [
        [name, *(f"{tables[data][name]:.3f}" for data in tables)] for name in systems
    ]
    text = heading("vgg_mini, layer by layer", "benchmarks.mini")
    text += (
        f"\nAUROC of Mahalanobis distance ({SYSTEM}) or of the nearest neighbor. "
        "*raw statistics* are what fc7 is made of, before the orthogonal matrix.\n\n"
    )
    write("mini.md", text + markdown_table(["features", *tables], rows))
    if args.card:
        _write_card(tables)


def _systems(image_size):
    size = {"image_size": image_size}
    systems = {
        "vgg_mini": featad.build(f"mini-{SYSTEM}", **size),
        "vgg_mini, random weights": featad.build(
            f"mini-{SYSTEM}", weights=None, **size
        ),
    }
    if SQUEEZENET.exists():
        systems["SqueezeNet 1.1, ImageNet"] = featad.build(
            f"squeezenet1_1-{SYSTEM}", weights=str(SQUEEZENET), **size
        )
    statistics = {"layer": ("conv3_2", "conv4_1"), "pooling": ("mean", "std", "max")}
    raw = featad.VGGFeatures("vgg_mini", **statistics, **size)
    systems["vgg_mini fc7"] = featad.build("mini-mahalanobis", **size)
    systems["vgg_mini raw statistics"] = make_pipeline(
        raw, FunctionTransformer(_unit_blocks), featad.Mahalanobis()
    )
    systems["vgg_mini, nearest neighbor"] = featad.build("mini-stats-knn", **size)
    systems["vgg_mini fc7, nearest neighbor"] = featad.build("mini-knn", **size)
    for layer in ("conv2_2", "conv3_1", "conv3_2", "conv4_1"):
        systems[f"vgg_mini {layer}"] = featad.build(
            f"mini-{SYSTEM}", layer=layer, **size
        )
    return systems


def _unit_blocks(X):
    """Bring mean, deviation and maximum of conv3_2 and conv4_1 to length 1 each."""
    blocks = np.split(X, np.cumsum([256, 256, 256, 512, 512]), axis=1)
    unit = [block / np.linalg.norm(block, axis=1, keepdims=True) for block in blocks]
    return np.concatenate(unit, axis=1) / len(unit) ** 0.5


def _write_card(tables):
    path = WEIGHTS.with_suffix(".json")
    card = json.loads(path.read_text(encoding="utf-8"))
    card["system"] = f"mini-{SYSTEM}, AUROC; see benchmarks/results/mini.md"
    card["figures"] = {
        name: {
            "vgg_mini": round(table["vgg_mini"], 4),
            "random": round(table["vgg_mini, random weights"], 4),
            "squeezenet1_1": round(table["SqueezeNet 1.1, ImageNet"], 4),
        }
        for name, table in tables.items()
    }
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
