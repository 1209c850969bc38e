"""What the data of a report are: counts, kinds, sizes, what was left out, a digest."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from featad.datasets import ImageDataset
from featad.images import as_text
from featad.report.pictures import Reader, thumbnail

_NAMED = 3  # files that were left out, of each rule
_COMMON = 4  # sizes that are named
_EXAMPLES = 24  # kinds with a picture


def data_card(
    dataset: ImageDataset | None,
    images: list[dict],
    reader: Reader,
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what the data are.

    Parameters
    ----------
    dataset : ImageDataset or None

    images : list of dict
        Of the summary, with their labels, and sizes where they have pictures.

    reader : callable
        Reads a source.

    earlier : dict or None, default=None
        The card of an earlier summary of the same data. What takes reading every file
        is taken from it.
    """
    tested = sum(image["label"] == 1 for image in images)
    card: dict[str, Any] = {
        "n_normal_tested": tested,
        "n_anomalous_tested": len(images) - tested,
        "kinds": [],
        **image_facts(images),
        "left_out": [],
        "digest": "",
        "n_images": len(images),
        "n_masks": 0,
        "n_groups": None,
    }
    if dataset is None:
        return card
    if earlier is not None:
        kept = ("kinds", "left_out", "digest", "n_images", "n_masks", "n_groups")
        return card | {key: earlier[key] for key in kept}
    frame = pd.DataFrame(
        {"kind": dataset.kinds, "part": dataset.parts, "label": dataset.labels}
    )
    for (kind, label), rows in frame.groupby(["kind", "label"], sort=False):
        source = dataset.images[rows.index[0]]
        has_room = len(card["kinds"]) < _EXAMPLES
        card["kinds"].append(
            {
                "kind": str(kind),
                "label": int(label),
                "train": int((rows["part"] == "train").sum()),
                "test": int((rows["part"] == "test").sum()),
                "all": len(rows),
                "example": thumbnail(source, reader) if has_room else "",
            }
        )
    card["left_out"] = [
        {
            "why": rule.one if len(files) == 1 else rule.many,
            "n": len(files),
            "first": [as_text(str(file)) for file in files[:_NAMED]],
        }
        for rule, files in dataset.left_out.items()
    ]
    card["n_images"] = len(dataset)
    if dataset.masks is not None:
        card["n_masks"] = sum(mask is not None for mask in dataset.masks)
    if dataset.groups is not None:
        card["n_groups"] = len(np.unique(dataset.groups))
    listing = dataset.to_frame()[["sha256", "label", "part"]].to_csv(index=False)
    card["digest"] = hashlib.sha256(listing.encode()).hexdigest()
    return card


def image_facts(images: list[dict]) -> dict[str, list[str]]:
    """Return ``sizes`` and ``depths`` of the images with pictures, as text.

    Examples
    --------
    >>> image_facts([{"size": "8 x 6", "depth": "8 bits, 3 channels"}])
    {'sizes': ['8 x 6'], 'depths': ['8 bits, 3 channels']}
    """
    sizes = Counter(image["size"] for image in images if image.get("size"))
    told = [size for size, _ in sizes.most_common(_COMMON)]
    if len(sizes) > _COMMON:
        told.append(f"and {len(sizes) - _COMMON} more")
    depths = Counter(image["depth"] for image in images if image.get("depth"))
    return {"sizes": told, "depths": [depth for depth, _ in depths.most_common()]}
