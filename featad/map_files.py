"""A folder of maps: an overlay and the values of each image, under names of its own."""

import hashlib
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featad._whole_files import replacing
from featad.images import as_text
from featad.maps.regions import segment
from featad.maps.scale import MapScale

SCALE_FILE = "scale.json"
"""In each folder of maps: the scale of its overlays and regions."""

REGION_COLUMNS = ("path", "region", "top", "left", "height", "width", "area", "peak",
                  "mean", "row", "column")  # fmt: skip
"""Columns of a file of regions: those of `featad.segment`, after the image's path."""


class MapFolder:
    """Write the maps of images into a folder, whole files only.

    Parameters
    ----------
    folder : path-like
        It is made if it is missing.

    scale : MapScale
        Of the maps; overlays and regions are in its units.

    **options : dict
        ``threshold`` and ``min_area`` of `featad.segment`.
    """

    def __init__(
        self, folder: str | os.PathLike, scale: MapScale, **options: Any
    ) -> None:
        self.folder, self.scale, self._options = Path(folder), scale, options
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / SCALE_FILE
        self._since = 0.0  # older maps are of another scale
        if not (place.is_file() and MapScale.load(place) == scale):
            self._since = time.time()
            scale.save(place)

    def place(self, path: str | os.PathLike, ending: str) -> Path:
        """Return where a file of an image is.

        The name begins with that of the image, and ends in a digest of its whole path,
        so that ``a/1.png`` and ``b/1.png`` both have a place, the same in every run.

        Parameters
        ----------
        path : path-like
            The image.

        ending : str
            Such as ``".npy"``.
        """
        path = os.path.abspath(path)
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
        stem = re.sub(r"[^\w.-]", "_", as_text(Path(path).stem), flags=re.ASCII)[:80]
        return self.folder / f"{stem}-{digest}{ending}"

    def known(self, path: str | os.PathLike) -> np.ndarray | None:
        """Return the map of an image that an earlier run has written.

        Returns
        -------
        map : ndarray or None
            None: there is none, no overlay, the image is newer, or the folder had
            another scale.
        """
        values, overlay = self.place(path, ".npy"), self.place(path, ".png")
        try:
            written = min(values.stat().st_mtime, overlay.stat().st_mtime)
            if written < max(self._since, os.stat(path).st_mtime):
                return None
            return np.load(values, allow_pickle=False)
        except (OSError, ValueError):
            return None

    def write(
        self, path: str | os.PathLike, image: np.ndarray, one: np.ndarray
    ) -> pd.DataFrame:
        """Write the overlay and the map of an image; return its regions.

        Parameters
        ----------
        path : path-like
            The image's file.

        image : ndarray of shape (height, width, channels)

        one : float32 ndarray of shape (height, width)
            Its map, not scaled. This is what the ``.npy`` file holds.

        Returns
        -------
        table : DataFrame
            As `regions`.
        """
        from featad.plots import plot_overlay

        ratios = self.scale.ratios(one)
        found, table = segment(ratios, **self._options)
        self._whole(path, ".npy", lambda part: np.save(part, one))
        name = as_text(Path(path).name)
        self._whole(
            path,
            ".png",
            lambda part: plot_overlay(image, ratios, part, regions=found, title=name),
        )
        return _of(path, table)

    def regions(self, path: str | os.PathLike, one: np.ndarray) -> pd.DataFrame:
        """Return the regions of an image's map, with ``REGION_COLUMNS``."""
        table = segment(self.scale.ratios(one), **self._options)[1]
        return _of(path, table)

    def _whole(self, path: Any, ending: str, write: Any) -> None:
        """Write a file beside its place, and move it there once it is complete."""
        with replacing(self.place(path, ending)) as part:
            write(part)


def _of(path: Any, table: pd.DataFrame) -> pd.DataFrame:
    table = table.copy()
    table.insert(0, "path", as_text(os.fsdecode(path)))
    return table[list(REGION_COLUMNS)]
