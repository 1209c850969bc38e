"""``featad watch``: score the images of a folder as they come."""

from argparse import Namespace
from typing import Any

from featad.cli import models, options, values
from featad.cli.thresholds import leave_warnings_to_us


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "watch",
        help="score the images of a folder as they come",
        description="Score the images of a folder, and go on with those that come, "
        "until the run is stopped. An image is scored when its file no longer changes, "
        "and once, over any number of runs: FILE says which ones were. An image that "
        "changes later has another row. The columns are those of `featad score`, and "
        "size and modified of the file.",
        epilog="Exit codes: 1 the job failed; 2 wrong use; 130 interrupted; 143 told "
        "to end. The same command goes on.",
    )
    parser.set_defaults(run=run)
    models.add_model(parser)
    parser.add_argument("folder", help="where images come")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="a .csv or .jsonl file that rows are added to",
    )
    parser.add_argument(
        "--interval",
        type=values.positive_number,
        default=2.0,
        metavar="SECONDS",
        help="time between looks; a file is complete if it has not changed for as long "
        "(default: %(default)g)",
    )
    models.add_scoring(parser)


def run(args: Namespace) -> int:
    """Watch until somebody stops it."""
    from featad.watching import watch_folder

    leave_warnings_to_us()
    system = models.load_to_score(args)
    options.check_writable(args.output, own=args.output)
    n_scored = n_anomalous = n_failed = 0
    try:
        for rows in watch_folder(
            system,
            args.folder,
            args.output,
            interval=args.interval,
            batch_size=args.batch_size,
        ):
            anomalous = rows["path"][rows["is_anomaly"].fillna(False)]
            errors = rows["error"].dropna()
            for name in anomalous:
                options.log(f"anomalous: {name}")
            for error in errors:
                options.log(f"warning: {error}")
            n_scored += len(rows) - len(errors)
            n_anomalous += len(anomalous)
            n_failed += len(errors)
    except KeyboardInterrupt as stop:
        stop.args = (
            f"{n_scored} images are scored, {n_anomalous} of them anomalous, and "
            f"{n_failed} could not be scored",
        )
        raise
    return 0
