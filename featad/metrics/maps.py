"""Figures of merit of anomaly maps: whether defects are found where they are."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import label
from sklearn.metrics import auc, roc_auc_score

_EIGHT_NEIGHBORS = np.ones((3, 3), dtype=int)


def pixel_auroc(masks: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> float:
    """Return the area under the ROC curve of all pixels of all images together.

    Parameters
    ----------
    masks : sequence of bool ndarrays of shape (height, width)
        Where the images are anomalous; all False for a normal image.

    maps : sequence of float ndarrays of the same shapes
        High where an image is anomalous.

    Returns
    -------
    auroc : float
        Between 0 and 1; 0.5 is chance.

    Raises
    ------
    ValueError
        If masks and maps differ in number or shape, or no pixel, or every, is
        anomalous.

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
    found, averaged over the regions, so that small ones count as much as large ones.

    Parameters
    ----------
    masks, maps
        As in :func:`pixel_auroc`.

    max_fpr : float in (0, 1], default=0.3
        Share of normal pixels called anomalous up to which the curve counts.

    Returns
    -------
    aupro : float
        Between 0 and 1; chance is ``max_fpr / 2``.

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
        raise ValueError(f"max_fpr must be in (0, 1], but is {max_fpr!r}.")
    masks, maps = _check(masks, maps)
    # each pixel's step: of the false positive rate, or of the mean overlap
    false, overlap = [], []
    for mask in masks:
        regions, n_regions = label(mask, _EIGHT_NEIGHBORS)
        sizes = np.bincount(regions.ravel(), minlength=n_regions + 1)
        overlap.append(np.where(mask, 1 / sizes[regions], 0).ravel())
        false.append(~mask.ravel())
    false, overlap, scores = map(np.concatenate, (false, overlap, [_flat(maps)]))
    order = np.argsort(scores)[::-1]
    last = np.flatnonzero(np.diff(scores[order], append=np.nan))  # ties move as one
    fpr = np.concatenate([[0], np.cumsum(false[order])[last]]) / false.sum()
    pro = np.concatenate([[0], np.cumsum(overlap[order])[last]]) / overlap.sum()
    grid = np.append(fpr[fpr < max_fpr], max_fpr)
    return float(auc(grid, np.interp(grid, fpr, pro)) / max_fpr)


def _flat(arrays):
    return np.concatenate([np.asarray(array).ravel() for array in arrays])


def _check(masks, maps):
    masks = [np.asarray(mask, dtype=bool) for mask in masks]
    maps = [np.asarray(one, dtype=float) for one in maps]
    if [mask.shape for mask in masks] != [one.shape for one in maps]:
        raise ValueError(
            f"There are {len(masks)} masks and {len(maps)} maps; each map must have "
            "the shape of its mask."
        )
    found = _flat(masks) if masks else np.zeros(0, dtype=bool)
    if found.all() or not found.any():
        raise ValueError("Some pixels must be anomalous, and some normal.")
    return masks, maps
