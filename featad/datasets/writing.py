"""Data sets in memory as folders of images."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from featad.datasets.dataset import ImageDataset


def save_folder(dataset: ImageDataset, folder: str | os.PathLike) -> Path:
    """Write the images of a data set as PNG files, in the layout of MVTec AD.

    :func:`load_folder` reads them again. Files of other names stay as they are.

    Parameters
    ----------
    dataset : ImageDataset
        Images in memory, uint8, with a part and a kind each. Masks, if there are any,
        are bool arrays.

    folder : path-like
        The folder to write to, made if it is missing: ``PART/KIND/NUMBER.png`` and
        ``ground_truth/KIND/NUMBER_mask.png``.

    Returns
    -------
    folder : Path
        The folder.

    Raises
    ------
    TypeError
        If the images are not a uint8 array, such as the paths of files.

    Examples
    --------
    >>> import tempfile
    >>> from featad import load_folder, make_spots_and_lines, save_folder
    >>> parts = make_spots_and_lines(4, 2, size=32)
    >>> load_folder(save_folder(parts, tempfile.mkdtemp())).kinds.tolist()
    ['good', 'good', 'good', 'good', 'good', 'spot']
    """
    images = dataset.images
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        found = getattr(images, "dtype", type(images).__name__)
        raise TypeError(
            f"save_folder writes images that are a uint8 array, but they are {found}."
        )
    folder = Path(folder)
    masks = dataset.masks or [None] * len(dataset)
    rows = zip(images, dataset.parts, dataset.kinds, masks, strict=True)
    for number, (image, part, kind, mask) in enumerate(rows):
        _write(image, folder / part / kind / f"{number:04}.png")
        if mask is not None:
            path = folder / "ground_truth" / kind / f"{number:04}_mask.png"
            _write(np.asarray(mask), path)
    return folder


def _write(array, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
