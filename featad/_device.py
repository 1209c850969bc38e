"""Devices and precision: from the user's names to torch's objects."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch

_HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}

if hasattr(os, "register_at_fork"):
    # a forked process would wait for ever for the threads of its parent's OpenMP
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def resolve_device(device: str) -> torch.device:
    """Return the device a name stands for on this machine.

    Parameters
    ----------
    device : str
        ``"auto"`` (a CUDA GPU before Apple's before the CPU), ``"cpu"``, ``"cuda"``,
        ``"cuda:1"`` or ``"mps"``.

    Returns
    -------
    device : torch.device
        A CUDA device always has its number.

    Raises
    ------
    ValueError
        If this machine has no such device, or the name is unknown.

    Examples
    --------
    >>> from featad._device import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        if torch.cuda.is_available():
            device = "cuda"
        else:
            device = "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = None
    if found is None or found.type not in {"cpu", "cuda", "mps"}:
        raise ValueError(
            "device should be 'auto', 'cpu', 'cuda', 'cuda:<number>' or 'mps', "
            f"got {device!r}."
        )
    if found.type == "cuda":
        return _cuda(found)
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(
            "device='mps' was asked for, but torch finds no Apple GPU here. Take "
            "device='auto' or 'cpu'."
        )
    return found


def _cuda(device: torch.device) -> torch.device:
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (device.index or 0) >= n_devices:
        raise ValueError(
            f"device={str(device)!r} was asked for, but torch finds {n_devices} CUDA "
            "GPUs here. Take device='auto' or 'cpu'."
        )
    if device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Return a context in which a network runs in the given precision.

    Parameters
    ----------
    device : torch.device

    precision : {"float32", "float16", "bfloat16"}
        With ``"float32"``, convolutions on CUDA do not round to TF32.

    Returns
    -------
    context : context manager

    Raises
    ------
    ValueError
        For ``"float16"`` on the CPU, which has no fast half-precision convolutions.
    """
    if precision != "float32":
        if precision == "float16" and device.type == "cpu":
            raise ValueError(
                "precision='float16' needs a GPU; on the CPU take 'bfloat16' or "
                "'float32'."
            )
        return torch.autocast(device.type, dtype=_HALF[precision])
    if device.type == "cuda":
        cudnn = torch.backends.cudnn
        return cudnn.flags(
            enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False
        )
    return nullcontext()
