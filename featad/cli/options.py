"""Options that several commands share."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import errno
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from featad.cli import values
from featad.errors import DatasetError, ImageReadError

if TYPE_CHECKING:  # importing these takes seconds, which `--help` need not
    from sklearn.pipeline import Pipeline

    from featad.datasets import ImageDataset


def add_data(parser: argparse.ArgumentParser, *, positional: bool = False) -> None:
    """Add ``--data``, or a positional DIR, and the names of its two folders."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "data" if positional else "--data",
        metavar="DIR",
        help=("" if positional else f"(--data may be left out: `{parser.prog} DIR`) ")
        + "a folder of normal images; a public layout such as that of MVTec AD "
        "(train/good, test/KIND); two folders, one of normal and one of anomalous "
        "images; or a CSV file with the columns path,label[,split][,group]",
    )
    group.add_argument("--normal", metavar="NAME", help="name of the normal folder")
    group.add_argument("--anomaly", metavar="NAME", help="name of the anomalous folder")
    for kind in ("normal", "anomaly"):
        group.add_argument(
            f"--{kind}-label",
            metavar="LABEL",
            help=f"the label in a CSV file that means {kind}; the others mean the "
            "opposite",
        )
    group.add_argument(
        "--allow-outside",
        action="store_true",
        help="take relative paths in a CSV file that lead out of its folder; absolute "
        "paths are taken in any case",
    )
    group.add_argument(
        "--on-error",
        choices=("skip", "raise"),
        default="skip",
        help="what to do with images that cannot be read: leave them out and name "
        "them, or stop (default: %(default)s)",
    )
    add_max_failed(group)


def add_max_failed(parser: Any) -> None:
    """Add ``--max-failed``."""
    parser.add_argument(
        "--max-failed",
        type=values.share,
        metavar="SHARE",
        help="fail, with exit code 1, if more than this share of the images cannot be "
        "read, such as 0.02 (default: only if none can)",
    )


def check_failed(n_failed: int, n_images: int, limit: float | None) -> None:
    """Raise DatasetError if more images failed than ``--max-failed`` allows."""
    if limit is not None and n_failed > limit * n_images:
        raise DatasetError(
            f"{n_failed} of {n_images} images cannot be read, a share of "
            f"{n_failed / n_images:.3g}; --max-failed allows {limit:g}."
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
        "such as IMAGENET1K_V1, 'generated' for vgg_mini's weights that owe nothing to "
        "photographs, or 'random' for an untrained network; may be given several times "
        "(default: default)",
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
    add_machine(group)
    group.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "float16", "int8", "auto"),
        help="numbers in which a frozen network runs; int8 takes --engine openvino, "
        "auto is the lowest that this processor is fast in and that keeps the "
        "features, and a model keeps it (default: float32)",
    )
    group.add_argument(
        "--seed",
        type=values.seed,
        default=0,
        help="seed of all randomness (default: 0)",
    )
    add_reading(parser)


def add_machine(group: Any) -> None:
    """Add what holds for this machine; `set_machine_options` takes it."""
    group.add_argument(
        "--device", help="auto, cpu, cuda, cuda:1 or mps (default: auto)"
    )
    group.add_argument(
        "--engine",
        choices=("torch", "openvino", "auto"),
        help="what runs a frozen network; openvino is faster on processors, and a "
        "model keeps it (default: torch, or that of the model)",
    )
    group.add_argument(
        "--cache", metavar="DIR", help="keep features in this folder for the next run"
    )


def add_reading(parser: argparse.ArgumentParser, *, fits: bool = True) -> None:
    """Add the options that say how images are read; some only where a model is fitted.

    Parameters
    ----------
    parser : argparse.ArgumentParser

    fits : bool, default=True
        False for a command that takes a fitted model, which knows its own range.
    """
    group = parser.add_argument_group("images")
    if fits:
        group.add_argument(
            "--max-value",
            type=values.positive_number,
            metavar="VALUE",
            help="the pixel value that is white, such as 4095 for 12 bits in 16-bit "
            "files (default: the largest value of the files' type)",
        )
        group.add_argument(
            "--decode",
            choices=("exact", "draft"),
            help="draft lets the decoder shrink large JPEG files, in half the time or "
            "less; pixels differ a little, and a model keeps the choice (default: "
            "exact)",
        )
    group.add_argument(
        "--max-pixels",
        type=values.positive_int,
        metavar="N",
        help="largest image that is read, in pixels (default: Pillow's limit, about 89 "
        "million)",
    )
    group.add_argument(
        "--truncated",
        choices=("raise", "accept"),
        help="what to do with JPEG files that lack their last bytes: refuse them, or "
        "read them as far as they go (default: raise)",
    )


def set_reading(system: Any, args: argparse.Namespace) -> None:
    """Set the options of `add_reading` that were given wherever images are read."""
    from featad.systems import set_everywhere

    for name, value in reading(args).items():
        set_everywhere(system, name, value)


def reading(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `add_reading` that were given, by parameter."""
    names = ("max_value", "max_pixels", "truncated", "decode")
    given = {name: getattr(args, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def system_name(text: str) -> str:
    """Return a system's name, for argparse."""
    from featad.registry import build

    try:
        build(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


_OF_NETWORKS = ("features", "detector")
"""Steps of named systems that may have pretrained weights."""


def build_system(name: str, args: argparse.Namespace) -> Pipeline:
    """Return the named system with its weights, parameters and seed.

    What `add_machine` adds is for ``machine.set_machine_options``.
    """
    from featad.registry import build

    takes = build(name).get_params()
    weights = {}  # not every step has them: pixels need none
    for key, arch in takes.items():  # the steps of members are called alike
        step = next((s for s in _OF_NETWORKS if key.endswith(f"{s}__arch")), None)
        if step is not None:
            weights[f"{step}__weights"] = _weights_of(arch, args.weights)
    system = build(name, random_state=args.seed, **(weights | dict(args.set)))
    set_reading(system, args)
    return system


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

    folders = (args.normal, args.anomaly)
    labels = (args.normal_label, args.anomaly_label)
    is_file = os.path.isfile(args.data)
    if not is_file and any(labels):
        raise ValueError(
            "--normal-label and --anomaly-label are for CSV files. In a folder, name "
            "the two folders: --normal NAME --anomaly NAME."
        )
    if is_file and any(folders):
        raise ValueError(
            "--normal and --anomaly name folders. In a CSV file, name a label: "
            "--normal-label LABEL or --anomaly-label LABEL."
        )
    if any(folders) and not all(folders):
        raise ValueError("Name both folders: --normal NAME --anomaly NAME.")
    normal, anomaly = labels if is_file else folders
    dataset = load_folder(
        args.data,
        normal=normal,
        anomaly=anomaly,
        allow_outside=args.allow_outside,
    )
    if n_validation := int((dataset.parts == "validation").sum()):
        log(f"{n_validation} images of the validation part are not used")
    return dataset


def readable(
    dataset: ImageDataset, how: dict[str, Any] | None = None
) -> tuple[ImageDataset, list[ImageReadError]]:
    """Return the data set without unreadable images, and their errors.

    It reads every image once, as `reading` says, and is called only after a job failed
    on an image.
    """
    import numpy as np

    from featad.images import Rule, map_images, read_image

    kept = np.ones(len(dataset), dtype=bool)
    errors = []
    for index, result in map_images(
        lambda source: read_image(source, size=8, **(how or {})), dataset.images
    ):
        if isinstance(result, ImageReadError):
            kept[index] = False
            errors.append(result)
    if not kept.any():
        raise DatasetError(
            f"None of the {len(dataset)} images can be read: {errors[0]}"
        )
    rule = Rule("image that cannot be read", "images that cannot be read")
    left_out = dataset.left_out | {rule: [Path(str(e.source)) for e in errors]}
    return dataclasses.replace(dataset.select(kept), left_out=left_out), errors


def without_unreadable(
    dataset: ImageDataset, args: argparse.Namespace, job: Callable[[ImageDataset], Any]
) -> tuple[Any, ImageDataset]:
    """Return ``(job(dataset), dataset)``; retry without unreadable images."""
    try:
        return job(dataset), dataset
    except ImageReadError:
        if args.on_error == "raise":
            raise
        n_images = len(dataset)
        dataset, errors = readable(dataset, reading(args))
        check_failed(len(errors), n_images, args.max_failed)
        log(f"left out {len(errors)} images that cannot be read; first: {errors[0]}")
        return job(dataset), dataset


def check_writable(path: str | os.PathLike, *, own: str | None = None) -> None:
    """Raise OSError before the work, not after it, if a file cannot be written.

    A folder that is missing is made, and an older file will be replaced; both are said,
    but for the file ``own``, which the command is there to change.
    """
    folder = Path(path).resolve().parent
    if not folder.exists():
        folder.mkdir(parents=True)
        log(f"made the folder {folder}")
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
    if Path(path).exists() and path != own:
        log(f"{path} exists and will be replaced")


def log(text: str) -> None:
    """Print a line about the job to stderr."""
    tqdm.write(text, file=sys.stderr)  # above a progress bar, if there is one


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
