"""Models to files and back: a dump, and a manifest that a person can read."""

import hashlib
import json
import os
import platform
import re
import warnings
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

import featad
from featad import safe_files
from featad._whole_files import replacing
from featad.base import anomaly_threshold
from featad.calibration import CalibratedDetector
from featad.errors import FeatadError, ModelFileError, WeightsNotFoundError
from featad.images import content_hash
from featad.machine import portable_copy
from featad.systems import iter_parts, iter_parts_and_templates, last_step

FORMAT = 3
"""Goes up whenever older files can no longer be read."""

_PACKAGES = ("torch", "torchvision", "scikit-learn", "numpy", "joblib")
_COMPATIBLE = {"featad": 2, "scikit-learn": 2, "numpy": 1}
"""How many numbers of a version, such as 1.9.0, have to be the same."""

_REPEATED = ("steps", "memory", "transform_input", "verbose")  # add nothing


def save(
    system: BaseEstimator,
    path: str | os.PathLike,
    *,
    X: Any = None,
    like: str | os.PathLike | None = None,
) -> dict:
    """Write a fitted system to a file, and its manifest beside it.

    The file is a plain ``joblib.dump`` (or, where ``path`` ends in ``.skops``, a file
    that runs no code when loaded; extra ``safe``). The manifest, ``path`` + ``.json``,
    holds versions, parameters, threshold, fingerprints of weights, a digest of the
    training data and the sha256 of the file. Neither is left half-written.

    What holds for this machine alone is not written: device, cache folder, progress
    bars, number of threads and the memory of pipelines have their usual values in the
    file. ``system`` itself stays as it is.

    Parameters
    ----------
    system : estimator
        A fitted detector or pipeline.

    path : path-like
        Where to write; missing folders are created.

    X : sequence of sources, default=None
        The training images, for their digest in the manifest.

    like : path-like, default=None
        Without ``X``: a model file whose record of the training images is kept.

    Returns
    -------
    manifest : dict
        The contents of the manifest.

    Raises
    ------
    MissingExtraError
        If ``path`` ends in ``.skops`` and skops is not installed.

    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, featad
    >>> detector = featad.KMeansDistance(n_clusters=1).fit([[0.0], [1.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = featad.save(detector, f"{folder}/model.joblib")
    ...     featad.load(f"{folder}/model.joblib")
    KMeansDistance(n_clusters=1)
    """
    path = Path(path)
    system = portable_copy(system)
    beside = manifest_path(path)
    with replacing(path) as partial:
        if path.suffix == safe_files.SUFFIX:
            safe_files.dump(system, partial)
        else:
            joblib.dump(system, partial, compress=3)
        manifest = _manifest(system, partial) | _trained_on(X, like)
        beside.unlink(missing_ok=True)  # a kill leaves no manifest of another file
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    with replacing(beside) as partial:
        partial.write_text(text, encoding="utf-8")
    return manifest


def load(
    path: str | os.PathLike,
    *,
    weights: str | os.PathLike | None = None,
    allow_other_versions: bool = False,
) -> Any:
    """Read a system written by `save`, and make sure that it is the same system.

    Before anything is unpickled, the file is checked against its manifest's sha256, its
    format, and the versions of featad, scikit-learn and NumPy. Afterwards, pretrained
    weights are checked against their fingerprint at ``fit``.

    A joblib file can run code when loaded. Load only files you trust, or ``.skops``.

    Parameters
    ----------
    path : path-like
        A file written by `save`, or a plain ``joblib.dump``. The latter has no
        manifest, and a warning says that it was not checked.

    weights : path-like, default=None
        The file of pretrained weights, if it is not where it was at ``fit``.

    allow_other_versions : bool, default=False
        Whether to load what another version of featad, scikit-learn or NumPy has
        fitted. A file of another format is refused in any case.

    Returns
    -------
    system : estimator
        As it was saved.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not a model, or of another version.

    WeightsNotFoundError, WeightsChangedError
        If the pretrained weights cannot be found, or are not the same.

    Examples
    --------
    >>> import tempfile, featad
    >>> path = tempfile.mkdtemp() + "/means.joblib"
    >>> _ = featad.save(featad.KMeansDistance(1).fit([[0.0], [1.0]]), path)
    >>> featad.load(path)
    KMeansDistance(n_clusters=1)
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"There is no model file {str(path)!r}.")
    manifest = _read_manifest(path)
    if manifest is None:
        warnings.warn(
            f"{manifest_path(path).name} is missing: {path.name} was not checked for "
            "damage and versions."
        )
    else:
        _check_manifest(path, manifest, allow_other_versions)
    system = _read_model(path, allow_other_versions)
    if weights is not None:
        _give_weights(system, os.fspath(weights))
    for part in iter_parts(system):
        if hasattr(part, "check_weights"):
            try:
                part.check_weights()
            except WeightsNotFoundError as error:
                raise WeightsNotFoundError(
                    f"{str(path)!r} was fitted with pretrained weights that are not "
                    f"where they were: {error} Pass their file: load(path, "
                    "weights=FILE), or --weights FILE."
                ) from error
    return system


def _give_weights(system, file):
    """Tell every part with pretrained weights, fitted or not, where they are."""
    parts = [
        part
        for part in iter_parts_and_templates(system)
        if hasattr(part, "check_weights") and "weights" in part.get_params(deep=False)
    ]
    if not parts:
        warnings.warn(f"The model has no pretrained weights: {file!r} is not used.")
    for part in parts:
        part.set_params(weights=file)


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


def _trained_on(X, like):
    """Return what a manifest says of the training images."""
    if X is not None:
        return {"training_images": len(X), "training_data_digest": data_digest(X)}
    old = (None if like is None else _read_manifest(Path(like))) or {}
    return {key: old.get(key) for key in ("training_images", "training_data_digest")}


def check_format(path: str | os.PathLike) -> None:
    """Raise MissingExtraError now if a model file of this ending cannot be written."""
    if Path(path).suffix == safe_files.SUFFIX:
        safe_files.load_skops()


def _manifest(system, file):
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
        "sha256": _sha256(file),
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


def _sha256(path):
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read_manifest(path):
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


def _check_manifest(path, manifest, allow_other_versions):
    if _sha256(path) != manifest["sha256"]:
        raise ModelFileError(
            f"{str(path)!r} is damaged or was replaced: its sha256 is not the one in "
            f"{manifest_path(path).name}. Copy both files again, or fit a new model."
        )
    if manifest["format"] != FORMAT:
        raise ModelFileError(
            f"{str(path)!r} has file format {manifest['format']}, but featad "
            f"{featad.__version__} reads format {FORMAT}. Fit the model again."
        )
    if allow_other_versions:
        return
    packages = {"featad": manifest["featad"], **manifest["packages"]}
    for package, n_numbers in _COMPATIBLE.items():
        _check_version(path, package, str(packages.get(package)), n_numbers)


def _check_version(path, package, theirs, n_numbers):
    """Refuse a version that differs in one of its first numbers."""
    ours = _installed(package)
    if theirs.split(".")[:n_numbers] != ours.split(".")[:n_numbers]:
        raise ModelFileError(
            f"{str(path)!r} was fitted with {package} {theirs}, but {ours} is "
            "installed, where its scores may differ. Fit the model again, install that "
            "version, or pass allow_other_versions=True (--allow-other-versions)."
        )


def _read_model(path, allow_other_versions):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InconsistentVersionWarning)
        try:
            is_safe = path.suffix == safe_files.SUFFIX
            system = (safe_files if is_safe else joblib).load(path)
        except safe_files.UntrustedTypesError as error:
            raise _of_foreign_types(path, error.names) from None
        except FeatadError:  # it says what is wrong, such as weights that are missing
            raise
        except Exception as error:  # unpickling damaged bytes can raise anything
            package = _package_of_missing_name(error)
            if package:
                raise _of_another_version(path, package, error) from error
            raise ModelFileError(
                f"{str(path)!r} is not a model file, or is damaged "
                f"({type(error).__name__}: {error})."
            ) from error
    for warning in caught:
        told = warning.message
        if isinstance(told, InconsistentVersionWarning) and not allow_other_versions:
            _check_version(path, "scikit-learn", told.original_sklearn_version, 2)
        elif not isinstance(told, InconsistentVersionWarning):
            warnings.warn(told)
    if not hasattr(system, "score_samples"):
        raise ModelFileError(
            f"{str(path)!r} holds a {type(system).__name__}, which has no "
            "score_samples. Expected a detector, or a pipeline that ends in one."
        )
    return system


def _package_of_missing_name(error):
    """Return featad or numpy where unpickling failed on a name that it does not have.

    NumPy 1 lacks modules of NumPy 2.
    """
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").split(".")[0]
    elif isinstance(error, AttributeError):
        package = re.findall(r"module '(\w+)|$", str(error))[0]
    else:
        return None
    return package if package in ("featad", "numpy") else None


def _of_another_version(path, package, reason):
    return ModelFileError(
        f"{str(path)!r} was written with another version of {package} than "
        f"{_installed(package)} ({reason}). Install that version, or fit the model "
        "again."
    )


def _of_foreign_types(path, names):
    if all(name.startswith("featad.") for name in names):
        return _of_another_version(path, "featad", f"there is no {names[0]} here")
    return ModelFileError(
        f"{str(path)!r} holds types that are neither featad's nor known to be safe: "
        f"{', '.join(names)}."
    )


def _installed(package):
    return featad.__version__ if package == "featad" else version(package)
