"""Names of layers: which a network has, and which to take."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from featad.errors import WeightsNotFoundError
from featad.features.vgg_layers import (
    GENERATED,
    PACKAGED,
    VGG_ARCHS,
    vgg_nodes,
)

if TYPE_CHECKING:
    from torch import nn

BACKBONES: dict[str, tuple[str, str, str]] = {
    "vgg_mini": ("conv3_2", "conv4_1", "conv4_4"),
    "alexnet": ("features.7", "features.9", "features.11"),
    "vgg11": ("conv3_2", "conv4_2", "conv5_2"),
    "vgg13": ("conv3_2", "conv4_2", "conv5_2"),
    "vgg16": ("conv3_3", "conv4_3", "conv5_3"),
    "vgg19": ("conv3_4", "conv4_4", "conv5_4"),
    "vgg11_bn": ("conv3_2", "conv4_2", "conv5_2"),
    "vgg13_bn": ("conv3_2", "conv4_2", "conv5_2"),
    "vgg16_bn": ("conv3_3", "conv4_3", "conv5_3"),
    "vgg19_bn": ("conv3_4", "conv4_4", "conv5_4"),
    "squeezenet1_0": ("features.5", "features.9", "features.12"),
    "squeezenet1_1": ("features.7", "features.9", "features.12"),
    "resnet18": ("layer2", "layer3", "layer4"),
    "resnet34": ("layer2", "layer3", "layer4"),
    "resnet50": ("layer2", "layer3", "layer4"),
    "wide_resnet50_2": ("layer2", "layer3", "layer4"),
    "densenet121": (
        "features.denseblock2",
        "features.denseblock3",
        "features.denseblock4",
    ),
    "mobilenet_v3_large": ("features.6", "features.12", "features.15"),
    "efficientnet_b0": ("features.3", "features.5", "features.7"),
    "convnext_tiny": ("features.3", "features.5", "features.7"),
}
"""Networks that named systems are built on, and three layers of each.

The second is a middle layer, whose map has about a sixteenth of the image's height and
width: it responds to textures and not yet to whole objects. The others end the stage
before it and the stage after it. vgg_mini, vgg16 and squeezenet1_1 were measured with
these layers (benchmarks/results/quality.md); for the other networks they are taken by
analogy.
"""

FIRST_EDITION = ("conv3_1", "conv3_2", "conv4_1")
"""The three layers of vgg_mini's first edition, ``weights="generated"``."""


def default_layers(
    arch: str, weights: object = "default"
) -> tuple[str | None, tuple[str, str, str]]:
    """Return the last layer of a network, and the three that ``stats`` systems use.

    Parameters
    ----------
    arch : str
        A key of `BACKBONES`.

    weights : str, path-like or None, default="default"
        Those that the network has: ``"generated"`` is another edition of vgg_mini.

    Returns
    -------
    last : str or None
        ``"fc7"`` for a VGG. None otherwise: the input of the classification layer.

    three : tuple of str
        For statistics of their maps; the second is the middle layer.

    Raises
    ------
    ValueError
        If named systems do not use the network.

    Examples
    --------
    >>> from featad.features import default_layers
    >>> default_layers("vgg16")
    ('fc7', ('conv3_3', 'conv4_3', 'conv5_3'))
    >>> default_layers("resnet18")
    (None, ('layer2', 'layer3', 'layer4'))
    """
    if arch not in BACKBONES:
        raise ValueError(
            f"arch should be one of {', '.join(BACKBONES)}; got {arch!r}. "
            "BackboneFeatures takes others as well: layer_names(arch) lists their "
            "layers."
        )
    is_first = arch == PACKAGED and weights == GENERATED
    three = FIRST_EDITION if is_first else BACKBONES[arch]
    return ("fc7" if arch in VGG_ARCHS else None), three


def patch_layers(arch: str, weights: object = "default") -> tuple[str, ...]:
    """Return the two middle layers of a network whose maps `PatchFeatures` takes.

    Parameters
    ----------
    arch : str
        A key of `BACKBONES`.

    weights : str, path-like or None, default="default"
        As for `default_layers`.

    Returns
    -------
    layers : tuple of str
        The first two of the three: the last one responds to whole objects.

    Raises
    ------
    ValueError
        If named systems do not use the network.

    Examples
    --------
    >>> from featad.features import patch_layers
    >>> patch_layers("vgg16")
    ('conv3_3', 'conv4_3')
    """
    return default_layers(arch, weights)[1][:2]


def layer_names(arch: str) -> tuple[str, ...]:
    """Return the names that `BackboneFeatures` takes as ``layer``.

    Parameters
    ----------
    arch : str
        Name of a torchvision classification network.

    Returns
    -------
    names : tuple of str
        In the order in which they run. A block, such as ``"layer3"``, stands for its
        output and comes before its parts. For a VGG, the paper's names come first.

    Examples
    --------
    >>> from featad.features import layer_names
    >>> layer_names("vgg11")[:5]
    ('fc7', 'fc6', 'conv1_1', 'conv2_1', 'conv3_1')
    >>> "features.9" in layer_names("squeezenet1_1")
    True
    """
    from featad.features.graph import node_names  # torch: slow to import
    from featad.features.weights import load_network

    network, _ = load_network(arch, None)
    return (*vgg_nodes(arch), *with_blocks(node_names(network)))


def with_blocks(nodes: Sequence[str]) -> tuple[str, ...]:
    """Return names of nodes and of the blocks that hold them, each once, in order."""
    names: dict[str, None] = {}
    for node in nodes:
        parts = node.split(".")
        for end in range(1, len(parts) + 1):
            names[".".join(parts[:end])] = None
    return tuple(names)


def find_nodes(
    network: "nn.Module", arch: str, layers: Sequence[str | None]
) -> dict[str, str]:
    """Return the names of layers, and of the graph nodes of a network that give them.

    Parameters
    ----------
    network : torch.nn.Module
    arch : str
    layers : sequence of str or None
        None for what enters the classifying layer.

    Raises
    ------
    ValueError
        If the network has no such layer.

    WeightsNotFoundError
        If only the weights of convolutions are there, and it is not one of them.
    """
    from featad.features.graph import last_layer, node_names  # torch: slow to import

    names = node_names(network)
    paper = vgg_nodes(arch, names)
    nodes = {}
    for layer in layers:
        if layer is None:
            layer = "fc7" if paper else last_layer(network, names)
        check_layer(arch, layer, names)
        nodes[layer] = paper.get(layer, layer)
    return nodes


def check_layer(arch: str, layer: str, nodes: Sequence[str]) -> None:
    """Refuse a layer that a network does not have.

    Raises
    ------
    ValueError
        With the names there are, or the nearest of many.

    WeightsNotFoundError
        If the layer is fully connected, and the nodes are those of a VGG whose weights
        hold convolutions only.
    """
    paper, names = vgg_nodes(arch, nodes), with_blocks(nodes)
    if paper.get(layer, layer) in names:
        return
    is_connected = layer in paper or layer.startswith(("classifier", "flatten"))
    if paper and paper["fc7"] not in names and is_connected:
        raise WeightsNotFoundError(
            f"These weights hold the convolutions of {arch} only, and layer {layer!r} "
            "needs the fully connected ones. Take a convolution, such as layer="
            f"{default_layers(arch)[1][1]!r}, or pass weights of the whole network."
        )
    if paper:
        known = f"it should be one of {', '.join(paper)}, or a node of the network"
    else:
        near = get_close_matches(str(layer), names, n=4) or names[-4:]
        known = f"it has, for instance, {', '.join(near)}"
    raise ValueError(
        f"{arch} has no layer {layer!r}: {known}. "
        f"featad.features.layer_names({arch!r}) lists them all."
    )
