"""``featad compare``: systems side by side on one data set."""

import warnings
from argparse import ArgumentTypeError, Namespace
from contextlib import nullcontext
from typing import Any

import numpy as np

from featad._whole_files import replacing
from featad.cli import costs, groups, options, progress, reports, values
from featad.cli.machine import set_network_options
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
        "cross-validated: systems train on normal images and are tested on both kinds. "
        "The last line is what chance gives.",
    )
    parser.set_defaults(run=run)
    options.add_data(parser)
    options.add_system(parser)
    parser.add_argument(
        "--systems",
        type=_system_names,
        metavar="A,B,C",
        help="names from `featad list`, separated by commas (default: the recommended "
        "system, others with vgg_mini's features, and two without a network, which "
        "they have to beat; nothing is downloaded)",
    )
    parser.add_argument(
        "--reference",
        metavar="SYSTEM",
        help="one of the systems: print how much the AUROC of the others differs from "
        "its own, with a 95 %% interval and the p-value of a paired bootstrap",
    )
    parser.add_argument(
        "--cv",
        type=values.fold_count,
        metavar="N",
        help="number of folds (default: 5 if there is no test part, else the test part "
        "is used; given, all images are cross-validated)",
    )
    groups.add_groups(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="also write the table to this .csv file, and the list of images to "
        "FILE.split.csv",
    )
    parser.add_argument(
        "--scores",
        metavar="FILE",
        help="also write the score of every test image to this .csv file: path, label, "
        "fold, system, anomaly_score (featad.compare_scores reads it)",
    )
    parser.add_argument(
        "--figure",
        metavar="FILE",
        help="also draw the ROC curves, means over folds, to this .pdf, .png or .svg "
        "file",
    )
    parser.add_argument(
        "--few-shot",
        type=_sizes,
        metavar="N,N,...",
        help="also fit each system on a few of the training images, such as 5,10,20, "
        "drawn three times, and print the mean AUROC; the report shows the curve. It "
        "needs a data set with a test part",
    )
    reports.add_report(
        parser,
        what="figures, curves, a threshold to move, and the images with their scores. "
        "It is written anew after each system, so that a run that is stopped leaves "
        "what was done",
    )


def run(args: Namespace) -> int:
    """Compare and print the table."""
    from featad.datasets import save_split
    from featad.plots import check_picture, plot_roc
    from featad.registry import COMPARED

    args.systems = args.systems or list(COMPARED)
    if args.reference and args.reference not in args.systems:
        raise ValueError(
            f"--reference should be one of the systems {', '.join(args.systems)}, but "
            f"is {args.reference!r}."
        )
    options.check_weights_names(args, args.systems)
    for option, path in (("-o", args.output), ("--scores", args.scores)):
        if path and not path.lower().endswith(".csv"):
            raise ValueError(f"{option} takes a .csv file, but is {path!r}.")
    if args.figure:
        check_picture(args.figure)
    for path in filter(None, (args.output, args.scores, args.figure, args.report)):
        options.check_writable(path)
    dataset = groups.grouped(options.load_data(args), args.groups)
    _check_few_shot(dataset, args)
    (table, scores, live), dataset = options.without_unreadable(
        dataset, args, lambda readable: _compare(readable, args)
    )
    print(format_table(table, args.reference))
    if args.output:
        with replacing(args.output) as part:
            table.to_csv(part)
        split = save_split(dataset, f"{args.output}.split.csv")
        options.log(f"wrote {args.output} and {split}")
    if args.scores:
        _write_scores(scores, dataset, args.scores)
        options.log(f"wrote {args.scores}")
    if args.figure:
        options.log(f"wrote {plot_roc(scores, args.figure)}")
    with live.telling() if args.report else nullcontext():
        few = _few_shot(dataset, args) if args.few_shot else None
        if args.report:
            live.finish(few)
    return 0


def format_table(table: Any, reference: str | None = None) -> str:
    """Return a comparison as text in columns, the best system first, chance last.

    Parameters
    ----------
    table : DataFrame
        As `featad.compare` returns it.

    reference : str or None, default=None
        The system whose differences to the others are shown.

    Returns
    -------
    text : str
    """
    text = table[[]].copy()
    text["AUROC (95 % interval)"] = [
        f"{row.auroc:.3f} ({_interval(row.auroc_low, row.auroc_high, '.3f')})"
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
    if reference is not None:
        text[f"AUROC minus {reference}"] = [
            f"{row.difference:+.3f} "
            f"({_interval(row.difference_low, row.difference_high, '+.3f')})"
            for row in table.itertuples()
        ]
        text["p"] = table["p_bootstrap"].map("{:.3f}".format)
        text.loc[reference, [f"AUROC minus {reference}", "p"]] = ""
    first = table.iloc[0]
    chance = {
        "AUROC (95 % interval)": "0.500",
        "AP": f"{first.average_precision_chance:.3f}",
        "best F1": f"{first.f1_max_chance:.3f}",
        "TPR at 1 % FPR": "0.010",
    }
    text.loc["chance"] = [chance.get(column, "") for column in text.columns]
    return text.rename_axis(None).to_string()


def _interval(low, high, form):
    return "no interval" if np.isnan(low) else f"{low:{form}} to {high:{form}}"


def _compare(dataset, args):
    from featad.comparison import compare
    from featad.model_selection import OneClassKFold

    if dataset.has_split and args.cv is None:
        train = np.flatnonzero((dataset.parts == "train") & (dataset.labels == 1))
        test = np.flatnonzero(dataset.parts == "test")
        cv: Any = [(train, test)]
        _check_kinds(dataset, dataset.labels[test], "test images")
    else:
        cv = OneClassKFold(args.cv or 5, random_state=args.seed)
        _check_kinds(dataset, dataset.labels, "images")
    systems = {name: options.build_system(name, args) for name in args.systems}
    set_network_options(systems.values(), args)
    n_folds = len(cv) if isinstance(cv, list) else cv.get_n_splits()
    n_train = (
        len(cv[0][0]) if isinstance(cv, list) else int((dataset.labels == 1).sum())
    )
    for name, system in systems.items():
        announced = costs.announcement(name, system, n_train, n_folds)
        if announced:
            options.log(announced)
    live = reports.LiveComparison(args, dataset, systems)
    with (
        live.telling() if args.report else nullcontext(),
        progress.shown("comparing"),
        warnings.catch_warnings(),
    ):
        if isinstance(cv, list):  # loading has told of copies across this split
            warnings.filterwarnings("ignore", ".* exact copies of them are trained on")
        table, scores = compare(
            systems,
            dataset.images,
            dataset.labels,
            groups=dataset.groups,
            cv=cv,
            reference=args.reference,
            random_state=args.seed,
            return_scores=True,
            on_system=live.add if args.report else None,
        )
    return table, scores, live


def _check_few_shot(dataset, args):
    if not args.few_shot:
        return
    if args.cv is not None or not dataset.has_split:
        raise ValueError("--few-shot needs a data set with a test part, and no --cv.")
    n_train = int(((dataset.parts == "train") & (dataset.labels == 1)).sum())
    if args.few_shot[0] < 2 or args.few_shot[-1] > n_train:
        raise ValueError(
            f"--few-shot takes numbers from 2 to {n_train}, that of the normal "
            f"training images, but is {', '.join(map(str, args.few_shot))}."
        )


def _few_shot(dataset, args):
    """Fit on few training images, print the means, and return the table."""
    from featad.few_images import few_shot

    systems = {name: options.build_system(name, args) for name in args.systems}
    set_network_options(systems.values(), args)
    with progress.shown("few images"):
        table = few_shot(
            systems,
            dataset.images,
            dataset.labels,
            train=np.flatnonzero((dataset.parts == "train") & (dataset.labels == 1)),
            test=np.flatnonzero(dataset.parts == "test"),
            sizes=args.few_shot,
            random_state=args.seed,
        )
    means = table.pivot_table("auroc", "system", "n_train").loc[args.systems]
    print("\nMean AUROC by number of training images:")
    print(
        means.rename_axis(None)
        .rename_axis(None, axis=1)
        .to_string(float_format="{:.3f}".format)
    )
    return table


def _check_kinds(dataset, labels, images):
    """Refuse to compare without anomalous or normal images to test on."""
    if not (labels == -1).any():
        raise DatasetError(
            f"{dataset.name} has no anomalous {images} to compare systems by. Pass a "
            "data set with a test part, two folders, or a CSV file with labels."
        )
    if not (labels == 1).any():
        way = (
            " beside its anomalous ones. Add some (test/good), or pass --cv 5 to hold "
            "out a fifth of the normal training images at a time."
        )
        raise DatasetError(
            f"{dataset.name} has no normal {images}"
            + (way if dataset.has_split else " to train on.")
        )


def _write_scores(scores, dataset, path):
    """Write the scores of test images, with paths in place of sample numbers."""
    from featad.images import describe_source

    names = [describe_source(image, i) for i, image in enumerate(dataset.images)]
    rows = scores.assign(path=[names[i] for i in scores["sample"]])
    columns = ["path", "label", "fold", "system", "anomaly_score"]
    columns += ["group"] if "group" in rows else []
    with replacing(path) as part:
        rows[columns].to_csv(part, index=False, lineterminator="\n")


def _sizes(text):
    return sorted({values.positive_int(size) for size in text.split(",")})


def _system_names(text):
    names = [options.system_name(name.strip()) for name in text.split(",")]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ArgumentTypeError(f"{twice} is listed twice")
    return names
