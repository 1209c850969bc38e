"""Layers of a VGG by the names of its paper."""

_VGG_BLOCKS = {  # convolutions in each of the five blocks: table 1 of the paper
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
VGG_ARCHS = ("vgg_mini", *(f"{arch}{bn}" for bn in ("", "_bn") for arch in _VGG_BLOCKS))
"""The networks of `VGGFeatures`."""


def vgg_nodes(arch: str) -> dict[str, str]:
    """Return the paper's names of a VGG's layers, and where they are in torchvision's.

    Each is taken after its ReLU. Empty for any other network.
    """
    if arch not in VGG_ARCHS:
        return {}
    if arch == "vgg_mini":
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
