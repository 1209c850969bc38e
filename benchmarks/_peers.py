"""What others make of a network and images of ours, as a process: anomalib, PyOD.

It runs in a Python that has anomalib, PyOD and what featad needs, with the project's
root as its folder. Jobs come as JSON on stdin, and each job's results go to an .npz
file.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from anomalib.models.image.padim.torch_model import PadimModel
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from torch.utils.data import DataLoader, Dataset

from benchmarks._plain import plain_loop
from featad import read_image
from featad.features.vgg_layers import vgg_nodes
from featad.features.weights import find_weights, read_network

BATCH_SIZE = 8


def main() -> None:
    """Run the jobs of stdin, one after the other."""
    for job in json.load(sys.stdin):
        torch.manual_seed(0)
        _run(**job)


def _run(peer, train, test, output, n_readers=0, **job):
    began = time.process_time()
    score = (_pyod if peer == "pyod" else _anomalib)(peer, train, n_readers, **job)
    fit_seconds = time.process_time() - began
    began, began_wall = time.process_time(), time.perf_counter()
    results = score(test)
    wall = time.perf_counter() - began_wall
    np.savez(
        output,
        **results,
        fit_seconds=fit_seconds,
        images_per_second=len(test) / (time.process_time() - began),
        images_per_second_of_wall=len(test) / wall,
    )


def _anomalib(peer, train, n_readers, arch, weights, layers, size):
    """Fit a model, and return what scores paths."""
    found = find_weights(arch, weights, preprocessing="imagenet" if weights else None)
    model = _model(peer, arch, found, layers)
    model.train()
    for batch in _batches(train, found.preset, size, n_readers):
        embedding = model(batch)
        if peer == "padim":
            model.memory_bank.append(embedding)
    model.subsample_embedding(0.01) if peer == "patchcore" else model.fit()
    model.eval()

    @torch.inference_mode()
    def score(paths):
        scores, maps = [], []
        for batch in _batches(paths, found.preset, size, n_readers):
            result = model(batch)
            scores.append(result.pred_score.flatten())
            maps.append(result.anomaly_map[:, 0].half())
        return {"scores": torch.cat(scores).numpy(), "maps": torch.cat(maps).numpy()}

    return score


def _pyod(peer, train, n_readers, arch):
    """Fit PyOD's nearest neighbors on a network of ours, and return what scores."""
    from pyod.models.embedding import EmbeddingOD

    encoder = plain_loop(arch)
    model = EmbeddingOD(lambda paths: encoder(list(paths)), "KNN").fit(train)
    return lambda paths: {"scores": model.decision_function(paths)}


def _model(peer, arch, found, layers):
    network, _ = read_network(found)
    nodes = [vgg_nodes(arch).get(layer, layer) for layer in layers]
    if peer == "patchcore":
        return PatchcoreModel(layers=nodes, backbone=network)
    return PadimModel(layers=nodes, backbone=network, n_features=100)


def _batches(paths, preset, size, n_readers):
    """Return batches (n, 3, height, width), prepared as `PatchFeatures` has them."""
    reading = preset.reading(size) | {"mode": "RGB"}
    images = _Images(paths, preset, reading)
    return DataLoader(images, BATCH_SIZE, num_workers=n_readers)


class _Images(Dataset):
    """Images that are prepared one by one, in this process or in readers of their own.

    Parameters
    ----------
    paths : sequence of str

    preset : Preset

    reading : mapping
        Arguments of `featad.read_image`.
    """

    def __init__(self, paths: Sequence[str], preset: Any, reading: Mapping) -> None:
        self._paths = paths
        self._preset = preset
        self._reading = reading

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        shape = self._preset.mean, self._preset.std
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in shape)
        pixels = read_image(self._paths[index], **self._reading)
        return (torch.from_numpy(pixels).permute(2, 0, 1) - mean) / std


if __name__ == "__main__":
    main()
