"""Pretrained weights: featad's own, in torch's cache, downloaded, or from a file."""

import hashlib
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from featad.errors import WeightsNotFoundError
from featad.features import vgg_mini
from featad.features.download import download, has_named_hash

PACKAGED = "vgg_mini"
"""The network whose weights ship with featad."""

_verified: set["Weights"] = set()  # published files whose hash was checked

_AUXILIARY = re.compile(r"(aux1|aux2|AuxLogits)\.")  # heads used in training only
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


@dataclass(frozen=True)
class Preset:
    """How images are prepared for a network, from its published weights.

    Attributes
    ----------
    crop_size, resize_size : int
        Pixels that enter the network, and of the shorter side before the crop.

    min_size : int
        Pixels below which the whole network does not run, as torchvision states it.

    mean, std : tuple of three floats
        Per channel, of pixels in [0, 1].

    interpolation : {"bilinear", "bicubic"}
    """

    crop_size: int
    resize_size: int
    min_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str


@dataclass(frozen=True)
class Weights:
    """Weights that were found: hashable, and different once their file changes.

    Attributes
    ----------
    arch : str
        Name of the network.

    kind : {"published", "packaged", "file", "random"}

    path : Path or None
        The file, unless they are random.

    stamp : tuple
        Size and modification time of the file; the seed of random weights.
    """

    arch: str
    kind: str
    path: Path | None
    stamp: tuple[int, ...]


@dataclass(frozen=True)
class WeightsStatus:
    """Where the published weights of a network are.

    Attributes
    ----------
    arch : str
        The network.

    url : str or None
        The address of its published weights; None if they ship with featad.

    path : Path
        Where the file belongs.

    is_cached : bool
        Whether it is there.

    size : int or None
        Bytes of the file; before the download, as torchvision states them.
    """

    arch: str
    url: str | None
    path: Path
    is_cached: bool
    size: int | None


def check_arch(arch: str) -> None:
    """Refuse a name that is none of the networks that turn images into features.

    Raises
    ------
    ValueError
        With the names that come close.
    """
    known = [PACKAGED, *torchvision.models.list_models(module=torchvision.models)]
    if arch not in known:
        near = get_close_matches(str(arch), known, n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
        raise ValueError(
            f"arch should be {PACKAGED!r} or the name of one of torchvision's "
            f"classification networks, got {arch!r}{hint}"
        )


def preset(arch: str) -> Preset:
    """Return how images are prepared for a network.

    Parameters
    ----------
    arch : str
        ``"vgg_mini"``, or the name of a torchvision classification network.

    Returns
    -------
    preset : Preset
        Of the default published weights, whatever weights are used.

    Examples
    --------
    >>> from featad.features.weights import preset
    >>> preset("vgg16").crop_size
    224
    """
    if arch == PACKAGED:
        mean, std, size = vgg_mini.MEAN, vgg_mini.STD, vgg_mini.SIZE
        return Preset(size, size, vgg_mini.MIN_SIZE, mean, std, "bilinear")
    published = _published(arch)
    transforms = published.transforms()
    return Preset(
        crop_size=transforms.crop_size[0],
        resize_size=transforms.resize_size[0],
        min_size=max(published.meta.get("min_size", (1, 1))),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
    )


def published_url(arch: str) -> str:
    """Return the address of a network's default published weights."""
    return _published(arch).url


def weights_status(arch: str) -> WeightsStatus:
    """Return where the published weights of a network are; nothing is downloaded.

    Parameters
    ----------
    arch : str
        ``"vgg_mini"``, or the name of a torchvision classification network.

    Returns
    -------
    status : WeightsStatus
    """
    if arch == PACKAGED:
        path = vgg_mini.WEIGHTS
        return WeightsStatus(arch, None, path, True, path.stat().st_size)
    path = _published_path(arch)
    megabytes = _published(arch).meta.get("_file_size")
    size = None if megabytes is None else round(megabytes * 2**20)
    is_cached = path.is_file()
    if is_cached:
        size = path.stat().st_size
    return WeightsStatus(arch, published_url(arch), path, is_cached, size)


def find_weights(
    arch: str,
    weights: str | os.PathLike | None = "default",
    random_state: int | None = None,
) -> Weights:
    """Find weights; published ones are downloaded if they are not there yet.

    Parameters
    ----------
    arch : str
        ``"vgg_mini"``, or the name of a torchvision classification network.

    weights : str, path-like or None, default="default"
        ``"default"`` for torchvision's published weights, in torch's own cache
        (``TORCH_HOME/hub/checkpoints``), or vgg_mini's, which ship with featad; a .pth,
        .pt or .safetensors file; None for random weights.

    random_state : int or None, default=None
        Seeds random weights. None stands for 0: they have to be found again.

    Returns
    -------
    found : Weights

    Raises
    ------
    WeightsNotFoundError
        If the file is missing, cannot be downloaded, or has another hash than the one
        in its published name.
    """
    check_arch(arch)
    if weights is None:
        return Weights(arch, "random", None, (random_state or 0,))
    if weights == "default" and arch == PACKAGED:
        path, kind = vgg_mini.WEIGHTS, "packaged"
    elif weights == "default":
        path = _published_path(arch)
        kind = "published"
        if not path.is_file():
            _download(arch, path)
    else:
        path = Path(weights).expanduser().absolute()
        if not path.is_file():
            raise WeightsNotFoundError(
                f"There is no weights file {str(path)!r}. Pass weights='default' for "
                "the published ones, or the path of a .pth or .safetensors file."
            )
        kind = "file"
    status = path.stat()
    found = Weights(arch, kind, path, (status.st_size, status.st_mtime_ns))
    if kind == "published" and found not in _verified:
        if not has_named_hash(path):
            raise WeightsNotFoundError(
                f"{str(path)!r} is damaged or was replaced: its hash is not the one in "
                "its name. Delete it, so that it is downloaded again."
            )
        _verified.add(found)
    return found


def load_network(
    arch: str,
    weights: str | os.PathLike | None = "default",
    random_state: int | None = None,
) -> tuple[nn.Module, str]:
    """Find weights and return the network that has them, with their fingerprint.

    Parameters
    ----------
    arch, weights, random_state
        As for `find_weights`.

    Returns
    -------
    network : torch.nn.Module
        On the CPU, in evaluation mode, frozen, float32. Every call returns a new one.

    fingerprint : str
        Digest of arch, parameter names and values: the same for the same weights in
        another file.

    Raises
    ------
    WeightsNotFoundError
        As `find_weights`, and if the file is damaged or holds weights of another
        network.

    Examples
    --------
    >>> from featad.features.weights import load_network
    >>> network, fingerprint = load_network("squeezenet1_1", None, random_state=0)
    >>> network.training, len(fingerprint)
    (False, 64)
    """
    return read_network(find_weights(arch, weights, random_state))


def read_network(found: Weights) -> tuple[nn.Module, str]:
    """Return the network with weights that were found, and their fingerprint.

    Parameters
    ----------
    found : Weights
        From `find_weights`.

    Returns
    -------
    network, fingerprint
        As from `load_network`.
    """
    seed = found.stamp[0] if found.kind == "random" else 0
    network = _build(found.arch, seed)
    if found.path is not None:
        state = _read_state(found.path)
        _check_state(state, network.state_dict(), found)
        network.load_state_dict(state, strict=False)  # copied into float32
    network.eval().requires_grad_(False)
    return network, _fingerprint(found.arch, network)


def _published(arch):
    check_arch(arch)
    return torchvision.models.get_model_weights(arch).DEFAULT


def _published_path(arch):
    name = published_url(arch).rpartition("/")[2]
    return Path(torch.hub.get_dir()).absolute() / "checkpoints" / name


def _download(arch, path):
    url = published_url(arch)
    try:
        download(url, path)
    except OSError as error:
        raise WeightsNotFoundError(
            f"The published weights of {arch} are neither in {str(path)!r} nor to be "
            f"had from {url} ({error}). Put that file there by hand, or pass "
            "weights=FILE; FilterBankFeatures needs no weights."
        ) from error


def _build(arch, seed):
    """Return the network with torchvision's own random start, seeded."""
    options: dict = {}
    if arch in {"googlenet", "inception_v3"}:  # as their published weights want them
        options = {"aux_logits": False, "transform_input": True, "init_weights": False}
    elif arch.startswith("vit"):
        options = {"image_size": preset(arch).min_size}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone
        if arch == PACKAGED:
            return vgg_mini.VGGMini()
        return torchvision.models.get_model(arch, weights=None, **options)


def _read_state(path):
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling damaged bytes raises anything at all
        reason = (str(error).strip() or "no reason given").splitlines()[0][:120]
        raise WeightsNotFoundError(
            f"{str(path)!r} is no weights file, or is damaged "
            f"({type(error).__name__}: {reason})."
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise WeightsNotFoundError(
            f"{str(path)!r} should hold parameter names and tensors alone, as "
            f"torch.save(network.state_dict(), path) writes them."
        )
    return {
        _OLD_DENSENET.sub(r"\1\2", name): value
        for name, value in state.items()
        if not _AUXILIARY.match(name)
    }


def _check_state(state, expected, found):
    """Refuse parameters that are not the network's, naming the first."""
    fault = None
    for name in [*state, *expected]:
        if name not in expected:
            fault = f"it has no parameter {name!r}"
        elif name not in state and not name.endswith("num_batches_tracked"):
            fault = f"{name!r} is missing"
        elif name in state and state[name].shape != expected[name].shape:
            fault = (
                f"{name!r} should have shape {tuple(expected[name].shape)}, "
                f"got {tuple(state[name].shape)}"
            )
        if fault:
            raise WeightsNotFoundError(
                f"{str(found.path)!r} does not hold weights of {found.arch}: {fault}."
            )


def _fingerprint(arch, network):
    digest = hashlib.sha256(arch.encode())
    for name, value in sorted(network.state_dict().items()):
        if not name.endswith("num_batches_tracked"):  # plays no part, often left out
            digest.update(f"\n{name} {tuple(value.shape)}\n".encode())
            digest.update(value.contiguous().reshape(-1).numpy())
    return digest.hexdigest()
