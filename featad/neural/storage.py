"""Trained networks as they are pickled: plain arrays, or a digest."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn


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
