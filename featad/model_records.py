"""What is recorded about a model file, and checked before the file is opened."""

import hashlib
import json
import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import featad
from featad.base import anomaly_threshold
from featad.calibration import CalibratedDetector
from featad.errors import ModelFileError
from featad.features.download import sha256_of
from featad.images import content_hash
from featad.systems import iter_parts, last_step

FORMAT = 3
"""Goes up whenever older files can no longer be read."""

_PACKAGES = ("torch", "torchvision", "scikit-learn", "numpy", "joblib")
_COMPATIBLE = {"featad": 2, "scikit-learn": 2, "numpy": 1}
"""How many numbers of a version, such as 1.9.0, have to be the same."""

_REPEATED = ("steps", "memory", "transform_input", "verbose")  # add nothing


def manifest_path(path: str | os.PathLike) -> Path:
    """Return the path of a model file's manifest: its own with ``.json`` added."""
    path = Path(path)
    return path.with_name(path.name + ".json")


def data_digest(X: Any) -> str:
    """Return a sha256 digest of a set of images that does not depend on their order.

    Parameters
    ----------
    X : sequence of sources
        Paths, bytes, PIL images or arrays.

    Returns
    -------
    digest : str
        64 hexadecimal digits.
    """
    hashes = sorted(content_hash(source) for source in X)
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def describe(system: Any, file: str | os.PathLike) -> dict[str, Any]:
    """Return what a manifest says of a system, and of the file that holds it."""
    return {
        "format": FORMAT,
        "featad": featad.__version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "system": type(system).__name__,
        "parameters": {
            name: _plain(value)
            for name, value in sorted(system.get_params().items())
            if name.rpartition("__")[2] not in _REPEATED
        },
        "threshold": anomaly_threshold(system),
        "calibration": _calibration(last_step(system)),
        "weights_fingerprints": [
            part.weights_fingerprint_
            for part in iter_parts(system)
            if hasattr(part, "weights_fingerprint_")
        ],
        "weights": [
            part.weights_note_
            for part in iter_parts(system)
            if hasattr(part, "weights_note_")
        ],
        "precisions": [
            part.precision_
            for part in iter_parts(system)
            if hasattr(part, "precision_")
        ],
        "sha256": sha256_of(file),
    }


def _calibration(detector):
    """Return the false alarm rate in force, if the detector is calibrated."""
    if isinstance(detector, CalibratedDetector):
        low, high = detector.false_alarm_interval_
        n, target = detector.n_calibration_, detector.target_fpr
        return {"target_fpr": target, "held_out": n, "rate_interval": [low, high]}
    return None


def _plain(value):
    """Return a parameter as JSON can hold it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    text = str(value) if isinstance(value, os.PathLike) else repr(value)
    return " ".join(text.split())


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest beside a model file, None if there is none.

    Raises
    ------
    ModelFileError
        If it is not a manifest.
    """
    beside = manifest_path(path)
    if not beside.exists():
        return None
    try:
        manifest = json.loads(beside.read_text(encoding="utf-8"))
        wanted = ("format", "sha256", "featad", "packages")
        return manifest | {key: manifest[key] for key in wanted}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"{str(beside)!r} is not a featad manifest ({type(error).__name__}: "
            f"{error}). Fit and save the model again."
        ) from error


def check_manifest(
    path: Path, manifest: dict[str, Any], allow_other_versions: bool
) -> None:
    """Raise ModelFileError if a file is not the one that its manifest describes."""
    if sha256_of(path) != manifest["sha256"]:
        raise ModelFileError(
            f"{str(path)!r} is damaged or was replaced: its sha256 is not the one in "
            f"{manifest_path(path).name}. Copy both files again, or fit a new model."
        )
    check_versions(str(path), manifest, allow_other_versions)


def check_versions(
    name: str, manifest: dict[str, Any], allow_other_versions: bool
) -> None:
    """Raise ModelFileError if a manifest tells of another format or version."""
    if manifest["format"] != FORMAT:
        raise ModelFileError(
            f"{name!r} has file format {manifest['format']}, but featad "
            f"{featad.__version__} reads format {FORMAT}. Fit the model again."
        )
    if allow_other_versions:
        return
    packages = {"featad": manifest["featad"], **manifest["packages"]}
    for package, n_numbers in _COMPATIBLE.items():
        check_version(name, package, str(packages.get(package)), n_numbers)


def check_version(name: str, package: str, theirs: str, n_numbers: int) -> None:
    """Raise ModelFileError if a version differs in one of its first numbers."""
    ours = installed_version(package)
    if theirs.split(".")[:n_numbers] != ours.split(".")[:n_numbers]:
        raise ModelFileError(
            f"{name!r} was fitted with {package} {theirs}, but {ours} is "
            "installed, where its scores may differ. Fit the model again, install that "
            "version, or pass allow_other_versions=True (--allow-other-versions)."
        )


def installed_version(package: str) -> str:
    """Return the version of a package, or of featad."""
    return featad.__version__ if package == "featad" else version(package)
