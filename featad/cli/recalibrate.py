"""``featad recalibrate``: another false alarm rate, without fitting again."""

import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

from featad.cli import models, options, values
from featad.cli.thresholds import leave_warnings_to_us, say_threshold


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "recalibrate",
        help="give a model another false alarm rate, without fitting again",
        description="Move the threshold of a model to another false alarm rate. It "
        "knows the scores of the held-out images that calibrated it, so no image is "
        "needed. The model, its manifest and its list of images are written anew.",
    )
    parser.set_defaults(run=run)
    models.add_file(parser)
    parser.add_argument(
        "--target-fpr",
        type=values.rate,
        required=True,
        metavar="SHARE",
        help="accepted share of good images that are called anomalous",
    )
    add_output(parser)
    models.add_loading(parser)


def add_output(parser: Any) -> None:
    """Add ``-o`` of commands that change a model."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="NEW",
        help="a .joblib or .skops file (default: the model itself is replaced)",
    )


def run(args: Namespace) -> int:
    """Set and write."""
    from featad.persistence import check_format

    leave_warnings_to_us()
    output = args.output or args.model
    options.check_writable(output, own=args.model)
    check_format(output)
    system = models.load_model(args)
    detector = models.calibrated(system, args.model)
    detector.set_threshold(target_fpr=args.target_fpr)
    print(*say_threshold(detector), sep="\n")
    write(system, args.model, output)
    return 0


def write(system: Any, model: str, output: str) -> None:
    """Write a changed model with the records of the images it was made from."""
    from featad.persistence import manifest_path, save

    save(system, output, like=model)
    written = [output, str(manifest_path(output))]
    for ending in (models.FITTED_ON, models.CALIBRATED_ON):
        old, new = Path(f"{model}{ending}"), Path(f"{output}{ending}")
        if old.is_file() and old.resolve() != new.resolve():
            shutil.copyfile(old, new)
            written.append(str(new))
    print(f"Wrote {', '.join(written[:-1])} and {written[-1]}.")
