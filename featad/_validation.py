"""Checks of samples (tables and image batches alike) and of labels."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from featad._blocks import row_blocks
from featad._pixels import looks_channels_first
from featad._scale import check_scale, unit_images, value_range

CONVERT = "If 1 means anomalous, pass np.where(y == 1, -1, 1)."

_NORMAL = ("good", "normal", "ok", "inlier")


def check_samples(estimator: BaseEstimator, X: Any, *, reset: bool) -> np.ndarray:
    """Return ``X`` as floats, with the sample shape learned in ``fit``.

    Parameters
    ----------
    estimator : BaseEstimator
        Its ``sample_shape_``, ``n_features_in_`` and ``feature_names_in_`` are set or
        compared.

    X : array-like of shape (n_samples, ...)
        A table (n_samples, n_features), gray images (n_samples, height, width) or
        images (n_samples, height, width, channels).

    reset : bool
        True in ``fit``, where the shape of the samples is learned; False elsewhere,
        where it is compared.

    Returns
    -------
    X : ndarray of the same shape
        float32 stays as it is, and everything else becomes float64; but images of
        integers or bool become float32 in [0, 1]. float16 stays as it is for detectors
        that read it, as those of maps of features do.

    Raises
    ------
    ValueError
        If ``X`` is empty, contains NaN or infinity, has samples of another shape, or
        images of another scale than in ``fit``.

    TypeError
        If ``X`` is a torch Dataset or DataLoader.
    """
    name = type(estimator).__name__
    images = getattr(estimator, "_takes_images", True)
    halves = not images or getattr(estimator, "_takes_halves", False)
    given, were_integers = unit_images(X, estimator, reset=reset)
    array = check_array(
        given,
        dtype=[np.float64, np.float32, *([np.float16] if halves else [])],
        allow_nd=True,
        ensure_all_finite=not _are_finite_halves(given),
        estimator=estimator,
        input_name="X",
    )
    if not reset:
        array = _of_shape(array, estimator.sample_shape_, name)
    shape = array.shape[1:]
    if reset and images and looks_channels_first(shape):
        warnings.warn(
            f"X.shape={array.shape} looks like images with channels first, but {name} "
            "takes (n, height, width, channels). Pass X.transpose(0, 2, 3, 1), or "
            "X.permute(0, 2, 3, 1).numpy() for a torch tensor.",
            UserWarning,
            stacklevel=3,
        )
    table = X if array.ndim == 2 else array.reshape(len(array), -1)
    validate_data(estimator, table, reset=reset, skip_check_array=True)
    if reset:
        estimator.sample_shape_ = shape
        images = images and array.ndim > 2
        estimator.image_range_ = value_range(array) if images else None
    elif images and array.ndim > 2:
        check_scale(estimator, array, were_integers)
    return array


def _are_finite_halves(X: Any) -> bool:
    """Return whether X is a float16 array without NaN and infinity.

    Their exponents are all ones. To look at the bits takes a twentieth of the time of
    scikit-learn's check, whose sum of float16 overflows.
    """
    if not isinstance(X, np.ndarray) or X.dtype != np.float16 or X.ndim == 0:
        return False
    bits, infinite = X.view(np.uint16), 0x7C00
    blocks = row_blocks(len(X), X[:1].size, 2**17)
    return all(((bits[rows] & infinite) < infinite).all() for rows in blocks)


def _of_shape(array: np.ndarray, expected: tuple[int, ...], name: str) -> np.ndarray:
    """Return samples of the shape in ``fit``; gray images may lack their channel."""
    shape = array.shape[1:]
    if len(shape) == 3 and shape == (*expected, 1):
        return array[..., 0]
    if len(expected) == 3 and expected == (*shape, 1):
        return array[..., None]
    if shape == expected or max(len(shape), len(expected)) == 1:
        return array  # of tables, scikit-learn tells the number of columns
    hint = ""
    if array.shape == expected:
        hint = " Pass X[None] to score one image."
    elif len(shape) == 3 and (*shape[1:], shape[0]) == expected:
        hint = " Pass X.transpose(0, 2, 3, 1): channels come last."
    elif shape[:2] == expected[:2]:
        hint = " Read images in the mode of the training images: mode='L' or 'RGB'."
    raise ValueError(
        f"{name} was fitted on samples of shape {expected}, but X has samples of shape "
        f"{shape} (X.shape={array.shape}).{hint}"
    )


def warn_of_anomalies(detector: BaseEstimator, y: Any) -> None:
    """Warn that a detector learns from samples that ``y`` calls anomalous.

    Parameters
    ----------
    detector : BaseEstimator
        It makes no use of labels.

    y : object
        What its ``fit`` was given.

    Raises
    ------
    ValueError
        If ``y`` holds words.
    """
    if y is None:
        return
    check_no_words(y)
    n_anomalies = np.count_nonzero(np.asarray(y) == -1)
    if n_anomalies:
        warnings.warn(
            f"{type(detector).__name__} does not use labels: it learns from the "
            f"{n_anomalies} samples labeled -1 (anomalous) as if they were normal. "
            "Pass X[y == 1], or put the detector into featad.make_pipeline, which "
            "leaves them out.",
            UserWarning,
        )


def check_labels(
    y: ArrayLike,
    *,
    n_samples: int | None = None,
    needs_both: bool = False,
    allow_unlabeled: bool = False,
) -> np.ndarray:
    """Return labels as integers: 1 normal, -1 anomalous.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        The labels.

    n_samples : int or None, default=None
        Required number of labels. None accepts any.

    needs_both : bool, default=False
        Whether at least one label of each kind must be present.

    allow_unlabeled : bool, default=False
        Whether 0, unlabeled, is allowed besides 1 and -1.

    Returns
    -------
    y : ndarray of shape (n_samples,), int64
        The labels.

    Raises
    ------
    ValueError
        If there are other values (0/1 labels, NaN, strings), the number of labels is
        wrong, or one kind is missing.
    """
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"y must be one label per sample, got y.shape={y.shape}.")
    if n_samples is not None and len(y) != n_samples:
        raise ValueError(f"y holds {len(y)} labels, but there are {n_samples} samples.")
    allowed = (1, -1, 0) if allow_unlabeled else (1, -1)
    found = list(dict.fromkeys(y.tolist()))
    if not all(_is_number(value) and value in allowed for value in found):
        zeros = " or 0 (unlabeled)" if allow_unlabeled else ""
        way_out = f" {CONVERT}" if _looks_zero_one(found) else _instead_of_words(found)
        raise ValueError(
            f"Labels must be 1 (normal) or -1 (anomalous){zeros}, but y holds "
            f"{shorten(found)}.{way_out}"
        )
    if needs_both and set(found) != {1, -1}:
        missing = [kind for kind in (1, -1) if kind not in found]
        raise ValueError(
            "y must hold both labels, 1 (normal) and -1 (anomalous), but there is no "
            f"{' and no '.join(map(str, missing))} among its {len(y)} labels."
        )
    return y.astype(np.int64)


def warn_of_zeros_and_ones(detector: BaseEstimator, labels: np.ndarray) -> None:
    """Warn that labels of 0 and 1 alone hold no anomaly, whatever 1 was to mean.

    Parameters
    ----------
    detector : BaseEstimator
        It learns from labeled anomalies, and 0 means unlabeled to it.

    labels : ndarray of int
        Labels that :func:`check_labels` allowed.
    """
    if set(np.unique(labels)) == {0, 1}:
        warnings.warn(
            f"{type(detector).__name__} reads 0 as unlabeled and 1 as normal, so y "
            f"holds no labeled anomaly (-1). {CONVERT}",
            UserWarning,
        )


def check_no_words(y: Any) -> None:
    """Raise ValueError if labels are words: none of them would count as anomalous.

    Parameters
    ----------
    y : object
        What a ``fit`` was given.
    """
    labels = np.asarray(y)
    if labels.dtype.kind in "OUS" and labels.ndim == 1:
        found = list(dict.fromkeys(labels.tolist()))
        way_out = _instead_of_words(found)
        if way_out:
            raise ValueError(
                f"Labels must be 1 (normal) or -1 (anomalous), but y holds "
                f"{shorten(found)}.{way_out}"
            )


def _instead_of_words(found: list) -> str:
    words = [value for value in found if isinstance(value, str)]
    if not words:
        return ""
    if {word.strip() for word in words} <= {"1", "-1", "0"}:
        return " Pass y.astype(int): these are texts."
    normal = next((word for word in words if word.lower() in _NORMAL), None)
    if normal is None:
        return " Pass np.where(y == WORD, 1, -1) with the word for normal samples."
    return f" Pass np.where(y == {normal!r}, 1, -1) if {normal!r} means normal."


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _looks_zero_one(found: list) -> bool:
    return 0 in found and all(value in (0, 1) for value in found)


def shorten(values: list, limit: int = 5) -> str:
    """Return the first values, for a message."""
    shown = ", ".join(repr(value) for value in values[:limit])
    return shown + (", ..." if len(values) > limit else "")
