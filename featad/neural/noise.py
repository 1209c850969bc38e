"""All that is random in networks, from generators that are local."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from featad.neural.tensors import spatial_size


@contextmanager
def local_rng(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators of the CPU and of one GPU for the length of a block.

    Parameters
    ----------
    seed : int

    device : torch.device
    """
    gpus = [device.index] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)  # the CPU's alone
        if gpus:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def generator(seed: int, device: torch.device) -> torch.Generator:
    """Return a new torch generator with this seed on this device."""
    return torch.Generator(device).manual_seed(seed)


def add_noise(x: Tensor, sigma: float, rng: torch.Generator) -> Tensor:
    """Return samples plus normal noise of standard deviation ``sigma``."""
    return x + sigma * torch.randn(x.shape, generator=rng, device=x.device)


def sample_code(mean: Tensor, log_variance: Tensor, rng: torch.Generator) -> Tensor:
    """Draw codes from a variational encoder's Gaussians, with a gradient for both.

    Parameters
    ----------
    mean, log_variance : Tensor of shape (n, latent_dim)

    rng : torch.Generator
        On the device of ``mean``.

    Returns
    -------
    code : Tensor of shape (n, latent_dim)
    """
    noise = torch.randn(mean.shape, generator=rng, device=mean.device)
    return mean + torch.exp(0.5 * log_variance) * noise


def same_noise(n: int, shape: Sequence[int], rng: torch.Generator) -> Tensor:
    """Return standard normal noise of shape (n, *shape), equal for every sample.

    A start that does not depend on a sample's place in the batch.
    """
    noise = torch.randn(tuple(shape), generator=rng, device=rng.device)
    return noise.expand(n, *shape)


def random_boxes(x: Tensor, sides: tuple[float, float], rng: torch.Generator) -> Tensor:
    """Return one random box of each image, or run of features of each row.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width) or (n, n_features)

    sides : tuple of float
        Shortest and longest side, as shares of the image's; at least one pixel.

    rng : torch.Generator
        On the device of ``x``.

    Returns
    -------
    inside : Tensor of shape (n, 1, height, width) or (n, n_features), bool
    """
    n, size = len(x), spatial_size(x)
    low, high = sides
    inside = torch.ones(n, *size, dtype=torch.bool, device=x.device)
    for axis, length in enumerate(size):
        side, start = torch.rand(2, n, 1, generator=rng, device=x.device)
        side = (length * (low + (high - low) * side)).round().clamp(1, length)
        start = (start * (length - side + 1)).floor()
        place = torch.arange(length, device=x.device)
        along = (place >= start) & (place < start + side)  # (n, length)
        shape = [length if k == axis else 1 for k in range(len(size))]
        inside &= along.view(n, *shape)
    return inside[:, None] if x.ndim == 4 else inside
