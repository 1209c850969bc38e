"""What it takes to repeat a run: command, versions, parameters, weights."""

import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

import featad
from featad.systems import iter_parts_and_templates

_PACKAGES = ("featad", "numpy", "pillow", "scikit-learn", "torch", "torchvision")
_STRUCTURE = ("steps", "memory", "transform_input", "verbose")


def reproducibility(command: str, systems: Mapping[str, Any]) -> dict[str, Any]:
    """Return the command, versions, and what systems are made of.

    Parameters
    ----------
    command : str

    systems : mapping of str to estimator
        Fitted or not; fingerprints of weights are known of fitted ones.
    """
    return {
        "command": command,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PACKAGES},
        "parameters": {name: _parameters(system) for name, system in systems.items()},
        "weights": [
            {"weights": note, "fingerprint": fingerprint}
            for note, fingerprint in sorted(_weights(systems))
        ],
    }


def now() -> str:
    """Return the time, in UTC, as ISO 8601 has it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _parameters(system: Any) -> dict[str, str]:
    return {
        key: repr(value)
        for key, value in sorted(system.get_params().items())
        if not hasattr(value, "get_params")
        and key.rpartition("__")[2] not in _STRUCTURE
    }


def _weights(systems: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {
        (str(part.weights_note_), str(part.weights_fingerprint_))
        for system in systems.values()
        for part in iter_parts_and_templates(system)
        if hasattr(part, "weights_fingerprint_")
    }


def _version(name: str) -> str:
    return featad.__version__ if name == "featad" else version(name)
