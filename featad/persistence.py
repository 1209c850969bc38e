"""Models to files and back: a dump, and a manifest that a person can read."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import joblib
from sklearn.base import BaseEstimator

from featad import bundles, safe_files, seals
from featad._whole_files import replacing
from featad.errors import ModelFileError, WeightsNotFoundError
from featad.machine import portable_copy
from featad.model_reading import read_model
from featad.model_records import (
    check_manifest,
    describe,
    manifest_path,
    read_manifest,
)
from featad.systems import iter_parts, iter_parts_and_templates

_RUNS_CODE = (
    "{name!r} was not written by this user on this machine, and a joblib file can run "
    "any code when it is loaded. "
)


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
    training data and the sha256 of the file. Neither is left half-written. It also
    holds a seal, by which `load` knows the files of this user again; its key is made
    once, in ``~/.config/featad/key``.

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
        Without ``X``: a model file or bundle whose record of the training images is
        kept.

    Returns
    -------
    manifest : dict
        The contents of the manifest.

    Raises
    ------
    ModelFileError
        If ``path`` ends in ``.featad``: `save_bundle` writes bundles. If it ends in
        ``.skops`` and the system holds types that `load` would refuse.

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
    check_format(path)
    system = portable_copy(system)
    beside = manifest_path(path)
    with replacing(path) as partial:
        if path.suffix == safe_files.SUFFIX:
            safe_files.dump(system, partial)
        else:
            joblib.dump(system, partial, compress=3)
        manifest = describe(system, partial) | bundles.trained_on(X, like)
        manifest["seal"] = seals.seal(manifest["sha256"])
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
    trust: bool | None = None,
) -> Any:
    """Read a system written by `save` or `save_bundle`, and check that it is the same.

    Before anything is unpickled, the file is checked against its manifest's sha256, its
    format, and the versions of featad, scikit-learn and NumPy. Afterwards, pretrained
    weights are checked against their fingerprint at ``fit``. A bundle then scores its
    examples: their scores may be off by a hundredth of the way from a typical good
    image to the threshold, or of the largest score if the system is not calibrated.

    A joblib file can run code when loaded. The files that this user has written on this
    machine are known by their seal. Files of others take your trust. A ``.skops`` file
    or a ``.featad`` bundle runs no code.

    Parameters
    ----------
    path : path-like
        A file written by `save` or `save_bundle`, or a plain ``joblib.dump``. The
        latter has no manifest, and a warning says that it was not checked.

    weights : path-like, default=None
        The file of pretrained weights, if it is not where it was at ``fit``.

    allow_other_versions : bool, default=False
        Whether to load what another version of featad, scikit-learn or NumPy has
        fitted. A file of another format is refused in any case. Where examples of a
        bundle have other scores, a warning says so.

    trust : bool, default=None
        What to do with a joblib file that this user has not written on this machine:
        load it (True), refuse it (False), or warn and load it (None). A ``.skops`` file
        of others may name a file of weights only if this is True.

    Returns
    -------
    system : estimator
        As it was saved.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not a model, of another version, could do harm,
        is not trusted, or does not score its own examples as it did.

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
    bundle = None
    if path.suffix == bundles.SUFFIX:
        bundle = bundles.Bundle(path, allow_other_versions)
        system = bundle.system
    else:
        system = _load_file(path, weights, allow_other_versions, trust)
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
    if bundle is not None:
        bundle.verify()
    return system


def _load_file(path, weights, allow_other_versions, trust):
    """Return the system of a .joblib or .skops file, whose weights were not looked for.

    The manifest beside it is checked before.
    """
    manifest = read_manifest(path)
    if manifest is None:
        warnings.warn(
            f"{manifest_path(path).name} is missing: {path.name} was not checked for "
            "damage and versions."
        )
    else:
        check_manifest(path, manifest, allow_other_versions)
    is_safe = path.suffix == safe_files.SUFFIX
    is_own = manifest is not None and seals.is_sealed(
        manifest["sha256"], manifest.get("seal")
    )
    if not (is_safe or is_own or trust):
        told = _RUNS_CODE.format(name=str(path))
        if trust is False:
            raise ModelFileError(
                f"{told}If you trust who made it and how it came, pass trust=True "
                "(--trust); else ask for a .featad or .skops file, which runs none."
            )
        warnings.warn(f"{told}Load only files that you trust; trust=True says so.")
    system = read_model(
        path, str(path), is_safe=is_safe, allow_other_versions=allow_other_versions
    )
    if is_safe and not (is_own or trust or weights is not None):
        _refuse_named_weights(path, system)
    return system


def _refuse_named_weights(path, system):
    """Refuse a .skops file of others that says which of our files to read."""
    from featad.features.presets import is_set_name  # torch: slow to import

    for part in bundles.networks(system):
        if part.weights is not None and not is_set_name(part.weights):
            raise ModelFileError(
                f"{str(path)!r} was not written by this user on this machine, and "
                f"names the file of weights {part.weights!r}. Pass the file that you "
                "have, weights=FILE, or trust=True (--trust) to read that one."
            )


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


def check_format(path: str | os.PathLike) -> None:
    """Raise ModelFileError or MissingExtraError if `save` cannot write such a file."""
    path = Path(path)
    if path.suffix == bundles.SUFFIX:
        raise ModelFileError(
            f"{str(path)!r} has the ending of a bundle, which holds example images. "
            "Write a .joblib or .skops file, and make a bundle of it with "
            "featad.save_bundle or `featad bundle`."
        )
    if path.suffix == safe_files.SUFFIX:
        safe_files.load_skops()
