"""Which precision a frozen network runs in, and what it learns from images for that."""

import importlib.util
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from featad._device import resolve_device
from featad.errors import ImageReadError
from featad.features.engines import EngineError, possible_precisions
from featad.features.quantization import Quantized
from featad.images import Notes, check_sources, map_images, read_image

N_IMAGES = 64
"""Training images, at most, from which ranges and errors are measured."""

LEAST_COSINE = {"int8": 0.99, "bfloat16": 0.999, "float16": 0.999}
"""Between features and those of float32, of every image, for ``precision="auto"``."""

_BATCH = 8


def learn_precision(features: Any, X: Any) -> tuple[str, list[dict[str, Any]] | None]:
    """Return the precision to run in, and the ranges of 8-bit values if it is int8.

    Parameters
    ----------
    features : NetworkFeatures
        Its precision is "int8" or "auto".

    X : sequence of sources
        Training images. At most `N_IMAGES` are read, at equal distances.

    Returns
    -------
    precision : {"float32", "float16", "bfloat16", "int8"}

    ranges : list of dict or None
        For `Quantized`.

    Raises
    ------
    ImageReadError
        If an image cannot be read and ``on_error="raise"``, or if none can.

    MissingExtraError
        If the precision is "int8", and OpenVINO or NNCF are not installed.
    """
    if features.precision == "int8":
        ranges = features._find_extractor().measure_ranges(_read(features, X))
        return "int8", ranges
    candidates = native_precisions(features.engine, features.device)
    if not candidates:
        return "float32", None
    pixels = _read(features, X)
    for precision in candidates:
        rounded = clone(features).set_params(precision=precision)
        try:
            if precision == "int8":
                rounded.quantization_ = rounded._find_extractor().measure_ranges(pixels)
            cosine = _cosine_to_float32(rounded, pixels)
        except EngineError:  # OpenVINO cannot run this network
            continue
        if cosine >= LEAST_COSINE[precision]:
            return precision, getattr(rounded, "quantization_", None)
    return "float32", None


def precision_now(features: Any) -> str | Quantized:
    """Return the precision in which features are to be computed.

    Raises
    ------
    NotFittedError
        If it depends on training images, and there were none.
    """
    precision = features._precision_name()
    is_chosen = features.precision != "auto" or hasattr(features, "precision_")
    ranges = getattr(features, "quantization_", None)
    if is_chosen and precision != "int8":
        return precision
    if ranges is None:
        raise NotFittedError(
            f"{type(features).__name__}: precision={features.precision!r} depends on "
            "training images. Call fit with them before the images of others are "
            "described, or take precision='float32'."
        )
    return Quantized(ranges)


def native_precisions(engine: str, device: str) -> list[str]:
    """Return what the processor itself computes in below float32, the lowest first.

    Parameters
    ----------
    engine : {"auto", "torch", "openvino"}

    device : str

    Returns
    -------
    precisions : list of str
        Some of "int8", "bfloat16" and "float16". "int8" needs OpenVINO, NNCF and a
        processor with VNNI or AMX.
    """
    if engine != "openvino" and resolve_device(device).type != "cpu":
        return ["float16"]
    found = []
    if engine != "torch" and _has_vnni() and _can_quantize():
        found.append("int8")
    if engine == "openvino":
        possible = possible_precisions()
        return found + [p for p in ("bfloat16", "float16") if p in possible]
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        found.append("bfloat16")
    return found


def smallest_cosine(found: np.ndarray, usual: np.ndarray) -> float:
    """Return the smallest cosine, of images, between two forms of their features.

    Parameters
    ----------
    found, usual : ndarray of shape (n_images, ...)

    Examples
    --------
    >>> import numpy as np
    >>> smallest_cosine(np.array([[1, 0], [3, 4]]), np.array([[2, 0], [4, 3]]))
    0.96
    """
    n = min(len(found), len(usual))
    one, other = (rows[:n].reshape(n, -1).astype(float) for rows in (found, usual))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    products = np.sum(one * other, axis=1)
    both_zero = ~(one.any(axis=1) | other.any(axis=1))
    cosines = np.where(both_zero, 1, products / np.where(lengths == 0, 1, lengths))
    return float(np.min(cosines))


def _has_vnni() -> bool:
    return torch.cpu._is_vnni_supported() or torch.cpu._is_amx_tile_supported()


def _can_quantize() -> bool:
    return all(importlib.util.find_spec(name) for name in ("openvino", "nncf"))


def _cosine_to_float32(rounded: Any, pixels: np.ndarray) -> float:
    usual = clone(rounded).set_params(precision="float32")
    found = []
    for start in range(0, len(pixels), _BATCH):
        pair = []
        for features in (rounded, usual):
            extractor = features._find_extractor()
            launch = extractor.launch(
                pixels[start : start + _BATCH],
                features._summary(extractor),
                features._rounding(),
            )
            pair.append(launch())
        found.append(smallest_cosine(*pair))
    return float(np.min(found))  # NaN if one is


def _read(features: Any, X: Any) -> np.ndarray:
    """Return pixels (n, height, width, 3) of training images."""
    sources = check_sources(X, estimator_name=type(features).__name__)
    places = np.linspace(0, len(sources) - 1, min(N_IMAGES, len(sources)))
    chosen = [sources[place] for place in places.round().astype(int)]
    how = features._how_to_read()
    images: list[np.ndarray] = []
    unread: list[ImageReadError] = []
    with Notes().taken():  # they are told when all images are read
        for _, image in map_images(
            lambda source: read_image(source, **how), chosen, n_jobs=features.n_jobs
        ):
            if isinstance(image, ImageReadError):
                unread.append(image)
            else:
                images.append(image)
    if unread and (features.on_error == "raise" or not images):
        raise unread[0]
    return np.stack(images)
