"""Images described by the layers of a frozen network."""

import os
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions

from featad.errors import ImageReadError, WeightsChangedError
from featad.features.cache import FeatureCache
from featad.features.layers import vgg_nodes, with_blocks
from featad.features.streaming import stream_features
from featad.images import check_sources, settle_unread

if TYPE_CHECKING:
    from featad.features.extractor import Extractor

_POOLING = ("mean", "std", "max")


class BackboneFeatures(TransformerMixin, BaseEstimator):
    """Describe each image by layers of a frozen network.

    Nothing is learned: ``fit`` checks its input and finds the weights; ``transform``
    works without it. Images are decoded in threads while the network runs, batch by
    batch, so that memory does not grow with their number. The network is never pickled:
    a fitted transformer knows its weights by their fingerprint and finds them again.

    Parameters
    ----------
    arch : str, default="vgg16"
        Name of a torchvision classification network, or ``"vgg_mini"``.

    layer : str, tuple of str or None, default=None
        What to take: a name from :func:`layer_names`, such as ``"features.9"`` or
        ``"layer3"``; several are concatenated. None takes what enters the classifying
        layer: the last linear one, or the last convolution of a network that has none.

    pooling : {"mean", "std", "max"} or tuple of these, default="mean"
        Statistics of each channel over the map (over the tokens of a transformer), all
        channels of one statistic together. "std" is the population's (divided by n), so
        0 for a map of one position. Layers without a map are taken as they are.

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
        Pixels that enter the network; None takes the size of the weights' preset,
        mostly 224. The smallest that works depends on network and layer, 32 for a whole
        VGG; vision transformers take their own size only.

    crop : bool, default=False
        False resizes the whole image, so that nothing is cut off. True is the weights'
        preset to the letter: the shorter side resized to a little more than the size,
        then the center. ``image_size`` scales both, by its larger side.

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

    Notes
    -----
    Channels are standardized by the mean and deviation of the published weights that
    are used. A file is compared with the published ones; where it is none of them, the
    preset of the network's default weights holds, or what ``preprocessing`` says. On
    CUDA, float32 convolutions are kept from rounding to TF32, so that features agree
    with the CPU's.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.features import BackboneFeatures
    >>> images = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    >>> features = BackboneFeatures(
    ...     "squeezenet1_1", layer="features.9", weights=None, image_size=32
    ... )
    >>> features.fit_transform(images).shape
    (2, 384)
    >>> features.get_feature_names_out()[0]
    'features.9_mean_0'
    """

    _parameter_constraints: dict = {
        "arch": [str],
        "layer": [str, tuple, list, None],
        "pooling": [StrOptions(set(_POOLING)), tuple, list],
        "weights": [str, os.PathLike, None],
        "preprocessing": [StrOptions({"imagenet", "caffe"}), None],
        "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "crop": ["boolean"],
        "device": [str],
        "precision": [StrOptions({"float32", "float16", "bfloat16"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [Integral, None],
        "cache": [str, os.PathLike, None],
        "on_error": [StrOptions({"raise", "skip", "nan"})],
        "max_value": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": [Interval(Integral, 0, 2**32 - 1, closed="both"), None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        arch: str = "vgg16",
        *,
        layer: str | tuple[str, ...] | None = None,
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
        self.arch = arch
        self.layer = layer
        self.pooling = pooling
        self.weights = weights
        self.preprocessing = preprocessing
        self.image_size = image_size
        self.crop = crop
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.cache = cache
        self.on_error = on_error
        self.max_value = max_value
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: ArrayLike | None = None) -> "BackboneFeatures":
        """Check the input and find the weights; nothing is learned.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, 3])
            Paths, bytes, PIL images or arrays. They are not read.

        y : ignored

        Returns
        -------
        self : BackboneFeatures

        Raises
        ------
        WeightsNotFoundError
            If the weights are neither there nor to be downloaded.

        ValueError
            If a parameter does not fit the network or this machine.
        """
        self._check_parameters()
        check_sources(X, estimator_name=type(self).__name__)
        extractor = self._find_extractor()
        self.columns_ = self._columns(extractor)
        self.n_features_out_ = sum(width for _, width in self.columns_)
        self.weights_fingerprint_ = extractor.fingerprint
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Describe each image by its features.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, 3])
            Paths, bytes, PIL images or arrays.

        Returns
        -------
        features : float32 ndarray of shape (n_samples, n_features_out)
            Fewer rows if images were skipped.

        Raises
        ------
        ImageReadError
            If an image cannot be read and ``on_error="raise"``, or none can and it is
            "skip". What was extracted before is in the cache, if there is one.

        WeightsChangedError
            If the weights found are not those of ``fit``.

        WeightsNotFoundError, ValueError
            As for :meth:`fit`.

        FeatadError
            If the cache cannot be written.
        """
        self._check_parameters()
        sources = check_sources(X, estimator_name=type(self).__name__)
        extractor = self._checked_extractor()
        width = sum(n for _, n in self._columns(extractor))
        cache = None
        if self.cache is not None:
            cache = FeatureCache(self.cache, self._fingerprint(extractor), width)
        features = np.full((len(sources), width), np.nan, dtype=np.float32)
        unread = {}
        for rows, values in stream_features(
            sources,
            self._reading(),
            partial(self._launch, extractor),
            batch_size=self.batch_size or (8 if extractor.on_cpu else 32),
            n_jobs=self.n_jobs,
            cache=cache,
            verbose=self.verbose,
        ):
            if isinstance(values, ImageReadError):
                if self.on_error == "raise":
                    raise values
                unread[rows] = values
            else:
                features[rows] = values
        settle_unread(list(unread.values()), len(sources), self.on_error)
        if self.on_error == "skip":
            features = np.delete(features, list(unread), axis=0)
        return features

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the column names, such as ``"fc7_0"`` or ``"conv4_3_mean_0"``.

        Parameters
        ----------
        input_features : ignored
            There are no input features: the input is images.

        Returns
        -------
        names : ndarray of str objects, of shape (n_features_out,)
        """
        columns = getattr(self, "columns_", None)
        if columns is None:
            self._check_parameters()
            columns = self._columns(self._find_extractor())
        names = [f"{name}_{index}" for name, n in columns for index in range(n)]
        return np.array(names, dtype=object)

    def check_weights(self) -> None:
        """Find the weights now, and hold them to the fingerprint they had at ``fit``.

        Raises
        ------
        WeightsNotFoundError
            If they are neither there nor to be downloaded.

        WeightsChangedError
            If they are others.
        """
        self._check_parameters()
        self._checked_extractor()

    def extractor_fingerprint(self) -> str:
        """Return a digest of everything that decides the features of an image.

        Weights, preprocessing, layers, pooling, image size, crop, precision,
        ``max_value`` and the version of the computation: not the device, the batch or
        the threads.

        Returns
        -------
        fingerprint : str
            64 hexadecimal digits.
        """
        self._check_parameters()
        return self._fingerprint(self._checked_extractor())

    def _launch(
        self, extractor: "Extractor", pixels: np.ndarray
    ) -> Callable[[], np.ndarray]:
        """Start the network on float32 (n, height, width, 3): every image passes."""
        return extractor.launch(pixels, _as_tuple(self.pooling), self.precision)

    def _reading(self):
        """Return how images are read, as arguments of `read_image`."""
        from featad.features.weights import preset  # torch: slow to import

        usual = preset(self.arch, self.weights)
        size = tuple(int(n) for n in self._size(usual.crop_size))
        reading = {"size": size, "interpolation": usual.interpolation}
        if self.crop:
            reading["crop_from"] = usual.resize_size * max(size) // usual.crop_size
        if self.max_value is not None:
            reading["max_value"] = float(self.max_value)
        return reading

    def _size(self, usual):
        size = usual if self.image_size is None else self.image_size
        return (size, size) if isinstance(size, Integral) else tuple(size)

    def _columns(self, extractor):
        return extractor.columns(self._reading()["size"], _as_tuple(self.pooling))

    def _find_extractor(self) -> "Extractor":
        from featad._device import autocast, resolve_device  # torch: slow to import
        from featad.features.extractor import load_extractor
        from featad.features.weights import find_weights

        device = resolve_device(self.device)
        autocast(device, self.precision)  # refuses what the device cannot do
        found = find_weights(
            self.arch, self.weights, self.random_state, self.preprocessing
        )
        return load_extractor(found, _as_tuple(self.layer), device)

    def _checked_extractor(self) -> "Extractor":
        extractor = self._find_extractor()
        expected = getattr(self, "weights_fingerprint_", extractor.fingerprint)
        if extractor.fingerprint != expected:
            raise WeightsChangedError(
                f"{type(self).__name__} was fitted with {self.arch} weights of "
                f"fingerprint {expected[:12]}, but weights={str(self.weights)!r} has "
                f"{extractor.fingerprint[:12]} here. Pass the file and the "
                "preprocessing it was fitted with, or fit again."
            )
        return extractor

    def _fingerprint(self, extractor):
        pooling = _as_tuple(self.pooling)
        return extractor.identify(self._reading(), pooling, self.precision)

    def _check_parameters(self):
        from featad.features.presets import check_arch  # torch: slow to import

        self._validate_params()
        check_arch(self.arch)
        layers, statistics = _as_tuple(self.layer), _as_tuple(self.pooling)
        size = self._size(1)
        if not layers or len(set(layers)) < len(layers):
            self._refuse("layer", "one name or several different ones")
        if not statistics or not set(statistics) <= set(_POOLING):
            self._refuse("pooling", f"one or several of {_POOLING}")
        if len(size) != 2 or not all(isinstance(n, Integral) and n > 0 for n in size):
            self._refuse("image_size", "a number of pixels or (height, width)")

    def _refuse(self, parameter, expected):
        raise ValueError(
            f"{type(self).__name__}: {parameter} should be {expected}, got "
            f"{getattr(self, parameter)!r}."
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def layer_names(arch: str) -> tuple[str, ...]:
    """Return the names that `BackboneFeatures` takes as ``layer``.

    Parameters
    ----------
    arch : str
        Name of a torchvision classification network.

    Returns
    -------
    names : tuple of str
        In the order in which they run, a block (``"layer3"``, that is, its output)
        before what it is made of. For a VGG the names of the paper come first.

    Examples
    --------
    >>> from featad.features import layer_names
    >>> layer_names("vgg11")[:5]
    ('fc7', 'fc6', 'conv1_1', 'conv2_1', 'conv3_1')
    >>> "features.9" in layer_names("squeezenet1_1")
    True
    """
    from featad.features.extractor import node_names  # torch: slow to import
    from featad.features.weights import load_network

    network, _ = load_network(arch, None)
    return (*vgg_nodes(arch), *with_blocks(node_names(network)))


def _as_tuple(value: Any) -> tuple:
    return tuple(value) if isinstance(value, tuple | list) else (value,)
