"""A network as a graph of nodes: their names, and the part that leads to some."""

import operator
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import fx, nn
from torch.nn.modules.dropout import _DropoutNd

from featad.features.statistics import StagedNetwork

_FRESH = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)  # their outputs are new memory
_OUT_OF_PLACE: dict[Any, Callable] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}


def node_names(network: nn.Module) -> tuple[str, ...]:
    """Return the names of a network's graph nodes, in the order in which they run."""
    if isinstance(network, StagedNetwork):
        return tuple(_by_name(fx.Tracer().trace(network)))
    from torchvision.models.feature_extraction import get_graph_node_names  # slow

    return tuple(get_graph_node_names(network, suppress_diff_warning=True)[1][1:])


def last_layer(network: nn.Module, nodes: Sequence[str]) -> str:
    """Return the node that enters the classifying layer, dropout left out.

    The classifying layer is the last linear one; the last convolution where there is
    none (SqueezeNet).
    """
    modules = dict(network.named_modules())
    kinds = [type(modules.get(node)) for node in nodes]
    wanted = nn.Linear if nn.Linear in kinds else nn.Conv2d
    index = max(i for i, kind in enumerate(kinds) if kind is wanted) - 1
    while issubclass(kinds[index], _DropoutNd) or "dropout" in nodes[index]:
        index -= 1
    return nodes[index]


def cut(network: nn.Module, nodes: Sequence[str]) -> fx.GraphModule:
    """Return the part of a network up to some nodes, as a map from node to output.

    Whatever the network does in place is done out of place where it could overwrite
    what was asked for. The network's own modules are used, and changed.
    """
    for module in network.modules():
        if hasattr(module, "inplace"):
            cast(Any, module).inplace = False
    part = _part_up_to(network, nodes).eval()
    for node in part.graph.nodes:
        if node.op == "call_function":
            node.target = _OUT_OF_PLACE.get(node.target, node.target)
            if "inplace" in node.kwargs:
                node.kwargs = {**node.kwargs, "inplace": False}
    part.recompile()
    _save_memory(part)
    return part


def _part_up_to(network: nn.Module, nodes: Sequence[str]) -> fx.GraphModule:
    """Return the part of a network up to some nodes, as it runs by itself."""
    if not isinstance(network, StagedNetwork):
        from torchvision.models.feature_extraction import create_feature_extractor

        taps = {node: node for node in nodes}
        return create_feature_extractor(network, taps, suppress_diff_warning=True)
    part = fx.GraphModule(network, fx.Tracer().trace(network))
    by_name = _by_name(part.graph).items()
    outputs = {  # of a block, what it computes last
        node: [n for name, n in by_name if f"{name}.".startswith(f"{node}.")][-1]
        for node in nodes
    }
    part.graph.output_node().args = (outputs,)
    part.graph.eliminate_dead_code()
    part.delete_all_unused_submodules()
    part.recompile()
    return part


def _by_name(graph: fx.Graph) -> dict[str, fx.Node]:
    """Return what a graph computes, named as torchvision does.

    A layer has its module's name; what a module computes itself, such as a sum, has the
    module's name and its own.
    """
    by_name: dict[str, fx.Node] = {}
    n_before: Counter[str] = Counter()
    for node in graph.nodes:
        if node.op == "call_module":
            name = node.target
        elif node.op in ("call_function", "call_method"):
            *_, (path, _) = node.meta["nn_module_stack"].values()
            name = f"{path}.{re.sub('_[0-9]+$', '', node.name)}"
        else:
            continue
        nth = n_before[name]
        by_name[f"{name}_{nth}" if nth else name] = node
        n_before[name] += 1
    return by_name


def _save_memory(part: fx.GraphModule) -> None:
    """Let a ReLU overwrite what no one else reads: a layer's output, not tapped."""
    modules = dict(part.named_modules())
    safe: dict[nn.ReLU, bool] = {}
    for node in part.graph.nodes:
        relu = modules.get(node.target) if node.op == "call_module" else None
        if isinstance(relu, nn.ReLU):
            before = node.args[0]
            alone = before.op == "call_module" and len(before.users) == 1
            alone = alone and isinstance(modules[before.target], _FRESH)
            safe[relu] = safe.get(relu, True) and alone
    for relu, alone in safe.items():
        relu.inplace = alone


def has_channels_last(part: fx.GraphModule, name: str) -> bool:
    """Return whether an output of a cut network has its channels on the last axis.

    Swin and ConvNeXt turn maps to (n, height, width, channels) and back: the nearest
    layer before the output that fixes the order decides.
    """
    modules = dict(part.named_modules())
    outputs = next(node for node in part.graph.nodes if node.op == "output")
    node = outputs.args[0][name]
    while node is not None:
        module = modules.get(node.target) if node.op == "call_module" else None
        dims = getattr(module, "dims", None)  # of torchvision's Permute
        if dims is not None:
            return list(dims) == [0, 2, 3, 1]
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            return False
        if type(module) in (nn.Linear, nn.LayerNorm):  # not torchvision's LayerNorm2d
            return True
        node = next(iter(node.all_input_nodes), None)
    return False
