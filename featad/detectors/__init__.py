"""Detectors: one a file, found by walking this folder, imported on first use.

A file is named like its class in snake case (``KMeansDistance`` in
``kmeans_distance.py``), which is how a name finds its file without importing the rest.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from sklearn.base import OutlierMixin


def all_detectors() -> dict[str, type[OutlierMixin]]:
    """Return every detector of this package, by class name.

    Returns
    -------
    detectors : dict of str to class
        In alphabetical order.

    Examples
    --------
    >>> from featad.detectors import all_detectors
    >>> "KMeansDistance" in all_detectors()
    True
    """
    found = {}
    for module in map(_import, _module_names()):
        for name, value in vars(module).items():
            if _is_detector(value) and value.__module__ == module.__name__:
                found[name] = value
    return dict(sorted(found.items()))


def _module_names() -> list[str]:
    return [info.name for info in iter_modules(__path__) if info.name[0] != "_"]


def _import(module_name: str) -> Any:
    return import_module(f"{__name__}.{module_name}")


def _is_detector(value: object) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, OutlierMixin)
        and not value.__name__.startswith("_")
    )


def __getattr__(name: str) -> Any:
    for module_name in _module_names():
        if module_name.replace("_", "") == name.lower():
            value = getattr(_import(module_name), name, None)
            if _is_detector(value):
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *all_detectors()})
