"""``featad doctor --speed``: how fast each engine runs a network on this machine."""

import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # importing it takes seconds, which `--help` need not
    from featad.features.network import NetworkFeatures

_SECONDS = 2.5  # that each engine in each precision runs for
_BATCH = 8
_GAIN = 1.05  # speeds that differ by less count as equal
_EXTRAS = (("openvino", "openvino", "OpenVINO"), ("nncf", "int8", "int8"))


@dataclass
class Speed:
    """What was measured of an engine in a precision.

    Attributes
    ----------
    engine, precision : str

    rate : float
        Images per second, of the network alone.

    cosine : float
        The smallest, of images, between the features and torch's in float32.
    """

    engine: str
    precision: str
    rate: float
    cosine: float


def say_speed(name: str) -> int:
    """Measure and print; return the exit code.

    Parameters
    ----------
    name : str
        Of a system that runs a frozen network.

    Raises
    ------
    ValueError
        If the system runs none.
    """
    features = _features_of(name)
    height, width = features._reading()["size"]
    print(
        f"{name}: {features.arch} up to {', '.join(map(str, features._layers()))}, "
        f"images of {height} x {width} pixels, {_BATCH} at a time, {_device(features)}"
    )
    if features.weights is None:
        print("Its weights are not on this machine: random ones take their place.")
    print(f"\n{'engine':<10}{'precision':<11}images/s   ratio  smallest cosine")
    speeds: list[Speed] = []
    for speed in measure_speed(features, _SECONDS):
        speeds.append(speed)
        ratio = speed.rate / speeds[0].rate
        print(
            f"{speed.engine:<10}{speed.precision:<11}{speed.rate:>8.1f}{ratio:>8.2f}"
            f"{speed.cosine:>17.6f}",
            flush=True,
        )
    print()
    for sentence in advice(name, speeds):
        print(sentence)
    return 0


def measure_speed(features: "NetworkFeatures", seconds: float) -> Iterator[Speed]:
    """Yield the speed of each engine and precision that this machine can run.

    Parameters
    ----------
    features : NetworkFeatures

    seconds : float
        About how long each of them runs.

    Yields
    ------
    speed : Speed
        The first is that of torch in float32.
    """
    import featad
    from featad.features.precision import smallest_cosine

    size = features._reading()["size"]
    parts = featad.make_spots_and_lines(_BATCH - 2, 2, size=max(size)).images
    images = np.ascontiguousarray(np.stack(list(parts))[:, : size[0], : size[1]])
    pixels = images.astype(np.float32) / 255
    usual = None
    for engine, precision in settings(features):
        features.set_params(engine=engine, precision=precision)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights: a fit warns of them
            features.fit(images)
        extractor = features._find_extractor()
        launch = partial(
            extractor.launch,
            summary=features._summary(extractor),
            precision=features._rounding(),
        )
        rate, found = _rate(launch, pixels, seconds)
        usual = found if usual is None else usual
        yield Speed(engine, precision, rate, smallest_cosine(found, usual))


def advice(name: str, speeds: list[Speed]) -> Iterator[str]:
    """Yield which options to take, in sentences.

    Parameters
    ----------
    name : str
        Of the system.

    speeds : list of Speed
        From `measure_speed`.
    """
    usual = speeds[0]
    exact = max((s for s in speeds if s.precision == "float32"), key=lambda s: s.rate)
    exact = exact if exact.rate > _GAIN * usual.rate else usual
    command = f"featad fit DIR -o MODEL --system {name}"
    if exact is usual:
        yield "No engine is faster than torch with the features of float32."
    else:
        yield f"The same features, faster: {command} --engine {exact.engine}"
    rough = max(speeds, key=lambda s: s.rate)
    if rough.precision != "float32" and rough.rate > _GAIN * exact.rate:
        yield (
            f"Rounded features, faster: {command} --engine {rough.engine} "
            f"--precision {rough.precision}"
        )
        yield "A model keeps both. Compare the AUROC before rounded features are used."
    for package, extra, what in _EXTRAS:
        if importlib.util.find_spec(package) is None:
            yield f"{what} was not measured: pip install 'featad[{extra}]'"


def _features_of(name):
    from featad.features.network import NetworkFeatures
    from featad.features.weights import weights_status
    from featad.registry import build
    from featad.systems import iter_parts_and_templates

    parts = iter_parts_and_templates(build(name))
    found = next((part for part in parts if isinstance(part, NetworkFeatures)), None)
    if found is None:
        raise ValueError(
            f"--speed takes a system that runs a frozen network, but is {name!r}."
        )
    status = weights_status(found.arch)
    if not status.is_cached and status.url is not None:
        found.set_params(weights=None)
    return found


def _device(features):
    import torch

    from featad._device import resolve_device

    device = resolve_device(features.device)
    if device.type == "cpu":
        return f"{torch.get_num_threads()} threads"
    return str(device)


def settings(features: "NetworkFeatures") -> Iterator[tuple[str, str]]:
    """Yield pairs of engine and precision that this machine can run."""
    from featad._device import resolve_device
    from featad.features.engines import possible_precisions

    on_cpu = resolve_device(features.device).type == "cpu"
    yield "torch", "float32"
    yield "torch", "bfloat16"
    if not on_cpu:
        yield "torch", "float16"
    elif importlib.util.find_spec("openvino"):
        for precision in possible_precisions():
            if precision != "int8" or importlib.util.find_spec("nncf"):
                yield "openvino", precision


def _rate(
    launch: Callable[[np.ndarray], Callable[[], np.ndarray]],
    pixels: np.ndarray,
    seconds: float,
) -> tuple[float, np.ndarray]:
    """Return images per second, and the features of the images that were run."""
    launch(pixels[:1])()  # the first time takes longer
    start = time.perf_counter()
    found = launch(pixels[:1])()
    one = time.perf_counter() - start
    if one * len(pixels) > 2 * seconds:  # such as bfloat16 on a processor without it
        return 1 / one, found
    launch(pixels)()
    start = time.perf_counter()
    n_batches = 0
    while not n_batches or time.perf_counter() - start < seconds:
        found = launch(pixels)()
        n_batches += 1
    return n_batches * len(pixels) / (time.perf_counter() - start), found
