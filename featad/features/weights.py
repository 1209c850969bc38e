"""Pretrained weights: featad's own, in torch's cache, downloaded, or from a file."""

import hashlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from featad.errors import WeightsNotFoundError
from featad.features import vgg_mini, vgg_mini_generated
from featad.features.download import download, has_named_hash
from featad.features.presets import (
    DEFAULT,
    GENERATED,
    PACKAGED,
    Preset,
    check_arch,
    is_set_name,
    preset_of_set,
    published_set,
)
from featad.features.weight_files import (
    build,
    build_on_paper,
    convolutions_of,
    find_fault,
    has_caffe_names,
    read_state,
    recognize,
    with_torchvision_names,
    without_classifier,
)

_verified: set["Weights"] = set()  # published files whose hash was checked


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

    published : str, default="DEFAULT"
        Name of torchvision's published set that they are; "DEFAULT" if they are none.

    preprocessing : {"imagenet", "caffe"} or None, default=None
        How pixels are prepared; None for the way of the published set.
    """

    arch: str
    kind: str
    path: Path | None
    stamp: tuple[int, ...]
    published: str = DEFAULT
    preprocessing: str | None = None

    @property
    def preset(self) -> Preset:
        """How images are prepared for these weights."""
        return preset_of_set(self.arch, self.published, self.preprocessing)

    def __str__(self) -> str:
        if self.path is None:
            return f"random weights of seed {self.stamp[0]}"
        if self.kind == "packaged":
            first = ", of its first edition" if self.published == GENERATED else ""
            return f"shipped with featad{first}"
        if self.published != DEFAULT:
            return f"torchvision's {self.published}"
        ways, preset = ("as for the published set", "as said"), self.preset
        mean, std = (
            ", ".join(f"{value:.4g}" for value in values)
            for values in (preset.mean, preset.std)
        )
        return (
            f"{self.path.name}, which is none of torchvision's published sets for "
            f"{self.arch}; pixels are prepared {ways[self.preprocessing is not None]}: "
            f"{preset.channel_order.upper()} in [0, 1] minus ({mean}), divided by "
            f"({std})"
        )


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


def preset(
    arch: str,
    weights: str | os.PathLike | None = "default",
    preprocessing: str | None = None,
) -> Preset:
    """Return how images are prepared for a network with some weights.

    Parameters
    ----------
    arch : str
        ``"vgg_mini"``, or the name of a torchvision classification network.

    weights : str, path-like or None, default="default"
        As for `find_weights`; nothing is downloaded.

    preprocessing : {"imagenet", "caffe"} or None, default=None
        Mean, deviation and channel order that the weights were trained with, where they
        are not those of the published set.

    Returns
    -------
    preset : Preset
        Of the published set that the weights are; of the network's default set where
        they are random or from another file.

    Examples
    --------
    >>> from featad.features.weights import preset
    >>> preset("vgg16").crop_size
    224
    >>> preset("vgg16", "IMAGENET1K_FEATURES").mean
    (0.48235, 0.45882, 0.40784)
    """
    if weights is None or (weights == "default" and arch == PACKAGED):
        return preset_of_set(arch, DEFAULT, preprocessing)
    if is_set_name(weights):
        return preset_of_set(arch, weights, preprocessing)
    return find_weights(arch, weights, preprocessing=preprocessing).preset


def warn_of_assumption(found: Weights, owner: object) -> None:
    """Warn that a file of weights is unknown and nobody said how it is fed.

    Parameters
    ----------
    found : Weights

    owner : object
        What was given the file; it has a parameter ``preprocessing``.
    """
    unknown = found.kind == "file" and found.published == DEFAULT
    if unknown and found.preprocessing is None and found.arch != PACKAGED:
        warnings.warn(
            f"{type(owner).__name__} was given {found}. Pass preprocessing='imagenet' "
            "if that is right, or 'caffe' for weights from Caffe or Keras (--set "
            "STEP__preprocessing=imagenet, where STEP is features or detector).",
            UserWarning,
        )


def published_url(arch: str, name: str = DEFAULT) -> str:
    """Return the address of a network's published weights."""
    return published_set(arch, name).url


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
    megabytes = published_set(arch).meta.get("_file_size")
    size = None if megabytes is None else round(megabytes * 2**20)
    is_cached = path.is_file()
    if is_cached:
        size = path.stat().st_size
    return WeightsStatus(arch, published_url(arch), path, is_cached, size)


def find_weights(
    arch: str,
    weights: str | os.PathLike | None = "default",
    random_state: int | None = None,
    preprocessing: str | None = None,
) -> Weights:
    """Find weights; published ones are downloaded if they are not there yet.

    Parameters
    ----------
    arch : str
        ``"vgg_mini"``, or the name of a torchvision classification network.

    weights : str, path-like or None, default="default"
        ``"default"`` for torchvision's published weights, in torch's own cache
        or vgg_mini's, which ship with featad; ``"generated"`` for those of its first
        edition; torchvision's name of a published set; a file; None for random weights.

    random_state : int or None, default=None
        Seeds random weights. None stands for 0: they have to be found again.

    preprocessing : {"imagenet", "caffe"} or None, default=None
        How pixels are prepared; None for the way of the published set.

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
        seed = (random_state or 0,)
        return Weights(arch, "random", None, seed, DEFAULT, preprocessing)
    published = DEFAULT
    if weights == "default" and arch == PACKAGED:
        path, kind = vgg_mini.WEIGHTS, "packaged"
    elif weights == GENERATED and arch == PACKAGED:
        path, kind, published = vgg_mini_generated.WEIGHTS, "packaged", GENERATED
    elif is_set_name(weights):
        published, kind = published_set(arch, weights).name, "published"
        path = _published_path(arch, published)
        if not path.is_file():
            _download(arch, published, path)
    else:
        path, kind = Path(weights).expanduser().absolute(), "file"
        if not path.is_file():
            raise WeightsNotFoundError(
                f"There is no weights file {str(path)!r}. Pass weights='default' for "
                "the published ones, torchvision's name of a published set, or the "
                "path of a .pth or .safetensors file."
            )
    status = path.stat()
    stamp = (status.st_size, status.st_mtime_ns)
    if kind == "file":
        published = recognize(arch, path, stamp)
    found = Weights(arch, kind, path, stamp, published, preprocessing)
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
    if found.path is None:
        network = _random_network(found.arch, found.stamp[0])
    else:
        network = _network_of_file(found)
    network.eval().requires_grad_(False)
    return network, _fingerprint(found.arch, network)


def _published_path(arch, name=DEFAULT):
    name = published_url(arch, name).rpartition("/")[2]
    return Path(torch.hub.get_dir()).absolute() / "checkpoints" / name


def _download(arch, name, path):
    url = published_url(arch, name)
    try:
        download(url, path)
    except OSError as error:
        raise WeightsNotFoundError(
            f"The published weights of {arch} are neither in {str(path)!r} nor to be "
            f"had from {url} ({error}). Put that file there by hand, or pass "
            "weights=FILE; FilterBankFeatures needs no weights."
        ) from error


def _random_network(arch, seed, published=DEFAULT):
    """Return the network with torchvision's own random start, seeded."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone
        return build(arch, published)


def _network_of_file(found):
    """Return the network that a file fits, in float32, without what is not in it."""
    state = read_state(found.path)
    if has_caffe_names(found.arch, state):
        if found.preprocessing is None:
            raise WeightsNotFoundError(
                f"{str(found.path)!r} names its layers as conversions from Caffe do, "
                "which mostly take BGR from 0 to 255. Pass preprocessing='caffe' for "
                "that, or preprocessing='imagenet' for RGB with ImageNet's mean and "
                "deviation."
            )
        state = with_torchvision_names(state)
    part = convolutions_of(found.arch, state)
    if part is None:
        network = _random_network(found.arch, 0, found.published)
    else:
        state, network = part, without_classifier(build_on_paper(found.arch))
    fault = find_fault(state, network.state_dict())
    if fault:
        raise WeightsNotFoundError(
            f"{str(found.path)!r} does not hold weights of {found.arch}: {fault}."
        )
    network.load_state_dict(state, strict=False)  # copied into float32
    return network


def _fingerprint(arch, network):
    digest = hashlib.sha256(arch.encode())
    for name, value in sorted(network.state_dict().items()):
        if not name.endswith("num_batches_tracked"):  # plays no part, often left out
            digest.update(f"\n{name} {tuple(value.shape)}\n".encode())
            digest.update(value.contiguous().reshape(-1).numpy())
    return digest.hexdigest()
