"""Data sets without files: digits, generated parts, one class of many."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.datasets import load_digits
from sklearn.utils import check_random_state

from featad.datasets.dataset import ImageDataset
from featad.datasets.parts import draw_part


def load_digits_images() -> tuple[np.ndarray, np.ndarray]:
    """Return the digits that ship with scikit-learn as images.

    Returns
    -------
    images : uint8 ndarray of shape (1797, 8, 8)
        0 to 255, rescaled from scikit-learn's 0 to 16.

    labels : int64 ndarray of shape (1797,)
        0 to 9.

    Examples
    --------
    >>> from featad import load_digits_images
    >>> images, labels = load_digits_images()
    >>> images.shape, int(images.max())
    ((1797, 8, 8), 255)
    """
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return images, digits.target.astype(np.int64)


def one_vs_rest(
    images: np.ndarray,
    labels: ArrayLike,
    *,
    normal: Any = 0,
    contamination: float = 0.05,
    test_size: float = 0.5,
    random_state: int | np.random.RandomState | None = None,
) -> ImageDataset:
    """Take one class as normal and the rest as anomalous, and split them.

    Parameters
    ----------
    images : ndarray of shape (n_samples, ...)
        The images.

    labels : array-like of shape (n_samples,)
        Their classes.

    normal : object, default=0
        The class that is normal.

    contamination : float in [0, 0.5], default=0.05
        Share of the training set that is anomalous, rounded to whole images.

    test_size : float in (0, 1), default=0.5
        Share of the normal class in the test part.

    random_state : int, RandomState instance or None, default=None
        Seeds the split.

    Returns
    -------
    dataset : ImageDataset
        Training part: normal images and the contamination, which is labeled -1
        (detectors ignore labels unless they say otherwise). Test part: all others.

    Raises
    ------
    ValueError
        If the class does not occur, a share is out of range, or there are too few
        anomalous images.

    Examples
    --------
    >>> from featad import load_digits_images, one_vs_rest
    >>> digits = one_vs_rest(*load_digits_images(), normal=8, random_state=0)
    >>> train = digits.part("train")
    >>> len(train), int((train.labels == -1).sum())
    (92, 5)
    """
    labels = np.asarray(labels)
    if len(images) != len(labels):
        raise ValueError(f"There are {len(images)} images, but {len(labels)} labels.")
    if not 0 <= contamination <= 0.5:
        raise ValueError(
            f"contamination must be in [0, 0.5], but is {contamination!r}."
        )
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must be in (0, 1), but is {test_size!r}.")
    rng = check_random_state(random_state)
    is_normal = labels == normal
    if not is_normal.any():
        raise ValueError(f"normal={normal!r} is not among the labels.")
    normals = rng.permutation(np.flatnonzero(is_normal))
    others = rng.permutation(np.flatnonzero(~is_normal))
    n_train = len(normals) - round(test_size * len(normals))
    n_mixed = round(n_train * contamination / (1 - contamination))
    if n_mixed >= max(1, len(others)):
        raise ValueError(
            f"contamination={contamination} needs {n_mixed} anomalous training images, "
            f"but there are only {len(others)}, and some must be left to test."
        )
    parts = np.full(len(labels), "test", dtype=object)
    parts[normals[:n_train]] = parts[others[:n_mixed]] = "train"
    return ImageDataset(
        name=f"{normal} against the rest",
        images=np.asarray(images),
        labels=np.where(is_normal, 1, -1).astype(np.int64),
        parts=parts.astype(str),
        kinds=labels.astype(str),
    )


def make_spots_and_lines(
    n_train: int = 120,
    n_test: int = 80,
    *,
    size: int = 96,
    anomaly_share: float = 0.5,
    random_state: int | np.random.RandomState | None = 0,
) -> ImageDataset:
    """Draw brushed plates, clean or with a dark spot or a dark line, with masks.

    Position, angle, proportions, texture, color and light change the picture far more
    from plate to plate than a spot does: the distance to the mean image finds nothing.

    Parameters
    ----------
    n_train : int, default=120
        Number of clean plates to train on.

    n_test : int, default=80
        Number of plates to test on.

    size : int, default=96
        Height and width in pixels.

    anomaly_share : float in [0, 1], default=0.5
        Share of the test plates with a spot or a line, which alternate.

    random_state : int, RandomState instance or None, default=0
        Seeds the plates. A plate does not depend on how many follow it.

    Returns
    -------
    dataset : ImageDataset
        Images uint8 (n, size, size, 3); kinds "good", "spot", "line".

    Examples
    --------
    >>> from featad import make_spots_and_lines
    >>> make_spots_and_lines(2, 4, size=32).kinds.tolist()
    ['good', 'good', 'good', 'good', 'spot', 'line']
    """
    if size < 16:
        raise ValueError(f"size must be 16 pixels or more, but is {size}.")
    if not 0 <= anomaly_share <= 1:
        raise ValueError(f"anomaly_share must be in [0, 1], but is {anomaly_share!r}.")
    if n_train < 0 or n_test < 0 or n_train + n_test == 0:
        raise ValueError(
            f"There must be at least one plate, got n_train={n_train}, n_test={n_test}."
        )
    n_anomalous = round(anomaly_share * n_test)
    anomalous = [("spot", "line")[i % 2] for i in range(n_anomalous)]
    kinds = ["good"] * (n_train + n_test - n_anomalous) + anomalous
    seed = check_random_state(random_state).randint(2**31)
    plates = [
        draw_part(np.random.default_rng([seed, i]), size, kind)
        for i, kind in enumerate(kinds)
    ]
    return ImageDataset(
        name="spots and lines",
        images=np.stack([image for image, _ in plates]),
        labels=np.array([1 if kind == "good" else -1 for kind in kinds]),
        parts=np.array(["train"] * n_train + ["test"] * n_test),
        kinds=np.array(kinds),
        masks=[mask for _, mask in plates],
    )
