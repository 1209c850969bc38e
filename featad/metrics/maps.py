"""Figures of merit of anomaly maps: how well they locate defects."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import label
from sklearn.metrics import auc, roc_auc_score

_EIGHT_NEIGHBORS = np.ones((3, 3), dtype=int)


def pixel_auroc(masks: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> float:
    """Return the area under the ROC curve over the pixels of all images.

    Parameters
    ----------
    masks : sequence of bool ndarrays of shape (height, width)
        Where the images are anomalous; all False for a normal image. 0 and one other
        number do as well. :func:`featad.read_mask` makes a mask of any file.

    maps : sequence of float ndarrays of the same shapes
        High where an image is anomalous.

    Returns
    -------
    auroc : float
        Between 0 and 1; 0.5 is chance.

    Raises
    ------
    ValueError
        If masks and maps differ in number or shape, if a mask holds several values, if
        no pixel or every pixel is anomalous, or if a map holds NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.metrics import pixel_auroc
    >>> mask = np.array([[False, True], [False, False]])
    >>> pixel_auroc([mask], [np.array([[0.1, 0.9], [0.2, 0.3]])])
    1.0
    """
    masks, maps = _check(masks, maps)
    return float(roc_auc_score(_flat(masks), _flat(maps)))


def aupro(
    masks: Sequence[np.ndarray], maps: Sequence[np.ndarray], *, max_fpr: float = 0.3
) -> float:
    """Return the area under the per-region overlap curve, normalized to 1.

    At each threshold, the overlap is the share of a connected anomalous region that is
    found, averaged over all regions, so small regions count as much as large ones.

    Parameters
    ----------
    masks : sequence of bool ndarrays of shape (height, width)
        As in :func:`pixel_auroc`.

    maps : sequence of float ndarrays of the same shapes
        As in :func:`pixel_auroc`.

    max_fpr : float in (0, 1], default=0.3
        The area is taken up to this share of normal pixels called anomalous.

    Returns
    -------
    aupro : float
        Between 0 and 1; chance is ``max_fpr / 2``.

    Raises
    ------
    ValueError
        As :func:`pixel_auroc`, and if ``max_fpr`` is out of range.

    Notes
    -----
    Points of the curve are joined by straight lines, as in the published evaluation.
    Between them it goes straight up where a threshold finds anomalous pixels only.

    References
    ----------
    .. [1] Bergmann et al., "MVTec AD", CVPR 2019; with the limit of 0.3: "Uninformed
       students", CVPR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from featad.metrics import aupro
    >>> mask = np.array([[False, True], [False, False]])
    >>> aupro([mask], [np.array([[0.1, 0.9], [0.2, 0.3]])])
    1.0
    """
    if not 0 < max_fpr <= 1:
        raise ValueError(f"max_fpr should be in (0, 1], got {max_fpr!r}.")
    fpr, overlap = _overlap_curve(*_check(masks, maps))
    inside = np.searchsorted(fpr, max_fpr, side="right")  # points up to the limit
    if inside < len(fpr):  # the curve is cut on its way to the first point beyond
        (left, right), ends = fpr[inside - 1 : inside + 1], overlap[inside - 1 :][:2]
        at_limit = ends[0] + (ends[1] - ends[0]) * (max_fpr - left) / (right - left)
        fpr = np.append(fpr[:inside], max_fpr)
        overlap = np.append(overlap[:inside], at_limit)
    return min(1.0, float(auc(fpr, overlap) / max_fpr))  # rounding may exceed 1


def _overlap_curve(
    masks: list[np.ndarray], maps: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return false positive rate and mean overlap from no pixel found to all.

    Where one threshold finds anomalous pixels only, the curve goes straight up.
    """
    false, overlap = [], []  # how far each pixel moves the curve right, and up
    for mask in masks:
        regions, n_regions = label(mask, _EIGHT_NEIGHBORS)
        sizes = np.bincount(regions.ravel(), minlength=n_regions + 1)
        overlap.append(np.where(mask, 1 / sizes[regions], 0))
        false.append(~mask)
    scores = _flat(maps)
    order = np.argsort(scores)[::-1]
    last = np.flatnonzero(np.diff(scores[order], append=np.nan))  # ties move as one
    right, up = (
        np.concatenate([[0], np.cumsum(_flat(steps)[order])[last]])
        for steps in (false, overlap)
    )
    return right / right[-1], up / up[-1]


def _flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(array).ravel() for array in arrays])


def _check(
    masks: Sequence[np.ndarray], maps: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    if len(masks) != len(maps):
        raise ValueError(f"There are {len(masks)} masks, but {len(maps)} maps.")
    maps = [np.asarray(one, dtype=float) for one in maps]
    masks = [
        _checked_mask(index, np.asarray(mask), one.shape)
        for index, (mask, one) in enumerate(zip(masks, maps, strict=True))
    ]
    found = _flat(masks) if masks else np.zeros(0, dtype=bool)
    if found.all() or not found.any():
        raise ValueError("Some pixels must be anomalous, and some normal.")
    if not np.isfinite(_flat(maps)).all():
        raise ValueError("Maps must be finite, but some pixels are NaN or infinite.")
    return masks, maps


def _checked_mask(index: int, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a mask as bool; ``shape`` is that of its map."""
    if mask.shape != shape:
        raise ValueError(
            f"masks[{index}] has the shape {mask.shape}, but its map has {shape}. Both "
            "must be (height, width), of the same size; featad.read_mask(mask, "
            f"size={shape[-2:]}) makes such a mask."
        )
    if mask.dtype == bool:
        return mask
    values = np.unique(mask)
    is_one = len(values) < 2 or (len(values) == 2 and 0 in values)
    if not is_one or not np.isfinite(values).all():
        raise ValueError(
            f"masks[{index}] holds {len(values)} different values, from {values[0]} to "
            f"{values[-1]}. A mask is True and False, or 0 and one other number; "
            "featad.read_mask(mask) makes one of a soft or compressed mask."
        )
    return mask.astype(bool)
