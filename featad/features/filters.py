"""Pooled responses of a small fixed filter bank: features without weights."""

from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter

from featad._progress import tracked
from featad._sklearn import Interval, StrOptions
from featad.features.base import ImageFeatures, as_tuple
from featad.features.pooling import ARRAY_POOLING, POOLING
from featad.images import check_sources, label_rows, map_images, read_image
from featad.images.mapping import gather
from featad.images.reader import READING

_CHANNELS = {"L": ("",), "RGB": ("red_", "green_", "blue_")}
_RESPONSES = ("edge", "spot_dark", "spot_bright", "line_dark", "line_bright")


class FilterBankFeatures(ImageFeatures):
    """Describe each image by pooled responses of Gaussian-derivative filters.

    For every scale and every pixel, the bank measures how strong an edge, a dark spot,
    a bright spot, a dark line and a bright line is, in any direction. Each response is
    pooled over the image. Nothing is learned and no weights are needed, so this is the
    baseline that features of a pretrained network have to beat.

    Parameters
    ----------
    size : int or (height, width), default=128
        Resize every image to this size, in pixels, before the filters run.

    mode : {"L", "RGB"}, default="L"
        Gray values, or each color channel separately, which gives three times as many
        features.

    scales : tuple of float, default=(1.0, 2.0, 4.0)
        Standard deviations of the Gaussians, in pixels of the resized image.

    pooling : {"mean", "std", "max"} or tuple of these, default=("mean", "std", "max")
        Statistics of each response over the image.

    n_jobs : int, default=None
        Number of threads that read and filter images. None means one per processor, up
        to eight.

    on_error : {"raise", "skip", "nan"}, default="raise"
        What to do about images that cannot be read: raise :class:`ImageReadError`,
        leave out their rows, or fill their rows with NaN. One
        :class:`ImageReadWarning` counts and names them.

    max_value : float, default=None
        Pixel value that becomes 1.0; see :func:`featad.read_image`.

    max_pixels : int, default=None
        Largest image that is decoded, in pixels; see :func:`featad.read_image`.

    truncated : {"raise", "accept"}, default="raise"
        What to do with JPEG files that lack their last bytes; see
        :func:`featad.read_image`.

    decode : {"exact", "draft"}, default="exact"
        "draft" lets the decoder shrink large JPEG files, in half the time or less; see
        :func:`featad.read_image`.

    Notes
    -----
    A line is the larger eigenvalue of the Hessian, that is, the second derivative in
    the direction in which it is largest. A spot is the smaller eigenvalue, so a line
    does not count as a spot. An edge is the length of the gradient. All are multiplied
    by the scale to the power of the derivative, which makes them comparable between
    scales [2]_. As in the MR8 bank [1]_, taking the strongest direction makes the
    description independent of rotation.

    Features have different units: put a ``StandardScaler`` behind it.

    References
    ----------
    .. [1] Varma and Zisserman, "A statistical approach to texture classification from
       single images", International Journal of Computer Vision 62, 2005.
    .. [2] Lindeberg, "Edge detection and ridge detection with automatic scale
       selection", International Journal of Computer Vision 30, 1998.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.features import FilterBankFeatures
    >>> images = np.full((2, 32, 32), 0.5)
    >>> images[1, 10:20, 16] = 0.0  # a dark line
    >>> bank = FilterBankFeatures(size=32, scales=(1.0,), pooling="max")
    >>> features = bank.set_output(transform="pandas").fit_transform(images)
    >>> features.round(2).loc[1]
    brightness_max           0.50
    scale1_edge_max          0.09
    scale1_spot_dark_max     0.04
    scale1_spot_bright_max   0.00
    scale1_line_dark_max     0.16
    scale1_line_bright_max   0.07
    Name: 1, dtype: float32
    """

    _parameter_constraints: dict = {
        "size": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "mode": [StrOptions(set(_CHANNELS))],
        "scales": [tuple, list],
        "pooling": [StrOptions(set(POOLING)), tuple, list],
        "n_jobs": [Integral, None],
        "on_error": [StrOptions({"raise", "skip", "nan"})],
        **READING,
    }

    decode = "exact"  # of transformers pickled before there was a choice

    def __init__(
        self,
        size: int | tuple[int, int] = 128,
        *,
        mode: str = "L",
        scales: tuple[float, ...] = (1.0, 2.0, 4.0),
        pooling: str | tuple[str, ...] = ("mean", "std", "max"),
        n_jobs: int | None = None,
        on_error: str = "raise",
        max_value: float | None = None,
        max_pixels: int | None = None,
        truncated: str = "raise",
        decode: str = "exact",
    ) -> None:
        self.size = size
        self.mode = mode
        self.scales = scales
        self.pooling = pooling
        self.n_jobs = n_jobs
        self.on_error = on_error
        self.max_value = max_value
        self.max_pixels = max_pixels
        self.truncated = truncated
        self.decode = decode

    def fit(self, X: Any, y: ArrayLike | None = None) -> "FilterBankFeatures":
        """Check the parameters and the kind of input; nothing is learned.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, C])
            Paths, bytes, PIL images or arrays.

        y : ignored

        Returns
        -------
        self : FilterBankFeatures
        """
        self._check(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Describe each image by its pooled filter responses.

        Parameters
        ----------
        X : sequence of sources, or array of shape (n_samples, height, width[, C])
            Paths, bytes, PIL images or arrays.

        Returns
        -------
        features : float32 ndarray of shape (n_samples, n_features)
            Columns as in :meth:`get_feature_names_out`.

        Raises
        ------
        ImageReadError
            If an image cannot be read and ``on_error="raise"``, or if none can be
            read and no row can be given.
        """
        (features,) = self._blocks(X)
        return features

    def _blocks(self, X: Any, n_rows: int | None = None) -> Iterator[Any]:
        """Yield what ``transform`` returns, ``n_rows`` (None: all) images at a time."""
        sources = self._check(X)
        shape = len(sources), len(self.get_feature_names_out())
        stream = tracked(
            map_images(self._describe, sources, n_jobs=self.n_jobs),
            "image",
            len(sources),
        )
        dtype = np.dtype(np.float32)
        for features, rows in gather(stream, shape, dtype, self.on_error, n_rows):
            yield label_rows(self, features, rows, X)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the column names, for instance ``"scale2_line_dark_max"``.

        Parameters
        ----------
        input_features : ignored
            There are no input features: the input is images.

        Returns
        -------
        names : ndarray of str objects, of shape (n_features,)
        """
        responses = ["brightness"]
        responses += [f"scale{s:g}_{name}" for s in self.scales for name in _RESPONSES]
        return np.array(
            [
                f"{channel}{response}_{statistic}"
                for channel in _CHANNELS[self.mode]
                for response in responses
                for statistic in as_tuple(self.pooling)
            ],
            dtype=object,
        )

    def responses(self, source: Any) -> list[np.ndarray]:
        """Return the filter responses of one image, not pooled.

        Parameters
        ----------
        source : path-like, bytes-like, PIL image or ndarray

        Returns
        -------
        responses : list of float32 ndarray of shape (height, width)
            In the order of :meth:`get_feature_names_out`.
        """
        image = read_image(
            source,
            mode=self.mode,
            size=self.size,
            max_value=self.max_value,
            max_pixels=self.max_pixels,
            truncated=self.truncated,
            decode=self.decode,
        )
        return [
            response
            for channel in np.moveaxis(image, -1, 0)
            for response in (channel, *_responses(channel, self.scales))
        ]

    def _describe(self, source: Any) -> np.ndarray:
        pool = [ARRAY_POOLING[name] for name in as_tuple(self.pooling)]
        values = [f(r) for r in self.responses(source) for f in pool]
        return np.array(values, dtype=np.float32)

    def _check(self, X: Any) -> Sequence:
        self._validate_params()
        if not self.scales or not all(
            isinstance(scale, float | Real) and 0 < scale < np.inf
            for scale in self.scales
        ):
            self._refuse("scales", "one or several positive numbers")
        self._check_pooling()
        return check_sources(X, estimator_name=type(self).__name__)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _responses(image: np.ndarray, scales: tuple[float, ...]) -> list[np.ndarray]:
    """Return the responses named in ``_RESPONSES``, scale after scale."""
    responses = []
    for scale in scales:
        smooth = np.pad(gaussian_filter(image, scale), 1, mode="edge")
        center, up, down = smooth[1:-1, 1:-1], smooth[:-2, 1:-1], smooth[2:, 1:-1]
        left, right = smooth[1:-1, :-2], smooth[1:-1, 2:]
        dy, dx = (down - up) / 2 * scale, (right - left) / 2 * scale
        dyy, dxx = (
            (a - 2 * center + b) * scale**2 for a, b in [(up, down), (left, right)]
        )
        diagonal = smooth[2:, 2:] + smooth[:-2, :-2]
        antidiagonal = smooth[2:, :-2] + smooth[:-2, 2:]
        dxy = (diagonal - antidiagonal) / 4 * scale**2
        half_trace = (dyy + dxx) / 2
        spread = np.hypot((dyy - dxx) / 2, dxy)
        larger, smaller = half_trace + spread, half_trace - spread  # of the Hessian
        responses += [
            np.hypot(dy, dx),
            np.maximum(smaller, 0),  # curved upwards in both directions: a dark spot
            np.maximum(-larger, 0),
            np.maximum(larger, 0),
            np.maximum(-smaller, 0),
        ]
    return responses
