"""What the recipes share: arguments, where data lie, a split, and fit, report, save."""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

import featad
import featad.errors
from featad.metrics import auroc


def run(main):
    """Run a recipe's ``main``; what is wrong with files or weights ends in a line."""
    try:
        main()
    except featad.errors.FeatadError as error:
        sys.exit(f"error: {error}")


def data_folder(name):
    """Return the folder of a data set of ``data/README.md``."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FEATAD_DATA", beside)) / name
    if not folder.is_dir():
        raise featad.errors.DatasetError(
            f"There is no folder {str(folder)!r}. data/README.md says where to get it; "
            "put it there, set FEATAD_DATA to the folder that holds it, or give --data."
        )
    return folder


def with_parts(dataset, *, random_state=0):
    """Return a data set whose images train or test: its own split, or a drawn one.

    Drawn, 70 % of the normal images train; the others and all anomalies test.
    """
    if dataset.has_split:
        return dataset
    normal = np.flatnonzero(dataset.labels == 1)
    normal = np.random.default_rng(random_state).permutation(normal)
    parts = np.full(len(dataset), "test", dtype="<U5")
    parts[normal[: round(0.7 * len(normal))]] = "train"
    return dataclasses.replace(dataset, parts=parts)


def recipe_parser(description):
    """Return a parser of the arguments of a recipe that fits a system on a folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--data", required=True, help="folder of normal images, or MVTec layout"
    )
    add_network(parser)
    parser.add_argument("-o", "--output", required=True, help="model file to write")
    return parser


def add_network(parser):
    """Add the network's arguments."""
    parser.add_argument("--arch", default="vgg16", help="network (vgg16)")
    parser.add_argument(
        "--weights",
        default="default",
        help="a file, 'default' (published, downloaded once) or 'random'",
    )
    parser.add_argument("--image-size", type=int, help="pixels (the weights' own)")
    parser.add_argument("--cache", help="keep features in this folder")


def network_options(args):
    """Return the parameters of the features step that the arguments ask for."""
    return {
        "weights": None if args.weights == "random" else args.weights,
        "image_size": args.image_size,
        "cache": args.cache,
        "random_state": 0,
    }


def fit_and_save(system: Pipeline, args):
    """Fit on the normal training images, report on the test part if any, and save."""
    dataset = featad.load_folder(args.data)
    train = dataset.part("train") if dataset.has_split else dataset
    normal = train.select(np.flatnonzero(train.labels == 1)).images
    system = featad.calibrate(system, random_state=0).fit(normal)
    print(f"Fitted on {len(normal)} normal images.")
    if dataset.has_split:
        test = dataset.part("test")
        scores = featad.anomaly_scores(system, test.images)
        print(f"AUROC on {len(test)} test images: {auroc(test.labels, scores):.3f}")
    featad.save(system, args.output, X=normal)
    print(f"Wrote {args.output}.")
