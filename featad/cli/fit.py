"""``featad fit``: from a folder of normal images to a calibrated model file."""

import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from featad.cli import costs, groups, options, progress, values
from featad.cli.machine import set_network_options
from featad.cli.models import CALIBRATED_ON, FITTED_ON
from featad.cli.thresholds import leave_warnings_to_us, name_nearest, say_threshold
from featad.errors import DatasetError


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "fit",
        help="fit a system on normal images and write a calibrated model",
        description="Fit a system on the normal training images of a data set, set its "
        "threshold from scores of held-out images, and write the model, a readable "
        "manifest (MODEL.json) and the list of training images (MODEL.split.csv).",
    )
    parser.set_defaults(run=run)
    options.add_data(parser)
    options.add_system(parser)
    parser.add_argument(
        "--system",
        type=options.system_name,
        metavar="NAME",
        help="a name from `featad list` (default: the recommended system)",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="MODEL",
        help="a .joblib or .skops file",
    )
    parser.add_argument(
        "--target-fpr",
        type=values.rate,
        default=0.01,
        metavar="SHARE",
        help="accepted share of normal images that are called anomalous (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--cv",
        type=values.folds_or_share,
        metavar="FOLDS|SHARE",
        help="how images are held out to set the threshold: in a number of folds, or "
        "once, as a share such as 0.3 (default: 5 folds; a share of 0.3 for systems "
        "that train networks)",
    )
    parser.add_argument(
        "--tile",
        type=values.positive_int,
        metavar="SIZE",
        help="look at large images in overlapping tiles of SIZE x SIZE pixels, each "
        "seen as a whole image would be, so that small defects are not lost",
    )
    parser.add_argument(
        "--jobs",
        type=values.positive_int,
        metavar="N",
        help="number of processes that fit the folds (default: 1)",
    )
    groups.add_groups(parser)


def run(args: Namespace) -> int:
    """Fit and write."""
    from featad.calibration import calibrate
    from featad.cli.scale import scale_note
    from featad.datasets import save_split
    from featad.persistence import check_format, manifest_path, save
    from featad.registry import RECOMMENDED
    from featad.systems import last_step

    leave_warnings_to_us()
    name = args.system or RECOMMENDED
    options.check_weights_names(args, [name])
    dataset = groups.grouped(_training_images(options.load_data(args)), args.groups)
    system = options.build_system(name, args)
    set_network_options([system], args)
    if note := scale_note(system, dataset.images, args.tile):
        options.log(note)
    if args.tile:
        system = _tiled(system, args)
    elif text := costs.announcement(name, system, len(dataset), _n_fits(args, dataset)):
        options.log(text)
    system = calibrate(
        system,
        target_fpr=args.target_fpr,
        cv=None if args.tile else args.cv,
        random_state=args.seed,
        n_jobs=args.jobs,
    )
    options.check_writable(args.output)
    check_format(args.output)
    start = time.perf_counter()
    (system, dataset), _ = options.without_unreadable(
        dataset, args, lambda readable: fit_calibrated(system, readable)
    )
    seconds = time.perf_counter() - start
    save(system, args.output, X=dataset.images)
    split = f"{args.output}{FITTED_ON}"
    save_split(dataset, split)
    Path(f"{args.output}{CALIBRATED_ON}").unlink(missing_ok=True)  # of an older model
    print(f"Fitted {name} on {len(dataset)} normal images in {seconds:.1f} s.")
    detector = last_step(system)
    print(*say_threshold(detector), name_nearest(detector, dataset), sep="\n")
    print(f"Wrote {args.output}, {manifest_path(args.output)} and {split}.")
    return 0


def _tiled(system, args):
    """Return a detector that gives the system tiles, and holds images out itself."""
    from featad.tiling import TiledDetector

    tiled = TiledDetector(
        system,
        tile_size=args.tile,
        cv=args.cv,
        n_jobs=args.jobs,
        random_state=args.seed,
    )
    options.set_reading(tiled, args)
    return tiled


def _n_fits(args, dataset):
    """Return the number of fits where it is known; None: the usual one."""
    if isinstance(args.cv, float):
        return 1
    folds = 5 if args.cv is None and dataset.groups is not None else args.cv
    return None if folds is None else folds + 1


def fit_calibrated(system: Any, dataset: Any) -> tuple[Any, Any]:
    """Fit a calibrated system on a data set and its groups.

    Parameters
    ----------
    system : Pipeline
        From `featad.calibrate`.

    dataset : ImageDataset
        Good images.

    Returns
    -------
    system : Pipeline
        The same object.

    dataset : ImageDataset
        Without images that are copies of others: held out beside its copy, an image
        makes the threshold too tight.
    """
    from featad.datasets import first_copies

    copies = first_copies(dataset.images) != np.arange(len(dataset))
    kept = dataset.select(~copies)
    groups = {} if kept.groups is None else {"detector__groups": kept.groups}
    with progress.shown("fitting"):
        system.fit(kept.images, **groups)
    if copies.any():
        options.log(
            f"left out {copies.sum()} images that are copies of others, byte by byte; "
            f"first: {dataset.images[int(copies.argmax())]}"
        )
    return system, kept


def _training_images(dataset):
    train = dataset.part("train") if dataset.has_split else dataset
    normal = train.select(np.flatnonzero(train.labels == 1))
    if len(normal) < 4:
        raise DatasetError(
            f"{dataset.name} has {len(normal)} normal images to train on, but fitting "
            "with a calibrated threshold takes 4 or more (99 for --target-fpr 0.01)."
        )
    return normal
