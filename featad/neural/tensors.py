"""Samples as numpy holds them, and as networks see them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_ROUNDING = 1e-7  # of float32: a smaller share of the mean is no deviation


def learn_scaling(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what to subtract from samples and what to divide them by then.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), (n, h, w) or (n, h, w, channels)

    Returns
    -------
    mean, scale : ndarray of shape (n_features,) or (channels,), float64
        [0] and [1] for images in [0, 1]; of other samples mean and deviation of every
        feature or channel, the latter 1 where it is nothing but rounding.
    """
    if X.ndim > 2 and X.min() >= 0 and X.max() <= 1:
        return np.zeros(1), np.ones(1)
    axes = {2: 0, 3: None, 4: (0, 1, 2)}[X.ndim]
    mean = np.atleast_1d(X.mean(axis=axes, dtype=np.float64))
    scale = np.atleast_1d(X.std(axis=axes, dtype=np.float64))
    scale[scale <= _ROUNDING * np.abs(mean)] = 1
    return mean, scale


def to_tensor(X: np.ndarray) -> Tensor:
    """Return samples as a float32 tensor, channels first.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), (n, h, w) or (n, h, w, channels)

    Returns
    -------
    x : Tensor of shape (n, n_features) or (n, channels, h, w)
    """
    with np.errstate(over="ignore"):  # an infinite score is refused later
        X = X.astype(np.float32)
    if X.ndim == 3:
        X = X[..., None]
    if X.ndim == 4:
        X = X.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.array(X, order="C"))


class Batches:
    """Samples batch by batch, as often as they are gone through.

    Parameters
    ----------
    load : callable
        From places in the training set to a tensor.

    index : ndarray of int
        The places.

    size : int
        Samples in a batch.
    """

    def __init__(
        self, load: Callable[[np.ndarray], Tensor], index: np.ndarray, size: int
    ):
        self._load, self._index, self._size = load, index, size

    def __iter__(self) -> Iterator[Tensor]:
        for start in range(0, len(self._index), self._size):
            yield self._load(self._index[start : start + self._size])

    def __len__(self) -> int:
        return -(-len(self._index) // self._size)


def to_array(value: Any) -> Any:
    """Return a tensor as an array; anything else as it is."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def to_device(value: Any, device: torch.device) -> Any:
    """Return an array as a tensor on a device; anything else as it is."""
    return (
        torch.from_numpy(value).to(device) if isinstance(value, np.ndarray) else value
    )


def spatial_size(x: Tensor) -> tuple[int, ...]:
    """Return (height, width) of a batch of images, (n_features,) of a table."""
    return tuple(x.shape[2:] if x.ndim == 4 else x.shape[1:])


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


def pack_networks(
    nets: dict[str, nn.Module], frozen: Sequence[str]
) -> dict[str, dict[str, np.ndarray] | str]:
    """Return what is stored of networks: arrays, or of frozen ones a hash.

    Parameters
    ----------
    nets : dict of str to torch.nn.Module

    frozen : sequence of str
        Names of those that can be built again as they are.

    Returns
    -------
    packed : dict
        By network: arrays by name of the weight, or a hash.
    """
    return {
        name: _digest(net)
        if name in frozen
        else {key: value.cpu().numpy() for key, value in net.state_dict().items()}
        for name, net in nets.items()
    }


def unpack_networks(nets: dict[str, nn.Module], packed: dict) -> str | None:
    """Put stored weights into networks just built, and freeze them.

    Parameters
    ----------
    nets : dict of str to torch.nn.Module

    packed : dict
        From :func:`pack_networks`.

    Returns
    -------
    changed : str or None
        Name of a frozen network that is not the one that was packed.
    """
    for name, net in nets.items():
        stored = packed[name]
        if isinstance(stored, str):
            if _digest(net) != stored:
                return name
        else:
            net.load_state_dict({k: torch.tensor(v) for k, v in stored.items()})
        net.requires_grad_(False).eval()
    return None


def _digest(net):
    found = hashlib.sha256()
    for key, value in net.state_dict().items():
        found.update(key.encode())
        found.update(value.cpu().numpy().tobytes())
    return found.hexdigest()
