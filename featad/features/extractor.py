"""A frozen network cut off after the layers that are asked for, and run on a device."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import torch

from featad._locks import lock_across_forks
from featad.features.engines import OpenVINOEngine, Precision, make_engine
from featad.features.graph import cut, has_channels_last
from featad.features.lanes import run_beside, run_in_lanes
from featad.features.layers import find_nodes
from featad.features.presets import DEFAULT, PACKAGED, preset_of_set
from featad.features.weights import Weights, read_network

_FORMAT = 2  # raised when the same parameters come to give other features
_CACHE_SIZE = 4
_cache: OrderedDict[tuple, "Extractor"] = OrderedDict()
_lock = lock_across_forks()


def load_extractor(
    found: Weights, layers: Sequence[str | None], device: torch.device, engine: str
) -> "Extractor":
    """Return an extractor; the last few stay loaded in this process.

    Parameters
    ----------
    found : Weights
        From `featad.features.weights.find_weights`.

    layers : sequence of str or None
        None for what enters the classifying layer.

    device : torch.device

    engine : {"torch", "openvino", "either"}
        From `featad.features.engines.resolve_engine`.

    Returns
    -------
    extractor : Extractor
    """
    key = (found, tuple(layers), device, engine)
    with _lock:  # loading in two threads at once would only cost memory
        if key not in _cache:
            _cache[key] = Extractor(*key)
        _cache.move_to_end(key)
        while len(_cache) > _CACHE_SIZE:
            _cache.popitem(last=False)
        return _cache[key]


def describing_extractor(
    found: Weights, layers: tuple, *machine: Any, size: tuple[int, int] | None = None
) -> "Extractor":
    """Return an extractor to ask about layers: part of a loaded one, if there is one.

    Parameters
    ----------
    found, layers, *machine
        As for `load_extractor`.

    size : (height, width) or None, default=None
        Of the images for which shapes are asked. They must be known: deeper layers may
        need larger images.

    Returns
    -------
    extractor : Extractor
    """
    with _lock:
        for (other, names, *rest), loaded in _cache.items():
            fits = (other, tuple(rest)) == (found, machine)
            is_known = size is None or size in loaded._shapes
            if fits and is_known and set(layers) <= set(names):
                return loaded.part(layers)
    return load_extractor(found, layers, *machine)


class Summary(Protocol):
    """What becomes of the layers of a batch of images: their features.

    Attributes
    ----------
    shape : tuple of int
        Of the features of one image.

    dtype : numpy.dtype

    identity : dict
        What decides the features, as JSON can hold it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    identity: dict[str, Any]

    def __call__(self, layers: Sequence[Any]) -> Any:
        """Return the features (n, *shape) of tensors (n, channels[, ...])."""


class Extractor:
    """A network, cut off, on its device.

    Parameters
    ----------
    found : Weights
    layers : sequence of str or None
    device : torch.device
    engine : {"torch", "openvino", "either"}

    Attributes
    ----------
    arch : str

    found : Weights

    engine : str

    fingerprint : str
        Of all the weights that were found; of the preset as well where it is not the
        network's default.

    preset : Preset
        How images are prepared for these weights.

    nodes : dict of str to str
        Names of the layers, and of the graph nodes that give them.
    """

    def __init__(
        self,
        found: Weights,
        layers: Sequence[str | None],
        device: torch.device,
        engine: str,
    ) -> None:
        network, self._weights = read_network(found)
        self.found = found
        self.arch = found.arch
        self.preset = found.preset
        self.fingerprint = self._weights
        usual = found.published if self.arch == PACKAGED else DEFAULT
        if self.preset != preset_of_set(self.arch, usual):
            text = json.dumps([self._weights, asdict(self.preset)], sort_keys=True)
            self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.nodes = find_nodes(network, self.arch, layers)
        self._last = ""
        if None in layers:
            (self._last,) = find_nodes(network, self.arch, [None])
        self._cut = cut(network, list(self.nodes.values()))
        self._channels_last = {
            node for node in self.nodes.values() if has_channels_last(self._cut, node)
        }
        self._device = device
        self._mean = torch.tensor(self.preset.mean, device=device).view(3, 1, 1)
        self._std = torch.tensor(self.preset.std, device=device).view(3, 1, 1)
        self._copies = None
        self._cut.to(device)
        if engine == "torch":  # the pixels have their channels last, too
            self._cut.to(memory_format=torch.channels_last)
        if device.type == "cuda":
            self._copies = torch.cuda.Stream(device)
        self.engine = engine
        self._run_network = make_engine(
            engine, self._cut, list(self.nodes.values()), device
        )
        self._shapes: dict[tuple[int, int], dict[str, torch.Size]] = {}

    def part(self, layers: Sequence[str | None]) -> "Extractor":
        """Return what is known of some of the layers; the network is the same.

        Parameters
        ----------
        layers : sequence of str or None
            Some of those that the extractor was made for.

        Returns
        -------
        part : Extractor
        """
        part = copy(self)
        names = [self._last if layer is None else layer for layer in layers]
        part.nodes = {name: self.nodes[name] for name in names}
        part._shapes = dict(self._shapes)
        return part

    def shapes(self, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """Return the shape of what each layer gives for one image, channels first.

        Parameters
        ----------
        size : (height, width)
            Of the images.

        Returns
        -------
        shapes : dict of str to tuple of int
            (channels, height, width), (channels, tokens) or (features,).

        Raises
        ------
        ValueError
            If the network cannot run on images of that size, or a layer gives no
            features.
        """
        if size not in self._shapes:
            self._shapes[size] = self._measure(size)
        shapes = {}
        for layer, node in self.nodes.items():
            _, *shape = self._shapes[size][node]
            if self._ends_with_channels(node, len(shape)):
                shape = [shape[-1], *shape[:-1]]
            shapes[layer] = tuple(shape)
        return shapes

    def identify(
        self, reading: Mapping[str, Any], summary: Summary, precision: Precision
    ) -> str:
        """Return a digest of everything that decides the features of an image.

        Parameters
        ----------
        reading : mapping
            Arguments of `read_image`, as JSON can hold them.

        summary, precision
            As for `launch`.
        """
        channels: list = [self.preset.mean, self.preset.std]
        if self.preset.channel_order != "rgb":
            channels.append(self.preset.channel_order)
        decisive = {
            "format": _FORMAT,
            "arch": self.arch,
            "weights": self._weights,
            "nodes": list(self.nodes.values()),
            "reading": dict(reading),
            "channels": channels,
            "precision": str(precision),
        }
        if self.engine != "torch" and precision != "float32":
            decisive["engine"] = self.engine  # each rounds in its own way
        text = json.dumps(decisive | summary.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def launch(
        self, pixels: np.ndarray, summary: Summary, precision: Precision
    ) -> Callable[[], np.ndarray]:
        """Start a batch; return a function that waits for its features.

        The call returns before the work is done, so that the next batch can be prepared
        meanwhile: on a GPU, and on a CPU with several threads.

        Parameters
        ----------
        pixels : float32 ndarray of shape (n, height, width, 3), in [0, 1]

        summary : Summary
            Makes features of the layers.

        precision : {"float32", "float16", "bfloat16"} or Quantized

        Returns
        -------
        collect : callable
            Returns an ndarray of shape (n, *summary.shape).
        """
        if self.on_cpu:
            run = partial(self._features, summary=summary, precision=precision)
            self._run_network.prepare(pixels.shape[1:3], precision)
            start = run_in_lanes if self.engine == "torch" else run_beside
            return start(run, pixels)
        with torch.inference_mode():
            features = summary(self._run(torch.from_numpy(pixels), precision))
            if self._copies is None:
                return features.cpu().numpy
            host = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
            host.copy_(features, non_blocking=True)
            done = torch.cuda.Event()
            done.record(torch.cuda.current_stream(self._device))

        def collect() -> np.ndarray:
            done.synchronize()
            return host.numpy()

        return collect

    def _features(self, pixels, summary, precision):
        with torch.inference_mode():
            return summary(self._run(torch.from_numpy(pixels), precision)).numpy()

    def layers(self, pixels: np.ndarray, precision: Precision) -> list[np.ndarray]:
        """Return what each layer gives for a batch, of the shapes of `shapes`.

        Parameters
        ----------
        pixels, precision
            As for `launch`.

        Returns
        -------
        layers : list of float32 ndarray
        """
        with torch.inference_mode():
            found = self._run(torch.from_numpy(pixels), precision)
            return [values.cpu().numpy() for values in found]

    def measure_ranges(self, pixels: np.ndarray) -> list[dict[str, Any]]:
        """Return the ranges of 8-bit values, for `Quantized`; the engine is "openvino".

        Parameters
        ----------
        pixels : float32 ndarray of shape (n, height, width, 3), in [0, 1]
            Of training images.
        """
        engine = cast(OpenVINOEngine, self._run_network)
        return engine.measure_ranges(self._standardized(torch.from_numpy(pixels)))

    @property
    def on_cpu(self) -> bool:
        """Whether the network runs on the CPU."""
        return self._device.type == "cpu"

    def _standardized(self, x):
        x = self._to_device(x).permute(0, 3, 1, 2)  # (n, 3, h, w), channels last
        if self.engine != "torch":
            x = x.contiguous()  # channels first
        x = (x - self._mean).div_(self._std)
        return x.flip(1) if self.preset.channel_order == "bgr" else x

    def _run(self, x, precision):
        """Return what each layer gives, float32, channels first."""
        found = self._run_network(self._standardized(x), precision)
        layers = []
        for node, values in zip(self.nodes.values(), found, strict=True):
            values = values.float()
            if self._ends_with_channels(node, values.ndim - 1):
                values = values.movedim(-1, 1)
            layers.append(values)
        return layers

    def _ends_with_channels(self, node, n_axes):
        return n_axes == 2 or (n_axes == 3 and node in self._channels_last)

    def _to_device(self, x):
        if self._copies is None:
            return x.to(self._device)
        running = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._copies):  # while the last batch is computed
            x = x.pin_memory().to(self._device, non_blocking=True)
        running.wait_stream(self._copies)
        x.record_stream(running)
        return x

    @torch.inference_mode()
    def _measure(self, size):
        try:
            maps = self._cut(torch.zeros(1, 3, *size, device=self._device))
        except (RuntimeError, AssertionError, ValueError) as error:
            usual = self.preset
            raise ValueError(
                f"{self.arch} does not run up to {', '.join(self.nodes)} on images of "
                f"{size[0]} x {size[1]} pixels ({_first_line(error)}). Set image_size: "
                f"the whole network takes {usual.min_size} or more, and was trained on "
                f"{usual.crop_size}."
            ) from error
        for layer, node in self.nodes.items():
            value = maps[node]
            if not isinstance(value, torch.Tensor) or not (
                value.is_floating_point() and 2 <= value.ndim <= 4 and len(value) == 1
            ):
                raise ValueError(
                    f"Layer {layer!r} of {self.arch} gives no features of an image: it "
                    "should give floats of shape (n, channels, height, width), (n, "
                    "tokens, channels) or (n, features), got "
                    f"{tuple(getattr(value, 'shape', ()))}."
                )
        return {node: maps[node].shape for node in self.nodes.values()}


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
