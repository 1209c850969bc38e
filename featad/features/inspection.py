"""What a file of weights is: its network, the layers it serves, how it is fed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from featad.errors import WeightsNotFoundError
from featad.features.download import sha256_of
from featad.features.layers import BACKBONES
from featad.features.presets import (
    DEFAULT,
    PACKAGED,
    all_archs,
    check_arch,
    published_sets,
)
from featad.features.vgg_layers import vgg_nodes
from featad.features.weight_files import (
    build_on_paper,
    convolutions_of,
    find_fault,
    has_caffe_names,
    read_metadata,
    read_state,
    recognize,
    with_torchvision_names,
)
from featad.features.weights import find_weights

_BUFFERS = (
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "relative_position_index",
    "relative_coords_table",
)


@dataclass(frozen=True)
class WeightsFile:
    """What a file of weights is.

    Attributes
    ----------
    path : Path

    size : int
        Bytes.

    sha256 : str

    dtypes : tuple of str
        Of its values, such as ``("float16",)``.

    n_values : int

    arch : str
        The network that it fits.

    published : str or None
        Name of torchvision's published set that it is; None if it is none.

    is_partial : bool
        Whether it serves the convolutions of a VGG only.

    has_nan : bool
        Whether its fully connected layers hold NaN or infinity, and are left out.

    is_from_caffe : bool
        Whether its layers are named as conversions from Caffe name them.

    layers : tuple of str
        What it serves, by the names of the paper; empty for all but VGGs.

    metadata : dict of str to str
        What a .safetensors file says of itself.
    """

    path: Path
    size: int
    sha256: str
    dtypes: tuple[str, ...]
    n_values: int
    arch: str
    published: str | None
    is_partial: bool
    has_nan: bool
    is_from_caffe: bool
    layers: tuple[str, ...]
    metadata: dict[str, str]


def inspect_weights(path: str | os.PathLike, arch: str | None = None) -> WeightsFile:
    """Return what a file of weights is.

    Parameters
    ----------
    path : path-like
        A .pth, .pt or .safetensors file.

    arch : str or None, default=None
        The network that it should fit. None tries all of them.

    Returns
    -------
    file : WeightsFile

    Raises
    ------
    WeightsNotFoundError
        If the file is missing or damaged, or does not fit the network, or none of them.
    """
    if arch is not None:
        check_arch(arch)
    path = Path(path).expanduser().absolute()
    if not path.is_file():
        raise WeightsNotFoundError(f"There is no weights file {str(path)!r}.")
    state = read_state(path)
    if arch is None:
        arch = _find_arch(state, path)
    else:
        fault = _fault(state, arch, _expected(arch, path))
        if fault:
            raise WeightsNotFoundError(
                f"{str(path)!r} does not hold weights of {arch}: {fault}."
            )
    found = find_weights(arch, path)
    is_partial = convolutions_of(arch, state) is not None
    layers = tuple(
        name
        for name, node in vgg_nodes(arch, state).items()
        if node.startswith("features.") or not is_partial
    )
    return WeightsFile(
        path=path,
        size=path.stat().st_size,
        sha256=sha256_of(path),
        dtypes=tuple(sorted({_dtype_name(value) for value in state.values()})),
        n_values=sum(value.numel() for value in state.values()),
        arch=arch,
        published=None if found.published == DEFAULT else found.published,
        is_partial=is_partial,
        has_nan=is_partial and any(name.startswith("classifier.") for name in state),
        is_from_caffe=has_caffe_names(arch, state),
        layers=layers,
        metadata=read_metadata(path),
    )


def _dtype_name(value):
    return str(value.dtype).removeprefix("torch.")


def _candidates(state):
    """Return the networks that may fit: building all on paper would take too long."""
    size = sum(v.numel() for name, v in state.items() if not name.endswith(_BUFFERS))
    archs = [arch for arch in all_archs() if arch != PACKAGED]
    sizes = {
        arch: {one.meta["num_params"] for one in published_sets(arch).values()}
        for arch in archs
    }
    with_heads = {"googlenet", "inception_v3"}  # torchvision counts auxiliary heads
    fitting = [a for a in archs if size in sizes[a] or a in with_heads]
    return dict.fromkeys([*BACKBONES, *fitting])


def _find_arch(state, path):
    """Return the network that fits, or the nearest."""
    nearest, reason, best = None, None, 0
    for arch in _candidates(state):
        expected = _expected(arch, path)
        alike = sum(
            name in expected and value.shape == expected[name].shape
            for name, value in state.items()
        )
        if alike > best:
            nearest, reason, best = arch, _fault(state, arch, expected), alike
            if reason is None:
                return arch
    if nearest is None:
        first = next(iter(state), None)
        said = "it is empty" if first is None else f"its first parameter is {first!r}"
    else:
        said = f"{nearest} comes nearest, but {reason}"
    raise WeightsNotFoundError(
        f"{str(path)!r} fits neither vgg_mini nor any of torchvision's classification "
        f"networks: {said}."
    )


def _fault(state, arch, expected):
    """Return why a file does not fit a network, or None."""
    if has_caffe_names(arch, state):
        state = with_torchvision_names(state)
    part = convolutions_of(arch, state)
    if part is not None:
        state = part
        expected = {k: v for k, v in expected.items() if k.startswith("features.")}
    return find_fault(state, expected)


def _expected(arch, path) -> Mapping[str, Tensor]:
    status = path.stat()
    published = recognize(arch, path, (status.st_size, status.st_mtime_ns))
    return build_on_paper(arch, published).state_dict()
