"""A transformer that reads many images into one batch of pixels."""

from collections.abc import Iterator, Sequence
from itertools import chain
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if

from featad._progress import tracked
from featad._sklearn import Interval, StrOptions
from featad.errors import ImageReadError
from featad.images.mapping import all_unreadable, gather, label_rows, map_images
from featad.images.read import checked_size, read_image
from featad.images.sources import Source, check_sources, describe_source

READING: dict = {
    "max_value": [None, Interval(Real, 0, None, closed="neither")],
    "max_pixels": [None, Interval(Integral, 1, None, closed="left")],
    "truncated": [StrOptions({"raise", "accept"})],
    "decode": [StrOptions({"exact", "draft"})],
}
"""Constraints of the parameters that say how every transformer reads images."""


class ImageReader(TransformerMixin, BaseEstimator):
    """Turn sources into one batch of pixels, float32 in [0, 1].

    Parameters
    ----------
    size : int or (height, width), default=None
        Resize every image to this size. By default, all images must have the same size.

    mode : {"RGB", "L"}, default="RGB"
        Three channels, or one gray channel.

    flatten : bool, default=False
        Return a table with one row of pixels per image, for detectors on tables.

    max_value : float, default=None
        The value that becomes 1.0; see :func:`read_image`.

    n_jobs : int, default=None
        Number of threads. The default is one per processor, but at most eight.

    on_error : {"raise", "skip", "nan"}, default="raise"
        What to do with images that cannot be read: raise :class:`ImageReadError`,
        leave them out (fewer rows than sources), or fill their rows with NaN. One
        :class:`ImageReadWarning` counts and names the images left out or filled.

    max_pixels : int, default=None
        Largest image that is decoded, in pixels; see :func:`read_image`.

    truncated : {"raise", "accept"}, default="raise"
        What to do with JPEG files that lack their last bytes; see :func:`read_image`.

    decode : {"exact", "draft"}, default="exact"
        "draft" lets the decoder shrink large JPEG files, in half the time or less; see
        :func:`read_image`.

    Notes
    -----
    Nothing is learned: ``fit`` checks its input, and ``transform`` works without it.

    Examples
    --------
    >>> import numpy as np
    >>> from featad import ImageReader
    >>> sources = [np.zeros((4, 6), dtype=np.uint8), np.ones((8, 8, 3))]
    >>> ImageReader(size=2).fit_transform(sources).shape
    (2, 2, 2, 3)
    >>> ImageReader(size=2, mode="L", flatten=True).transform(sources)
    array([[0., 0., 0., 0.],
           [1., 1., 1., 1.]], dtype=float32)
    """

    _parameter_constraints: dict = {
        "size": [None, Interval(Integral, 1, None, closed="left"), tuple, list],
        "mode": [StrOptions({"RGB", "L"})],
        "flatten": ["boolean"],
        "n_jobs": [None, Integral],
        "on_error": [StrOptions({"raise", "skip", "nan"})],
        **READING,
    }

    decode = "exact"  # of readers pickled before there was a choice

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        *,
        mode: str = "RGB",
        flatten: bool = False,
        max_value: float | None = None,
        n_jobs: int | None = None,
        on_error: str = "raise",
        max_pixels: int | None = None,
        truncated: str = "raise",
        decode: str = "exact",
    ) -> None:
        self.size = size
        self.mode = mode
        self.flatten = flatten
        self.max_value = max_value
        self.n_jobs = n_jobs
        self.on_error = on_error
        self.max_pixels = max_pixels
        self.truncated = truncated
        self.decode = decode

    def fit(self, X: Any, y: Any = None) -> "ImageReader":
        """Check the parameters and the kind of input; nothing is learned.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, C])
            Paths, bytes, PIL images or arrays.

        y : ignored

        Returns
        -------
        self : ImageReader
        """
        self._check(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Read the images.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, C])
            Paths, bytes, PIL images or arrays.

        Returns
        -------
        images : float32 ndarray of shape (n_samples, height, width, C)
            C is 3 or 1. With ``flatten``, of shape (n_samples, height * width * C).
            A data frame keeps the index of those images of a Series that were read.

        Raises
        ------
        ImageReadError
            If an image cannot be read and ``on_error="raise"``, or if no image can be
            read and there is no row to return.

        ValueError
            If ``size`` is None and the images have several sizes.
        """
        (images,) = self._blocks(X)
        return images

    def _blocks(self, X: Any, n_rows: int | None = None) -> Iterator[Any]:
        """Yield what ``transform`` returns, ``n_rows`` (None: all) images at a time."""
        sources = self._check(X)
        size, stream = self._of_one_shape(
            tracked(
                map_images(self._read, sources, n_jobs=self.n_jobs),
                "image",
                len(sources),
            ),
            sources,
        )
        shape, dtype = (len(sources), *size), np.dtype(np.float32)
        for block, rows in gather(stream, shape, dtype, self.on_error, n_rows):
            if self.flatten:
                block = block.reshape(len(block), -1)
            yield label_rows(self, block, rows, X)

    def _of_one_shape(
        self, stream: Iterator[tuple[int, Any]], sources: Sequence
    ) -> tuple[tuple[int, ...], Iterator[tuple[int, Any]]]:
        """Return the shape of the images, and the stream, which is held to it."""
        shape: tuple[int, ...] | None = self._shape()
        seen: list[tuple[int, Any]] = []
        while shape is None:
            pair = next(stream, None)
            if pair is None:
                raise all_unreadable([error for _, error in seen])
            seen.append(pair)
            if not isinstance(pair[1], ImageReadError):
                shape = pair[1].shape
            elif self.on_error == "raise":  # as the first of the stream
                shape = ()
        return shape, self._checked(chain(seen, stream), shape, sources)

    def _checked(
        self,
        stream: Iterator[tuple[int, Any]],
        shape: tuple[int, ...],
        sources: Sequence,
    ) -> Iterator[tuple[int, Any]]:
        for index, image in stream:
            if not isinstance(image, ImageReadError) and image.shape != shape:
                raise ValueError(
                    f"{type(self).__name__} expects images of one size: the first has "
                    f"{shape[0]} x {shape[1]} pixels (height x width), but "
                    f"{describe_source(sources[index], index)} has {image.shape[0]} x "
                    f"{image.shape[1]}. Pass size= to resize them."
                )
            yield index, image

    @available_if(lambda self: self.flatten)
    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the column names "imagereader0", ...; only with ``flatten=True``.

        Parameters
        ----------
        input_features : ignored
            There are no input features: the input is images.

        Returns
        -------
        names : ndarray of str objects, of shape (height * width * C,)

        Raises
        ------
        ValueError
            If ``size`` is None, because the number of columns depends on it.
        """
        shape = self._shape()
        if shape is None:
            raise ValueError("ImageReader has column names only with size=. Pass it.")
        n_columns = int(np.prod(shape))
        return np.array([f"imagereader{i}" for i in range(n_columns)], dtype=object)

    def _check(self, X: Any) -> Sequence:
        self._validate_params()
        checked_size(self.size)
        return check_sources(X, estimator_name=type(self).__name__)

    def _shape(self) -> tuple[int, int, int] | None:
        size = checked_size(self.size)
        return None if size is None else (*size, 3 if self.mode == "RGB" else 1)

    def _read(self, source: Source) -> np.ndarray:
        return read_image(
            source,
            mode=self.mode,
            size=self.size,
            max_value=self.max_value,
            max_pixels=self.max_pixels,
            truncated=self.truncated,
            decode=self.decode,
        )

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.requires_fit = False
        return tags
