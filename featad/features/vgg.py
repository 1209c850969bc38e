"""Images described by the layers of a frozen VGG, named as in its paper."""

from typing_extensions import Unpack

from featad._sklearn import StrOptions
from featad.features.backbone import BackboneFeatures
from featad.features.base import as_tuple
from featad.features.layers import VGG_ARCHS, vgg_nodes
from featad.features.options import BackboneOptions


class VGGFeatures(BackboneFeatures):
    """Describe each image by layers of a frozen VGG: 4096 numbers by default.

    The default is the activations after the second fully connected layer and its ReLU.
    Everything but the names of the layers is as in :class:`BackboneFeatures`.

    Parameters
    ----------
    arch : str, default="vgg16"
        ``"vgg11"``, ``"vgg13"``, ``"vgg16"``, ``"vgg19"``, or one of them with batch
        normalization: ``"vgg16_bn"``. ``"vgg_mini"`` is featad's own, small and fast,
        with weights that ship with it and were trained on generated images only.

    layer : str or tuple of str, default="fc7"
        ``"fc7"`` or ``"fc6"``, the fully connected layers (4096 features each), or a
        convolution, ``"conv1_1"`` to ``"conv5_3"`` (block and number in the block, as
        many as the network has); each after its ReLU. Several are concatenated.
        vgg_mini has convolutions up to ``"conv4_1"`` and no "fc6"; its ``"fc7"`` is
        made of statistics of its last stages, without a learned layer, of length 1.

    image_size : int, tuple of (height, width) or None, default=None
        Pixels that enter the network; None takes the preset's 224. At least 32 for the
        fully connected layers and the last block's pooling; convolutions take less,
        vgg_mini 15.

    References
    ----------
    .. [1] Simonyan and Zisserman, "Very deep convolutional networks for large-scale
       image recognition", ICLR 2015. Layers: table 1, configurations A, B, D and E.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.features import VGGFeatures
    >>> images = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    >>> features = VGGFeatures("vgg11", layer="conv4_2", weights=None, image_size=32)
    >>> features.fit_transform(images).shape
    (2, 512)
    >>> VGGFeatures().layer
    'fc7'
    """

    _parameter_constraints: dict = {
        **BackboneFeatures._parameter_constraints,
        "arch": [StrOptions(set(VGG_ARCHS))],
        "layer": [str, tuple, list],
    }

    def __init__(
        self,
        arch: str = "vgg16",
        *,
        layer: str | tuple[str, ...] = "fc7",
        **options: Unpack[BackboneOptions],
    ) -> None:
        super().__init__(arch, layer=layer, **options)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        known = vgg_nodes(self.arch)
        if not set(as_tuple(self.layer)) <= set(known):
            self._refuse("layer", f"one or several of {', '.join(known)}")
