"""Options for this machine alone, given to every part of the systems of a command."""

from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from featad.cli.options import log


def set_network_options(systems: Iterable[Any], args: Namespace) -> None:
    """Set the options of a command that fits systems, as `set_machine_options` does."""
    names = ("device", "engine", "precision", "cache")
    set_machine_options(systems, **{name: getattr(args, name) for name in names})


def set_machine_options(systems: Iterable[Any], **options: Any) -> None:
    """Set the options that were given; warn of one that no system takes.

    Parameters
    ----------
    systems : iterable of estimator
        What the command works with.

    **options : str or None
        By name of the parameter; None: the option was not given.

    Raises
    ------
    ValueError
        If this machine has no such device.
    """
    from featad.machine import set_machine_params

    given = {name: value for name, value in options.items() if value is not None}
    taken = set()
    for system in systems:
        taken |= set_machine_params(system, **given)
    if "device" in taken:
        from featad._device import resolve_device  # torch: slow to import

        resolve_device(given["device"])
    for name in given:
        if name not in taken:
            log(
                f"warning: --{name} {given[name]} has no effect: no step has a "
                f"parameter {name!r}"
            )
