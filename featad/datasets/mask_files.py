"""Which mask belongs to which image."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from featad.errors import DatasetError

Key = tuple[str, ...]

_ENDING = re.compile(r"[ ._-]+(?:mask|gt|bm|label|ground[_ ]?truth)(?:[ _-]?\d+)?$")


def masks_beside(images: Sequence[Path]) -> dict[Path, tuple[Path, ...]]:
    """Return the images that have masks beside them, and the masks.

    ``x_mask.png``, ``x_GT.png`` and ``x_label.bmp`` are masks of ``x.png`` or
    ``x.jpg``, in any case.
    """
    named = [path for path in images if _ENDING.search(path.stem.casefold())]
    folders = {str(path.parent) for path in named}
    by_stem = {
        (folder, path.stem.casefold()): path
        for path in images
        if (folder := os.path.dirname(path)) in folders
    }
    found: dict[Path, tuple[Path, ...]] = {}
    for path in named:
        stem = _ENDING.sub("", path.stem.casefold())
        image = by_stem.get((str(path.parent), stem))
        if image is not None:
            found[image] = (*found.get(image, ()), path)
    return found


class MaskFolder:
    """The masks of a data set, found by where they lie below their folder.

    Parameters
    ----------
    masks : iterable of (Path, tuple of str)
        Each mask, and its path below the folder of masks.
    """

    def __init__(self, masks: Iterable[tuple[Path, Key]]) -> None:
        self._by_key: dict[Key, list[Path]] = defaultdict(list)
        self._image_of: dict[str, str] = {}
        for path, below in masks:
            *folders, name = (part.casefold() for part in below)
            stem = os.path.splitext(name)[0]
            self._by_key[(*folders, _ENDING.sub("", stem))].append(path)
            if folders:  # a folder of masks, named as the image
                self._by_key[tuple(folders)].append(path)

    @property
    def unused(self) -> list[Path]:
        """The masks that no image has taken."""
        masks = {str(path): path for paths in self._by_key.values() for path in paths}
        return [path for name, path in masks.items() if name not in self._image_of]

    def take(self, below: Key) -> tuple[Path, ...]:
        """Return the masks of an image, by its path from the folder of its kind on.

        A mask lies as deep as its image, or without some of the folders that lead to
        it. Masks in a folder that is named as the image belong to it together.
        """
        *folders, name = (part.casefold() for part in below)
        stem = os.path.splitext(name)[0]
        keys = [(*folders[start:], stem) for start in range(len(folders) + 1)]
        keys.insert(1, (*folders[:1], stem))
        found = next((self._by_key[key] for key in keys if key in self._by_key), [])
        image = "/".join(below)
        for path in found:
            other = self._image_of.setdefault(str(path), image)
            if other != image:
                raise DatasetError(
                    f"{str(path)!r} could be the mask of two images, {other!r} and "
                    f"{image!r}. Give masks the paths of their images, such as "
                    "ground_truth/crack/000_mask.png for test/crack/000.png."
                )
        return tuple(found)
