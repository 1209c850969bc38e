"""How well the maps of a system locate defects: figures of pixels, in little memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from featad.datasets import ImageDataset
from featad.images import read_mask
from featad.maps.systems import iter_maps
from featad.metrics import aupro, pixel_auroc

AT_MOST = 200
"""Number of images whose maps are held against their masks."""

_PIXELS = 2**22  # of all maps together


def locate(
    system: Any, dataset: ImageDataset, tested: Sequence[int], *, method: str = "auto"
) -> dict[str, Any] | None:
    """Return figures of the pixels of test images.

    Parameters
    ----------
    system : estimator
        A fitted system.

    dataset : ImageDataset
        With masks.

    tested : sequence of int
        Positions of test images. Anomalous ones without a mask are left out; of more
        than 200, a part is taken, evenly spread over normal and anomalous ones.

    method : str, default="auto"
        As for `featad.anomaly_maps`.

    Returns
    -------
    figures : dict or None
        ``pixel_auroc``; ``aupro``, up to 30 % false positives; ``n_images``;
        ``shrunk``, whether maps are made smaller so that all of them together have at
        most four million pixels. None if there are no masks, or all are empty.

    Examples
    --------
    >>> import featad
    >>> from featad.report import locate
    >>> parts = featad.make_spots_and_lines(6, 4, size=32)
    >>> system = featad.build("pixels-pca").fit(parts.part("train").images)
    >>> sorted(locate(system, parts, [8, 9]))
    ['aupro', 'n_images', 'pixel_auroc', 'shrunk']
    """
    masks = dataset.masks or [None] * len(dataset)
    chosen = _spread(
        [i for i in tested if dataset.labels[i] == 1 or masks[i] is not None],
        dataset.labels,
    )
    if not any(masks[i] is not None for i in chosen):
        return None
    share = _PIXELS / len(chosen)
    maps, truths, shrunk = [], [], False
    found = iter_maps(system, [dataset.images[i] for i in chosen], method=method)
    for i, one in zip(chosen, found, strict=True):
        factor = min(1.0, (share / one.size) ** 0.5)
        height, width = (max(1, int(side * factor)) for side in one.shape)
        shape = height, width
        if shape != one.shape:
            shrunk = True
            box = Image.Resampling.BOX
            one = np.asarray(Image.fromarray(one).resize((width, height), box))
        truth = np.zeros(shape, dtype=bool)
        if masks[i] is not None:
            truth = read_mask(masks[i], size=shape)
        maps.append(one)
        truths.append(truth)
    if not any(truth.any() for truth in truths):
        return None
    return {
        "pixel_auroc": pixel_auroc(truths, maps),
        "aupro": aupro(truths, maps),
        "n_images": len(chosen),
        "shrunk": shrunk,
    }


def _spread(places: list[int], labels: np.ndarray) -> list[int]:
    """Return at most so many places, half of each label where there are as many."""
    if len(places) <= AT_MOST:
        return places
    kept = []
    for label in (1, -1):
        own = [i for i in places if labels[i] == label]
        n_own = min(len(own), max(AT_MOST // 2, AT_MOST - (len(places) - len(own))))
        kept += [own[k] for k in np.linspace(0, len(own) - 1, n_own).astype(int)]
    return sorted(kept)
