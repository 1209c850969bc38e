"""Features that several transformers make of one pass of a network."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import joblib
import numpy as np

from featad.features.cache import FeatureCache, JointCache
from featad.features.network import NetworkFeatures
from featad.features.patches import PatchFeatures
from featad.images import check_sources

if TYPE_CHECKING:
    from featad.features.described import Described

_OWN = {"layer", "cache", "verbose"}  # what differs between features of one pass
_BLOCK = 64  # images whose features are handed on together

_Name = TypeVar("_Name", bound=Hashable)


def passes(steps: Mapping[_Name, Any], *, in_memory: bool) -> list[list[_Name]]:
    """Return which steps can run together, because one pass of a network is enough.

    Parameters
    ----------
    steps : mapping of str to object
        What is not `NetworkFeatures` is alone.

    in_memory : bool
        Whether what they make is held in memory. Then no two maps are made together,
        because they are large, and all have a cache or none does.

    Returns
    -------
    names : list of list of str
        In the order of the first of each.
    """
    found: dict[Any, list[_Name]] = {}
    with_map: set[str] = set()
    for name, step in steps.items():
        key: Any = name
        if isinstance(step, NetworkFeatures) and not step._learns():
            shared = _pass_key(step, in_memory)
            is_large = in_memory and isinstance(step, PatchFeatures)
            if not (is_large and shared in with_map):
                key = shared
            if is_large:
                with_map.add(shared)
        found.setdefault(key, []).append(name)
    return list(found.values())


def fit_transform_together(features: Sequence[NetworkFeatures], X: Any) -> list[Any]:
    """Fit transformers that share a pass, and return what each makes of ``X``.

    Parameters
    ----------
    features : sequence of NetworkFeatures
        From `passes`.

    X : sequence of sources

    Returns
    -------
    made : list of array or DataFrame

    Raises
    ------
    ImageReadError, WeightsNotFoundError, ValueError, FeatadError
        As for their ``transform``.
    """
    _load(features)  # first: the network of all describes the layers of each
    for each in features:
        each.fit(X)
    return transform_together(features, X)


def transform_together(features: Sequence[NetworkFeatures], X: Any) -> list[Any]:
    """Return what each of several transformers makes of ``X``, from one pass.

    Parameters and errors are those of `fit_transform_together`.
    """
    joint = _Pass(features, X)
    for each, summary in zip(features, joint.summaries, strict=True):
        each._check_room(len(X), summary)
    made = [np.empty((len(X), *s.shape), s.dtype) for s in joint.summaries]
    rows: list[int] = []
    for blocks, places in joint.run():
        here = slice(len(rows), len(rows) + len(places))
        for whole, block in zip(made, blocks, strict=True):
            whole[here] = block
        rows += places
    return [
        each._finished(whole[: len(rows)], rows, summary, X)
        for each, whole, summary in zip(features, made, joint.summaries, strict=True)
    ]


def fill_caches(features: Sequence[NetworkFeatures], X: Any) -> None:
    """Store what each of several transformers makes of ``X``, from one pass.

    Parameters and errors are those of `fit_transform_together`; all have a cache.
    """
    for _ in _Pass(features, X).run():
        pass


class _Pass:
    """One pass of images through the network of several transformers."""

    def __init__(self, features: Sequence[NetworkFeatures], X: Any) -> None:
        from featad.features.summaries import Together  # torch: slow to import

        self._lead = features[0]
        self._network = _load(features)
        self._sources = check_sources(X, estimator_name=type(self._lead).__name__)
        self._network.shapes(self._lead._reading()["size"])  # of all layers at once
        parts = [each._checked_extractor() for each in features]
        pairs = list(zip(features, parts, strict=True))
        self.summaries = [each._summary(part) for each, part in pairs]
        names = self._network.nodes
        places = [[names.index(name) for name in part.nodes] for part in parts]
        self._together = Together(self.summaries, places)
        self._features = features
        self._cache = None
        if self._lead.cache is not None:
            opened = [
                each._open_cache(part, summary)
                for (each, part), summary in zip(pairs, self.summaries, strict=True)
            ]
            caches = cast("list[FeatureCache]", opened)
            self._cache = JointCache(caches, self._together.split)

    def run(self) -> Iterator[tuple[list[np.ndarray], list[int]]]:
        """Yield features of some images for each transformer, and their places."""
        ready = self._lead._run(
            self._sources, self._network, self._together, self._cache, self._checked,
            n_rows=_BLOCK,
        )  # fmt: skip
        for block, rows in ready:
            yield self._together.split(block), rows

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        blocks = self._together.split(rows)
        for each, block in zip(self._features, blocks, strict=True):
            each._checked(block)
        return rows


def _load(features: Sequence[NetworkFeatures]) -> "Described":
    """Return the network with all layers of all transformers."""
    from featad.features.described import describe  # torch: slow to import

    for each in features:
        each._check_parameters()
    keys = [
        each._network_key(hasattr(each, "weights_fingerprint_")) for each in features
    ]
    found, _, *machine = keys[0]
    layers = dict.fromkeys(layer for _, names, *_ in keys for layer in names)
    return describe(found, tuple(layers), *machine)


def _pass_key(step: NetworkFeatures, in_memory: bool) -> str:
    names = sorted(set(NetworkFeatures._get_param_names()) - _OWN)
    values = [getattr(step, name) for name in names]
    return joblib.hash([values, in_memory and step.cache is None])
