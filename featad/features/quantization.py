"""Networks whose values are rounded to 8 bits: where, and in which ranges."""

import hashlib
import json
import logging
from typing import Any

import numpy as np

from featad.errors import FeatadError, MissingExtraError

_ROUNDED = {"Convolution", "GroupConvolution", "MatMul"}
_BETWEEN = {"Add", "AvgPool", "BatchNormInference", "Concat", "MaxPool", "Relu"}
_NO_VALUES = {"Constant", "Parameter", "Result"}
_LEVELS = range(2, 257)  # of 8 bits


class RangesError(FeatadError, ValueError):
    """Ranges of values do not belong to a network, or are damaged."""


class Quantized:
    """Precision int8: 8-bit integers between the ends of measured ranges.

    It holds numbers and names alone. The network is found by its weights, as in every
    other precision, and is rounded when it is compiled.

    Parameters
    ----------
    ranges : list of dict
        From `measure_ranges`.
    """

    def __init__(self, ranges: list[dict[str, Any]]) -> None:
        try:
            self._ranges = [_checked(**each) for each in ranges]
        except (AttributeError, TypeError, ValueError) as error:
            raise RangesError(
                f"The 8-bit ranges are damaged: {error}. Fit again."
            ) from error
        digest = hashlib.sha256()
        for inputs, levels, limits in self._ranges:
            text = json.dumps([inputs, levels, limits.shape])
            digest.update(text.encode() + limits.astype("<f4").tobytes())
        self._name = f"int8 {digest.hexdigest()}"

    def __str__(self) -> str:
        """Return what tells networks of other ranges apart."""
        return self._name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantized) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self._name)

    def apply(self, model: Any) -> None:
        """Round a network in place.

        Parameters
        ----------
        model : openvino.Model
            The network in float32.

        Raises
        ------
        RangesError
            If the ranges belong to another network, or are damaged.
        """
        from openvino import opset13 as ops

        operations = _by_name(model)
        for readers, levels, limits in self._ranges:
            inputs = [_input(operations, name, place) for name, place in readers]
            values = inputs[0].get_source_output()
            same = {_source(each) for each in inputs}  # else the graph has a loop
            if len(same) > 1 or not _fit(limits.shape[1:], values.get_partial_shape()):
                raise _foreign(*readers[0])
            rounded = ops.fake_quantize(values, *limits, levels)
            for each in inputs:
                each.replace_source_output(rounded.output(0))


def measure_ranges(model: Any, images: np.ndarray) -> list[dict[str, Any]]:
    """Return where NNCF rounds a network to 8 bits, and between which values.

    Convolutions and products of matrices are rounded, and what lies between them;
    statistics of maps are not. The values of weights and biases stay as they are, so
    that the ranges say everything. They reach to the extremes of all images: NNCF's
    usual ends, means of the extremes of each, cut off what odd images reach first.

    Parameters
    ----------
    model : openvino.Model
        The network in float32, which stays as it is.

    images : float32 ndarray of shape (n, 3, height, width)
        Standardized.

    Returns
    -------
    ranges : list of dict
        ``"inputs"``: names of operations, and which input of each is rounded;
        ``"levels"``: how many values there are; ``"limits"``: float32 ndarray (4, ...),
        the lowest and the highest value before and after.

    Raises
    ------
    MissingExtraError
        If NNCF is not installed.
    """
    nncf, extremes, console = _load_nncf()
    kinds = {operation.get_type_name() for operation in model.get_ops()}
    parameters = nncf.AdvancedQuantizationParameters(
        disable_bias_correction=True,
        disable_channel_alignment=True,
        activations_range_estimator_params=extremes,
        backend_params={"compress_weights": False},
    )
    _by_name(model)
    was_quiet, console.quiet = console.quiet, True
    try:
        rounded = nncf.quantize(
            model,
            nncf.Dataset([image[None] for image in images]),
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(
                types=sorted(kinds - _ROUNDED - _BETWEEN - _NO_VALUES), validate=False
            ),
            advanced_parameters=parameters,
        )
    finally:
        console.quiet = was_quiet
    return [
        {
            "inputs": sorted(
                [reader.get_node().get_friendly_name(), reader.get_index()]
                for reader in operation.output(0).get_target_inputs()
            ),
            "levels": operation.get_levels(),
            "limits": np.stack(
                [operation.input_value(at).get_node().data for at in range(1, 5)]
            ),
        }
        for operation in rounded.get_ordered_ops()
        if operation.get_type_name() == "FakeQuantize"
    ]


def _load_nncf() -> tuple[Any, Any, Any]:
    """Return NNCF, its ranges from extremes, and what it prints progress bars on."""
    try:
        import nncf
        import rich
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    except ImportError as error:
        raise MissingExtraError(
            "precision='int8' needs NNCF to measure ranges: pip install "
            "'featad[int8]'; or take precision='float32'."
        ) from error
    nncf.set_log_level(logging.ERROR)
    return nncf, RangeEstimatorParametersSet.MINMAX, rich.get_console()


def _by_name(model: Any) -> dict[str, Any]:
    """Return the operations of a network by names that every conversion gives them.

    Those that OpenVINO numbers, over the life of the process, get their place.
    """
    named = {}
    for place, operation in enumerate(model.get_ordered_ops()):
        name = operation.get_friendly_name()
        if "." not in name and not isinstance(operation, _parameter()):
            name = f"{operation.get_type_name()} {place}"
            operation.set_friendly_name(name)
        named[name] = operation
    return named


def _parameter():
    from openvino.op import Parameter

    return Parameter


def _checked(
    inputs: list, levels: int, limits: np.ndarray
) -> tuple[list[tuple[str, int]], int, np.ndarray]:
    readers = [(str(name), int(place)) for name, place in inputs]
    if not readers or levels not in _LEVELS:
        raise ValueError("there should be inputs, and 2 to 256 levels")
    if limits.dtype != np.float32 or limits.ndim < 1 or len(limits) != 4:
        raise ValueError("limits should be four float32 arrays")
    if not np.isfinite(limits).all():
        raise ValueError("limits should be finite")
    return readers, int(levels), np.ascontiguousarray(limits)


def _input(operations: dict[str, Any], name: str, place: int) -> Any:
    operation = operations.get(name)
    if operation is None or not 0 <= place < operation.get_input_size():
        raise _foreign(name, place)
    return operation.input(place)


def _source(reader: Any) -> tuple[str, int]:
    source = reader.get_source_output()
    return source.get_node().get_friendly_name(), source.get_index()


def _fit(own: tuple[int, ...], shape: Any) -> bool:
    """Return whether limits of a shape can be those of values of another."""
    lengths = [length.get_max_length() for length in shape]
    pairs = zip(reversed(own), reversed(lengths), strict=False)
    return len(own) <= len(lengths) and all(n in (1, length) for n, length in pairs)


def _foreign(name: str, place: int) -> RangesError:
    return RangesError(
        f"The 8-bit ranges are those of another network: input {place} of {name!r} is "
        "not in this one, or has another shape. Fit again."
    )
