"""Reading one image, and a transformer that reads many."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if

from featad._progress import tracked
from featad._sklearn import Interval, StrOptions
from featad.errors import ImageReadError
from featad.images import decoding
from featad.images.mapping import all_unreadable, map_images, warn_unreadable
from featad.images.sources import (
    SOURCE_TYPES,
    Source,
    check_sources,
    describe_source,
    reason_of,
)


def read_image(
    source: Source,
    *,
    mode: str = "RGB",
    size: int | tuple[int, int] | None = None,
    crop_from: int | None = None,
    interpolation: str = "bilinear",
    max_value: float | None = None,
) -> np.ndarray:
    """Read one image as float32 in [0, 1].

    EXIF orientation is applied, alpha is composed on white, and palette, CMYK and 1-bit
    images are converted. 16-bit images keep their depth. Of an animation, the first
    frame is read.

    Parameters
    ----------
    source : path-like, bytes, PIL image or ndarray
        A file, a file's contents, or pixels: (H, W), (H, W, 1), (H, W, 3) or
        (H, W, 4) of uint8, uint16, bool, or float in [0, 1].

    mode : {"RGB", "L"}, default="RGB"
        Three channels, or one gray channel.

    size : int or (height, width), default=None
        Resize the whole image to this size, with antialiasing. An int makes it square.

    crop_from : int, default=None
        Resize the shorter side to this many pixels instead, then crop ``size`` from
        the center, as torchvision's presets do. For 8-bit images the result equals
        that of ``weights.transforms()`` before normalization.

    interpolation : str, default="bilinear"
        One of "nearest", "bilinear", "bicubic", "lanczos" and "box".

    max_value : float, default=None
        The value that becomes 1.0. By default 255 for 8 bits; 65535 for 16 bits, or
        what a TIFF file declares (bits per sample, or a ``MaxSampleValue`` of the
        form 2^k - 1); 1.0 for floats.

    Returns
    -------
    image : float32 ndarray of shape (height, width, 3) or (height, width, 1)
        In [0, 1].

    Raises
    ------
    ImageReadError
        If the source is missing, empty, truncated, not an image, or larger than
        Pillow's limit; if it contains NaN or values out of range; or if it has the
        wrong shape.

    Notes
    -----
    Safe to call from several threads. No setting of Pillow is changed.

    Examples
    --------
    >>> import numpy as np
    >>> from featad import read_image
    >>> gray = np.array([[0, 51], [102, 255]], dtype=np.uint8)
    >>> read_image(gray, mode="L")[..., 0]
    array([[0. , 0.2],
           [0.4, 1. ]], dtype=float32)
    """
    size = _checked_size(size)
    if mode not in ("RGB", "L"):
        raise ValueError(f"mode must be 'RGB' or 'L', got {mode!r}.")
    if interpolation not in decoding.RESAMPLING:
        raise ValueError(
            f"interpolation must be one of {sorted(decoding.RESAMPLING)}, "
            f"got {interpolation!r}."
        )
    if max_value is not None and not max_value > 0:
        raise ValueError(f"max_value must be above 0, got {max_value!r}.")
    if crop_from is not None and (size is None or max(size) > crop_from):
        raise ValueError(
            f"crop_from={crop_from!r} needs a size no larger than it, got {size!r}."
        )
    if not isinstance(source, SOURCE_TYPES):
        raise TypeError(
            "source must be a path, bytes, a PIL image or an array, "
            f"got {type(source).__name__}."
        )
    try:
        planes = decoding.decode(source, mode, max_value)
        if size is not None:
            resample = decoding.RESAMPLING[interpolation]
            planes = [
                decoding.fit_plane(plane, size, crop_from, resample) for plane in planes
            ]
        return decoding.stack_planes(planes, mode)
    except decoding.Unreadable as error:
        raise ImageReadError(describe_source(source), str(error)) from None
    except Exception as error:  # Pillow's plugins raise all kinds on damaged files
        raise ImageReadError(describe_source(source), reason_of(error)) from error


def _checked_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = size if isinstance(size, Sequence) else (size, size)
    if len(pair) != 2 or not all(isinstance(s, Integral) and int(s) >= 1 for s in pair):
        raise ValueError(f"size must be None, an int or (height, width), got {size!r}.")
    return int(pair[0]), int(pair[1])


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
        "max_value": [None, Interval(Real, 0, None, closed="neither")],
        "n_jobs": [None, Integral],
        "on_error": [StrOptions({"raise", "skip", "nan"})],
    }

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        *,
        mode: str = "RGB",
        flatten: bool = False,
        max_value: float | None = None,
        n_jobs: int | None = None,
        on_error: str = "raise",
    ) -> None:
        self.size = size
        self.mode = mode
        self.flatten = flatten
        self.max_value = max_value
        self.n_jobs = n_jobs
        self.on_error = on_error

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

        Raises
        ------
        ImageReadError
            If an image cannot be read and ``on_error="raise"``, or if no image can be
            read and there is no row to return.

        ValueError
            If ``size`` is None and the images have several sizes.
        """
        sources = self._check(X)
        shape = self._shape()
        images, rows, errors = None, [], []
        for index, image in tracked(
            map_images(self._read, sources, n_jobs=self.n_jobs), "image", len(sources)
        ):
            if isinstance(image, ImageReadError):
                if self.on_error == "raise":
                    raise image
                errors.append(image)
                continue
            shape = shape or image.shape
            if image.shape != shape:
                raise ValueError(
                    f"{type(self).__name__} expects images of one size: the first has "
                    f"{shape[0]} x {shape[1]} pixels (height x width), but "
                    f"{describe_source(sources[index], index)} has {image.shape[0]} x "
                    f"{image.shape[1]}. Pass size= to resize them."
                )
            if images is None:
                images = np.full((len(sources), *shape), np.nan, np.float32)
            images[index] = image
            rows.append(index)
        if images is None:  # with a size, "nan" still gives every row
            if self.on_error == "skip" or shape is None:
                raise all_unreadable(errors)
            images = np.full((len(sources), *shape), np.nan, np.float32)
        if errors and self.on_error == "skip":
            images = images[rows]
        warn_unreadable(errors, len(sources), self.on_error)
        return images.reshape(len(images), -1) if self.flatten else images

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
        _checked_size(self.size)
        return check_sources(X, estimator_name=type(self).__name__)

    def _shape(self) -> tuple[int, int, int] | None:
        size = _checked_size(self.size)
        return None if size is None else (*size, 3 if self.mode == "RGB" else 1)

    def _read(self, source: Source) -> np.ndarray:
        return read_image(
            source, mode=self.mode, size=self.size, max_value=self.max_value
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
