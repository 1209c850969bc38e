"""Devices and precision: from the user's names to torch's objects."""

import os
import warnings
from contextlib import AbstractContextManager, nullcontext

import torch

from featad._malloc import keep_freed_memory

_HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}

if hasattr(os, "register_at_fork"):
    # a forked process would wait for ever for the threads of its parent's OpenMP
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def resolve_device(device: str) -> torch.device:
    """Return the device a name stands for on this machine, which is going to be used.

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
    found = _parse(device)
    lack = _lack(found)
    if lack:
        raise ValueError(
            f"device={device!r} was asked for, but {lack}. Take device='auto' or 'cpu'."
        )
    if found.type == "cuda" and found.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    if found.type == "cpu":
        keep_freed_memory()
    return found


def usable_device(device: str) -> torch.device:
    """Return the device of a fitted model, or this machine's usual one.

    A model is moved from machine to machine: where its device is missing, ``"auto"``
    takes its place, with a warning.

    Parameters
    ----------
    device : str
        As for `resolve_device`.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    lack = _lack(_parse(device))
    if not lack:
        return resolve_device(device)
    found = resolve_device("auto")
    warnings.warn(
        f"The model was set to device={device!r}, but {lack}: {found} is used instead. "
        "Set device='auto' to use whatever there is."
    )
    return found


def _parse(device):
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
    return found


def _lack(device):
    """Return what this machine lacks for a device, or None."""
    if device.type == "cuda":
        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= n_devices:
            return f"torch finds {n_devices} CUDA GPUs here"
    if device.type == "mps" and not torch.backends.mps.is_available():
        return "torch finds no Apple GPU here"
    return None


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
