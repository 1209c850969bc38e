"""The HTML reports that commands write."""

import shlex
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featad.cli import options

_SCALED_BY = 100  # normal images, of which a share is held out


def add_report(parser: Any, *, what: str) -> None:
    """Add ``--report``, which shows ``what``."""
    parser.add_argument(
        "--report",
        type=_html_file,
        metavar="FILE",
        help=f"also write a page to this .html file: {what}; it opens in any browser "
        "and needs nothing else",
    )


def write_comparison(
    args: Namespace, table: pd.DataFrame, scores: pd.DataFrame, dataset: Any
) -> None:
    """Write the report of a comparison.

    Where the data set has a test part, the best system is fitted once more, calibrated
    on the training images alone: the page then shows its threshold and p-values.
    """
    from featad.report import summarize, write_report

    best = str(table.index[0])
    system, p_values, overlays = None, None, None
    if dataset.has_split and args.cv is None:
        options.log(f"fitting {best}, calibrated, for the report")
        system, p_values = _calibrated(best, scores, dataset, args)
    if system is not None:
        overlays = overlays_by(system, dataset.part("train"))
    summary = summarize(
        scores,
        dataset,
        table=table,
        system=system,
        p_values=p_values,
        overlays=overlays,
        command=_command(args),
    )
    options.log(f"wrote {write_report(summary, args.report)}")


def overlays_by(system: Any, train: Any) -> Any:
    """Return what draws the maps of a system, if these cost about what scores do.

    Their scale is fixed by a share of the normal training images.
    """
    from featad.errors import MissingExtraError
    from featad.maps import fit_map_scale
    from featad.maps.systems import map_method
    from featad.plots import check_picture
    from featad.report.pictures import overlays_of
    from featad.systems import trains_networks

    method = map_method(system)
    if method == "occlusion" or trains_networks(system):
        return None
    try:
        check_picture("map.png")
    except MissingExtraError as error:
        options.log(f"no maps in the report: {error}")
        return None
    normal = train.select(train.labels == 1).images[:_SCALED_BY]
    scale = fit_map_scale(system, normal, method=method, cv=0.3, random_state=0)
    return overlays_of(system, scale)


def write_batch(args: Namespace, system: Any, paths: Sequence[Path]) -> None:
    """Write the report of a scored batch, whose rows are in ``args.output``."""
    from featad.map_files import SCALE_FILE
    from featad.maps import MapScale
    from featad.report import summarize_batch, write_report
    from featad.report.pictures import overlays_of
    from featad.score_files import read_rows

    rows = read_rows(args.output)
    if rows["error"].notna().all():
        options.log(f"no image was scored, so {args.report} was not written")
        return
    sources = None if "group" in rows else paths
    overlays = None
    if args.maps:
        overlays = overlays_of(system, MapScale.load(Path(args.maps, SCALE_FILE)))
    summary = summarize_batch(
        rows,
        sources,
        system=system,
        overlays=overlays,
        title=f"Scores of {Path(args.model).name}",
        command=_command(args),
    )
    options.log(f"wrote {write_report(summary, args.report)}")


def _calibrated(name, scores, dataset, args):
    """Return the system, fitted on the training images, and p-values of the others.

    Nothing is returned where its scores are others than those that were compared, as
    of networks that are calibrated on a share of the images and trained on the rest.
    """
    from featad.base import as_anomaly_score
    from featad.calibration import calibrate
    from featad.cli.machine import set_machine_options
    from featad.systems import last_step

    normal = (dataset.parts == "train") & (dataset.labels == 1)
    train = dataset.select(np.flatnonzero(normal))
    system = calibrate(
        options.build_system(name, args), target_fpr=0.05, random_state=args.seed
    )
    set_machine_options([system], device=args.device, cache=args.cache)
    groups = {} if train.groups is None else {"detector__groups": train.groups}
    system.fit(train.images, **groups)
    own = scores[scores["system"] == name]
    found = system.score_samples(dataset.select(own["sample"].to_numpy()).images)
    if not np.allclose(as_anomaly_score(found), own["anomaly_score"], rtol=1e-3):
        options.log(f"{name}, calibrated, scores otherwise: no threshold is shown")
        return None, None
    p = last_step(system).p_values_from_scores(found)
    return system, dict(zip(own["sample"], p, strict=True))


def _command(args):
    return shlex.join(["featad", *args.argv])


def _html_file(text):
    if not text.lower().endswith((".html", ".htm")):
        raise ArgumentTypeError(f"takes an .html file, but is {text!r}")
    return text
