"""Images described position by position: maps of the middle layers of a network."""

import math
from collections.abc import Iterator
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import Unpack

from featad._sklearn import Interval, StrOptions
from featad.features.base import as_tuple
from featad.features.layers import BACKBONES, patch_layers
from featad.features.network import NetworkFeatures
from featad.features.options import NetworkOptions
from featad.machine import memory_size

if TYPE_CHECKING:
    from featad.features.described import Described
    from featad.features.patch_maps import PatchMaps
    from featad.features.receptive import ReceptiveField

_BLOCK = 2**26  # bytes of maps that are scored together


class PatchFeatures(NetworkFeatures, auto_wrap_output_keys=None):
    """Describe each position of an image by middle layers of a frozen network.

    Detectors of patches learn from these maps what is normal, everywhere or at each
    place, and so find where an image is anomalous. Nothing is learned here: ``fit``
    checks its input and finds the weights, and ``transform`` works without it. The
    maps of several layers are brought to one grid. Everything about images, weights,
    device and cache is as for :class:`BackboneFeatures`.

    Parameters
    ----------
    layer : str, tuple of str or None, default=None
        Layers whose maps are used: names from :func:`layer_names`. They need not have
        the same size. None takes two middle layers, see :func:`patch_layers`; they are
        known for the networks of ``BACKBONES``.

    grid : int, (height, width) or None, default=None
        Number of positions down and across. None uses those of the layer that has the
        most. Coarser maps are interpolated, finer ones averaged over each cell.

    neighborhood : int, default=3
        Side of the square of positions over which each layer's map is averaged, at its
        own resolution. It is odd; 1 leaves the maps as they are. Positions beyond the
        border count as 0, as in the code of PatchCore; see Notes.

    n_components : int or None, default=None
        Number of features of each position. None keeps all channels of all layers.

    reduction : {"projection", "selection"}, default="projection"
        How ``n_components`` features are made of the channels. "projection" multiplies
        by a random matrix that keeps distances. "selection" keeps some channels, which
        costs no time. Both are drawn with ``random_state`` and not learned.

    dtype : {"float32", "float16"}, default="float32"
        Type of the result. "float16" takes half the memory and keeps three digits.

    random_state : int or None, default=None
        Seed of projection or selection, and of random weights (``weights=None``). None
        means 0.

    Attributes
    ----------
    grid_ : (int, int)
        Number of positions down and across.

    n_features_out_ : int
        Number of features of each position.

    Notes
    -----
    The result takes ``n_images * height * width * n_features`` numbers of 4 or 2 bytes.
    A thousand images at 28 x 28 positions of 128 features take 401 MB in float32, and
    half of that in float16. All channels of VGG16's two layers at their 56 x 56
    positions take 9.6 MB for each image. A result that is larger than the memory of the
    machine is refused before any image is read. A cache keeps as many bytes for each
    image.

    With zeros beyond the border, features at the border are shorter vectors, and so are
    the distances between them: the border counts for less. On transistors, where what
    lies at the border varies, the AUPRO of `PatchGaussian` and `PatchMemory` is .08 and
    .10 higher than with averages of the positions that exist. On magnetic tiles, some
    of whose defects lie at the border, it is .03 and .05 lower, while the AUROC of the
    images is .00 and .05 higher.

    References
    ----------
    .. [1] Defard et al., "PaDiM: a patch distribution modeling framework for anomaly
       detection and localization", ICPR 2020: random selection of channels.
    .. [2] Roth et al., "Towards total recall in industrial anomaly detection", CVPR
       2022: local averages of middle layers.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.features import PatchFeatures
    >>> images = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    >>> patches = PatchFeatures("vgg_mini", image_size=64, n_components=20)
    >>> patches.fit_transform(images).shape
    (2, 7, 7, 20)
    >>> patches.stride, patches.field_of_view
    ((8.0, 8.0), (64.0, 64.0))
    """

    _parameter_constraints: dict = {
        **NetworkFeatures._parameter_constraints,
        "grid": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "neighborhood": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "reduction": [StrOptions({"projection", "selection"})],
        "dtype": [StrOptions({"float32", "float16"})],
    }

    def __init__(
        self,
        arch: str = "vgg16",
        *,
        layer: str | tuple[str, ...] | None = None,
        grid: int | tuple[int, int] | None = None,
        neighborhood: int = 3,
        n_components: int | None = None,
        reduction: str = "projection",
        dtype: str = "float32",
        **options: Unpack[NetworkOptions],
    ) -> None:
        super().__init__(arch, layer=layer, **options)
        self.grid = grid
        self.neighborhood = neighborhood
        self.n_components = n_components
        self.reduction = reduction
        self.dtype = dtype

    def transform(self, X: Any) -> np.ndarray:
        """Describe each position of each image by its features.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, 3])
            Paths, bytes, PIL images or arrays.

        Returns
        -------
        maps : ndarray of shape (n_samples, height, width, n_features)
            Its type is ``dtype``, and height and width are those of the grid. There are
            fewer maps if images were skipped.

        Raises
        ------
        ImageReadError
            If an image cannot be read and ``on_error="raise"``, or if none can and it
            is "skip". Features extracted before are in the cache, if there is one.

        MemoryError
            If the result is larger than the memory of this machine.

        WeightsChangedError
            If the weights are not the ones found in ``fit``.

        WeightsNotFoundError, MissingExtraError, ValueError
            As for :meth:`fit`; also if a feature is too large for float16.

        FeatadError
            If the cache cannot be written, or if OpenVINO gives other features than
            torch.
        """
        sources, extractor, summary = self._prepared(X)
        self._check_room(len(sources), summary)
        ((maps, _),) = self._extract(sources, extractor, summary)
        return maps

    def transform_in_blocks(self, X: Any) -> Iterator[np.ndarray]:
        """Describe images as `transform` does, without holding all maps in memory.

        A `featad.Pipeline` scores images this way.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, 3])
            Paths, bytes, PIL images or arrays.

        Yields
        ------
        maps : ndarray of shape (n_images, height, width, n_features)
            Of the next images: as many as take 64 MiB, at least one.

        Raises
        ------
        ImageReadError, WeightsChangedError, WeightsNotFoundError, ValueError, \
FeatadError
            As for :meth:`transform`.
        """
        sources, extractor, summary = self._prepared(X)
        n_rows = max(1, _BLOCK // self._n_bytes(summary))
        for maps, _ in self._extract(sources, extractor, summary, n_rows):
            yield maps

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features of a position.

        Parameters
        ----------
        input_features : ignored
            There are no input features: the input is images.

        Returns
        -------
        names : ndarray of str objects, of shape (n_features,)
            Layer and number of a channel, such as ``"conv4_3_17"``, or
            ``"projection_0"`` and so on.
        """
        self._check_parameters()
        extractor = self._described()
        return np.array(self._summary(extractor).names, dtype=object)

    @property
    def stride(self) -> tuple[float, float]:
        """Pixels of the prepared image from one position to the next, down and across.

        It is known before ``fit``, and no network runs.
        """
        grid = self._wanted_grid()
        if grid is None:
            down, across = zip(*(f.stride for f in self._fields()), strict=True)
            return float(min(down)), float(min(across))
        height, width = self._reading()["size"]
        return height / grid[0], width / grid[1]

    @property
    def field_of_view(self) -> tuple[float, float]:
        """Height and width, in pixels of the prepared image, that a position sees.

        It is the most that any layer sees, with its neighborhood and its interpolation,
        and at most the image. Gates (squeeze and excitation) are not counted. It is
        known before ``fit``, and no network runs.
        """
        size, stride, fields = self._reading()["size"], self.stride, self._fields()
        seen = []
        for axis in (0, 1):
            views = []
            for field in fields:
                view = field.size[axis] + (self.neighborhood - 1) * field.stride[axis]
                if self.grid is not None or field.stride[axis] > stride[axis]:
                    view += max(field.stride[axis], math.ceil(stride[axis]))
                views.append(view)
            seen.append(float(min(max(views), size[axis])))
        return seen[0], seen[1]

    def _fields(self) -> "list[ReceptiveField]":
        from featad.features.receptive import receptive_fields  # torch: slow to import

        self._check_parameters()
        fields = receptive_fields(self.arch, self._layers(), self._weights_now())
        found = [field for field in fields.values() if field is not None]
        if len(found) < len(fields):
            self._refuse("layer", "layers that give a map of the image")
        return found

    def _wanted_grid(self) -> tuple[int, int] | None:
        if self.grid is None:
            return None
        pair = as_tuple(self.grid)
        return int(pair[0]), int(pair[-1])

    def _layers(self) -> tuple[str | None, ...]:
        if self.layer is None:
            return patch_layers(self.arch, self._weights_now())
        return as_tuple(self.layer)

    def _summary(self, extractor: "Described") -> "PatchMaps":
        from featad.features.patch_maps import PatchMaps  # torch: slow to import

        return PatchMaps(
            self._shapes(extractor),
            grid=self._wanted_grid(),
            neighborhood=self.neighborhood,
            n_components=self.n_components,
            reduction=self.reduction,
            dtype=self.dtype,
            random_state=self.random_state or 0,
        )

    def _note_summary(self, extractor: "Described") -> None:
        summary = self._summary(extractor)
        self.grid_ = summary.grid
        self.n_features_out_ = len(summary.names)

    def _checked(self, features: np.ndarray) -> np.ndarray:
        if self.dtype == "float32":
            return features
        if (features.view(np.int16) & 0x7FFF == 0x7C00).any():  # isinf, 10 x faster
            raise ValueError(
                f"{type(self).__name__}: a feature is larger than dtype='float16' can "
                "hold, which is 65504. Take dtype='float32'."
            )
        return features

    @staticmethod
    def _n_bytes(summary: "PatchMaps") -> int:
        """Return the bytes that the maps of one image take."""
        return math.prod(summary.shape) * summary.dtype.itemsize

    def _check_room(self, n_images: int, summary: Any) -> None:
        n_bytes, there = n_images * self._n_bytes(summary), memory_size()
        if there is not None and n_bytes > there:
            height, width, n_features = summary.shape
            raise MemoryError(
                f"{type(self).__name__}: {n_images} images at {height} x {width} "
                f"positions of {n_features} features take {n_bytes / 1e9:.1f} GB in "
                f"{self.dtype}, and this machine has {there / 1e9:.1f} GB of memory. "
                "Set n_components, a smaller grid or dtype='float16', or pass fewer "
                "images at a time."
            )

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_pair("grid", "a number of positions or (height, width)")
        if self.neighborhood % 2 == 0:
            self._refuse("neighborhood", "odd, such as 3")
        if self.layer is None and self.arch not in BACKBONES:
            self._refuse(
                "layer",
                f"given for {self.arch}, whose middle layers are not known; "
                f"featad.features.layer_names({self.arch!r}) lists its layers",
            )
