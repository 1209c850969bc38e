"""``featad report``: a page from scores that are there already."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featad.cli import models, options, reports
from featad.errors import DatasetError

if TYPE_CHECKING:  # importing it takes seconds, which `--help` need not
    import pandas as pd


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: ArgumentParser = commands.add_parser(
        "report",
        help="write a page from a file of scores, without scoring again",
        description="Write an HTML page from a file that `featad score --output` or "
        "`featad compare --scores` has written. Nothing is scored again; images are "
        "read for their pictures, from the paths in the file.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("scores", metavar="SCORES", help="the file of scores")
    parser.add_argument(
        "-o",
        "--output",
        dest="report",
        required=True,
        type=reports.html_file,
        metavar="FILE",
        help="the .html file to write; it opens in any browser and needs nothing else",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="the model that scored: the page then shows the scores of its "
        "calibration, whether the images still look like those, and the training "
        "images that each is nearest to",
    )
    parser.add_argument(
        "--data",
        dest="dataset",  # `main` takes DIR without --data where it is called `data`
        metavar="DIR",
        help="the data set that was compared on: the page then shows kinds, masks and "
        "the numbers of training images",
    )
    models.add_loading(parser)


def run(args: Namespace) -> int:
    """Read the scores and write the page."""
    from featad.report import summarize, write_report
    from featad.score_files import read_rows

    options.check_writable(args.report)
    compared = _comparison(args.scores)
    if compared is None:
        if args.dataset:
            raise ValueError("--data is for scores of `featad compare --scores`.")
        rows = read_rows(args.scores)
        missing = {"path", "anomaly_score", "threshold", "error"} - {*rows.columns}
        if missing:
            raise ValueError(
                f"{args.scores!r} has no column {min(missing)!r}. Pass a file that "
                "`featad score --output` or `featad compare --scores` has written."
            )
        system = models.load_model(args) if args.model else None
        return 0 if reports.write_batch(args, rows, system, None) else 1
    if args.model:
        raise ValueError("--model is for scores of `featad score --output`.")
    scores, dataset = _with_images(compared, args)
    summary = summarize(scores, dataset, command=reports.command_of(args))
    options.log(f"wrote {write_report(summary, args.report)}")
    return 0


def _comparison(path: str) -> pd.DataFrame | None:
    """Return the scores of a comparison; None if the file is of another kind."""
    import pandas as pd

    if Path(path).suffix.lower() != ".csv":
        return None
    text = {"path": str, "system": str, "group": str}
    table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values={})
    return table if {"system", "label", "fold"} <= {*table.columns} else None


def _with_images(scores: pd.DataFrame, args: Namespace) -> tuple[pd.DataFrame, Any]:
    """Return scores with positions of samples, and the data set that these are in."""
    from featad.datasets import ImageDataset, load_folder
    from featad.images import describe_source

    if args.dataset:
        dataset = load_folder(args.dataset, allow_outside=True)  # of a run that was
        names = {describe_source(one, i): i for i, one in enumerate(dataset.images)}
        unknown = set(scores["path"]) - {*names}
        if unknown:
            raise DatasetError(
                f"{len(unknown)} images of {args.scores} are not in {args.dataset}; "
                f"first: {min(unknown)}. Pass the folder as `featad compare` was given "
                "it."
            )
    else:
        first = scores.drop_duplicates("path")
        names = {name: i for i, name in enumerate(first["path"])}
        dataset = ImageDataset(
            name=Path(args.scores).name,
            images=[Path(name) for name in names],
            labels=first["label"].to_numpy(dtype=np.int64),
            parts=np.full(len(first), "test"),
            kinds=np.array([Path(name).parent.name for name in names]),
        )
    return scores.assign(sample=scores["path"].map(names)), dataset
