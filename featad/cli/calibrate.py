"""``featad calibrate``: a fitted model gets its threshold from new good images."""

from argparse import Namespace
from typing import Any

from featad.cli import groups, models, options, values
from featad.cli.fit import fit_calibrated
from featad.cli.machine import set_machine_options
from featad.cli.recalibrate import add_output, write
from featad.cli.thresholds import leave_warnings_to_us, name_nearest, say_threshold
from featad.errors import DatasetError


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "calibrate",
        help="set the threshold of a fitted model from new good images",
        description="Score good images that the model has not seen, and set its "
        "threshold by them. The model itself is not fitted again. This is the way "
        "after a small change of light or camera, for parts of several images "
        "(--groups), and for models that were saved without calibration.",
    )
    parser.set_defaults(run=run)
    models.add_model(parser)
    options.add_data(parser, positional=True)
    parser.add_argument(
        "--target-fpr",
        type=values.rate,
        metavar="SHARE",
        help="accepted share of good images that are called anomalous (default: that "
        "of the model, or 0.01)",
    )
    groups.add_groups(parser)
    add_output(parser)


def run(args: Namespace) -> int:
    """Score, set and write."""
    from featad.calibration import CalibratedDetector, calibrate
    from featad.datasets import save_split
    from featad.persistence import check_format
    from featad.systems import last_step

    leave_warnings_to_us()
    output = args.output or args.model
    options.check_writable(output, own=args.model)
    check_format(output)
    system = models.load_model(args)
    target = args.target_fpr
    if isinstance(last_step(system), CalibratedDetector) and target is None:
        target = last_step(system).target_fpr
    system = calibrate(_frozen(system), target_fpr=0.01 if target is None else target)
    set_machine_options(
        [system], device=args.device, engine=args.engine, cache=args.cache
    )
    dataset = models.good_images(args, records=(models.FITTED_ON,))
    if len(dataset) < 2:
        raise DatasetError(
            f"{dataset.name} has {len(dataset)} good images to calibrate on, but it "
            "takes 2 or more (99 for --target-fpr 0.01)."
        )
    (system, dataset), _ = options.without_unreadable(
        dataset, args, lambda readable: fit_calibrated(system, readable)
    )
    detector = last_step(system)
    print(f"Calibrated {args.model} on {len(dataset)} good images.")
    print(*say_threshold(detector), name_nearest(detector, dataset), sep="\n")
    write(system, args.model, output)
    record = save_split(dataset, f"{output}{models.CALIBRATED_ON}")
    print(f"The images it was calibrated on: {record}")
    return 0


def _frozen(system):
    """Return a fitted system without its calibration, that no fit can change."""
    from sklearn.frozen import FrozenEstimator

    from featad.calibration import CalibratedDetector
    from featad.pipeline import Pipeline
    from featad.systems import split_stateless

    if isinstance(system, FrozenEstimator):
        return _frozen(system.estimator)
    if isinstance(system, CalibratedDetector):
        return _frozen(system.estimator_)
    if isinstance(getattr(system, "steps", [(None, None)])[-1][1], CalibratedDetector):
        inner = _frozen(system[-1])
        return Pipeline([*system.steps[:-1], ("detector", inner)])
    head, tail = split_stateless(system)
    steps = [] if head is None else head.steps
    return Pipeline([*steps, ("detector", FrozenEstimator(tail))])
