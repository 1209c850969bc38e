"""The maps of the teacher, VGG16, of every generated picture: computed once."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from featad.features.weights import load_network

LAYERS = {"conv3_3": 15, "conv4_3": 22, "conv5_3": 29}
"""The teacher's layers, and their places among its convolutions, after the ReLU."""

CHANNELS = {"conv3_3": 256, "conv4_3": 512, "conv5_3": 512}

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What the teachers' input is standardized by: RGB in [0, 1]."""

_BATCH = 24  # pictures


def teacher_maps(folder, weights, images, name):
    """Return the teacher's maps of pictures, computed where they are missing.

    Its maps are averaged two by two: then their positions lie where the student's lie,
    to half a pixel of the picture.

    Parameters
    ----------
    folder : str or Path
        Where the files lie, half a megabyte a picture of 128 pixels.

    weights : str or Path
        A file of VGG16's weights, convolutions at least.

    images : ndarray of shape (n, size, size, 3), uint8

    name : str
        Names the pictures and the weights in the names of the files.

    Returns
    -------
    maps : dict of str to ndarray of shape (n, height, width, channels), float16
        By layer. Memory-mapped, read-only.
    """
    paths = {layer: Path(folder) / f"maps-{name}-{layer}.npy" for layer in LAYERS}
    if not all(path.exists() for path in paths.values()):
        _compute(paths, load_network("vgg16", weights)[0].features, images)
    return {layer: np.load(path, mmap_mode="r") for layer, path in paths.items()}


def _compute(paths, network, images):
    network = network.to(memory_format=torch.channels_last)
    files, parts = {}, {}
    for start in tqdm(range(0, len(images), _BATCH), desc="teacher"):
        x = standardized(pixels(images[start : start + _BATCH]))
        for layer, values in _maps(network, x).items():
            rows = values.permute(0, 2, 3, 1).half().numpy()
            if layer not in files:
                parts[layer] = paths[layer].with_suffix(".part")
                shape = (len(images), *rows.shape[1:])
                files[layer] = np.lib.format.open_memmap(
                    parts[layer], mode="w+", dtype=np.float16, shape=shape
                )
            files[layer][start : start + len(rows)] = rows
    for layer, part in parts.items():
        files[layer].flush()
        part.replace(paths[layer])


@torch.inference_mode()
def _maps(network, x):
    """Return maps of the three layers where the student's positions lie."""
    found = {}
    for place, layer in enumerate(network):
        x = layer(x)
        found[place] = x if place in LAYERS.values() else None
    early, middle, last = (found[place] for place in LAYERS.values())
    pool = nn.functional.avg_pool2d
    maps = pool(early[:, :, 1:-1, 1:-1], 2), pool(middle, 2, 1), pool(last, 2, 1)
    return dict(zip(LAYERS, maps, strict=True))


def pixels(images):
    """Return pictures (n, height, width, 3), uint8, as (n, 3, height, width) floats."""
    x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last).float().div_(255)


def standardized(x, mean=MEAN, std=STD):
    """Return RGB in [0, 1] minus a mean and divided by a deviation for each channel."""
    mean, std = (torch.tensor(t)[:, None, None] for t in (mean, std))
    return (x - mean) / std
