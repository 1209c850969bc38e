"""What holds for one machine alone: its device, its folders, its threads."""

import io
import os
import pickle
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from featad.systems import iter_parts_and_templates

_OF_NETWORKS = {"device": "auto", "cache": None, "verbose": False}
_OF_ALL = {"n_jobs": None, "memory": None}
_SET = (*_OF_NETWORKS, "engine")  # a saved model keeps the engine it was given
_DECIDING = {"engine", "precision"}  # of frozen networks alone


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
        Which of device, engine, cache and verbose are its parameters; precision too, if
        engine is.
    """
    for part in iter_parts_and_templates(system):
        taken = part.get_params(deep=False).keys()
        names = [name for name in _SET if name in taken]
        if taken >= _DECIDING:
            names.append("precision")
        if "device" in names:  # else it is scikit-learn's: its verbose means another
            yield part, names


def set_machine_params(system: Any, **values: Any) -> set[str]:
    """Set device, engine, precision, cache or verbose; return what was set."""
    taken = set()
    for part, names in machine_parameters(system):
        chosen = {name: values[name] for name in names if name in values}
        part.set_params(**chosen)
        taken |= set(chosen)
    return taken


def portable_copy(system: Any) -> Any:
    """Return a copy of a system that holds nothing of this machine.

    Device, cache folder, progress bars, threads and the memory of pipelines have their
    usual values in the copy, and paths are strings. Arrays are not copied but shared.

    Parameters
    ----------
    system : estimator
        Fitted or not; it stays as it is.

    Returns
    -------
    copy : estimator
        Scores like ``system``.

    Examples
    --------
    >>> from pathlib import Path
    >>> from featad.features import VGGFeatures
    >>> from featad.machine import portable_copy
    >>> features = VGGFeatures(cache=Path("cache"), weights=Path("w.pth"), n_jobs=4)
    >>> portable_copy(features)
    VGGFeatures(weights='w.pth')
    """
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(system)
    file.seek(0)
    copy = _Unpickler(file, pickler.arrays).load()
    set_machine_params(copy, **_OF_NETWORKS)
    for part in iter_parts_and_templates(copy):
        names = _OF_ALL.keys() & part.get_params(deep=False).keys()
        part.set_params(**{name: _OF_ALL[name] for name in names})
    return copy


def without_paths(value: Any) -> Any:
    """Return a value with the paths in it, also in containers, as strings.

    A pickled path cannot be opened under another operating system.

    Examples
    --------
    >>> from pathlib import PurePosixPath
    >>> without_paths({"cache": PurePosixPath("a/b"), "layers": ("c", 3)})
    {'cache': 'a/b', 'layers': ('c', 3)}
    """
    if isinstance(value, PurePath):
        return os.fspath(value)
    if type(value) is dict:
        return {key: without_paths(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(without_paths, value))
    return value


def memory_size() -> int | None:
    """Return the bytes of memory that this process may fill, None if not known.

    The limit of a container counts, and what other programs hold does not.
    """
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return None
    with suppress(OSError, ValueError):  # not in a container, or "max"
        found = min(found, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return found


class _Pickler(pickle.Pickler):
    """Leaves arrays out, in a list, and turns paths into strings."""

    def __init__(self, file):
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.arrays = []

    def persistent_id(self, value: Any) -> int | None:
        if type(value) is not np.ndarray or value.dtype.hasobject:
            return None
        self.arrays.append(value)
        return len(self.arrays) - 1

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, PurePath):
            return str, (os.fspath(value),)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, arrays):
        super().__init__(file)
        self._arrays = arrays

    def persistent_load(self, place: int) -> np.ndarray:
        return self._arrays[place]
