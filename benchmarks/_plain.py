"""The plain way from files to features, that others are compared with."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as F

from featad.features.weights import load_network, preset

FIRST_EDITION = "vgg_mini, generated"


def network_and_weights(arch: str) -> tuple[str, str | None]:
    """Return name and weights: random ones, but for the edition that has none."""
    return ("vgg_mini", "generated") if arch == FIRST_EDITION else (arch, None)


@cache
def plain_loop(arch: str) -> Callable[[Sequence[Path]], np.ndarray]:
    """Return what makes features of files as a first script would."""
    network = load_network(*network_and_weights(arch))[0]
    settings = preset(*network_and_weights(arch))

    @torch.inference_mode()
    def run(paths):
        features = []
        for start in range(0, len(paths), 32):
            batch = []
            for path in paths[start : start + 32]:
                image = Image.open(path).convert("RGB").resize((224, 224), 2)
                tensor = F.to_tensor(image)
                batch.append(F.normalize(tensor, settings.mean, settings.std))
            features.append(network(torch.stack(batch)))
        return torch.cat(features).numpy()

    return run


def run_plain_loop(arch: str, paths: Sequence[Path]) -> np.ndarray:
    """Run it, as another process can be told to."""
    return plain_loop(arch)(paths)
