"""Options and work of ``featad score --maps``: where images are odd."""

from __future__ import annotations

import errno
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featad._words import percent
from featad.cli import models, options, progress, values
from featad.cli.progress import LONG, duration
from featad.errors import DatasetError, ImageReadError

if TYPE_CHECKING:  # importing these takes seconds, which `--help` need not
    from featad.map_files import MapFolder
    from featad.maps import MapScale

_AT_MOST = 100  # good images that fix a scale
_HELD_OUT = 0.3  # of the images a model was fitted on


def add_maps(parser: Any) -> None:
    """Add the options that say where maps go, and how they are made."""
    group = parser.add_argument_group("maps")
    group.add_argument(
        "--maps",
        metavar="DIR",
        help="also write where each image is odd: an overlay (.png) and the values of "
        "its map (.npy), in the size of the image. A second run into the same folder "
        "makes only the maps that are missing",
    )
    group.add_argument(
        "--regions",
        metavar="FILE",
        help="also write the regions above the maps' threshold, one row each: path, "
        "region, top, left, height, width, area, peak and mean (1 = the threshold), "
        "row and column of the center; a .csv, .parquet or .jsonl file. Needs --maps",
    )
    group.add_argument(
        "--map-method",
        choices=("auto", "own", "contribution", "occlusion"),
        default="auto",
        help="the detector's own maps, contributions of the positions of a network's "
        "layers (one pass of the network), or occlusion (about 100 passes) (default: "
        "the first of them that the model has)",
    )
    group.add_argument(
        "--map-scale",
        metavar="GOOD",
        help="a folder of good images that the model has not seen: their maps fix what "
        "is normal, and the threshold. Or the scale.json of an earlier folder of maps "
        "(default: good images that the model was made from)",
    )
    group.add_argument(
        "--map-threshold",
        type=values.positive_number,
        default=1.0,
        metavar="RATIO",
        help="what is above this belongs to a region (default: 1, the highest pixel of "
        "all but 5 %% of good images, which is stricter than the threshold of scores)",
    )
    group.add_argument(
        "--min-area",
        type=values.share,
        default=0.0005,
        metavar="SHARE",
        help="leave out regions that are smaller than this share of the image "
        "(default: %(default)s)",
    )


def check(args: Namespace) -> str | None:
    """Return what is wrong with the options; raise an error if files cannot be made."""
    if not args.maps:
        given = args.regions or args.map_scale or args.map_method != "auto"
        return "--regions, --map-method and --map-scale need --maps" if given else None
    if args.retry or args.groups:
        return "--maps: not allowed with --retry or --groups"
    from featad.plots import check_picture
    from featad.score_files import check_format

    check_picture("map.png")
    if args.regions:
        check_format(args.regions)
        options.check_writable(args.regions)
    if Path(args.maps).exists() and not Path(args.maps).is_dir():
        raise NotADirectoryError(
            errno.ENOTDIR, "--maps takes a folder, but this is a file", args.maps
        )
    return None


def write_maps(
    system: Any,
    paths: Sequence[Path],
    args: Namespace,
    seconds: float,
    n_anomalous: int,
) -> None:
    """Write maps and regions, and say what they will cost before they do.

    Parameters
    ----------
    system : estimator
        The model.

    paths : sequence of Path
        The images.

    args : Namespace
        With the options of `add_maps`.

    seconds : float
        What scoring took for an image.

    n_anomalous : int
        How many of the images were called anomalous by their scores.
    """
    from featad.map_files import MapFolder
    from featad.maps.systems import map_method

    method = map_method(system, args.map_method)
    scale = _scale(system, method, args, seconds)
    folder = MapFolder(
        args.maps, scale, threshold=args.map_threshold, min_area=args.min_area
    )
    known = {path for path in paths if folder.known(path) is not None}
    _announce("maps of", len(set(paths) - known), method, seconds)
    failed: list[str] = []
    n_regions = n_odd = 0
    with _rows_of(args.regions) as write, progress.shown("mapping", len(paths)) as bar:
        for path in paths:
            try:
                table = _regions_of(system, method, folder, path)
            except (ImageReadError, ValueError) as error:  # its row says so too
                failed.append(str(error))
            else:
                write(table)
                n_regions += len(table)
                n_odd += bool(len(table))
            bar.advance(1)
    earlier = f", {len(known)} of them in an earlier run" if known else ""
    options.log(
        f"wrote {len(paths) - len(failed)} maps ({method}) to {args.maps}{earlier}; "
        f"{n_odd} images have {n_regions} regions above the threshold"
        + (f"; wrote {args.regions}" if args.regions else "")
    )
    if n_anomalous > n_odd:
        options.log(_why_fewer(n_anomalous, n_odd, method))
    if failed:
        options.log(f"could not map {len(failed)} images; first: {failed[0]}")


def _why_fewer(n_anomalous: int, n_odd: int, method: str) -> str:
    """Say why images are called anomalous, but have no region."""
    told = (
        f"{n_anomalous} images are called anomalous by their scores, {n_odd} have "
        "regions: maps have a threshold of their own, which hardly any pixel of a good "
        "image exceeds. Lower it by --map-threshold, such as 0.5"
    )
    if method == "own":
        return f"{told}."
    return (
        f"{told}, or fit a system that locates better, such as mini-patches-gaussian."
    )


def _regions_of(system: Any, method: str, folder: MapFolder, path: Path) -> Any:
    """Return the regions of an image; write its map if there is none yet."""
    from featad.images import Notes
    from featad.maps.systems import iter_maps, read_as_seen

    found = folder.known(path)
    if found is not None:
        return folder.regions(path, found)
    with Notes().taken():  # scoring has told them
        [found] = iter_maps(system, [path], method=method)
        return folder.write(path, read_as_seen(system, path), found)


def _scale(system: Any, method: str, args: Namespace, seconds: float) -> MapScale:
    """Return the scale of the maps: an earlier one, or from good images."""
    from featad.map_files import SCALE_FILE
    from featad.maps import MapScale, fit_map_scale

    model = _digest(args.model)
    given, earlier = args.map_scale, Path(args.maps, SCALE_FILE)
    if given is None and earlier.is_file():
        scale = MapScale.load(earlier)
        if (scale.model, scale.method) == (model, method):
            return scale
    if given is not None and not Path(given).is_dir():
        scale = MapScale.load(given)
        if (scale.model, scale.method) != (model, method):
            raise ValueError(
                f"--map-scale {given} is the scale of another model, or of maps by "
                f"{scale.method}. Pass a folder of good images for maps by {method}."
            )
        return scale
    images, cv = _good_images(system, args)
    n_maps = len(images) if cv is None else round(cv * len(images))
    _announce("the scale of the maps, from", n_maps, method, seconds)
    with progress.shown("scaling", n_maps) as bar:
        scale = fit_map_scale(system, images, method=method, cv=cv, random_state=0,
                              progress=bar.advance)  # fmt: skip
    options.log(
        f"maps are scaled by {scale.n_images} good images: at most "
        f"{percent(scale.target_fpr)} of those have a pixel above the threshold"
    )
    return replace(scale, model=model)


def _good_images(system: Any, args: Namespace) -> tuple[list, float | None]:
    """Return good images, and the share of them to hold out if the model knows them."""
    from featad.datasets import load_folder
    from featad.images import list_images
    from featad.systems import last_step, trains_networks

    rng = np.random.default_rng(0)
    if args.map_scale is not None:
        return _some(list_images(Path(args.map_scale)), rng, _AT_MOST), None
    for ending, cv in ((models.CALIBRATED_ON, None), (models.FITTED_ON, _HELD_OUT)):
        record = f"{args.model}{ending}"
        if not Path(record).is_file():
            continue
        try:
            images = list(load_folder(record).images)
        except (DatasetError, OSError) as error:
            raise DatasetError(
                f"The good images of {record}, which fix the scale of the maps, are "
                f"not there as they were ({error}). Pass --map-scale GOOD, a folder of "
                "good images."
            ) from error
        if cv is not None and trains_networks(system):
            images = [images[i] for i in last_step(system).calibration_indices_]
            cv = None
        return _some(images, rng, _AT_MOST if cv is None else len(images)), cv
    raise DatasetError(
        f"No list of good images is beside {args.model}, so nothing fixes the scale of "
        "its maps. Pass --map-scale GOOD, a folder of good images that the model has "
        "not seen."
    )


def _some(images: list, rng: Any, n_images: int) -> list:
    chosen = np.sort(rng.permutation(len(images))[:n_images])
    return [images[i] for i in chosen]


def _announce(what: str, n_images: int, method: str, seconds: float) -> None:
    """Say what maps will take, if that is more than a minute."""
    from featad.maps.occlusion import occlusion_passes

    passes = occlusion_passes() if method == "occlusion" else 1
    if n_images * passes * seconds > LONG:
        options.log(
            f"{what} {n_images} images: {passes} passes of the system for each, "
            f"{duration(n_images * passes * seconds)}"
        )


def _digest(path: str) -> str:
    from featad.images import content_hash

    return content_hash(path)


@contextmanager
def _rows_of(path: str | None) -> Iterator[Any]:
    """Yield what writes tables of regions, or does nothing with them."""
    from featad.score_files import open_rows, reserved

    if path is None:
        yield lambda table: None
        return
    with reserved(path), open_rows(path) as write:
        yield write
