"""anomalib's own PatchCore and PaDiM on a network and images of ours, as a process.

It runs in a Python that has anomalib and what featad needs, with the project's root as
its folder. Jobs come as JSON on stdin, and each job's results go to an .npz file.
"""

import json
import sys
import time

import numpy as np
import torch
from anomalib.models.image.padim.torch_model import PadimModel
from anomalib.models.image.patchcore.torch_model import PatchcoreModel

from featad import read_image
from featad.features.vgg_layers import vgg_nodes
from featad.features.weights import find_weights, read_network

BATCH_SIZE = 8


def main() -> None:
    """Run the jobs of stdin, one after the other."""
    for job in json.load(sys.stdin):
        torch.manual_seed(0)
        _run(**job)


def _run(peer, arch, weights, layers, size, train, test, output):
    found = find_weights(arch, weights, preprocessing="imagenet" if weights else None)
    model = _model(peer, arch, found, layers)
    began = time.process_time()
    model.train()
    for batch in _batches(train, found.preset, size):
        embedding = model(batch)
        if peer == "padim":
            model.memory_bank.append(embedding)
    model.subsample_embedding(0.01) if peer == "patchcore" else model.fit()
    fit_seconds = time.process_time() - began
    model.eval()
    scores, maps, began = [], [], time.process_time()
    with torch.inference_mode():
        for batch in _batches(test, found.preset, size):
            result = model(batch)
            scores.append(result.pred_score.flatten())
            maps.append(result.anomaly_map[:, 0].half())
    seconds = time.process_time() - began
    np.savez(
        output,
        scores=torch.cat(scores).numpy(),
        maps=torch.cat(maps).numpy(),
        fit_seconds=fit_seconds,
        images_per_second=len(test) / seconds,
    )


def _model(peer, arch, found, layers):
    network, _ = read_network(found)
    nodes = [vgg_nodes(arch).get(layer, layer) for layer in layers]
    if peer == "patchcore":
        return PatchcoreModel(layers=nodes, backbone=network)
    return PadimModel(layers=nodes, backbone=network, n_features=100)


def _batches(paths, preset, size):
    """Yield prepared images (n, 3, height, width), as `PatchFeatures` has them."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (preset.mean, preset.std))
    reading = preset.reading(size) | {"mode": "RGB"}
    for start in range(0, len(paths), BATCH_SIZE):
        chosen = paths[start : start + BATCH_SIZE]
        pixels = np.stack([read_image(path, **reading) for path in chosen])
        yield (torch.from_numpy(pixels).permute(0, 3, 1, 2) - mean) / std


if __name__ == "__main__":
    main()
