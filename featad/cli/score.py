"""``featad score``: from images to a table of anomaly scores."""

import re
import sys
import time
from argparse import Namespace
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featad.cli import groups, maps, models, options, progress, reports, scheduler
from featad.cli.thresholds import leave_warnings_to_us
from featad.errors import DatasetError


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "score",
        help="score images with a fitted model",
        description="Score images and folders of images. There is one row per image, "
        "in input order, with path, anomaly_score (high = anomalous), score_ratio (0 = "
        "a typical good image, 1 = the threshold), threshold, is_anomaly, p_value and "
        "error. With --groups there is one row per part, with the columns group and "
        "n_images before these, for its most anomalous image. Rows are written batch "
        "by batch, as UTF-8.",
        epilog="Exit codes: 0 success, even if images were skipped (their rows say "
        "why); 1 the job failed, no image could be scored, one could not with "
        "--on-error raise, or more than --max-failed allows; 2 wrong use; 130 "
        "interrupted. In every case the rows up to there are written.",
    )
    parser.set_defaults(run=run)
    models.add_model(parser)
    parser.add_argument("images", nargs="*", help="image files, and folders of them")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="a .csv, .parquet or .jsonl file (default: CSV on standard output)",
    )
    parser.add_argument(
        "--retry",
        metavar="FILE",
        help="instead of images: an earlier output, whose rows with an error are "
        "scored again; all other rows stay (written to --output, or to FILE itself)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on where the same command was stopped, if it was; needs --output. "
        "Until FILE is complete, FILE.unfinished holds what was scored",
    )
    parser.add_argument(
        "--retry-errors",
        action="store_true",
        help="with --resume: also score again what could not be scored",
    )
    parser.add_argument(
        "--on-error",
        choices=("skip", "raise"),
        default="skip",
        help="what to do with images that cannot be read: say so in their row and go "
        "on, or stop (default: %(default)s)",
    )
    options.add_max_failed(parser)
    models.add_scoring(parser)
    groups.add_groups(parser)
    scheduler.add_scheduler(parser)
    maps.add_maps(parser)
    reports.add_report(
        parser,
        what="what was flagged, the scores beside those of the calibration, and "
        "whether images still look as they did; needs --output",
    )


def run(args: Namespace) -> int:
    """Score and write."""
    if bool(args.images) == bool(args.retry):
        options.log(
            "featad score: error: the following arguments are required: images, or "
            "--retry FILE; not both"
        )
        return 2
    if args.retry and args.groups:
        options.log("featad score: error: --groups: not allowed with --retry")
        return 2
    if wrong := _wrong_use(args) or maps.check(args):
        options.log(f"featad score: error: {wrong}")
        return 2
    from featad.datasets import find_groups
    from featad.images import list_images
    from featad.score_files import read_rows
    from featad.scoring import score_to_file

    leave_warnings_to_us()
    system = models.load_to_score(scheduler.here(args))
    if args.retry:
        return _retry(system, args)
    paths = []
    for given in map(Path, args.images):
        try:
            found = list_images(given) if given.is_dir() else [given]
        except DatasetError as error:  # its row will say that it cannot be read
            options.log(f"warning: {error}")
            found = [given]
        paths += found
        _say_masks(given, found)
    groups = None
    if args.groups is not None:
        models.check_grouped(system, args.model)
        groups = find_groups(paths, args.groups)
    for file in filter(None, (args.output, args.report)):
        options.check_writable(file)
    start = time.perf_counter()
    with (
        scheduler.connection(args) as cluster,
        _told_how_to_go_on(args),
        progress.shown("scoring", len(paths)) as bar,
    ):
        summary = score_to_file(
            system,
            paths,
            args.output,
            groups=groups,
            batch_size=args.batch_size,
            on_error=args.on_error,
            resume=args.resume,
            retry_errors=args.retry_errors,
            stream=sys.stdout,
            progress=bar.advance,
            **cluster,
        )
    units = "images" if groups is None else "parts"
    options.log(
        f"scored {summary.scored} {units}, {summary.anomalous} of them anomalous"
        + _by_an_earlier_run(summary.resumed)
        + (f"; wrote {args.output}" if args.output else "")
    )
    if summary.failed:
        options.log(
            f"could not score {summary.failed} {units}; first: {summary.first_error}"
        )
    elif summary.first_error:
        options.log(f"not every image could be scored; first: {summary.first_error}")
    _say_drift(system, summary, units, args.model)
    if args.maps and summary.scored:
        seconds = (time.perf_counter() - start) / summary.scored
        maps.write_maps(system, paths, args, seconds, summary.anomalous)
    if args.report:
        rows = read_rows(args.output)
        reports.write_batch(args, rows, system, None if "group" in rows else paths)
    options.check_failed(
        summary.failed, summary.failed + summary.scored, args.max_failed
    )
    return 0 if summary.scored else 1


def _by_an_earlier_run(n_images):
    units = "image" if n_images == 1 else "images"
    return f"; {n_images} {units} by an earlier run" if n_images else ""


def _say_masks(folder, found):
    """Say if images look like the masks of a data set, by the names of folders."""
    from featad.datasets.layouts import MASK_NAMES

    below = [path.relative_to(folder).parts[:-1] for path in found if path != folder]
    names = [
        name
        for parts in below
        for name in parts
        if re.fullmatch(MASK_NAMES, name.lower())
    ]
    if names:
        options.log(
            f"warning: {len(names)} of the images in {folder} are in folders called "
            f"{names[0]}, as masks are. Pass the folder of test images alone, if these "
            "are not to be scored."
        )


def _wrong_use(args):
    """Return what is wrong with options that need others, or None."""
    if args.retry and (args.report or args.on_error == "raise"):
        return "--report and --on-error raise: not allowed with --retry"
    if args.report and not args.output:
        return "--report needs --output FILE"
    if args.resume and (args.retry or not args.output):
        return "--resume needs images and --output FILE"
    if args.retry_errors and not args.resume:
        return "--retry-errors needs --resume"
    if args.scheduler and (args.retry or args.maps):
        return "--scheduler: not allowed with --retry or --maps"
    return None


@contextmanager
def _told_how_to_go_on(args):
    try:
        yield
    except KeyboardInterrupt as stop:
        if args.resume:
            stop.args += ("the same command goes on from there",)
        raise


def _say_drift(system, summary, units, model):
    """Say if the images do not look like those that calibrated the system."""
    from featad.calibration import CalibratedDetector
    from featad.drift import drift_in_words
    from featad.systems import last_step

    detector = last_step(system)
    if not isinstance(detector, CalibratedDetector):
        return
    said = drift_in_words(
        summary.scored,
        summary.anomalous,
        summary.low_p_values,
        detector.n_calibration_,
        detector.target_fpr,
        units=units,
    )
    if said is not None:
        options.log(
            f"warning: {said} `featad check {model} DIR` tests it on images known to "
            "be good."
        )


def _retry(system, args):
    """Score the rows with an error again."""
    from featad.rescoring import rescore_file
    from featad.score_files import read_rows

    output = args.output or args.retry
    if Path(args.retry).exists():
        options.check_writable(output, own=args.retry)
    with progress.shown("scoring again"):
        rows = rescore_file(system, args.retry, args.output, batch_size=args.batch_size)
    failed = rows["error"].dropna()
    options.log(
        f"scored {len(rows) - len(failed)} of {len(rows)} images that had an error, "
        f"{int(rows['is_anomaly'].eq(True).sum())} of them anomalous"
    )
    if len(failed):
        options.log(f"could not score {len(failed)} images; first: {failed.iloc[0]}")
    if args.max_failed is not None:
        options.check_failed(len(failed), len(read_rows(output)), args.max_failed)
    return 1 if len(rows) and len(failed) == len(rows) else 0
