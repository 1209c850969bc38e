"""Model files that run no code when they are loaded: ``.skops``."""

import json
import os
from collections.abc import Iterator
from numbers import Number
from typing import Any, BinaryIO
from zipfile import ZipFile

import numpy as np
from sklearn import model_selection

from featad._archives import open_archive
from featad.calibration import CalibratedDetector
from featad.detectors import all_detectors
from featad.ensemble import ScoreEnsemble
from featad.errors import MissingExtraError, ModelFileError
from featad.features import (
    BackboneFeatures,
    FilterBankFeatures,
    PatchFeatures,
    VGGFeatures,
    VGGPatches,
)
from featad.images import ImageReader
from featad.model_selection import OneClassKFold
from featad.pipeline import Pipeline
from featad.tiling import TiledDetector
from featad.trimming import TrimmedDetector
from featad.whitening import ShrunkWhitening

SUFFIX = ".skops"

_SPLITTERS = (
    OneClassKFold,
    model_selection.GroupKFold,
    model_selection.GroupShuffleSplit,
    model_selection.KFold,
    model_selection.LeaveOneGroupOut,
    model_selection.LeaveOneOut,
    model_selection.PredefinedSplit,
    model_selection.ShuffleSplit,
    model_selection.StratifiedGroupKFold,
    model_selection.StratifiedKFold,
    model_selection.StratifiedShuffleSplit,
    model_selection.TimeSeriesSplit,
)  # RepeatedKFold holds a class that it calls, and no fit here takes it


def dump(system: Any, path: str | os.PathLike) -> None:
    """Write a system to a file.

    Raises
    ------
    ModelFileError
        If the system holds types that `load` would refuse. The file is there then.

    MissingExtraError
        If skops is not installed.
    """
    skops = load_skops()
    skops.dump(system, path)
    if foreign := _foreign(skops.get_untrusted_types(file=path)):
        raise ModelFileError(
            "A .skops file or a bundle is loaded only if all types in it are known to "
            f"be safe, and the system holds others: {', '.join(foreign)}. Replace what "
            "has these types, such as a splitter by its splits "
            "(cv=list(cv.split(X, y))), or write a .joblib file."
        )


def load(file: str | os.PathLike | BinaryIO, name: str) -> Any:
    """Read a system from a file, and refuse what could do harm.

    Parameters
    ----------
    file : path-like or binary file

    name : str
        What errors call it.

    Raises
    ------
    UntrustedTypesError
        If the file holds types that are neither featad's nor known to be safe.

    ModelFileError
        If it is not a plain zip file of arrays, or if its contents could fill the
        memory, read beyond an array, or name a folder to write to.

    MissingExtraError
        If skops is not installed.
    """
    skops = load_skops()
    with open_archive(file, name) as archive:
        if fault := _fault_of_members(archive):
            raise ModelFileError(f"{name!r} is not opened: {fault}.")
    unknown = skops.get_untrusted_types(file=_rewound(file))
    if foreign := _foreign(unknown):
        raise UntrustedTypesError(foreign)
    system = skops.load(_rewound(file), trusted=unknown)
    for part in contents(system):
        if fault := _fault_of_part(part):
            raise ModelFileError(f"{name!r} is not opened: {fault}.")
    return system


def _foreign(types):
    """Return which of the types that skops does not know are not known here either."""
    known = _known_types()
    return [found for found in types if found not in known]


def _rewound(file):
    if hasattr(file, "seek"):
        file.seek(0)
    return file


def contents(system: Any) -> Iterator[Any]:
    """Yield every object in a system, wherever it is kept, once.

    Parameters
    ----------
    system : estimator

    Yields
    ------
    part : object
        Estimators, containers, arrays, trees and plain values.
    """
    waiting, seen = [system], {}
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, type):
            continue
        seen[id(part)] = part  # kept, so that no other object gets its id
        yield part
        if isinstance(part, dict):
            waiting += [*part, *part.values()]
        elif isinstance(part, list | tuple | set):
            waiting += part
        elif isinstance(part, np.ndarray):
            waiting += part.ravel().tolist() if part.dtype == object else []
        else:
            waiting += getattr(part, "__dict__", {}).values()


def _fault_of_members(archive: ZipFile) -> str | None:
    """Return what is wrong with the members of a .skops file, as a clause, or None."""
    for member in archive.infolist():
        with archive.open(member) as file:
            start = file.read(6)
        is_array = member.filename.endswith(".npy")
        is_plain = member.filename.endswith((".json", ".bin"))
        if is_array and start != b"\x93NUMPY":
            return f"its member {member.filename!r} is not an array"
        if not (is_array or is_plain) or start.startswith(b"PK"):
            return f"its member {member.filename!r} is not one that featad writes"
    sizes: dict[int, int] = {}
    schema = json.loads(archive.read("schema.json"))
    if not isinstance(schema, dict) or not _is_written_out(schema, sizes):
        return "it refers to parts that are not written out"
    return None


def _is_written_out(schema: Any, sizes: dict[int, int]) -> bool:
    """Return whether objects that occur several times are alike every time.

    Short references to long parts, nested, would take forever to check.
    """

    def size(value):
        if isinstance(value, list):
            return 1 + sum(map(size, value))
        if not isinstance(value, dict):
            return 1
        n = 1 + sum(map(size, value.values()))
        if (number := value.get("__id__")) is not None and sizes.setdefault(
            number, n
        ) != n:
            raise _NotAlike
        return n

    try:
        size(schema)
    except _NotAlike:
        return False
    return True


class _NotAlike(Exception):
    pass


def _fault_of_part(part: Any) -> str | None:
    """Return what is wrong with an object of a system, as a clause, or None."""
    own = getattr(part, "__dict__", {})
    for name in ("cache", "memory"):
        if own.get(name) is not None:
            return (
                f"the {name} of its {type(part).__name__} is a folder to write to; "
                "featad.save leaves it out"
            )
    if isinstance(part, _SPLITTERS) and not all(map(_is_number, own.values())):
        return f"its {type(part).__name__} holds more than numbers"
    if "quantization_" in own and not _is_quantization(own["quantization_"]):
        return "the 8-bit ranges of its network are damaged"
    if "tree_" in own and not _is_sound(own["tree_"], own["n_features_in_"]):
        return "a tree in it has branches that lead nowhere"
    if isinstance(own.get("estimators_"), list) and not _fit_together(own):
        return "it has a forest whose trees are of another size"
    return None


def _is_number(value: Any) -> bool:
    """Return whether a value is a number, numbers, their generator, or None."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biuf"
    return value is None or isinstance(value, Number | np.random.RandomState)


def _is_quantization(ranges: Any) -> bool:
    """Return whether ranges have the form that a network can be rounded by."""
    from featad.features.quantization import Quantized, RangesError

    try:
        Quantized(ranges)
    except RangesError:
        return False
    return True


def _is_sound(tree: Any, n_features: int) -> bool:
    """Return whether scikit-learn can walk a tree: it checks no index."""
    left, right = tree.children_left, tree.children_right
    n = tree.node_count
    places = np.arange(n)
    is_leaf = left == -1
    below = (left > places) & (right > places) & (left < n) & (right < n)
    known = (tree.feature >= 0) & (tree.feature < n_features)
    return tree.n_features == n_features and bool(np.all(is_leaf | (below & known)))


def _fit_together(forest: dict[str, Any]) -> bool:
    """Return whether the trees of a forest take the columns that it gives them."""
    trees = [vars(tree) for tree in forest["estimators_"] if hasattr(tree, "tree_")]
    n_features = forest.get("n_features_in_", 0)
    usual = [range(n_features)] * len(trees)
    columns = forest.get("estimators_features_", usual)
    return len(columns) >= len(trees) and all(
        tree["n_features_in_"] == len(own) <= n_features
        for tree, own in zip(trees, columns, strict=False)
    )


class UntrustedTypesError(Exception):
    """A file holds types that are not trusted; ``names`` lists them.

    Parameters
    ----------
    names : list of str
        Full names, such as ``"collections.Counter"``.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


def _known_types():
    """Return the types that a file may hold beside those skops knows."""
    own = [
        *all_detectors().values(),
        BackboneFeatures,
        VGGFeatures,
        PatchFeatures,
        VGGPatches,
        FilterBankFeatures,
        ImageReader,
        CalibratedDetector,
        ScoreEnsemble,
        ShrunkWhitening,
        TiledDetector,
        TrimmedDetector,
        Pipeline,
        *_SPLITTERS,
    ]
    names = {f"{cls.__module__}.{cls.__qualname__}" for cls in own}
    return names | {"sklearn.tree._tree.Tree"}  # of isolation forests


def load_skops() -> Any:
    """Return ``skops.io``, or raise MissingExtraError."""
    try:
        import skops.io
    except ImportError as error:
        raise MissingExtraError(
            "A .skops model file needs skops: pip install 'featad[safe]'."
        ) from error
    return skops.io
