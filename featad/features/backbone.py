"""Images described by the layers of a frozen network."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import Unpack

from featad._sklearn import StrOptions
from featad.features.base import as_tuple
from featad.features.network import NetworkFeatures
from featad.features.options import NetworkOptions
from featad.features.pooling import POOLING, normalize_blocks
from featad.images import label_rows

_BLOCK = 2**24  # values of features that are yielded together

if TYPE_CHECKING:
    from featad.features.described import Described
    from featad.features.summaries import Pooled


class BackboneFeatures(NetworkFeatures):
    """Describe each image by layers of a frozen network.

    Nothing is learned: ``fit`` checks its input and finds the weights, and
    ``transform`` works without it. Images are decoded in threads while the network
    runs, batch by batch, so memory does not grow with the number of images. The network
    is never pickled: a fitted transformer stores the fingerprint of its weights and
    finds them again.

    Parameters
    ----------
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

    Attributes
    ----------
    n_features_out_ : int
        Number of columns.

    columns_ : tuple of (str, int)
        Name and number of columns of each block: each layer, or each statistic of it.

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
        **NetworkFeatures._parameter_constraints,
        "pooling": [StrOptions(set(POOLING)), tuple, list],
        "normalize": ["boolean"],
    }

    def __init__(
        self,
        arch: str = "vgg16",
        *,
        layer: str | tuple[str, ...] | None = None,
        pooling: str | tuple[str, ...] = "mean",
        normalize: bool = False,
        **options: Unpack[NetworkOptions],
    ) -> None:
        super().__init__(arch, layer=layer, **options)
        self.pooling = pooling
        self.normalize = normalize

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

        WeightsNotFoundError, MissingExtraError, ValueError
            As for :meth:`fit`.

        FeatadError
            If the cache cannot be written, or if OpenVINO gives other features than
            torch.
        """
        sources, extractor, summary = self._prepared(X)
        ((features, rows),) = self._extract(sources, extractor, summary)
        return self._finished(features, rows, summary, X)

    def transform_in_blocks(self, X: Any) -> Iterator[Any]:
        """Describe images as `transform` does, without holding all features in memory.

        A `featad.Pipeline` scores images this way.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, 3])
            Paths, bytes, PIL images or arrays.

        Yields
        ------
        features : float32 ndarray of shape (n_images, n_features_out)
            Of the next images: as many as take 64 MiB, at least one.

        Raises
        ------
        ImageReadError, WeightsChangedError, WeightsNotFoundError, \
MissingExtraError, ValueError, FeatadError
            As for :meth:`transform`.
        """
        sources, extractor, summary = self._prepared(X)
        n_rows = max(1, _BLOCK // summary.shape[0])
        for features, rows in self._extract(sources, extractor, summary, n_rows):
            yield self._finished(features, rows, summary, X)

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
        blocks = self._summary(self._described()).columns
        return np.array([f"{b}_{i}" for b, n in blocks for i in range(n)], dtype=object)

    def _finished(
        self, features: np.ndarray, rows: list[int], summary: Any, X: Any
    ) -> Any:
        if self.normalize:
            normalize_blocks(features, summary.widths)
        return label_rows(self, features, rows, X)

    def _summary(self, extractor: "Described") -> "Pooled":
        from featad.features.summaries import Pooled  # torch: slow to import

        return Pooled(self._shapes(extractor), as_tuple(self.pooling))

    def _note_summary(self, extractor: "Described") -> None:
        self.columns_ = self._summary(extractor).columns
        self.n_features_out_ = sum(width for _, width in self.columns_)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_pooling()
