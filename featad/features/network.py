"""What all transformers that run a frozen network have in common."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Self

from featad._options import inherit_options
from featad._sklearn import Interval, StrOptions
from featad.features.cache import Cache, FeatureCache
from featad.features.frozen import FrozenNetwork
from featad.features.streaming import stream_features
from featad.images import check_sources
from featad.images.mapping import gather
from featad.images.reader import READING

if TYPE_CHECKING:
    from featad.features.described import Described
    from featad.features.extractor import Summary


class NetworkFeatures(FrozenNetwork):
    """Base of transformers that run a frozen network on images.

    A subclass writes ``_summary`` and ``_note_summary``, and hands on what ``_extract``
    yields.

    Parameters
    ----------
    arch : str, default="vgg16"
        Name of a torchvision classification network, or ``"vgg_mini"``.

    layer : str, tuple of str or None, default=None
        Layers whose output is used: names from :func:`layer_names`.

    weights : str, path-like or None, default="default"
        ``"default"`` for torchvision's published weights, downloaded once to torch's
        own cache (vgg_mini's ship with featad); ``"generated"`` for vgg_mini's first
        edition, which owes nothing to photographs; torchvision's name of a published
        set, such as ``"IMAGENET1K_V1"``; a .pth, .pt or .safetensors file; None for
        random weights. Of a VGG, a file may hold the convolutions alone.

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

    engine : {"torch", "openvino", "auto"}, default="torch"
        What runs the network. "openvino" needs the extra of this name and is faster on
        CPUs, on which alone it runs. In float32 its features are those of "torch" but
        for 1e-5 of the largest of a layer, which is checked for each size of images.
        "auto" is "openvino" where that is installed, the device is a CPU, the precision
        is float32 and the check holds; else it is "torch". The default does not depend
        on what is installed, so that the same seed gives the same scores to the last
        digit. With "int8", it is "openvino" alone.

    precision : {"float32", "float16", "bfloat16", "int8", "auto"}, default="float32"
        Type of numbers in which the network runs. In torch, "float16" needs a GPU;
        OpenVINO takes what the processor can do. "int8" runs in OpenVINO alone: ``fit``
        measures the ranges of 8-bit integers on up to 64 training images (extra
        ``int8``), and keeps them. "auto" is the lowest precision that the processor
        itself computes in, and whose features of each of these images have a cosine of
        at least .99 ("int8") or .999 to those of float32; ``fit`` keeps the choice.
        Features are always returned as float32. ``featad doctor --speed`` measures
        engines and precisions.

    batch_size : int or None, default=None
        Number of images that run through the network together. None means 8 on a CPU,
        where larger batches do not fit into the processor's cache, and 32 on a GPU.

    n_jobs : int or None, default=None
        Number of threads that read images. None means one per processor, up to eight.

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

    decode : {"exact", "draft"}, default="exact"
        "draft" lets the decoder shrink large JPEG files, see :func:`featad.read_image`.

    random_state : int or None, default=None
        Seed of random weights (``weights=None``). None means 0.

    verbose : bool, default=False
        Whether to show a progress bar on stderr.

    Attributes
    ----------
    weights_fingerprint_ : str
        Digest of the weights, and of the preparation of pixels if it is not the usual.

    weights_note_ : str
        What these weights are: a published set, or what was assumed about a file.

    precision_ : str
        Precision in which the network runs: that of "auto" is chosen in ``fit``.

    quantization_ : list of dict
        Ranges of 8-bit integers, with ``precision_="int8"``.
    """

    _parameter_constraints: dict = {
        "arch": [str],
        "layer": [str, tuple, list, None],
        "weights": [str, os.PathLike, None],
        "preprocessing": [StrOptions({"imagenet", "caffe"}), None],
        "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "crop": ["boolean"],
        "device": [str],
        "engine": [StrOptions({"torch", "openvino", "auto"})],
        "precision": [StrOptions({"float32", "float16", "bfloat16", "int8", "auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [Integral, None],
        "cache": [str, os.PathLike, None],
        "on_error": [StrOptions({"raise", "skip", "nan"})],
        **READING,
        "random_state": [Interval(Integral, 0, 2**32 - 1, closed="both"), None],
        "verbose": ["verbose"],
    }

    engine, decode = "torch", "exact"  # of transformers pickled before the choice

    def __init__(
        self, arch: str = "vgg16", *, layer: str | tuple[str, ...] | None = None,
        weights: str | os.PathLike | None = "default", preprocessing: str | None = None,
        image_size: int | tuple[int, int] | None = None, crop: bool = False,
        device: str = "auto", engine: str = "torch", precision: str = "float32",
        batch_size: int | None = None, n_jobs: int | None = None,
        cache: str | os.PathLike | None = None, on_error: str = "raise",
        max_value: float | None = None, max_pixels: int | None = None,
        truncated: str = "raise", decode: str = "exact",
        random_state: int | None = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        self.arch = arch
        self.layer = layer
        self.weights = weights
        self.preprocessing = preprocessing
        self.image_size = image_size
        self.crop = crop
        self.device = device
        self.engine = engine
        self.precision = precision
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.cache = cache
        self.on_error = on_error
        self.max_value = max_value
        self.max_pixels = max_pixels
        self.truncated = truncated
        self.decode = decode
        self.random_state = random_state
        self.verbose = verbose

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        inherit_options(cls)

    def fit(self, X: Any, y: ArrayLike | None = None) -> Self:
        """Check the input and find the weights; nothing is learned of normal images.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, 3])
            Paths, bytes, PIL images or arrays. Some are read for the precisions "int8"
            and "auto", none for the others.

        y : ignored

        Returns
        -------
        self : object
            The transformer.

        Raises
        ------
        WeightsNotFoundError
            If the weights are not on this machine and cannot be downloaded.

        MissingExtraError
            If OpenVINO or, for ``precision="int8"``, NNCF is needed and not installed.

        ImageReadError
            If an image for the precision cannot be read.

        ValueError
            If a parameter does not fit the network or this machine.
        """
        self._check_parameters()
        check_sources(X, estimator_name=type(self).__name__)
        from featad.features.engines import check_openvino  # torch: slow to import
        from featad.features.precision import learn_precision
        from featad.features.weights import warn_of_assumption

        for name in ("weights_fingerprint_", "precision_", "quantization_"):
            self.__dict__.pop(name, None)  # of the fit before
        extractor = self._find_extractor()
        if extractor.engine == "openvino":
            check_openvino(self._precision_name())
        if self._learns():
            self.precision_, ranges = learn_precision(self, X)
            if ranges is not None:
                self.quantization_ = ranges
        else:
            self.precision_ = self.precision
        self._note_summary(extractor)
        self.weights_fingerprint_ = extractor.fingerprint
        self.weights_note_ = str(extractor.found)
        warn_of_assumption(extractor.found, self)
        return self

    def extractor_fingerprint(self) -> str:
        """Return a digest of everything that decides the features of an image.

        Weights, preprocessing, layers and what is made of them, image size, crop,
        precision, ``max_value``, ``truncated``, ``decode`` and the version of the
        computation; not the device, the batch size or the threads. The engine counts
        where the precision is not float32: each engine rounds in its own way.

        Returns
        -------
        fingerprint : str
            64 hexadecimal digits.
        """
        self._check_parameters()
        extractor = self._checked_extractor()
        return self._fingerprint(extractor, self._summary(extractor))

    def _summary(self, extractor: "Described") -> "Summary":
        """Return what turns the network's layers into features."""
        raise NotImplementedError

    def _note_summary(self, extractor: "Described") -> None:
        """Set the attributes that say what the features are; ``fit`` calls it."""
        raise NotImplementedError

    def _prepared(self, X: Any) -> tuple[Sequence, "Described", Any]:
        """Return sources, network and summary; errors are those of ``transform``."""
        self._check_parameters()
        sources = check_sources(X, estimator_name=type(self).__name__)
        extractor = self._checked_extractor()
        return sources, extractor, self._summary(extractor)

    def _extract(
        self,
        sources: Sequence,
        extractor: "Described",
        summary: "Summary",
        n_rows: int | None = None,
    ) -> Iterator[tuple[np.ndarray, list[int]]]:
        """Yield features of images, and their places, ``n_rows`` (None: all) at a time.

        The other parameters are from ``_prepared``, and the errors those of
        ``transform``.
        """
        cache = self._open_cache(extractor, summary)
        return self._run(sources, extractor, summary, cache, self._checked, n_rows)

    def _open_cache(
        self, extractor: "Described", summary: "Summary"
    ) -> FeatureCache | None:
        if self.cache is None:
            return None
        key = self._fingerprint(extractor, summary)
        return FeatureCache(self.cache, key, summary.shape, summary.dtype)

    def _run(
        self,
        sources: Sequence,
        extractor: "Described",
        summary: "Summary",
        cache: Cache | None,
        check: Callable[[np.ndarray], np.ndarray],
        n_rows: int | None,
    ) -> Iterator[tuple[np.ndarray, list[int]]]:
        """Yield what ``_extract`` does; the features may be those of others as well."""
        run = partial(extractor.launch, summary=summary, precision=self._rounding())

        def launch(pixels: np.ndarray) -> Callable[[], np.ndarray]:
            collect = self._launch(run, pixels)
            return lambda: check(collect())

        stream = stream_features(
            sources,
            self._how_to_read(),
            launch,
            batch_size=self.batch_size or (8 if extractor.on_cpu else 32),
            n_jobs=self.n_jobs,
            cache=cache,
            verbose=self.verbose,
        )
        shape = len(sources), *summary.shape
        return gather(stream, shape, summary.dtype, self.on_error, n_rows)

    def _how_to_read(self) -> dict[str, Any]:
        """Return the arguments of `read_image`: also those that decide no pixel."""
        return self._reading() | {"max_pixels": self.max_pixels}

    def _launch(
        self, run: Callable[[np.ndarray], Callable[[], np.ndarray]], pixels: np.ndarray
    ) -> Callable[[], np.ndarray]:
        """Start the network on float32 (n, height, width, 3): every image passes."""
        return run(pixels)

    def _checked(self, features: np.ndarray) -> np.ndarray:
        """Return the features of a batch unless they cannot be kept."""
        return features

    def _check_room(self, n_images: int, summary: "Summary") -> None:
        """Refuse features that the memory cannot hold: tables are small."""

    def _finished(
        self, features: np.ndarray, rows: list[int], summary: "Summary", X: Any
    ) -> Any:
        """Return what ``transform`` returns, from all features of ``X``."""
        return features
