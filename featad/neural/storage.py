"""Trained networks as they are stored, in plain arrays, and built from these again."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

Nets = dict[str, nn.Module]
Packed = dict[str, dict[str, np.ndarray] | str]

_built: WeakKeyDictionary[Any, tuple[Packed, Nets]] = WeakKeyDictionary()
_lock = threading.RLock()  # building seeds torch's generator for a moment


def remember(owner: Any, packed: Packed, nets: Nets) -> None:
    """Keep networks as what `build_once` returns, as long as ``owner`` lives."""
    with _lock:
        _built[owner] = packed, nets


def build_once(owner: Any, packed: Packed, build: Callable[[], Nets]) -> Nets:
    """Return the networks that were packed, and build them if there are none yet.

    Safe with several threads: one builds, the others wait.

    Parameters
    ----------
    owner : object
        The detector. It keeps no reference to its networks.

    packed : dict
        From :func:`pack_networks`; another object than last time means other networks.

    build : callable
        Returns the networks, with their weights.

    Returns
    -------
    nets : dict of str to torch.nn.Module
    """

    def known():
        found, nets = _built.get(owner, (None, None))
        return nets if found is packed else None

    if (nets := known()) is not None:
        return nets
    with _lock:
        if (nets := known()) is None:
            nets = build()
            _built[owner] = packed, nets
    return nets


def pack_networks(nets: Nets, frozen: Sequence[str]) -> Packed:
    """Return what is stored of networks: their arrays, or a hash of frozen ones.

    Parameters
    ----------
    nets : dict of str to torch.nn.Module

    frozen : sequence of str
        Names of those that can be built again as they are.

    Returns
    -------
    packed : dict
        By network: arrays by name of the weight, which share its memory, or a hash.
    """
    return {
        name: _digest(net)
        if name in frozen
        else {key: value.cpu().numpy() for key, value in net.state_dict().items()}
        for name, net in nets.items()
    }


def unpack_networks(nets: Nets, packed: Packed) -> str | None:
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
