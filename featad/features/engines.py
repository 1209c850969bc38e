"""What runs a frozen network: torch, or OpenVINO on processors."""

import hashlib
import importlib.util
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, fx, nn

from featad._device import autocast
from featad._locks import lock_across_forks
from featad.errors import FeatadError, MissingExtraError
from featad.features.lanes import total_threads
from featad.features.quantization import Quantized, measure_ranges

TOLERANCE = 1e-5
"""Most that float32 may differ from torch's, as a share of a layer's largest value."""

_KEPT = 4  # compiled networks of one engine, by size, precision and threads
_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "int8": "f32"}
_CAPABILITIES = {
    "float32": "FP32",
    "bfloat16": "BF16",
    "float16": "FP16",
    "int8": "INT8",
}
_lock = lock_across_forks()  # tracing changes filters of warnings

Precision = str | Quantized
"""The name of a type of floating-point numbers, or where values are 8-bit integers."""


class Engine(Protocol):
    """What runs a network."""

    def __call__(self, x: Tensor, precision: Any) -> Sequence[Tensor]:
        """Return what each node gives for a standardized batch of images."""

    def prepare(self, size: tuple[int, ...], precision: Any) -> Any:
        """Get ready for images of (height, width)."""


class EngineError(FeatadError, RuntimeError):
    """OpenVINO cannot run a network, or gives other features than torch."""


def resolve_engine(engine: str, device: torch.device, precision: str) -> str:
    """Return the engine that a name stands for on this machine.

    Parameters
    ----------
    engine : {"auto", "torch", "openvino"}

    device : torch.device

    precision : {"float32", "float16", "bfloat16", "int8"}

    Returns
    -------
    engine : {"torch", "openvino", "either"}
        "either": OpenVINO where it gives torch's features, else torch.

    Raises
    ------
    ValueError
        If OpenVINO is to run on a GPU, or torch cannot do the precision on the device:
        "int8" is for OpenVINO alone.

    Examples
    --------
    >>> import torch
    >>> from featad.features.engines import resolve_engine
    >>> resolve_engine("auto", torch.device("cpu"), "bfloat16")
    'torch'
    """
    if precision == "int8" and engine == "torch":
        raise ValueError(
            "precision='int8' runs in OpenVINO, but engine='torch' was asked for. Take "
            "engine='openvino', or precision='float32'."
        )
    if precision == "int8":
        engine = "openvino"
    if engine == "auto":
        able = importlib.util.find_spec("openvino") and device.type == "cpu"
        engine = "either" if able and precision == "float32" else "torch"
    elif engine == "openvino" and device.type != "cpu":
        raise ValueError(
            f"OpenVINO runs on the CPU, but device={str(device)!r} was "
            "asked for. Take device='cpu' or engine='torch'."
        )
    if engine == "torch":
        autocast(device, precision)  # refuses what the device cannot do
    return engine


def check_openvino(precision: str) -> None:
    """Refuse a precision that OpenVINO does not compute in on this processor.

    Parameters
    ----------
    precision : {"float32", "float16", "bfloat16", "int8"}

    Raises
    ------
    MissingExtraError
        If OpenVINO is not installed.

    ValueError
        If it would run in another precision.
    """
    possible = possible_precisions()
    if precision not in possible:
        raise ValueError(
            f"precision={precision!r} with engine='openvino' needs a processor that "
            f"computes in it. This one computes in {' and '.join(possible)}. Take "
            "precision='float32'."
        )


def possible_precisions() -> list[str]:
    """Return the precisions in which OpenVINO runs networks on this processor.

    Raises
    ------
    MissingExtraError
        If OpenVINO is not installed.
    """
    able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return [name for name, capability in _CAPABILITIES.items() if capability in able]


def make_engine(
    engine: str, part: fx.GraphModule, nodes: Sequence[str], device: torch.device
) -> Engine:
    """Return what runs a network.

    Parameters
    ----------
    engine : {"torch", "openvino", "either"}
        From `resolve_engine`.

    part : GraphModule
        From `featad.features.graph.cut`, on its device.

    nodes : sequence of str
        The outputs of ``part``, in the order in which they are returned.

    device : torch.device

    Returns
    -------
    engine : callable
    """
    torch_engine = TorchEngine(part, nodes, device)
    if engine == "torch":
        return torch_engine
    openvino_engine = OpenVINOEngine(torch_engine)
    if engine == "openvino":
        return openvino_engine
    return EitherEngine(torch_engine, openvino_engine)


class TorchEngine(nn.Module):
    """Runs a network in torch, on any device.

    Parameters
    ----------
    part, nodes, device
        As for `make_engine`.
    """

    def __init__(
        self, part: fx.GraphModule, nodes: Sequence[str], device: torch.device
    ) -> None:
        super().__init__()
        self.part = part
        self._nodes = tuple(nodes)
        self._device = device
        self.eval()

    def forward(self, x: Tensor, precision: str = "float32") -> tuple[Tensor, ...]:
        """Return what each node gives."""
        with autocast(self._device, precision):
            outputs = self.part(x)
        return tuple(outputs[node] for node in self._nodes)

    def prepare(self, size: tuple[int, ...], precision: str) -> None:
        """Do nothing: torch takes images of any size at once."""


class OpenVINOEngine:
    """Runs a network in OpenVINO, on the CPU, with as many threads as torch.

    It is compiled when a size of images comes for the first time. Then one generated
    image goes through torch as well, and float32 features that differ are an error.

    Parameters
    ----------
    reference : TorchEngine
        Holds the network.
    """

    def __init__(self, reference: TorchEngine) -> None:
        self._reference = reference
        self._compiled: OrderedDict[tuple, Any] = OrderedDict()
        self._measured: OrderedDict[tuple, list[dict[str, Any]]] = OrderedDict()

    def __call__(self, x: Tensor, precision: Precision) -> list[Tensor]:
        """Return what each node gives."""
        return _run(self.prepare(tuple(x.shape[2:]), precision), x)

    def prepare(self, size: tuple[int, ...], precision: Precision) -> Any:
        """Return the network for images of (height, width); it is compiled once.

        Compiling changes filters of warnings, which all threads share. So do it before
        others start to work.
        """
        n_threads = total_threads()
        with _lock:
            return _kept(
                self._compiled,
                (size, precision, n_threads),
                lambda: self._compile(size, precision, n_threads),
            )

    def measure_ranges(self, x: Tensor) -> list[dict[str, Any]]:
        """Return the ranges of 8-bit values, from a standardized batch of images."""
        check_openvino("int8")
        images = x.contiguous().numpy()
        key = hashlib.sha256(images.data).hexdigest(), *images.shape

        def measure() -> list[dict[str, Any]]:
            with _refusals(x.shape[2:], "Take precision='float32'."):
                return measure_ranges(_converted(self._reference, x[:1]), images)

        with _lock:  # the folds of a search ask for the same ones again and again
            return _kept(self._measured, key, measure)

    def _compile(
        self, size: tuple[int, ...], precision: Precision, n_threads: int
    ) -> Any:
        name = "int8" if isinstance(precision, Quantized) else precision
        check_openvino(name)
        noise = np.random.default_rng(0).standard_normal((1, 3, *size))
        probe = torch.from_numpy(noise.astype(np.float32))
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[name],
            "INFERENCE_NUM_THREADS": n_threads,
            "NUM_STREAMS": 1,
            # two processes would be tied to the same core
            "ENABLE_CPU_PINNING": False,
        }
        way = "precision='float32'" if name == "int8" else "engine='torch'"
        with _refusals(size, f"Take {way}."):
            model = _converted(self._reference, probe)
            if isinstance(precision, Quantized):
                precision.apply(model)
            compiled = _core().compile_model(model, "CPU", settings)
            found = _run(compiled, probe)
        if precision == "float32":
            _check_equal(found, self._reference(probe))
        return compiled


class EitherEngine:
    """Runs a network in OpenVINO where it gives torch's features, else in torch.

    Parameters
    ----------
    torch_engine : TorchEngine

    openvino_engine : OpenVINOEngine
    """

    def __init__(
        self, torch_engine: TorchEngine, openvino_engine: OpenVINOEngine
    ) -> None:
        self._torch = torch_engine
        self._openvino = openvino_engine
        self._refused: set[tuple[int, ...]] = set()

    def __call__(self, x: Tensor, precision: Precision) -> Sequence[Tensor]:
        """Return what each node gives."""
        size = tuple(x.shape[2:])
        self.prepare(size, precision)
        if size not in self._refused:
            return self._openvino(x, precision)
        return self._torch(x.contiguous(memory_format=torch.channels_last), precision)

    def prepare(self, size: tuple[int, ...], precision: Precision) -> None:
        """Compile the network for images of (height, width), or note that it fails."""
        if size not in self._refused:
            try:
                self._openvino.prepare(size, precision)
            except EngineError:
                self._refused.add(size)


def load_openvino() -> Any:
    """Return OpenVINO; it reports nothing to its makers.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    # with this package, importing OpenVINO writes to the home folder and sends a note
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError(
            "engine='openvino' needs OpenVINO: pip install 'featad[openvino]'; or take "
            "engine='torch', which gives the same float32 features."
        ) from error
    return openvino


@cache
def _core() -> Any:
    """Return the one core of this process, which stays.

    Each has a stack for signals of its own. After two were freed the process has none,
    and the next signal ends it.
    """
    return load_openvino().Core()


def _converted(network: nn.Module, example: Tensor) -> Any:
    """Return OpenVINO's form of a network, for any number of images of one size."""
    load_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated, and tells of branches
        traced = torch.jit.trace(network, (example,), check_trace=False)
        decoder = TorchScriptPythonDecoder(traced)
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    model.reshape([-1, *example.shape[1:]])
    return model


@contextmanager
def _refusals(size: tuple[int, ...], way_out: str) -> Iterator[None]:
    """Tell of what OpenVINO cannot do in one sentence."""
    try:
        yield
    except RuntimeError as error:
        raise EngineError(
            f"OpenVINO cannot run this network on images of {size[0]} x {size[1]} "
            f"pixels: {str(error).strip().splitlines()[-1]} {way_out}"
        ) from error


def _kept(kept: OrderedDict, key: tuple, make: Callable[[], Any]) -> Any:
    """Return what was made for a key; the few that were used last are kept."""
    if key not in kept:
        kept[key] = make()
    kept.move_to_end(key)
    while len(kept) > _KEPT:
        kept.popitem(last=False)
    return kept[key]


def _run(compiled: Any, x: Tensor) -> list[Tensor]:
    request = compiled.create_infer_request()  # one alone cannot serve several threads
    outputs = request.infer([x.contiguous().numpy()]).to_tuple()
    return [torch.from_numpy(values) for values in outputs]


def _check_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for values, right in zip(found, expected, strict=True):
        apart, largest = float((values - right).abs().max()), float(right.abs().max())
        if not apart <= TOLERANCE * largest:  # NaN is refused as well
            raise EngineError(
                f"OpenVINO's features should differ from torch's by at most "
                f"{TOLERANCE:.0e} of the largest, which is {largest:.3g}, but differ "
                f"by {apart:.1e}. Take engine='torch'."
            )
