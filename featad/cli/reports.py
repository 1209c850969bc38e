"""The HTML reports that commands write."""

from __future__ import annotations

import shlex
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featad.cli import models, options, progress

if TYPE_CHECKING:  # importing it takes seconds, which `--help` need not
    import pandas as pd

_SCALED_BY = 100  # normal images, of which a share is held out
_COMPARED = 16  # scores that tell whether two fits agree


def add_report(parser: Any, *, what: str) -> None:
    """Add ``--report``, which shows ``what``."""
    parser.add_argument(
        "--report",
        type=html_file,
        metavar="FILE",
        help=f"also write a page to this .html file: {what}; it opens in any browser "
        "and needs nothing else",
    )


class LiveComparison:
    """Write the report of a comparison as it goes: the page is whole at any time.

    Parameters
    ----------
    args : Namespace
        Of ``featad compare``.

    dataset : ImageDataset

    systems : dict of str to estimator
        Unfitted, by name.
    """

    def __init__(
        self, args: Namespace, dataset: Any, systems: Mapping[str, Any]
    ) -> None:
        self._args, self._dataset, self._systems = args, dataset, systems
        self._told: tuple[pd.DataFrame, pd.DataFrame] | None = None
        self._summary: dict[str, Any] | None = None

    def add(self, table: pd.DataFrame, scores: pd.DataFrame) -> None:
        """Write the page anew: ``compare`` calls it after each system."""
        self._told = table, scores
        self._write(reason="")

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Say on the page why the run has stopped, where it stops in this block."""
        try:
            yield
        except BaseException as error:
            if self._told is not None:
                is_interrupt = isinstance(error, KeyboardInterrupt)
                self._write(reason="interrupted" if is_interrupt else str(error))
                n_done, n_all = len(self._told[0]), len(self._systems)
                options.log(
                    f"{self._args.report} shows what was done: {n_done} of {n_all} "
                    "systems"
                )
            raise

    def finish(self, few_shot: pd.DataFrame | None = None) -> None:
        """Write the whole page.

        Where the data set has a test part, the best system is fitted once more,
        calibrated on the training images alone: the page then shows its threshold,
        p-values, maps and the training images that others are near to.
        """
        assert self._told is not None
        table, scores = self._told
        args, dataset, best = self._args, self._dataset, str(table.index[0])
        found: dict[str, Any] = {
            "nearest": "The nearest training images are shown for data sets with a "
            "test part of their own: each fold has other training images."
        }
        systems = dict(self._systems)
        if dataset.has_split and args.cv is None:
            options.log(f"fitting {best}, calibrated, for the report")
            with progress.shown("the report"):
                system = _calibrated(best, dataset, args)
                found = seen_by(system, dataset, scores[scores["system"] == best])
            if "p_values" in found:
                systems[best] = system
        self._write(reason=None, systems=systems, few_shot=few_shot, **found)
        options.log(f"wrote {args.report}")

    def _write(self, *, reason: str | None, **found: Any) -> None:
        """Write the page; ``reason`` is why it is not finished, None if it is."""
        from featad.report import summarize, write_report

        assert self._told is not None
        table, scores = self._told
        unfinished = None
        if reason is not None:
            missing = [name for name in self._systems if name not in table.index]
            unfinished = {"missing": missing, "reason": " ".join(reason.split())}
        self._summary = summarize(
            scores,
            self._dataset,
            table=table,
            command=command_of(self._args),
            unfinished=unfinished,
            earlier=self._summary,
            **({"systems": self._systems} | found),
        )
        write_report(self._summary, self._args.report)


def seen_by(system: Any, dataset: Any, scores: pd.DataFrame) -> dict[str, Any]:
    """Return what a calibrated system adds to the report of its comparison.

    Parameters
    ----------
    system : estimator
        Fitted on the training images of the data set alone.

    dataset : ImageDataset
        With a test part.

    scores : DataFrame
        The system's rows of the comparison. A few of them are computed again: those of
        networks that are calibrated on a share of the images, and trained on the rest,
        are others.

    Returns
    -------
    found : dict
        Arguments of `featad.report.summarize`; without ``p_values`` where the scores
        are others.
    """
    from featad.base import as_anomaly_score
    from featad.report import locate
    from featad.systems import last_step

    train = dataset.part("train")
    normal = train.select(train.labels == 1).images
    tested = scores["sample"].to_numpy()
    anomaly_score = scores["anomaly_score"].to_numpy()
    few = np.unique(np.linspace(0, len(tested) - 1, _COMPARED).astype(int))
    again = system.score_samples(dataset.select(tested[few]).images)
    if not np.allclose(as_anomaly_score(again), anomaly_score[few], rtol=1e-3):
        why = "The best system, calibrated, scores otherwise than it did when compared"
        options.log(f"{why}: no threshold is shown")
        return {"nearest": f"{why}, so neither threshold nor maps are shown."}
    p = last_step(system).p_values_from_scores(as_anomaly_score(anomaly_score))
    overlays, method = overlays_by(system, normal)
    located = None
    if method is not None:
        located = locate(system, dataset, tested, method=method)
    return {
        "p_values": dict(zip(tested, p, strict=True)),
        "overlays": overlays,
        "located": located,
        "nearest": nearest_of(system, normal),
    }


def nearest_of(system: Any, normal: Sequence[Any]) -> Any:
    """Return what finds the nearest of normal images, or why nothing does."""
    from featad.report import NearestNormal

    try:
        return NearestNormal(system, normal)
    except TypeError as error:
        return f"The nearest training images are not shown. {error}"


def overlays_by(system: Any, normal: Sequence[Any]) -> tuple[Any, str | None]:
    """Return what draws the maps of a system, if these cost about what scores do.

    Their scale is fixed by a share of the normal training images. The method of the
    maps comes second; both are None where there are no maps.
    """
    from featad.errors import MissingExtraError
    from featad.maps import fit_map_scale
    from featad.maps.systems import map_method
    from featad.plots import check_picture
    from featad.report.pictures import overlays_of
    from featad.systems import trains_networks

    method = map_method(system)
    if method == "occlusion" or trains_networks(system):
        return None, None
    try:
        check_picture("map.png")
    except MissingExtraError as error:
        options.log(f"no maps in the report: {error}")
        return None, None
    some = normal[:_SCALED_BY]
    scale = fit_map_scale(system, some, method=method, cv=0.3, random_state=0)
    return overlays_of(system, scale), method


def write_batch(
    args: Namespace, rows: pd.DataFrame, system: Any, sources: Sequence[Any] | None
) -> bool:
    """Write the report of a scored batch to ``args.report``.

    Parameters
    ----------
    args : Namespace
        Of a command with ``model``, which may be None, and perhaps ``maps``.

    rows : DataFrame
        Of a file of scores.

    system : estimator or None
        The model.

    sources : sequence of sources or None
        The images of the rows; None: the paths in the rows.

    Returns
    -------
    written : bool
        False where no image was scored.
    """
    from featad.map_files import SCALE_FILE
    from featad.maps import MapScale
    from featad.report import summarize_batch, write_report
    from featad.report.pictures import overlays_of

    if rows["anomaly_score"].isna().all():
        options.log(f"no image was scored, so {args.report} was not written")
        return False
    overlays = None
    if getattr(args, "maps", None):
        overlays = overlays_of(system, MapScale.load(Path(args.maps, SCALE_FILE)))
    summary = summarize_batch(
        rows,
        sources,
        system=system,
        overlays=overlays,
        nearest=_nearest_of_model(system, args.model),
        title=f"Scores of {Path(args.model or args.scores).name}",
        command=command_of(args),
    )
    options.log(f"wrote {write_report(summary, args.report)}")
    return True


def command_of(args: Namespace) -> str:
    """Return the command that was given, as a shell takes it."""
    return shlex.join(["featad", *args.argv])


def html_file(text: str) -> str:
    """Return the name of an .html file, for argparse."""
    if not text.lower().endswith((".html", ".htm")):
        raise ArgumentTypeError(f"takes an .html file, but is {text!r}")
    return text


def _nearest_of_model(system: Any, model: str | None) -> Any:
    """Return what finds a model's nearest training images, or why nothing does."""
    from featad.datasets import load_folder
    from featad.errors import DatasetError

    if model is None:
        return ""
    record = f"{model}{models.FITTED_ON}"
    why = "The nearest training images are not shown: a model does not keep its images"
    if not Path(record).is_file():
        return f"{why}, and the list of them, {Path(record).name}, is not beside it."
    try:
        train = load_folder(record)
    except (DatasetError, OSError) as error:
        return f"{why}, and those of {Path(record).name} are not as they were: {error}"
    return nearest_of(system, train.select(train.labels == 1).images)


def _calibrated(name: str, dataset: Any, args: Namespace) -> Any:
    """Return a system, calibrated, that was fitted on the training images."""
    from featad.calibration import calibrate
    from featad.cli.machine import set_network_options

    normal = (dataset.parts == "train") & (dataset.labels == 1)
    train = dataset.select(np.flatnonzero(normal))
    system = options.build_system(name, args)
    set_network_options([system], args)
    system = calibrate(system, target_fpr=0.05, random_state=args.seed)
    groups = {} if train.groups is None else {"detector__groups": train.groups}
    return system.fit(train.images, **groups)
