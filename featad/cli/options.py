"""Options that several commands share."""

from __future__ import annotations

import argparse
import ast
import errno
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from featad.errors import DatasetError, ImageReadError

if TYPE_CHECKING:  # importing these takes seconds, which `--help` need not
    from sklearn.pipeline import Pipeline

    from featad.datasets import ImageDataset


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add ``--data`` and the names of its two folders."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        required=True,
        metavar="DIR",
        help="a folder of normal images; the MVTec layout (train/good, test/KIND); two "
        "folders, one of normal and one of anomalous images; or a CSV file with the "
        "columns path,label[,split]",
    )
    group.add_argument("--normal", metavar="NAME", help="name of the normal folder")
    group.add_argument("--anomaly", metavar="NAME", help="name of the anomalous folder")
    group.add_argument(
        "--on-error",
        choices=("skip", "raise"),
        default="skip",
        help="what to do with images that cannot be read: leave them out and name "
        "them, or stop (default: %(default)s)",
    )


def add_system(parser: argparse.ArgumentParser) -> None:
    """Add the options that change a named system."""
    group = parser.add_argument_group("system")
    group.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="[ARCH=]FILE",
        help="pretrained weights: a file (for one architecture or all), 'default' for "
        "the published ones, downloaded once, torchvision's name of a published set, "
        "such as IMAGENET1K_V1, or 'random' for an untrained network; may be given "
        "several times (default: default)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        type=_assignment,
        metavar="STEP__PARAM=VALUE",
        help="a parameter of the system, such as detector__nu=0.1 or image_size=448; "
        "may be given several times",
    )
    group.add_argument(
        "--device", help="auto, cpu, cuda, cuda:1 or mps (default: auto)"
    )
    group.add_argument(
        "--cache", metavar="DIR", help="keep features in this folder for the next run"
    )
    group.add_argument(
        "--seed", type=seed, default=0, help="seed of all randomness (default: 0)"
    )


def system_name(text: str) -> str:
    """Return a system's name, for argparse."""
    from featad.registry import build

    try:
        build(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def build_system(name: str, args: argparse.Namespace) -> Pipeline:
    """Return the named system with its weights, parameters and seed.

    What holds for this machine alone, ``--device`` and ``--cache``, is for
    ``machine.set_machine_options``.
    """
    from featad.registry import build

    takes = build(name).get_params()
    weights = {  # not every step has them: pixels need none
        f"{step}__weights": _weights_of(takes.get(f"{step}__arch"), args.weights)
        for step in ("features", "detector")
        if f"{step}__weights" in takes
    }
    return build(name, random_state=args.seed, **(weights | dict(args.set)))


def check_weights_names(args: argparse.Namespace, names: list[str]) -> None:
    """Refuse ``--weights ARCH=FILE`` for an architecture that no system has."""
    from featad.registry import build

    systems = [build(name).get_params() for name in names]
    archs = {s[k] for s in systems for k in s if k.endswith("__arch")}
    for choice in args.weights:
        arch = _arch_of(choice)
        if arch and arch not in archs:
            raise ValueError(
                f"--weights {choice} names the architecture {arch!r}, but the systems "
                f"use {', '.join(sorted(archs)) or 'none'}."
            )


def load_data(args: argparse.Namespace) -> ImageDataset:
    """Return the data set of `add_data`."""
    from featad.datasets import load_folder

    return load_folder(args.data, normal=args.normal, anomaly=args.anomaly)


def readable(dataset: ImageDataset) -> tuple[ImageDataset, list[ImageReadError]]:
    """Return the data set without unreadable images, and their errors.

    It reads every image once, and is called only after a job failed on an image.
    """
    import numpy as np

    from featad.images import map_images, read_image

    kept = np.ones(len(dataset), dtype=bool)
    errors = []
    for index, result in map_images(_read_small(read_image), dataset.images):
        if isinstance(result, ImageReadError):
            kept[index] = False
            errors.append(result)
    if not kept.any():
        raise DatasetError(
            f"None of the {len(dataset)} images can be read: {errors[0]}"
        )
    return dataset.select(kept), errors


def without_unreadable(
    dataset: ImageDataset, on_error: str, job: Callable[[ImageDataset], Any]
) -> tuple[Any, ImageDataset]:
    """Return ``(job(dataset), dataset)``; retry without unreadable images."""
    try:
        return job(dataset), dataset
    except ImageReadError:
        if on_error == "raise":
            raise
        dataset, errors = readable(dataset)
        log(f"left out {len(errors)} images that cannot be read; first: {errors[0]}")
        return job(dataset), dataset


def check_writable(path: str | os.PathLike) -> None:
    """Raise OSError before the work, not after it, if a file cannot be written."""
    folder = Path(path).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    if Path(path).is_dir():
        raise IsADirectoryError(errno.EISDIR, "The output is a folder", str(path))
    with suppress(FileNotFoundError):
        is_table = Path(path).suffix in (".csv", ".parquet", ".jsonl")
        os.lstat(path if is_table else f"{path}.split.csv")  # what is beside a model
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error


def positive_int(text: str) -> int:
    """Return a whole number of at least 1, for argparse."""
    return _number(int, text, lambda value: value >= 1, "a whole number of at least 1")


def fold_count(text: str) -> int:
    """Return a number of folds, for argparse."""
    return _number(int, text, lambda value: value >= 2, "a whole number of at least 2")


def seed(text: str) -> int:
    """Return a seed, for argparse."""
    limit = 2**32
    return _number(int, text, lambda v: 0 <= v < limit, "a number from 0 to 2^32 - 1")


def rate(text: str) -> float:
    """Return a share between 0 and 1, for argparse."""
    return _number(float, text, lambda v: 0 < v < 1, "a number between 0 and 1")


def _number(kind, text, fits, expected):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


def progress_bar(total: int | None, what: str, unit: str = "image") -> tqdm:
    """Return a progress bar on stderr, silent if stderr is not a terminal."""
    return tqdm(total=total, desc=what, unit=unit, file=sys.stderr, disable=None)


def log(text: str) -> None:
    """Print a line about the job to stderr."""
    print(text, file=sys.stderr)


def _read_small(read):
    return lambda source: read(source, size=8)


def _assignment(text):
    key, equals, value = text.partition("=")
    if key.rpartition("__")[2] in ("random_state", "on_error", "verbose"):
        raise argparse.ArgumentTypeError(
            f"{key} cannot be set here; see --seed and --on-error"
        )
    if not (key and equals):
        raise argparse.ArgumentTypeError(
            f"expected STEP__PARAM=VALUE, such as detector__nu=0.1, got {text!r}"
        )
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _weights_of(arch, choices):
    """Return the ``weights`` parameter of an architecture; the last choice wins."""
    from featad.features.presets import is_set_name

    chosen = "default"
    for choice in choices:
        name = _arch_of(choice)
        if name in (None, arch):
            chosen = choice if name is None else choice.partition("=")[2]
    if chosen == "random":
        return None
    if is_set_name(chosen):
        return chosen
    return str(Path(chosen).expanduser().absolute())


def _arch_of(choice):
    """Return the ARCH of ``ARCH=FILE``, or None."""
    name, equals, _ = choice.partition("=")
    return (
        name if equals and name.isidentifier() and not Path(choice).exists() else None
    )
