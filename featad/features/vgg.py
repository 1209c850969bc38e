"""Images described by the layers of a frozen VGG, named as in its paper."""

from typing_extensions import Unpack

from featad._sklearn import StrOptions
from featad.features.backbone import BackboneFeatures
from featad.features.base import as_tuple
from featad.features.network import NetworkFeatures
from featad.features.options import BackboneOptions, PatchOptions
from featad.features.patches import PatchFeatures
from featad.features.vgg_layers import VGG_ARCHS, vgg_nodes


class _PaperLayers(NetworkFeatures):
    """Base of those that take the paper's names of a VGG's layers, and no others."""

    def _check_parameters(self) -> None:
        super()._check_parameters()
        known = {**vgg_nodes(self.arch), **vgg_nodes(self.arch, ())}
        layers = as_tuple(self.layer)
        if self.layer is not None and not set(layers) <= set(known):
            self._refuse("layer", f"one or several of {', '.join(known)}")


class VGGFeatures(_PaperLayers, BackboneFeatures):
    """Describe each image by layers of a frozen VGG: 4096 numbers by default.

    The default is the activations after the second fully connected layer and its ReLU.
    Everything except the names of the layers is as in :class:`BackboneFeatures`.

    Parameters
    ----------
    arch : str, default="vgg16"
        ``"vgg11"``, ``"vgg13"``, ``"vgg16"``, ``"vgg19"``, or one of them with batch
        normalization, such as ``"vgg16_bn"``. ``"vgg_mini"`` is featad's own network:
        it is small and fast, and its weights, taught by VGG16 on generated images, ship
        with featad.

    layer : str or tuple of str, default="fc7"
        ``"fc7"`` or ``"fc6"``, the fully connected layers (4096 features each), or a
        convolution from ``"conv1_1"`` to ``"conv5_3"``, named by block and number in
        the block. Each is taken after its ReLU. Several are concatenated. vgg_mini has
        stages from ``"conv1_1"`` to ``"conv4_4"`` and no "fc6". Its ``"fc7"`` holds
        statistics of three stages, scaled to length 1; it has no learned weights.

    image_size : int, tuple of (height, width) or None, default=None
        Size in pixels to which images are resized. None uses the preset's 224. The
        fully connected layers need at least 32, convolutions less, and vgg_mini 17.

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


class VGGPatches(_PaperLayers, PatchFeatures, auto_wrap_output_keys=None):
    """Describe each position of an image by middle layers of a frozen VGG.

    Everything except the names of the layers is as in :class:`PatchFeatures`.

    Parameters
    ----------
    arch : str, default="vgg16"
        ``"vgg11"``, ``"vgg13"``, ``"vgg16"``, ``"vgg19"``, or one of them with batch
        normalization, such as ``"vgg16_bn"``, or ``"vgg_mini"``, featad's own small
        network, whose weights ship with it.

    layer : str, tuple of str or None, default=None
        Convolutions from ``"conv1_1"`` to ``"conv5_3"``, named by block and number in
        the block. Each is taken after its ReLU. None takes two middle ones, such as
        ``("conv3_3", "conv4_3")`` of VGG16.

    References
    ----------
    .. [1] Simonyan and Zisserman, "Very deep convolutional networks for large-scale
       image recognition", ICLR 2015. Layers: table 1, configurations A, B, D and E.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.features import VGGPatches
    >>> images = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    >>> patches = VGGPatches("vgg11", weights=None, image_size=32, dtype="float16")
    >>> patches.fit_transform(images).shape
    (2, 8, 8, 768)
    >>> patches.get_feature_names_out()[0]
    'conv3_2_0'
    """

    _parameter_constraints: dict = {
        **PatchFeatures._parameter_constraints,
        "arch": [StrOptions(set(VGG_ARCHS))],
    }

    def __init__(
        self,
        arch: str = "vgg16",
        *,
        layer: str | tuple[str, ...] | None = None,
        **options: Unpack[PatchOptions],
    ) -> None:
        super().__init__(arch, layer=layer, **options)
