"""What one position of a layer sees of the image: known without running the network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from torch import fx, nn
from torch.nn import functional

from featad.features.graph import cut
from featad.features.layers import find_nodes
from featad.features.presets import DEFAULT, GENERATED
from featad.features.weight_files import build_on_paper

_SPREAD = ("shifted_window_attention", "scaled_dot_product_attention", "einsum")
_OVER_ALL = ("adaptive_avg_pool2d", "mean", "amax")
_POOLS = (functional.avg_pool2d, functional.max_pool2d)
_GLOBAL_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


@dataclass(frozen=True)
class ReceptiveField:
    """What one position of a layer sees of the image.

    Attributes
    ----------
    stride : (int, int)
        Pixels from one position to the next, down and across.

    size : (float, float)
        Height and width in pixels of what a position depends on. Infinite behind
        attention, where it depends on the whole image. What a gate lets through
        (squeeze and excitation) is not counted: it is the same for all positions.
    """

    stride: tuple[int, int]
    size: tuple[float, float]


@dataclass(frozen=True)
class _Span:
    """Of an axis: pixels between positions; first and last pixel the first one sees."""

    stride: int = 1
    first: float = 0
    last: float = 0

    def through(self, kernel: int, stride: int, padding: int, dilation: int) -> "_Span":
        return _Span(
            self.stride * stride,
            self.first - padding * self.stride,
            self.last + (dilation * (kernel - 1) - padding) * self.stride,
        )

    def spread(self) -> "_Span":
        return _Span(self.stride, -math.inf, math.inf)


_Spans: TypeAlias = tuple[_Span, _Span] | None  # None: the same for all positions


def receptive_fields(
    arch: str, layers: tuple[str | None, ...], weights: object = "default"
) -> dict[str, ReceptiveField | None]:
    """Return what a position of each layer sees, as its modules' sizes tell.

    Parameters
    ----------
    arch : str
        Name of a torchvision classification network, or ``"vgg_mini"``.

    layers : tuple of str or None
        Names from `layer_names`. None is what enters the classifying layer.

    weights : str, path-like or None, default="default"
        Those that the network has: ``"generated"`` is another edition of vgg_mini.

    Returns
    -------
    fields : dict of str to ReceptiveField or None
        None for a layer without a map.

    Raises
    ------
    ValueError
        If the network has no such layer.

    Examples
    --------
    >>> from featad.features.receptive import receptive_fields
    >>> receptive_fields("vgg16", ("conv4_3",))["conv4_3"]
    ReceptiveField(stride=(8, 8), size=(92, 92))
    """
    return _fields(arch, layers, GENERATED if weights == GENERATED else DEFAULT)


@lru_cache(maxsize=32)
def _fields(
    arch: str, layers: tuple[str | None, ...], published: str
) -> dict[str, ReceptiveField | None]:
    network = build_on_paper(arch, published)
    nodes = find_nodes(network, arch, layers)
    part = cut(network, list(nodes.values()))
    outputs = next(node for node in part.graph.nodes if node.op == "output").args[0]
    spans = _spans(part)
    return {layer: _field(spans[outputs[node]]) for layer, node in nodes.items()}


def _field(spans: _Spans) -> ReceptiveField | None:
    if spans is None:
        return None
    down, across = spans
    return ReceptiveField(
        (down.stride, across.stride),
        (down.last - down.first + 1, across.last - across.first + 1),
    )


def _spans(part: fx.GraphModule) -> dict[fx.Node, _Spans]:
    """Return the span of every node; they come in the order in which they run."""
    modules = dict(part.named_modules())
    spans: dict[fx.Node, _Spans] = {}
    for node in part.graph.nodes:
        if node.op == "placeholder":
            spans[node] = (_Span(), _Span())
            continue
        before = _union([spans[other] for other in node.all_input_nodes])
        does = modules[node.target] if node.op == "call_module" else node.target
        spans[node] = before and _after(does, node, before)
    return spans


def _after(does: Any, node: fx.Node, before: tuple[_Span, _Span]) -> _Spans:
    """Return the span behind a module, a function or a method."""
    if isinstance(does, nn.Sequential):  # a convolution with what follows it
        for module in does:
            before = _after(module, node, before) or before
        return before
    name = getattr(does, "__name__", does)
    if isinstance(does, _GLOBAL_POOLS) or name in _OVER_ALL:
        return None
    if isinstance(does, nn.MultiheadAttention) or name in _SPREAD:
        return before[0].spread(), before[1].spread()
    if name == "_patch_merging_pad":  # Swin: the channels of four positions together
        return _through(before, 2, 2, 0, 1)
    if hasattr(does, "kernel_size"):
        dilation = getattr(does, "dilation", 1)
        return _through(before, does.kernel_size, does.stride, does.padding, dilation)
    if does in _POOLS:
        names = ("input", "kernel_size", "stride", "padding")
        given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
        kernel = given["kernel_size"]
        stride = given.get("stride") or kernel
        return _through(before, kernel, stride, given.get("padding", 0), 1)
    return before  # what treats every position alike


def _through(before: tuple[_Span, _Span], *sizes: Any) -> tuple[_Span, _Span]:
    pairs = [size if isinstance(size, tuple) else (size, size) for size in sizes]
    (down, across) = (
        span.through(*numbers)
        for span, numbers in zip(before, zip(*pairs, strict=True), strict=True)
    )
    return down, across


def _union(spans: Sequence[_Spans]) -> _Spans:
    """Return what several inputs see together."""
    found = [span for span in spans if span is not None]
    if not found:
        return None
    down, across = (
        _Span(
            max(span.stride for span in axis),
            min(span.first for span in axis),
            max(span.last for span in axis),
        )
        for axis in zip(*found, strict=True)
    )
    return down, across
