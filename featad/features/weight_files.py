"""Files of weights: what they hold, which network it fits, which layers it serves."""

import re
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from featad.errors import WeightsNotFoundError
from featad.features import vgg_mini, vgg_mini_generated
from featad.features.download import named_hash, sha256_of
from featad.features.presets import (
    CONVOLUTIONS,
    DEFAULT,
    GENERATED,
    PACKAGED,
    preset_of_set,
    published_sets,
)
from featad.features.vgg_layers import VGG_ARCHS, is_generated

if TYPE_CHECKING:
    from torchvision.models import VGG

_AUXILIARY = re.compile(r"(aux1|aux2|AuxLogits)\.")  # heads used in training only
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
_CAFFE = re.compile(r"(?<=^classifier\.)[14](?=\.)")  # 0 and 3 in torchvision


class Convolutions(nn.Module):
    """The convolutions of a VGG without the fully connected layers.

    Parameters
    ----------
    network : torchvision.models.VGG
        Its ``features`` and ``avgpool`` are used, not copied.
    """

    def __init__(self, network: "VGG") -> None:
        super().__init__()
        self.features = network.features
        self.avgpool = network.avgpool

    def forward(self, x: Tensor) -> Tensor:
        """Return the last map, (n, 512, 7, 7)."""
        return self.avgpool(self.features(x))


def build(arch: str, published: str = DEFAULT) -> nn.Module:
    """Return a network with torchvision's own random start.

    Parameters
    ----------
    arch : str

    published : str, default="DEFAULT"
        Name of the published set whose size a vision transformer is built for, or whose
        edition of vgg_mini.
    """
    if arch == PACKAGED:
        if published == GENERATED:
            return vgg_mini_generated.GeneratedVGGMini()
        return vgg_mini.VGGMini()
    from torchvision.models import get_model  # slow to import

    options: dict = {}
    if arch in {"googlenet", "inception_v3"}:  # as their published weights want them
        options = {"aux_logits": False, "transform_input": True, "init_weights": False}
    elif arch.startswith("vit"):
        options = {"image_size": preset_of_set(arch, published).min_size}
    return get_model(arch, weights=None, **options)


def build_on_paper(arch: str, published: str = DEFAULT) -> nn.Module:
    """Return a network for its names and shapes, in no memory where that is possible.

    RegNets compute their widths with tensors, which therefore have to be real.
    """
    device = "cpu" if arch.startswith("regnet") else "meta"
    with torch.random.fork_rng(devices=[]), torch.device(device):
        return build(arch, published)


def without_classifier(network: nn.Module) -> Convolutions:
    """Return the convolutions of a VGG that was built on paper, now in memory."""
    part = Convolutions(network).to_empty(device="cpu")
    for name, buffer in part.named_buffers():
        if name.endswith("num_batches_tracked"):  # often left out of files
            buffer.zero_()
    return part


def read_state(path: Path, *, lazy: bool = False) -> dict[str, Tensor]:
    """Return the parameters in a file.

    Parameters
    ----------
    path : Path
        A .safetensors file, or one that ``torch.save`` wrote.

    lazy : bool, default=False
        Whether values may stay on the disk until they are used. Files of torch's old
        format are read in any case.

    Raises
    ------
    WeightsNotFoundError
        If the file is damaged, or holds anything but names and tensors.
    """
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            mmap = lazy and zipfile.is_zipfile(path)
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # unpickling damaged bytes raises anything at all
        reason = (str(error).strip() or "no reason given").splitlines()[0][:120]
        raise WeightsNotFoundError(
            f"{str(path)!r} is not a weights file, or is damaged "
            f"({type(error).__name__}: {reason})."
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(value, Tensor) for value in state.values()
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


def read_metadata(path: Path) -> dict[str, str]:
    """Return what a .safetensors file says of itself; other files say nothing."""
    if path.suffix != ".safetensors":
        return {}
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def has_caffe_names(arch: str, state: Mapping[str, Tensor]) -> bool:
    """Return whether a file of a VGG is one of the well-known conversions from Caffe.

    They count the fully connected layers in another way than torchvision.
    """
    return arch in VGG_ARCHS and "classifier.1.weight" in state


def with_torchvision_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the parameters of a conversion from Caffe under torchvision's names."""
    return {
        _CAFFE.sub(lambda match: str(int(match[0]) - 1), name): value
        for name, value in state.items()
    }


def convolutions_of(arch: str, state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Return a VGG's convolutions if they are all that a file holds, else None.

    NaN in the fully connected layers counts as absence: torchvision's published
    ``IMAGENET1K_FEATURES`` are such a file.
    """
    if arch not in VGG_ARCHS or arch == PACKAGED:
        return None
    head = [name for name in state if name.startswith("classifier.")]
    head.sort(key=lambda name: state[name].numel())  # biases first: quick to check
    if head and all(is_finite(state[name]) for name in head):
        return None
    return {name: value for name, value in state.items() if name not in head}


def is_finite(value: Tensor) -> bool:
    """Return whether a tensor has neither NaN nor infinity, without a copy of it."""
    if not value.is_floating_point() or value.sum(dtype=torch.float32).isfinite():
        return True
    return bool(value.isfinite().all())  # the sum alone may overflow


def find_fault(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> str | None:
    """Return why parameters are not those of a network, naming the first, or None."""
    for name in [*state, *expected]:
        if name not in expected:
            return f"it has no parameter {name!r}"
        if name not in state and not name.endswith("num_batches_tracked"):
            return f"{name!r} is missing"
        if name in state and state[name].shape != expected[name].shape:
            return (
                f"{name!r} should have shape {tuple(expected[name].shape)}, "
                f"got {tuple(state[name].shape)}"
            )
    odd = [name for name, value in state.items() if not is_finite(value)]
    return f"{odd[0]!r} holds NaN or infinity" if odd else None


@lru_cache(maxsize=64)
def recognize(arch: str, path: Path, stamp: tuple[int, ...]) -> str:
    """Return which of a network's published sets a file is, "DEFAULT" if none.

    The name of the file does not matter: its sha256 is compared with the published one
    where its size fits. A VGG16 whose fully connected layers are NaN is
    ``IMAGENET1K_FEATURES``, whatever wrote the file. Any weights of vgg_mini's first
    edition are ``"generated"``. Files out of bundles say what they are.

    Parameters
    ----------
    arch : str

    path : Path

    stamp : tuple
        Of the file, so that it is looked at again once it changes.
    """
    if arch == PACKAGED:
        return GENERATED if is_generated(read_state(path, lazy=True)) else DEFAULT
    sets = published_sets(arch)
    if (said := _published_name(path)) in sets:
        return said
    digest = None
    for name, published in sets.items():
        size = published.meta.get("_file_size", 0) * 2**20  # stated to three digits
        if abs(path.stat().st_size - size) < 2**12:
            digest = digest or sha256_of(path)
            if digest.startswith(named_hash(published.url) or "no hash"):
                return name
    if CONVOLUTIONS in sets and _has_nan_head(path):
        return CONVOLUTIONS
    return DEFAULT


def _published_name(path):
    """Return the set that a bundle says it took the weights from, "" if it does not."""
    try:
        return read_metadata(path).get("published", "")
    except Exception:  # whoever loads the file says what is wrong with it
        return ""


def _has_nan_head(path):
    """Return whether the biases of the fully connected layers hold NaN."""
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                names = filter(_is_head_bias, list(file.keys()))
                biases = [file.get_tensor(name) for name in names]
        except Exception:  # whoever loads the file says what is wrong with it
            return False
    else:
        state = read_state(path, lazy=True)
        biases = [value for name, value in state.items() if _is_head_bias(name)]
    return any(not is_finite(bias) for bias in biases)


def _is_head_bias(name):
    return name.startswith("classifier.") and name.endswith(".bias")
