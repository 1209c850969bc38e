"""Model files that run no code when they are loaded: ``.skops``."""

import os
from typing import Any

from featad.calibration import CalibratedDetector
from featad.detectors import all_detectors
from featad.errors import MissingExtraError
from featad.features import (
    BackboneFeatures,
    FilterBankFeatures,
    PatchFeatures,
    VGGFeatures,
    VGGPatches,
)
from featad.images import ImageReader
from featad.pipeline import Pipeline
from featad.trimming import TrimmedDetector
from featad.whitening import ShrunkWhitening

SUFFIX = ".skops"


def dump(system: Any, path: str | os.PathLike) -> None:
    """Write a system to a file.

    Raises
    ------
    MissingExtraError
        If skops is not installed.
    """
    load_skops().dump(system, path)


def load(path: str | os.PathLike) -> Any:
    """Read a system from a file.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    UntrustedTypesError
        If the file holds types that are neither featad's nor known to be safe.

    MissingExtraError
        If skops is not installed.
    """
    skops = load_skops()
    unknown = skops.get_untrusted_types(file=path)
    foreign = [name for name in unknown if name not in _known_types()]
    if foreign:
        raise UntrustedTypesError(foreign)
    return skops.load(path, trusted=unknown)


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
        ShrunkWhitening,
        TrimmedDetector,
        Pipeline,
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
