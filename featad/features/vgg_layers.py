"""Layers of a VGG by the names of its paper."""

from collections.abc import Iterable

PACKAGED = "vgg_mini"
"""The network whose weights ship with featad."""

GENERATED = "generated"
"""Those of its weights that owe nothing to photographs: its first edition."""

FINGERPRINT = "a03301e6e2934e470478db29d4795ae98228befd7b14c5dd1859405376750c11"
"""Of these weights, as models keep it that were fitted with them."""

_VGG_BLOCKS = {  # convolutions in each of the five blocks: table 1 of the paper
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
_FIRE_NODES = {  # vgg_mini's second edition
    "fc7": "classifier",
    "conv1_1": "features.1",
    "conv2_1": "features.3",
    "conv2_2": "features.4",
    "conv3_1": "features.6",
    "conv3_2": "features.7",
    "conv4_1": "features.9",
    "conv4_2": "features.10",
    "conv4_3": "features.11",
    "conv4_4": "features.12",
}
VGG_ARCHS = (PACKAGED, *(f"{arch}{bn}" for bn in ("", "_bn") for arch in _VGG_BLOCKS))
"""The networks of `VGGFeatures`."""


def is_shipped(arch: str, weights: object) -> bool:
    """Return whether weights, as a parameter names them, come with featad."""
    return arch == PACKAGED and weights in ("default", GENERATED)


def is_generated(names: Iterable[str]) -> bool:
    """Return whether nodes or parameters are those of vgg_mini's first edition."""
    return not any(".squeeze" in name for name in names)


def vgg_nodes(arch: str, names: Iterable[str] | None = None) -> dict[str, str]:
    """Return the paper's names of a VGG's layers, and where they are in torchvision's.

    Each is taken after its ReLU. Empty for any other network.

    Parameters
    ----------
    arch : str

    names : iterable of str or None, default=None
        Nodes or parameters of the network, which tell the editions of vgg_mini apart.
        None stands for those of the second one.
    """
    if arch not in VGG_ARCHS:
        return {}
    if arch == PACKAGED and (names is None or not is_generated(names)):
        return dict(_FIRE_NODES)
    if arch == PACKAGED:
        nodes = {"fc7": "classifier"}
        blocks: tuple[int, ...] = (2, 2, 2, 1)
    else:
        nodes = {"fc7": "classifier.4", "fc6": "classifier.1"}
        blocks = _VGG_BLOCKS[arch.removesuffix("_bn")]
    step = 3 if arch.endswith("_bn") else 2  # convolution, normalization, ReLU
    index = 0
    for block, n_convolutions in enumerate(blocks, 1):
        for number in range(1, n_convolutions + 1):
            index += step
            nodes[f"conv{block}_{number}"] = f"features.{index - 1}"
        index += 1  # max pooling
    return nodes
