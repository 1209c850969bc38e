"""Model files as arguments: reading them, their calibration, images new to them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featad.cli import groups, options, values
from featad.cli.machine import set_machine_options
from featad.errors import DatasetError, ModelFileError

FITTED_ON, CALIBRATED_ON = ".split.csv", ".calibration.csv"
"""Endings of the lists, beside a model, of the images it was made from."""

if TYPE_CHECKING:  # importing these takes seconds, which `--help` need not
    from featad.calibration import CalibratedDetector
    from featad.datasets import ImageDataset


def add_model(parser: ArgumentParser) -> None:
    """Add the model file, and what holds for this machine alone."""
    add_file(parser)
    group = parser.add_argument_group("this machine")
    options.add_machine(group)
    add_loading(group)
    options.add_reading(parser, fits=False)


def add_file(parser: ArgumentParser) -> None:
    """Add the model file."""
    parser.add_argument(
        "model", help="a file written by `featad fit` or `featad bundle`"
    )


def add_loading(parser: Any) -> None:
    """Add the options for reading a model file."""
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
    parser.add_argument(
        "--trust",
        action="store_true",
        help="load a joblib file that you have not written on this machine: loading it "
        "can run any code, so say it only of files whose makers you trust. .featad and "
        ".skops files run none",
    )


def add_scoring(parser: Any) -> None:
    """Add how many images are scored at a time, and another rate for this run."""
    parser.add_argument(
        "--batch-size",
        type=values.positive_int,
        default=64,
        metavar="N",
        help="images scored at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--target-fpr",
        type=values.rate,
        metavar="SHARE",
        help="for this run, the accepted share of good images that are called "
        "anomalous: those with p_value <= SHARE (default: that of the model)",
    )


def load_to_score(args: Namespace) -> Any:
    """Return the system of `add_model`, on this machine and at the run's own rate."""
    system = load_model(args)
    set_machine_options(
        [system], device=args.device, engine=args.engine, cache=args.cache
    )
    if args.target_fpr is not None:
        calibrated(system, args.model).set_threshold(target_fpr=args.target_fpr)
    return system


def load_model(args: Namespace) -> Any:
    """Return the system of `add_model` or `add_loading`."""
    from featad.persistence import load

    system = load(
        args.model,
        weights=args.weights,
        allow_other_versions=args.allow_other_versions,
        trust=args.trust,
    )
    options.set_reading(system, args)
    return system


def calibrated(system: Any, path: str) -> CalibratedDetector:
    """Return the calibrated detector in which a model ends."""
    from featad.calibration import CalibratedDetector
    from featad.systems import last_step

    detector = last_step(system)
    if not isinstance(detector, CalibratedDetector):
        raise ModelFileError(
            f"{path!r} ends in a {type(detector).__name__}, which is not calibrated: "
            f"no scores of held-out images are known. `featad calibrate {path} DIR` "
            "calibrates it on good images."
        )
    return detector


def check_grouped(system: Any, path: str) -> None:
    """Refuse to judge parts by a model that was calibrated on single images."""
    if calibrated(system, path).largest_group_ == 1:
        raise ModelFileError(
            f"{path!r} was calibrated on single images, so its threshold does not hold "
            f"for parts of several. `featad calibrate {path} DIR --groups HOW -o NEW` "
            "calibrates it on good parts; so does --groups of `featad fit`."
        )


def good_images(args: Namespace, *, records: tuple[str, ...]) -> ImageDataset:
    """Return the good images of `options.add_data` that a model has not seen.

    Parameters
    ----------
    args : Namespace
        Of a command with a model, `options.add_data` and `groups.add_groups`.

    records : tuple of str
        The endings of the lists, beside the model, of images that it has seen.

    Returns
    -------
    dataset : ImageDataset
        With the groups that were asked for.

    Raises
    ------
    DatasetError
        If it has seen all of them.
    """
    import numpy as np

    dataset = options.load_data(args)
    dataset = dataset.select(np.flatnonzero(dataset.labels == 1))
    hashes = set().union(*(_recorded(f"{args.model}{end}") for end in records))
    if hashes:
        seen = dataset.to_frame()["sha256"].isin(hashes).to_numpy()
        if seen.all():
            raise DatasetError(
                f"The model was made from all {len(dataset)} good images of "
                f"{dataset.name}: what it says of them does not hold for others. Pass "
                "images that it has not seen."
            )
        if seen.any():
            options.log(
                f"left out {seen.sum()} images that the model was made from; first: "
                f"{dataset.images[int(seen.argmax())]}"
            )
            dataset = dataset.select(~seen)
    return groups.grouped(dataset, args.groups)


def _recorded(path):
    """Return the sha256 of the images in a record, if there is one."""
    import pandas as pd

    if not Path(path).is_file():
        return set()
    return set(pd.read_csv(path, dtype=str)["sha256"].dropna())
