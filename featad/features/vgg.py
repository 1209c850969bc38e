"""Images described by the layers of a frozen VGG, named as in its paper."""

import os

from sklearn.utils._param_validation import StrOptions

from featad.features.backbone import BackboneFeatures, _as_tuple
from featad.features.layers import VGG_ARCHS, vgg_nodes


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

    pooling : {"mean", "std", "max"} or tuple of these, default="mean"
        Statistics of each channel of a convolution over the map, all channels of one
        statistic together. "std" is the population's (divided by n). Fully connected
        layers are taken as they are.

    weights : str, path-like or None, default="default"
        ``"default"`` for torchvision's published weights, downloaded once to torch's
        own cache (vgg_mini's ship with featad); torchvision's name of a published set,
        such as ``"IMAGENET1K_V1"``; a .pth, .pt or .safetensors file; None for random
        weights, a stand-in for tests. A file may hold the convolutions of a VGG only:
        it serves convolutions, and the fully connected layers take no memory then.

    preprocessing : {"imagenet", "caffe"} or None, default=None
        How pixels are prepared, where a file of weights was not trained as torchvision
        trains: "caffe" is BGR from 0 to 255 minus the mean, as the weights of Caffe and
        Keras take it; "imagenet" is RGB with ImageNet's mean and deviation. None takes
        the way of the published weights.

    image_size : int, tuple of (height, width) or None, default=None
        Pixels that enter the network; None takes the preset's 224. At least 32 for the
        fully connected layers and the last block's pooling; convolutions take less,
        vgg_mini 15.

    crop : bool, default=False
        False resizes the whole image, so that nothing is cut off. True is the weights'
        preset to the letter: the shorter side resized to 256 pixels, then the center.
        ``image_size`` scales both, by its larger side.

    device : str, default="auto"
        ``"auto"`` (a GPU where there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or
        ``"mps"``; looked up when it is used.

    precision : {"float32", "float16", "bfloat16"}, default="float32"
        In which the network runs; "float16" on GPUs only. Features are float32 anyway.

    batch_size : int or None, default=None
        Images that run through the network together. None: 8 on a CPU, whose cache
        larger batches leave, and 32 on a GPU.

    n_jobs : int or None, default=None
        Threads that read and decode. None takes as many as there are processors, up to
        eight.

    cache : path-like or None, default=None
        Folder in which features are kept, found again by the contents of the image and
        the :meth:`extractor_fingerprint`. Several processes may share it; no image is
        extracted twice.

    on_error : {"raise", "skip", "nan"}, default="raise"
        What becomes of an image that cannot be read: an error, no row, or a row of NaN.
        Left-out images are counted and named in one :class:`ImageReadWarning`.

    max_value : float or None, default=None
        Pixel value that becomes 1.0; None takes it from the type of the pixels.

    random_state : int or None, default=None
        Seeds random weights (``weights=None``). None stands for 0, since the network
        has to be found again.

    verbose : bool, default=False
        Show a progress bar on stderr.

    Attributes
    ----------
    n_features_out_ : int
        Number of columns.

    columns_ : tuple of (str, int)
        Name and number of columns of each block: each layer, or each statistic of it.

    weights_fingerprint_ : str
        Digest of the network's weights, and of how pixels are prepared where that is
        not the default of the network.

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
        pooling: str | tuple[str, ...] = "mean",
        weights: str | os.PathLike | None = "default",
        preprocessing: str | None = None,
        image_size: int | tuple[int, int] | None = None,
        crop: bool = False,
        device: str = "auto",
        precision: str = "float32",
        batch_size: int | None = None,
        n_jobs: int | None = None,
        cache: str | os.PathLike | None = None,
        on_error: str = "raise",
        max_value: float | None = None,
        random_state: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            arch,
            layer=layer,
            pooling=pooling,
            weights=weights,
            preprocessing=preprocessing,
            image_size=image_size,
            crop=crop,
            device=device,
            precision=precision,
            batch_size=batch_size,
            n_jobs=n_jobs,
            cache=cache,
            on_error=on_error,
            max_value=max_value,
            random_state=random_state,
            verbose=verbose,
        )

    def _check_parameters(self) -> None:
        super()._check_parameters()
        known = vgg_nodes(self.arch)
        if not set(_as_tuple(self.layer)) <= set(known):
            self._refuse("layer", f"one or several of {', '.join(known)}")
