"""``featad check``: whether a threshold still holds for parts known to be good."""

from argparse import Namespace
from typing import Any

from featad._words import percent
from featad.cli import groups, models, options, progress
from featad.cli.machine import set_machine_options
from featad.cli.thresholds import held_out
from featad.errors import DatasetError


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "check",
        help="test whether a model's threshold still holds, on known good images",
        description="Score images of parts known to be good, which the model was not "
        "fitted on, and test whether their p-values are spread evenly from 0 to 1, as "
        "they are if light, focus, camera and product are as they were. If they are "
        "not, the false alarm rate is not what it was either.",
        epilog="Exit codes: 0 they look like the images that set the threshold; 1 they "
        "do not, or the job failed; 2 wrong use. Images that have not changed fail 1 "
        "time in 100.",
    )
    parser.set_defaults(run=run)
    models.add_model(parser)
    options.add_data(parser, positional=True)
    groups.add_groups(parser)


def run(args: Namespace) -> int:
    """Score and test."""
    import pandas as pd

    from featad.drift import check_p_values
    from featad.scoring import score_images

    system = models.load_model(args)
    detector = models.calibrated(system, args.model)
    set_machine_options(
        [system], device=args.device, engine=args.engine, cache=args.cache
    )
    dataset = models.good_images(args, records=(models.FITTED_ON, models.CALIBRATED_ON))
    if dataset.groups is not None:
        models.check_grouped(system, args.model)
    elif detector.largest_group_ > 1:
        options.log(
            "warning: the model was calibrated on parts of several images. If these "
            "images show parts several times too, say so with --groups."
        )
    frames = []
    with progress.shown("scoring", len(dataset)) as bar:
        for rows in score_images(
            system, dataset.images, groups=dataset.groups, on_error=args.on_error
        ):
            frames.append(rows)
            grouped = dataset.groups is not None
            bar.advance(int(rows["n_images"].sum()) if grouped else len(rows))
    table = pd.concat(frames, ignore_index=True)
    fine = table[table["p_value"].notna()]
    if len(fine) < len(table):
        first = table["error"].dropna().iloc[0]
        options.log(f"could not score {len(table) - len(fine)}; first: {first}")
    options.check_failed(len(table) - len(fine), len(table), args.max_failed)
    if not len(fine):
        raise DatasetError(f"None of the images of {dataset.name} can be scored.")
    check = check_p_values(fine["p_value"], detector.n_calibration_)
    units = "images" if dataset.groups is None else "parts"
    print(*_say(check, fine, units, detector, args.model), sep="\n")
    return 0 if check.is_uniform else 1


def _say(check, table, units, detector, model):
    """Yield the findings in plain words."""
    from featad.drift import rate_in_force

    n, low = check.n_samples, check.n_low
    called = int(table["is_anomaly"].sum())
    rate = rate_in_force(detector.target_fpr, detector.n_calibration_)
    like = f"{held_out(detector)} that set it"
    yield (
        f"{low} of {n} good {units} ({percent(low / n)}) have a p-value of at most "
        f"{check.level:g}; {percent(check.level)} are expected, and up to "
        f"{check.n_tolerated} of {n} can be chance."
    )
    yield (
        f"Their mean p-value is {check.mean:.2f}; 0.5 is expected. {called} of them "
        f"({percent(called / n)}) are called anomalous; {percent(rate)} are expected."
    )
    if check.is_uniform:
        yield f"The threshold holds: they look like the {like}."
        return
    chance = f"{check.probability:.1g}" if check.probability >= 1e-3 else "below 0.001"
    if check.mean < 0.5:
        yield (
            f"The threshold does not hold: they are more anomalous than the {like} "
            f"(chance {chance}). Light, focus, camera or product has changed. Undo "
            f"that, set the threshold anew (`featad calibrate {model} DIR`), or fit "
            "again."
        )
    else:
        yield (
            f"The threshold does not hold: they are less anomalous than the {like} "
            f"(chance {chance}). Was the model fitted on copies of them? Or are "
            "they blurred, or darker, so that defects would hide as well?"
        )
