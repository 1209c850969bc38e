"""Images described by the layers of a frozen network."""

import os
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from featad._options import inherit_options
from featad._sklearn import Interval, StrOptions
from featad.errors import WeightsChangedError
from featad.features.base import ImageFeatures, as_tuple
from featad.features.cache import FeatureCache
from featad.features.pooling import POOLING, normalize_blocks
from featad.features.streaming import gather, stream_features
from featad.images import check_sources, label_rows

if TYPE_CHECKING:
    from featad.features.extractor import Extractor


class BackboneFeatures(ImageFeatures):
    """Describe each image by layers of a frozen network.

    Nothing is learned: ``fit`` checks its input and finds the weights, and
    ``transform`` works without it. Images are decoded in threads while the network
    runs, batch by batch, so memory does not grow with the number of images. The network
    is never pickled: a fitted transformer stores the fingerprint of its weights and
    finds them again.

    Parameters
    ----------
    arch : str, default="vgg16"
        Name of a torchvision classification network, or ``"vgg_mini"``.

    layer : str, tuple of str or None, default=None
        Layer whose output is used: a name from :func:`layer_names`, such as
        ``"features.9"`` or ``"layer3"``. Several are concatenated. None uses the input
        of the classification layer, which is the last linear layer, or the last
        convolution of a network without linear layers.

    pooling : {"mean", "std", "max"} or tuple of these, default="mean"
        Statistics of each channel over the map, or over the tokens of a transformer.
        All channels of one statistic stand together. "std" divides by n, so it is 0
        for a map of one position. Layers without a map are used as they are.

    normalize : bool, default=False
        Whether the features of each layer are divided by their Euclidean length.

    weights : str, path-like or None, default="default"
        ``"default"`` for torchvision's published weights, downloaded once to torch's
        own cache (vgg_mini's ship with featad); torchvision's name of a published set,
        such as ``"IMAGENET1K_V1"``; a .pth, .pt or .safetensors file; None for random
        weights, a stand-in for tests. A file may hold only the convolutions of a VGG.
        Then only convolutions can be used as layers.

    preprocessing : {"imagenet", "caffe"} or None, default=None
        Scale and channel order of the pixels that enter the network. None uses those of
        the published weights. "caffe" is BGR from 0 to 255 minus the mean, for files
        of weights from Caffe or Keras. "imagenet" is RGB standardized by the mean and
        deviation of ImageNet.

    image_size : int, tuple of (height, width) or None, default=None
        Size in pixels to which images are resized. None uses the size of the weights'
        preset, usually 224. The smallest size that works depends on network and layer:
        it is 32 for a whole VGG. Vision transformers accept their own size only.

    crop : bool, default=False
        False resizes the whole image, so nothing is cut off. True follows the weights'
        preset exactly: it resizes the shorter side to slightly more than the size and
        crops the center. ``image_size`` scales both steps by its larger side.

    device : str, default="auto"
        ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or
        ``"mps"``. It is looked up when it is used.

    precision : {"float32", "float16", "bfloat16"}, default="float32"
        Floating-point type in which the network runs; "float16" needs a GPU. Features
        are always returned as float32.

    batch_size : int or None, default=None
        Number of images that run through the network together. None means 8 on a CPU,
        where larger batches do not fit into the processor's cache, and 32 on a GPU.

    n_jobs : int or None, default=None
        Number of threads that read and decode images. None means one per processor, up
        to eight.

    cache : path-like or None, default=None
        Folder in which features are kept. They are found again by the contents of the
        image and the :meth:`extractor_fingerprint`. Several processes may share it; no
        image is extracted twice.

    on_error : {"raise", "skip", "nan"}, default="raise"
        What to do about images that cannot be read: raise :class:`ImageReadError`,
        leave out their rows, or fill their rows with NaN. One
        :class:`ImageReadWarning` counts and names them.

    max_value : float or None, default=None
        Pixel value that becomes 1.0. None derives it from the type of the pixels.

    max_pixels : int or None, default=None
        Largest image that is decoded, in pixels. None is Pillow's limit.

    truncated : {"raise", "accept"}, default="raise"
        What to do with JPEG files that lack their last bytes: refuse or read them.

    random_state : int or None, default=None
        Seed of random weights (``weights=None``). None means 0.

    verbose : bool, default=False
        Whether to show a progress bar on stderr.

    Attributes
    ----------
    n_features_out_ : int
        Number of columns.

    columns_ : tuple of (str, int)
        Name and number of columns of each block: each layer, or each statistic of it.

    weights_fingerprint_ : str
        Digest of the weights, and of the preparation of pixels if it is not the usual.

    weights_note_ : str
        What these weights are: a published set, or what was assumed about a file.

    Notes
    -----
    A file of weights is compared with the published sets. If it is one of them, its
    preset is used: size, interpolation, mean and deviation. If not, the preset of the
    network's default set is used, with a warning unless ``preprocessing`` is given.
    On CUDA, float32 convolutions are kept from rounding to TF32, so that features agree
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
        "pooling": [StrOptions(set(POOLING)), tuple, list],
        "normalize": ["boolean"],
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
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
        "truncated": [StrOptions({"raise", "accept"})],
        "random_state": [Interval(Integral, 0, 2**32 - 1, closed="both"), None],
        "verbose": ["verbose"],
    }

    def __init__(
        self, arch: str = "vgg16", *, layer: str | tuple[str, ...] | None = None,
        pooling: str | tuple[str, ...] = "mean", normalize: bool = False,
        weights: str | os.PathLike | None = "default", preprocessing: str | None = None,
        image_size: int | tuple[int, int] | None = None, crop: bool = False,
        device: str = "auto", precision: str = "float32", batch_size: int | None = None,
        n_jobs: int | None = None, cache: str | os.PathLike | None = None,
        on_error: str = "raise", max_value: float | None = None,
        max_pixels: int | None = None, truncated: str = "raise",
        random_state: int | None = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        self.arch = arch
        self.layer = layer
        self.pooling = pooling
        self.normalize = normalize
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
        self.max_pixels = max_pixels
        self.truncated = truncated
        self.random_state = random_state
        self.verbose = verbose

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        inherit_options(cls)

    def fit(self, X: Any, y: ArrayLike | None = None) -> "BackboneFeatures":
        """Check the input and find the weights; nothing is learned.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, 3])
            Paths, bytes, PIL images or arrays. They are not read here.

        y : ignored

        Returns
        -------
        self : BackboneFeatures

        Raises
        ------
        WeightsNotFoundError
            If the weights are not on this machine and cannot be downloaded.

        ValueError
            If a parameter does not fit the network or this machine.
        """
        self._check_parameters()
        check_sources(X, estimator_name=type(self).__name__)
        from featad.features.weights import warn_of_assumption  # torch: slow to import

        extractor = self._find_extractor()
        self.columns_ = self._columns(extractor)
        self.n_features_out_ = sum(width for _, width in self.columns_)
        self.weights_fingerprint_ = extractor.fingerprint
        self.weights_note_ = str(extractor.found)
        warn_of_assumption(extractor.found, self)
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
            If an image cannot be read and ``on_error="raise"``, or if none can and it
            is "skip". Features extracted before are in the cache, if there is one.

        WeightsChangedError
            If the weights are not the ones found in ``fit``.

        WeightsNotFoundError, ValueError
            As for :meth:`fit`.

        FeatadError
            If the cache cannot be written.
        """
        self._check_parameters()
        sources = check_sources(X, estimator_name=type(self).__name__)
        extractor = self._checked_extractor()
        widths = self._layer_widths(extractor)
        width = sum(widths)
        cache = None
        if self.cache is not None:
            cache = FeatureCache(self.cache, self._fingerprint(extractor), width)
        stream = stream_features(
            sources,
            self._reading() | {"max_pixels": self.max_pixels},
            partial(self._launch, extractor),
            batch_size=self.batch_size or (8 if extractor.on_cpu else 32),
            n_jobs=self.n_jobs,
            cache=cache,
            verbose=self.verbose,
        )
        features, rows = gather(stream, len(sources), width, self.on_error)
        if self.normalize:
            normalize_blocks(features, widths)
        return label_rows(self, features, rows, X)

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
        self._check_parameters()
        blocks = self._columns(self._find_extractor())  # of these parameters
        return np.array([f"{b}_{i}" for b, n in blocks for i in range(n)], dtype=object)

    def check_weights(self) -> None:
        """Find the weights and compare their fingerprint with the one of ``fit``.

        Raises
        ------
        WeightsNotFoundError
            If they are not on this machine and cannot be downloaded.

        WeightsChangedError
            If their fingerprint is another.
        """
        self._check_parameters()
        self._checked_extractor()

    def extractor_fingerprint(self) -> str:
        """Return a digest of everything that decides the features of an image.

        Weights, preprocessing, layers, pooling, image size, crop, precision,
        ``max_value``, ``truncated`` and the version of the computation; not the device,
        the batch size or the threads.

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
        return extractor.launch(pixels, as_tuple(self.pooling), self.precision)

    def _reading(self) -> dict[str, Any]:
        """Return what decides the pixels, as arguments of `read_image`."""
        from featad.features.weights import preset  # torch: slow to import

        usual = preset(self.arch, self.weights)
        return usual.reading(self.image_size, self.crop, self.max_value, self.truncated)

    def _columns(self, extractor):
        return extractor.columns(self._reading()["size"], as_tuple(self.pooling))

    def _layer_widths(self, extractor):
        return extractor.layer_widths(self._reading()["size"], as_tuple(self.pooling))

    def _find_extractor(self, is_fitted: bool = False) -> "Extractor":
        from featad import _device  # torch: slow to import
        from featad.features.extractor import load_extractor
        from featad.features.weights import find_weights

        resolve = _device.usable_device if is_fitted else _device.resolve_device
        device = resolve(self.device)
        _device.autocast(device, self.precision)  # refuses what the device cannot do
        found = find_weights(
            self.arch, self.weights, self.random_state, self.preprocessing
        )
        return load_extractor(found, as_tuple(self.layer), device)

    def _checked_extractor(self) -> "Extractor":
        extractor = self._find_extractor(hasattr(self, "weights_fingerprint_"))
        expected = getattr(self, "weights_fingerprint_", extractor.fingerprint)
        if extractor.fingerprint != expected:
            raise WeightsChangedError(
                f"{type(self).__name__} was fitted with {self.arch} weights of "
                f"fingerprint {expected[:12]}, but weights={str(self.weights)!r} has "
                f"{extractor.fingerprint[:12]} here. Pass the weights and the "
                "preprocessing it was fitted with, or fit again."
            )
        return extractor

    def _fingerprint(self, extractor):
        pooling = as_tuple(self.pooling)
        return extractor.identify(self._reading(), pooling, self.precision)

    def _check_parameters(self):
        from featad.features.presets import check_arch  # torch: slow to import

        self._validate_params()
        check_arch(self.arch)
        layers = as_tuple(self.layer)
        if not layers or len(set(layers)) < len(layers):
            self._refuse("layer", "one name or several different ones")
        self._check_pooling()
        self._check_image_size()
