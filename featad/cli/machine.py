"""What holds for this machine alone: device, cache of features, progress bars."""

from collections.abc import Iterable, Iterator
from typing import Any

from featad.cli.options import log

_USUAL = {"device": "auto", "cache": None, "verbose": False}


def machine_parameters(system: Any) -> Iterator[tuple[Any, list[str]]]:
    """Yield the parts of a system that run on a device, with what they take.

    Parameters
    ----------
    system : estimator
        Fitted or not. Fitted copies inside meta-estimators are found as well as the
        templates they were cloned from.

    Yields
    ------
    part : estimator
        Has a parameter ``device``: a frozen network or a detector that trains one.

    names : list of str
        Which of device, cache and verbose are its parameters.
    """
    from featad.systems import iter_parts_and_templates

    for part in iter_parts_and_templates(system):
        names = [name for name in _USUAL if name in part.get_params(deep=False)]
        if "device" in names:  # else it is scikit-learn's: its verbose means another
            yield part, names


def set_machine_params(system: Any, **values: Any) -> set[str]:
    """Set device, cache or verbose wherever they are; return what was set somewhere."""
    taken = set()
    for part, names in machine_parameters(system):
        chosen = {name: values[name] for name in names if name in values}
        part.set_params(**chosen)
        taken |= set(chosen)
    return taken


def reset_machine_params(system: Any) -> None:
    """Give device, cache and verbose their usual values wherever they are."""
    set_machine_params(system, **_USUAL)


def set_machine_options(systems: Iterable[Any], **options: Any) -> None:
    """Set the options that were given; warn of one that no system takes.

    Parameters
    ----------
    systems : iterable of estimator
        What the command works with.

    **options : str or None
        By name of the parameter; None: the option was not given.
    """
    given = {name: value for name, value in options.items() if value is not None}
    taken = set()
    for system in systems:
        taken |= set_machine_params(system, **given)
    for name in given:
        if name not in taken:
            log(
                f"warning: --{name} {given[name]} has no effect: no step has a "
                f"parameter {name!r}"
            )
