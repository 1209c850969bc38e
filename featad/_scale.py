"""The scale of image batches that are given to detectors as arrays."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from featad._pixels import torch_hint, white_in_use, white_of

_FAR = 10  # times the white of the training images: no image is as bright
_RAW = 16  # training images beyond it are not in [0, 1], nor standardized


def unit_images(X: Any, estimator: BaseEstimator, *, reset: bool) -> tuple[Any, bool]:
    """Return images of integers or bool as float32 in [0, 1], anything else as it is.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Images if there are three dimensions or more.

    estimator : BaseEstimator
        Its ``image_range_`` says how bright the training images are.

    reset : bool
        True in ``fit``.

    Returns
    -------
    X : object
        The same object if it is a table, holds floats, or is no array at all.

    were_integers : bool

    Raises
    ------
    ValueError
        If the integers have no usual range.

    TypeError
        If ``X`` is a torch Dataset or DataLoader.
    """
    name = type(estimator).__name__
    if hint := torch_hint(X) if not hasattr(X, "shape") else "":
        raise TypeError(f"{name} takes arrays, got {type(X).__name__}.{hint}")
    X = _stacked(X)
    if getattr(X, "ndim", 0) < 3 or len(X) == 0:
        return X, False
    array = np.asarray(X)
    if array.dtype.kind not in "biu" or array.size == 0:
        return X, False
    white = white_of(array.dtype)
    if white is None:
        raise ValueError(
            f"{name} got images of {array.dtype}, which has no usual range. Divide X "
            "by the value that is white, for instance X / 255."
        )
    if array.dtype.kind != "b":
        _warn_of_depth(float(array.max()), white, estimator, reset)
    return np.divide(array, white, dtype=np.float32), True


def _stacked(X: Any) -> Any:
    """Return a list of images of one size as one array, anything else as it is."""
    if not isinstance(X, list | tuple):
        return X
    try:
        return np.asarray(X) if X and np.ndim(X[0]) == np.ndim(X[-1]) >= 2 else X
    except ValueError:  # of several sizes: scikit-learn says so
        return X


def _warn_of_depth(
    peak: float, white: float, estimator: BaseEstimator, reset: bool
) -> None:
    """Warn of integers that are read as nearly black, unlike those of ``fit``.

    These are 16-bit images of fewer bits, and 8-bit images of 0 and 1.
    """
    used = white_in_use(peak)
    if used is None or (white == 255 and used > 1):
        return
    _, brightest = getattr(estimator, "image_range_", None) or (0, 0)
    if reset or brightest * white > _RAW * peak:
        bits = int(white).bit_length()
        warnings.warn(
            f"{type(estimator).__name__} got {bits}-bit images that use "
            f"{used.bit_length()} of {bits} bits (largest value {peak:g}), so pixels "
            f"are read {white // used:.0f} times too dark. Pass X / {used}.",
            UserWarning,
            stacklevel=4,
        )


def value_range(array: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest value."""
    return float(array.min()), float(array.max())


def check_scale(estimator: BaseEstimator, array: np.ndarray, was_integer: bool) -> None:
    """Refuse images on another scale than those of ``fit``.

    Only what is certain is refused: raw values for a detector of images in [0, 1], and
    images in [0, 1] for a detector of raw values. What is well outside [0, 1] or much
    brighter than in ``fit`` is a warning. Feature maps, with values below 0, have any
    range.

    Parameters
    ----------
    estimator : BaseEstimator
        Its ``image_range_`` is what ``fit`` has seen.

    array : ndarray of shape (n_samples, height, width[, channels])

    was_integer : bool
        Whether the images were integers, which are read in [0, 1].

    Raises
    ------
    ValueError
    """
    fitted = getattr(estimator, "image_range_", None)
    if fitted is None:  # of an older version
        return
    (low, high), (new_low, new_high) = fitted, value_range(array)
    unit = low >= 0 and high <= 1 + 1e-6
    if unit and max(new_high, -new_low) > _FAR:
        way_out = "Divide X by the value that is white, for instance X / 255"
    elif was_integer and not unit:
        way_out = (
            "Integers are read in [0, 1]; pass floats as in fit, such as "
            "X.astype(float), or fit on integers as well"
        )
    elif low >= 0 and high > _RAW and _are_fractions(array, new_low, new_high):
        way_out = "Multiply X by the value that is white, for instance 255 * X"
    else:
        way_out = ""
    found = (
        f"{type(estimator).__name__} was fitted on images with values from {low:g} to "
        f"{high:g}, but X has values from {new_low:g} to {new_high:g}"
    )
    if way_out:
        raise ValueError(f"{found}: another scale. {way_out}.")
    if low >= 0 and (
        new_high > _FAR * high or (unit and _is_outside(new_low, new_high))
    ):
        warnings.warn(
            f"{found}. Scale X as the training images were scaled, if it is not.",
            UserWarning,
            stacklevel=4,
        )


def _is_outside(low: float, high: float) -> bool:
    """Whether images are not in [0, 1], nor so by a filter that overshoots."""
    return low < -0.5 or high > 1.5


def _are_fractions(array: np.ndarray, low: float, high: float) -> bool:
    """Whether images are in [0, 1], and not only black ones among raw values."""
    return low >= 0 and 0 < high <= 1 and bool(((array > 0) & (array < 1)).any())
