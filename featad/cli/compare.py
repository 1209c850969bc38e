"""``featad compare``: systems side by side on one data set."""

from argparse import ArgumentTypeError, Namespace
from typing import Any

import numpy as np

from featad.cli import options
from featad.cli.machine import set_machine_options
from featad.errors import DatasetError


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "compare",
        help="compare systems on a data set with known anomalies",
        description="Fit systems on the normal training images and compare their "
        "scores of the test images: AUROC with a bootstrap interval, average "
        "precision, best F1, true positives at 1 % false positives, seconds to fit and "
        "images scored per second. Data without a test part of its own is "
        "cross-validated: systems train on normal images and are tested on both kinds.",
    )
    parser.set_defaults(run=run)
    options.add_data(parser)
    options.add_system(parser)
    parser.add_argument(
        "--systems",
        required=True,
        type=_system_names,
        metavar="A,B,C",
        help="names from `featad list`, separated by commas",
    )
    parser.add_argument(
        "--cv",
        type=options.fold_count,
        default=5,
        help="number of folds if there is no test part (default: %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="also write the table to this .csv file, and the list of images to "
        "FILE.split.csv",
    )


def run(args: Namespace) -> int:
    """Compare and print the table."""
    from featad.datasets import save_split

    options.check_weights_names(args, args.systems)
    dataset = options.load_data(args)
    if args.output:
        if not args.output.lower().endswith(".csv"):
            raise ValueError(f"-o takes a .csv file, but is {args.output!r}.")
        options.check_writable(args.output)
    table, dataset = options.without_unreadable(
        dataset,
        args.on_error,
        lambda readable: _compare(readable, args),
        options.reading(args),
    )
    print(format_table(table))
    if args.output:
        table.to_csv(args.output)
        split = save_split(dataset, f"{args.output}.split.csv")
        options.log(f"wrote {args.output} and {split}")
    return 0


def format_table(table: Any) -> str:
    """Return a comparison as text in columns, the best system first."""
    text = table[[]].copy()
    text["AUROC (95 % interval)"] = [
        f"{row.auroc:.3f} ({row.auroc_low:.3f} to {row.auroc_high:.3f})"
        for row in table.itertuples()
    ]
    for name, column in (
        ("AP", "average_precision"),
        ("best F1", "f1_max"),
        ("TPR at 1 % FPR", "tpr_at_fpr_1"),
    ):
        text[name] = table[column].map("{:.3f}".format)
    text["fit s"] = table["fit_seconds"].map("{:.1f}".format)
    text["images/s"] = table["images_per_second"].map("{:.0f}".format)
    return text.rename_axis(None).to_string()


def _compare(dataset, args):
    from featad.comparison import compare
    from featad.model_selection import OneClassKFold

    if (dataset.labels == -1).sum() == 0:
        raise DatasetError(
            f"{dataset.name} has no anomalous images to compare systems by. Pass a "
            "data set with a test part, two folders, or a CSV file with labels."
        )
    if dataset.has_split:
        train = np.flatnonzero((dataset.parts == "train") & (dataset.labels == 1))
        test = np.flatnonzero(dataset.parts == "test")
        cv = [(train, test)]
        _warn_of_overlap(dataset, train, test)
    else:
        cv = OneClassKFold(args.cv, random_state=args.seed)
    systems = {name: options.build_system(name, args) for name in args.systems}
    set_machine_options(systems.values(), device=args.device, cache=args.cache)
    n_folds = len(cv) if dataset.has_split else args.cv
    total = len(systems) * n_folds
    with options.progress_bar(total, "comparing", "fold") as bar:
        return compare(
            systems,
            dataset.images,
            dataset.labels,
            cv=cv,
            random_state=args.seed,
            on_progress=lambda done, total, name: bar.update(),
        )


def _warn_of_overlap(dataset, train, test):
    from featad.images import content_hash

    seen = {content_hash(dataset.images[i]) for i in train}
    twice = [i for i in test if content_hash(dataset.images[i]) in seen]
    if twice:
        options.log(
            f"warning: {len(twice)} test images are also training images; first: "
            f"{dataset.images[twice[0]]}"
        )


def _system_names(text):
    names = [options.system_name(name.strip()) for name in text.split(",")]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ArgumentTypeError(f"{twice} is listed twice")
    return names
