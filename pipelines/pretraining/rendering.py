"""Render many generated pictures once, to a file read without loading it."""

from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipelines.pretraining.pictures import VERSION, generate

_PORTION = 100  # pictures a process renders before it reports


def rendered(folder, seed, count, size, workers=1):
    """Return the first pictures of a collection, rendered where they are missing.

    Parameters
    ----------
    folder : str or Path
        Where the file lies, 3 * size ** 2 bytes a picture.

    seed, size
        As in `generate`.

    count : int
        Number of pictures.

    workers : int, default=1
        Number of processes; the pictures do not depend on it.

    Returns
    -------
    images : ndarray of shape (count, size, size, 3), uint8
        Memory-mapped, read-only.
    """
    path = Path(folder) / f"images-v{VERSION}-{seed}-{size}-{count}.npy"
    if not path.exists():
        part = path.with_suffix(".part")
        shape = (count, size, size, 3)
        np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        portions = [
            (part, seed, start, min(start + _PORTION, count))
            for start in range(0, count, _PORTION)
        ]
        _render_all(portions, min(workers, len(portions)))
        part.replace(path)
    return np.load(path, mmap_mode="r")


def _render_all(portions, workers):
    bar = tqdm(total=len(portions), desc="render")
    with bar:
        if workers == 1:
            for portion in portions:
                _render(portion)
                bar.update()
        else:
            with get_context("spawn").Pool(workers) as pool:
                for _ in pool.imap_unordered(_render, portions):
                    bar.update()


def _render(portion):
    path, seed, start, stop = portion
    images = np.lib.format.open_memmap(path, mode="r+")
    for index in range(start, stop):
        images[index] = generate(seed, index, images.shape[1])
