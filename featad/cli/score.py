"""``featad score``: from images to a table of anomaly scores."""

import sys
from argparse import Namespace
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featad.cli import options
from featad.cli.machine import set_machine_options
from featad.errors import DatasetError


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "score",
        help="score images with a fitted model",
        description="Score images and folders of images. There is one row per image, "
        "in input order, with path, anomaly_score (high = anomalous), threshold, "
        "is_anomaly, p_value and error. Rows are written batch by batch, as UTF-8.",
        epilog="Exit codes: 0 success, even if images were skipped (their rows say "
        "why); 1 the job failed, no image could be scored, or one could not with "
        "--on-error raise; 2 wrong use; 130 interrupted. In every case the "
        "rows up to there are written.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", help="a file written by `featad fit`")
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
        "--on-error",
        choices=("skip", "raise"),
        default="skip",
        help="what to do with images that cannot be read: say so in their row and go "
        "on, or stop (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size",
        type=options.positive_int,
        default=64,
        metavar="N",
        help="images scored at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--device", help="auto, cpu, cuda, cuda:1 or mps (default: auto)"
    )
    parser.add_argument(
        "--cache", metavar="DIR", help="keep features in this folder for the next run"
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="the pretrained weights, if they are not where they were at fit",
    )
    parser.add_argument(
        "--allow-other-versions",
        action="store_true",
        help="load the model even if another version of scikit-learn or featad wrote "
        "it; the format of the file must be the same",
    )


def run(args: Namespace) -> int:
    """Score and write."""
    if bool(args.images) == bool(args.retry):
        options.log(
            "featad score: error: the following arguments are required: images, or "
            "--retry FILE; not both"
        )
        return 2
    from featad.images import list_images
    from featad.persistence import load
    from featad.scoring import score_to_file

    system = load(
        args.model,
        weights=args.weights,
        allow_other_versions=args.allow_other_versions,
    )
    set_machine_options([system], device=args.device, cache=args.cache)
    if args.retry:
        return _retry(system, args)
    paths = []
    for given in map(Path, args.images):
        try:
            paths += list_images(given) if given.is_dir() else [given]
        except DatasetError as error:  # its row will say that it cannot be read
            options.log(f"warning: {error}")
            paths.append(given)
    with _counted(len(paths)) as count:
        summary = score_to_file(
            system,
            paths,
            args.output,
            batch_size=args.batch_size,
            on_error=args.on_error,
            stream=sys.stdout,
            progress=count,
        )
    options.log(
        f"scored {summary.scored} images, {summary.anomalous} of them anomalous"
        + (f"; wrote {args.output}" if args.output else "")
    )
    if summary.failed:
        options.log(
            f"could not score {summary.failed} images; first: {summary.first_error}"
        )
    return 0 if summary.scored else 1


@contextmanager
def _counted(n_images):
    """Show progress; say how far it came if it is interrupted."""
    n_done = 0
    with options.progress_bar(n_images, "scoring") as bar:

        def count(n_more):
            nonlocal n_done
            n_done += n_more
            bar.update(n_more)

        try:
            yield count
        except KeyboardInterrupt as stop:
            stop.args = (f"{n_done} of {n_images} images are scored",)
            raise


def _retry(system, args):
    """Score the rows with an error again."""
    from featad.rescoring import rescore_file

    with options.progress_bar(None, "scoring again") as bar:
        rows = rescore_file(
            system,
            args.retry,
            args.output,
            batch_size=args.batch_size,
            progress=bar.update,
        )
    failed = rows["error"].dropna()
    options.log(
        f"scored {len(rows) - len(failed)} of {len(rows)} images that had an error, "
        f"{int(rows['is_anomaly'].eq(True).sum())} of them anomalous"
    )
    if len(failed):
        options.log(f"could not score {len(failed)} images; first: {failed.iloc[0]}")
    return 1 if len(rows) and len(failed) == len(rows) else 0
