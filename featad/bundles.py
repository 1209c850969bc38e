"""Bundles: one file with a system, its weights, and images to verify it by."""

import atexit
import hashlib
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from sklearn.base import BaseEstimator

from featad import safe_files
from featad._archives import open_archive
from featad._whole_files import replacing
from featad.errors import FeatadError, ModelFileError
from featad.features.download import sha256_of
from featad.images import read_image
from featad.machine import portable_copy
from featad.model_reading import read_model
from featad.model_records import check_versions, data_digest, describe, read_manifest
from featad.scorer import Scorer

SUFFIX = ".featad"

TOLERANCE = 0.01
"""How far scores of examples may be off, as a share of the way from a typical good
image to the threshold."""

MAX_EXAMPLES = 64
MAX_PIXELS = 1 << 27
"""Pixels that an example may have."""

_FORMAT = 1
_MANIFEST, _SYSTEM = "manifest.json", "system.skops"
_MAX_MANIFEST = 1 << 24
_WEIGHTS = re.compile(r"weights/[0-9a-f]{64}\.safetensors")
_EXAMPLE = re.compile(r"examples/\d+(\.\w+)?", re.ASCII)


def save_bundle(
    system: BaseEstimator,
    path: str | os.PathLike,
    examples: Sequence[Any],
    *,
    X: Any = None,
    like: str | os.PathLike | None = None,
) -> dict:
    """Write a fitted system to one file that opens anywhere and verifies itself.

    The file is a zip of the system as skops writes it (extra ``safe``), its manifest,
    the weights of its network as safetensors where they do not ship with featad, and
    example images with their scores. `load` opens it offline, runs no code from it, and
    scores the examples. They are files that whoever gets the bundle can look at.

    Parameters
    ----------
    system : estimator
        A fitted system that takes image files.

    path : path-like
        Where to write, ending in ``.featad``; missing folders are created.

    examples : sequence of path-like or bytes
        1 to 64 image files, of good and of anomalous parts if there are any.

    X : sequence of sources, default=None
        The training images, for their digest in the manifest. They are not written.

    like : path-like, default=None
        Without ``X``: a model file or bundle whose record of the training images is
        kept.

    Returns
    -------
    manifest : dict
        The contents of the manifest.

    Raises
    ------
    MissingExtraError
        If skops is not installed.

    ImageReadError
        If an example cannot be read.

    ModelFileError
        If the system holds types that `load` would refuse.

    ValueError
        If ``path`` has another ending, or there are too few or too many examples.

    Examples
    --------
    >>> import io, tempfile, featad
    >>> from PIL import Image
    >>> images = featad.make_spots_and_lines(6, 2, size=32).images
    >>> files = [io.BytesIO() for _ in images]
    >>> for image, file in zip(images, files):
    ...     Image.fromarray(image).save(file, "png")
    >>> contents = [file.getvalue() for file in files]
    >>> system = featad.build("pixels-mahalanobis", size=8).fit(contents)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = featad.save_bundle(system, f"{folder}/a.featad", contents[-2:])
    ...     type(featad.load(f"{folder}/a.featad")).__name__
    'Pipeline'
    >>> [example["file"] for example in manifest["examples"]]
    ['examples/0', 'examples/1']
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"A bundle's name should end in {SUFFIX}; got {str(path)!r}.")
    if not 1 <= len(examples) <= MAX_EXAMPLES:
        raise ValueError(
            f"A bundle takes 1 to {MAX_EXAMPLES} examples; got {len(examples)}."
        )
    safe_files.load_skops()
    contents = [_content(example) for example in examples]
    system = portable_copy(system)
    scores = Scorer(system).score(contents)[0]
    with tempfile.TemporaryDirectory() as folder:
        files = _take_weights(system, Path(folder))
        inner = files[_SYSTEM] = Path(folder, _SYSTEM)
        safe_files.dump(system, inner)
        manifest = describe(system, inner) | trained_on(X, like)
        manifest["bundle"], manifest["examples"] = _FORMAT, []
        for number, (example, content) in enumerate(
            zip(examples, contents, strict=True)
        ):
            name = f"examples/{number}"
            ending = "" if isinstance(example, bytes) else Path(example).suffix.lower()
            if _EXAMPLE.fullmatch(name + ending):  # it only helps to open the file
                name += ending
            files[name] = Path(folder, str(number))
            files[name].write_bytes(content)
            score = float(scores[number])
            manifest["examples"].append({"file": name, "score": score})
        manifest["files"] = {name: sha256_of(file) for name, file in files.items()}
        with replacing(path) as partial, ZipFile(partial, "w") as archive:
            text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
            archive.writestr(_MANIFEST, text + "\n")
            for name, file in files.items():
                archive.write(file, name)
    return manifest


class Bundle:
    """A bundle that was opened.

    Parameters
    ----------
    path : Path

    allow_other_versions : bool, default=False
        As for `load`.

    Attributes
    ----------
    manifest : dict

    system : estimator
        Its weights are files on this machine.

    Raises
    ------
    ModelFileError
        If the file is not a bundle, is damaged, or could do harm.
    """

    def __init__(self, path: Path, allow_other_versions: bool = False) -> None:
        self._name, self._lenient = str(path), allow_other_versions
        with _opened(path) as archive:
            self.manifest = _read_manifest(archive)
            check_versions(self._name, self.manifest, allow_other_versions)
            self._scores = [float(e["score"]) for e in self.manifest["examples"]]
            self._examples = [
                _read(archive, example["file"], self.manifest)
                for example in self.manifest["examples"]
            ]
            self.system = read_model(
                BytesIO(_read(archive, _SYSTEM, self.manifest)),
                self._name,
                is_safe=True,
                allow_other_versions=allow_other_versions,
            )
            _give_weights(self.system, archive, self.manifest)

    def verify(self) -> None:
        """Score the examples.

        Raises
        ------
        ModelFileError
            If they cannot be scored, or if scores differ; a warning if other versions
            are allowed.
        """
        try:
            for example in self._examples:
                read_image(example, max_pixels=MAX_PIXELS)
            scorer = Scorer(self.system)
            found = scorer.score(self._examples)[0]
            expected = np.array(self._scores)
            off = np.abs(scorer.score_ratios(found) - scorer.score_ratios(expected))
            if np.isnan(off).any():  # not calibrated
                unit = np.abs(expected).max() or 1.0
                off = np.abs(found - expected) / unit
        except Exception as error:  # a hostile file can lead anywhere
            raise ModelFileError(
                f"{self._name!r} cannot score its own examples ({error})."
            ) from error
        wrong = np.flatnonzero(~(off <= TOLERANCE))
        if not len(wrong):
            return
        first = wrong[0]
        text = (
            f"{self._name!r} does not score as it did where it was made: the scores of "
            f"{len(wrong)} of its {len(off)} examples differ by more than "
            f"{TOLERANCE:.0%} of the way to the threshold; first: "
            f"{self.manifest['examples'][first]['file']} has {found[first]:.6g}, "
            f"and had {expected[first]:.6g}."
        )
        if self._lenient:
            warnings.warn(text)
            return
        raise ModelFileError(
            f"{text} Install the versions in its manifest, or pass "
            "allow_other_versions=True (--allow-other-versions)."
        )


def trained_on(X: Any, like: str | os.PathLike | None) -> dict[str, Any]:
    """Return what a manifest says of the training images.

    Parameters
    ----------
    X, like
        As for `save_bundle`.
    """
    if X is not None:
        return {"training_images": len(X), "training_data_digest": data_digest(X)}
    old: dict[str, Any] = {}
    if like is not None and Path(like).suffix == SUFFIX:
        with _opened(Path(like)) as archive:
            old = _read_manifest(archive)
    elif like is not None:
        old = read_manifest(Path(like)) or {}
    return {key: old.get(key) for key in ("training_images", "training_data_digest")}


@contextmanager
def _opened(path):
    """Open a bundle; whatever is wrong with what is read of it is a ModelFileError."""
    with open_archive(path, str(path)) as archive:
        try:
            yield archive
        except FeatadError:
            raise
        except Exception as error:  # a hostile file can lead anywhere
            raise ModelFileError(
                f"{str(path)!r} is not a bundle, or is damaged ({error})."
            ) from error


def _content(example):
    """Return the bytes of an example that can be read."""
    content = example if isinstance(example, bytes) else Path(example).read_bytes()
    read_image(content, max_pixels=MAX_PIXELS)
    return content


def networks(system: Any) -> Iterator[Any]:
    """Yield the parts of a system that look for weights, templates as well."""
    for part in safe_files.contents(system):
        own = getattr(part, "__dict__", {})
        if "weights" in own and hasattr(part, "check_weights"):
            yield part


def _take_weights(system, folder):
    """Let a system name weights as members of its bundle; return their files."""
    from safetensors.torch import save_file

    from featad.features.weight_files import read_state  # torch: slow to import
    from featad.features.weights import find_weights

    files: dict[str, Path] = {}
    taken: dict[Any, str] = {}
    for part in networks(system):
        how = getattr(part, "preprocessing", None)
        found = find_weights(part.arch, part.weights, preprocessing=how)
        if found.path is None or found.kind == "packaged":
            continue
        if found not in taken:
            state = {k: v.clone() for k, v in read_state(found.path).items()}
            file = folder / f"weights{len(taken)}.safetensors"
            save_file(state, file, metadata={"published": found.published})
            taken[found] = f"weights/{sha256_of(file)}.safetensors"
            files[taken[found]] = file
        part.weights = taken[found]
    return files


def _read_manifest(archive):
    """Return the manifest of a bundle whose members are those that it lists."""
    if archive.getinfo(_MANIFEST).file_size > _MAX_MANIFEST:
        raise ValueError("its manifest is too long")
    manifest = json.loads(archive.read(_MANIFEST))
    if manifest["bundle"] != _FORMAT:
        raise ValueError(
            f"it is of format {manifest['bundle']}, and this featad reads {_FORMAT}"
        )
    listed = set(manifest["files"])
    if {*archive.namelist()} != listed | {_MANIFEST}:
        raise ValueError("its manifest lists other files")
    for name in listed - {_SYSTEM}:
        if not (_WEIGHTS.fullmatch(name) or _EXAMPLE.fullmatch(name)):
            raise ValueError(f"{name!r} has no place in a bundle")
    if not 1 <= len(manifest["examples"]) <= MAX_EXAMPLES:
        raise ValueError(f"it should have 1 to {MAX_EXAMPLES} examples")
    return manifest


def _read(archive, name, manifest):
    content = archive.read(name)
    if hashlib.sha256(content).hexdigest() != manifest["files"][name]:
        raise ValueError(f"the sha256 of {name!r} is not the one in its manifest")
    return content


def _give_weights(system, archive, manifest):
    """Unpack weights, and tell a system where they are; refuse any others."""
    from featad.features.vgg_layers import is_shipped

    for part in networks(system):
        named = part.weights
        if named is None or is_shipped(part.arch, named):
            continue
        if named not in manifest["files"] or not _WEIGHTS.fullmatch(named):
            raise ValueError(
                f"its {type(part).__name__} takes weights from {named!r}, which is not "
                "in the bundle"
            )
        part.weights = str(_unpacked(archive, named, manifest["files"][named]))


def _unpacked(archive, name, digest):
    """Return the file of weights: in torch's cache, or for as long as this process."""
    import torch

    if name != f"weights/{digest}.safetensors":
        raise ValueError(f"{name!r} is not called by its sha256")
    file = f"featad-{digest}.safetensors"
    path = Path(torch.hub.get_dir()).absolute() / "checkpoints" / file
    if path.is_file() and sha256_of(path) == digest:
        return path
    try:
        _unpack(archive, name, digest, path)
    except OSError as error:  # a home that cannot be written
        try:
            folder = tempfile.mkdtemp(prefix="featad-")
        except OSError:
            raise ModelFileError(
                f"The weights of a bundle are unpacked into {str(path.parent)!r}, or "
                f"into a temporary folder, but neither can be written "
                f"({error.strerror or error}). Set TORCH_HOME or TMPDIR to a folder "
                "that can."
            ) from error
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder, file)
        _unpack(archive, name, digest, path)
    return path


def _unpack(archive, name, digest, path):
    with replacing(path) as partial:
        with archive.open(name) as source, open(partial, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        if sha256_of(partial) != digest:
            raise ValueError(f"the sha256 of {name!r} is not the one in its manifest")
