"""``featad bundle``: a model as one file that others can open and verify."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from featad.cli import models, options, values
from featad.cli.thresholds import leave_warnings_to_us


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "bundle",
        help="write a model as one file that runs no code and verifies itself",
        description="Write a fitted model, its manifest, the weights of its network "
        "and a few example images with their scores to one file. All commands that "
        "take a model take it, offline and on other machines. Opening it runs no code "
        "from the file, and scores the examples: if they do not have the scores that "
        "they had here, it is refused. Needs skops: pip install 'featad[safe]'.",
    )
    parser.set_defaults(run=run)
    models.add_file(parser)
    parser.add_argument(
        "images",
        nargs="+",
        help="image files, and folders of them, that the examples are taken from; "
        "whoever gets the bundle can look at them",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="a .featad file"
    )
    parser.add_argument(
        "--examples",
        type=values.positive_int,
        default=8,
        metavar="N",
        help="number of examples, spread evenly over the images, at most 64 (default: "
        "%(default)s)",
    )
    models.add_loading(parser)
    options.add_reading(parser, fits=False)


def run(args: Namespace) -> int:
    """Load, score and write."""
    import numpy as np

    from featad.bundles import MAX_EXAMPLES, SUFFIX, save_bundle
    from featad.errors import DatasetError
    from featad.images import list_images

    if Path(args.output).suffix != SUFFIX or args.examples > MAX_EXAMPLES:
        options.log(
            f"featad bundle: error: --output should end in {SUFFIX}, and --examples be "
            f"at most {MAX_EXAMPLES}"
        )
        return 2
    leave_warnings_to_us()
    options.check_writable(args.output)
    system = models.load_model(args)
    paths: list[Path] = []
    for given in map(Path, args.images):
        paths += list_images(given) if given.is_dir() else [given]
    if not paths:
        raise DatasetError(f"There are no images in {', '.join(args.images)}.")
    n = min(args.examples, len(paths))
    examples = [paths[i] for i in np.linspace(0, len(paths) - 1, n).round().astype(int)]
    manifest = save_bundle(system, args.output, examples, like=args.model)
    weights = sum(name.startswith("weights/") for name in manifest["files"])
    print(
        f"Wrote {args.output}: the model, {n} example images and "
        f"{weights} files of weights."
    )
    return 0
