"""``featad demo``: the whole job on generated parts, up to scored images."""

import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from featad.cli import options, progress, reports, values
from featad.cli.compare import format_table
from featad.errors import FeatadError, MissingExtraError

_SCORERS = ("stats-mahalanobis", "stats-ocsvm", "stats-kmeans", "stats-iforest")
_BASELINES = ("filters-mahalanobis", "pixels-pca")
_FOLDERS = ("parts", "incoming")
_MARK = ".featad-demo"  # says that the folders beside it may be replaced


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "demo",
        help="the whole job on generated parts: compare, fit, save, score, draw",
        description="Generate images of textured parts, some with dark spots and "
        "lines; compare several systems on them; fit the best one, calibrated; save "
        "it; score a folder of new parts; draw the scores. Everything goes to one "
        "folder, in which only folders that an earlier demo wrote are replaced. "
        "Nothing is downloaded: vgg_mini's weights ship with featad, and VGG16's are "
        "used if they are already in torch's cache.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "-o",
        "--output",
        default="featad-demo",
        metavar="DIR",
        help="the folder to write to (default: %(default)s)",
    )
    parser.add_argument(
        "--n-train",
        type=values.positive_int,
        default=150,
        help="number of parts to train on (default: %(default)s)",
    )
    parser.add_argument(
        "--n-test",
        type=values.positive_int,
        default=100,
        help="number of parts to compare systems on (default: %(default)s)",
    )


def run(args: Namespace) -> int:
    """Run the demo."""
    from featad.calibration import calibrate
    from featad.comparison import compare
    from featad.datasets import load_folder, make_spots_and_lines, save_split
    from featad.persistence import load, save
    from featad.registry import build
    from featad.report import summarize, write_report

    folder = Path(args.output)
    options.check_writable(folder / "model.joblib")
    _claim(folder)
    _write_parts(
        make_spots_and_lines(args.n_train, args.n_test, random_state=0),
        folder / "parts",
    )
    parts = load_folder(folder / "parts")
    print(f"Wrote {len(parts)} generated parts to {folder / 'parts'}.")

    networks = _networks()
    names = [f"{network}-{scorer}" for network in networks for scorer in _SCORERS]
    names += _BASELINES
    train = np.flatnonzero(parts.parts == "train")
    test = np.flatnonzero(parts.parts == "test")
    with progress.shown("comparing"):
        table, scores = compare(
            {name: build(name) for name in names},
            parts.images,
            parts.labels,
            cv=[(train, test)],
            return_scores=True,
        )
    print(f"\n{format_table(table)}\n")
    table.to_csv(folder / "comparison.csv")
    save_split(parts, folder / "split.csv")

    best = table.index[0]
    normal = parts.part("train").images
    model = folder / "model.joblib"
    system = calibrate(build(best), target_fpr=0.05, random_state=0)
    save(system.fit(normal), model, X=normal)
    print(
        f"Fitted the best of them, {best}, with a target of 5 % false alarms: {model}"
    )
    summary = summarize(
        scores,
        parts,
        table=table,
        systems={name: build(name) for name in names} | {best: system},
        command=reports.command_of(args),
        **reports.seen_by(system, parts, scores[scores["system"] == best]),
    )
    report = write_report(summary, folder / "report.html")

    _write_parts(make_spots_and_lines(0, 60, random_state=1), folder / "incoming")
    _score_incoming(load(model), best, folder)
    print(f"Open this page: {report}")
    return 0


def _networks():
    """Return the networks whose weights are on this machine, and print which."""
    from featad.features.weights import weights_status

    print("Using vgg_mini, taught by VGG16 on generated images; it ships with featad.")
    if weights_status("vgg16").is_cached:
        print("Using VGG16 as well, because its weights are on this machine.")
        return ("mini", "vgg16")
    print("Leaving out VGG16: its weights are not on this machine (`featad doctor`).")
    return ("mini",)


def _claim(folder):
    """Refuse to replace folders that the demo did not write."""
    mark = folder / _MARK
    taken = [name for name in _FOLDERS if (folder / name).exists()]
    if taken and not mark.exists():
        raise FeatadError(
            f"{str(folder / taken[0])!r} exists and was not written by the demo. Name "
            "another folder: -o DIR."
        )
    mark.touch()


def _write_parts(dataset, folder):
    """Write a generated data set in the MVTec layout and replace an older one."""
    from featad.datasets import save_folder

    shutil.rmtree(folder, ignore_errors=True)
    save_folder(dataset, folder)


def _score_incoming(system, name, folder):
    import pandas as pd

    from featad.base import as_anomaly_score
    from featad.images import list_images
    from featad.metrics import auroc
    from featad.plots import plot_histogram, plot_most_anomalous, plot_roc
    from featad.scoring import score_to_file
    from featad.systems import last_step

    paths = list_images(folder / "incoming" / "test")
    kinds = [path.parent.name for path in paths]
    y = np.array([1 if kind == "good" else -1 for kind in kinds])
    score_to_file(system, paths, folder / "scores.csv")
    rows = pd.read_csv(folder / "scores.csv")
    called = rows["is_anomaly"].to_numpy(dtype=bool)
    print(
        f"Scored {len(paths)} new parts: AUROC {auroc(y, rows['anomaly_score']):.3f}; "
        f"{(called & (y == -1)).sum()} of {(y == -1).sum()} anomalies found, "
        f"{(called & (y == 1)).sum()} false alarms in {(y == 1).sum()} normal parts. "
        f"Scores: {folder / 'scores.csv'}"
    )
    scores, threshold = rows["anomaly_score"], rows["threshold"].iloc[0]
    held_out = last_step(system).calibration_scores_
    try:
        pictures = (
            plot_histogram(
                y,
                scores,
                threshold,
                folder / "scores.png",
                kinds=kinds,
                calibration_score=as_anomaly_score(held_out),
            ),
            plot_roc({name: (y, scores)}, folder / "roc.png"),
            plot_most_anomalous(
                paths, scores, folder / "strangest.png", threshold=threshold
            ),
        )
        print(f"Drew {', '.join(map(str, pictures))}.")
    except MissingExtraError as error:
        print(error)
