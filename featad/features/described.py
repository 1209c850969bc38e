"""What is known of a cut network, kept after the network itself is let go."""

import json
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from featad.features.engines import Precision
from featad.features.extractor import Summary, describing_extractor, load_extractor
from featad.features.weights import Weights


class Described:
    """An extractor that is loaded only to run, or to answer what is not known yet.

    A search over many layers and the cached features of each need the shapes and the
    fingerprint of every choice again and again, and the networks hardly ever.

    Parameters
    ----------
    found, layers, *machine
        As for `load_extractor`.

    Attributes
    ----------
    found : Weights

    fingerprint : str
        As for `Extractor`.

    nodes : list of str
        Names of the layers.

    engine : {"torch", "openvino", "either"}

    on_cpu : bool
        Whether the network runs on the CPU.
    """

    def __init__(self, found: Weights, layers: tuple, *machine: Any) -> None:
        self.found = found
        self._key = (found, layers, *machine)
        self._answers: dict[Hashable, Any] = {}
        extractor = describing_extractor(*self._key)
        self.fingerprint = extractor.fingerprint
        self.nodes = list(extractor.nodes)
        self.engine = extractor.engine
        self.on_cpu = extractor.on_cpu

    def shapes(self, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """Return what `Extractor.shapes` does."""

        def ask() -> dict[str, tuple[int, ...]]:
            return describing_extractor(*self._key, size=size).shapes(size)

        return self._answer(size, ask)

    def identify(
        self, reading: Mapping[str, Any], summary: Summary, precision: Precision
    ) -> str:
        """Return what `Extractor.identify` does."""
        question = json.dumps([dict(reading), summary.identity, str(precision)])

        def ask() -> str:
            extractor = describing_extractor(*self._key)
            return extractor.identify(reading, summary, precision)

        return self._answer(question, ask)

    def launch(
        self, pixels: np.ndarray, summary: Summary, precision: Precision
    ) -> Callable[[], np.ndarray]:
        """Start a batch, as `Extractor.launch` does."""
        return load_extractor(*self._key).launch(pixels, summary, precision)

    def layers(self, pixels: np.ndarray, precision: Precision) -> list[np.ndarray]:
        """Return what `Extractor.layers` does."""
        return load_extractor(*self._key).layers(pixels, precision)

    def measure_ranges(self, pixels: np.ndarray) -> list[dict[str, Any]]:
        """Return what `Extractor.measure_ranges` does."""
        return load_extractor(*self._key).measure_ranges(pixels)

    def _answer(self, question: Hashable, ask: Callable[[], Any]) -> Any:
        if question not in self._answers:
            self._answers[question] = ask()
        return self._answers[question]


@lru_cache(maxsize=256)
def describe(found: Weights, layers: tuple, *machine: Any) -> Described:
    """Return what is known of an extractor, the same object for the same parameters.

    Parameters
    ----------
    found, layers, *machine
        As for `load_extractor`.

    Returns
    -------
    described : Described
    """
    return Described(found, layers, *machine)
