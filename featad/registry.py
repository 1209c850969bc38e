"""Named systems: ``<features>-<scorer>`` to a scikit-learn Pipeline."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial
from typing import Any, NamedTuple

from sklearn.decomposition import PCA
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

from featad.detectors import all_detectors
from featad.ensemble import ScoreEnsemble
from featad.entry import Entry
from featad.features import (
    BACKBONES,
    BackboneFeatures,
    FilterBankFeatures,
    PatchFeatures,
    VGGFeatures,
    VGGPatches,
    default_layers,
    patch_layers,
)
from featad.images import ImageReader
from featad.pipeline import Pipeline
from featad.whitening import ShrunkWhitening

RECOMMENDED = "mini-stats-mahalanobis"
"""What ``featad fit`` takes without ``--system``: the best of the cheap systems."""

COMPARED = (
    RECOMMENDED,
    "mini-stats-pca",
    "mini-mahalanobis",
    "filters-knn",
    "pixels-mahalanobis",
)
"""What ``featad compare`` takes without ``--systems``; nothing to download.

Other scorers on the same features give almost the same figures, see
``benchmarks/results/quality.md``. So these differ in their features: three layers, with
two scorers; the last layer; and the best systems without a network, which it has to
beat.
"""

_STATS = "stats-"
_PATCHES = "patches-"
_IMAGES = "images"
_PATCHES_SIZE = 256  # defects are located better than at 224, benchmarks/results


class Scorer(NamedTuple):
    """The last step of a named system: ``make()`` returns the unfitted detector."""

    make: Callable[[], Any]
    entry: Entry


_SCIKIT_LEARN = {
    "lof": Scorer(
        lambda: LocalOutlierFactor(n_neighbors=20, novelty=True, contamination=0.05),
        Entry(
            "lof",
            "in a sparser region than its neighbors",
            "Breunig et al. 2000",
            {"detector__n_neighbors": [5, 20, 50]},
            whiten=True,
        ),
    ),
}


@cache
def _scorers() -> dict[str, dict[str, Scorer]]:
    """Return the detectors by what they take, and by their entries' names."""
    from featad.neural.detector import TorchDetector  # importing torch takes seconds

    found: dict[str, dict[str, Scorer]] = {
        "features": dict(_SCIKIT_LEARN),
        "patches": {},
        "images": {},
    }
    for detector in all_detectors().values():
        entry = vars(detector).get("_entry")
        if entry is None or entry.name is None:
            continue
        usual = "images" if issubclass(detector, TorchDetector) else "features"
        for kind in entry.takes or (usual,):
            if entry.name in found[kind]:
                raise ValueError(
                    f"Two detectors of {kind} are called {entry.name!r}: "
                    f"{detector.__name__} needs another name in its _entry."
                )
            found[kind][entry.name] = Scorer(partial(detector, **entry.options), entry)
    return found


def scorers() -> dict[str, Scorer]:
    """Return the detectors that score features, by name, scikit-learn's included."""
    return dict(_scorers()["features"])


def patch_scorers() -> dict[str, Scorer]:
    """Return the detectors that score maps of features, by name."""
    return dict(_scorers()["patches"])


def learned() -> dict[str, Scorer]:
    """Return the detectors that train networks on the images themselves, by name."""
    return dict(_scorers()["images"])


_ENSEMBLE = Scorer(
    lambda: ScoreEnsemble([]),
    Entry(
        "ensemble",
        "unusual as a whole, to stats-mahalanobis, or at a place, to patches-gaussian",
        "Fisher 1932",
        grid={"detector__combine": ["mean", "max"]},
    ),
)
"""Both systems of a network, in units of held-out normal scores."""


_NETWORKS = {"mini" if arch == "vgg_mini" else arch: arch for arch in BACKBONES}
_PLAIN_FEATURES = {
    "pixels": "gray pixels at 32 x 32: the trivial baseline",
    "filters": "a fixed bank of texture filters: needs no pretrained weights",
}


@dataclass(frozen=True)
class SystemInfo:
    """A named system.

    Attributes
    ----------
    name : str
        What `featad.build` takes.

    summary : str
        Completes "A sample is anomalous if it is ...".

    source : str
        Authors and year.

    Examples
    --------
    >>> from featad.registry import list_systems
    >>> {system.name: system.source for system in list_systems()}["pixels-kmeans"]
    'MacQueen 1967'
    """

    name: str
    summary: str
    source: str


def list_systems() -> list[SystemInfo]:
    """Return every named system, features by features.

    Returns
    -------
    systems : list of SystemInfo
        In the order of ``featad list``.

    Examples
    --------
    >>> from featad.registry import list_systems
    >>> [s.source for s in list_systems() if s.name == "vgg16-kmeans"]
    ['MacQueen 1967']
    """
    systems = []
    for features in [*_NETWORKS, *_PLAIN_FEATURES, _IMAGES]:
        for prefix in ("", _STATS, _PATCHES):
            for kind, scorer in _scorers_of(features, prefix).items():
                name, entry = f"{features}-{prefix}{kind}", scorer.entry
                systems.append(SystemInfo(name, entry.summary, entry.source))
    return systems


def describe_features() -> dict[str, str]:
    """Return what each name before the first hyphen stands for."""
    networks = {
        name: f"frozen {arch}; stats-: {', '.join(default_layers(arch)[1])}; "
        f"patches-: {', '.join(patch_layers(arch))}"
        for name, arch in _NETWORKS.items()
    }
    networks["mini"] += "; its weights ship with featad"
    images = {
        _IMAGES: "the images themselves at 64 x 64, for detectors that learn them"
    }
    return networks | _PLAIN_FEATURES | images


def build(name: str, *, random_state: int | None = 0, **overrides: Any) -> Pipeline:
    """Return the named system as an unfitted Pipeline.

    Its steps are ``features`` (sources to a table, to maps or to pixels),
    ``normalize``, ``reduce`` and ``detector``; each may be replaced or set to
    ``"passthrough"`` by a grid. An ensemble has the step ``detector`` alone, whose
    members are such systems.

    Parameters
    ----------
    name : str
        ``<features>-<scorer>``, as ``featad list`` prints them: ``"vgg16-ocsvm"`` takes
        the last fully connected layer, ``"vgg16-stats-mahalanobis"`` the mean, standard
        deviation and maximum of three layers, ``"vgg16-patches-gaussian"`` the maps of
        two layers at 28 x 28 positions of images of 256 pixels, ``"images-vae"`` the
        images.

    random_state : int or None, default=0
        Seeds every step that is random.

    **overrides : dict
        ``step__parameter=value`` sets a parameter of a step; ``parameter=value``
        (``weights=FILE``, ``cache=DIR``, ``device="cpu"``) goes to the ``features``
        step. Of an ensemble, what is not for the step ``detector`` goes to all members.

    Returns
    -------
    system : Pipeline
        Not fitted.

    Raises
    ------
    ValueError
        If there is no such system, or a parameter that none of its steps has.

    Examples
    --------
    >>> from featad.registry import build
    >>> system = build("vgg16-ocsvm", detector__nu=0.1, device="cpu")
    >>> list(system.named_steps)
    ['features', 'normalize', 'reduce', 'detector']
    >>> system["features"].layer, system["detector"].nu
    ('fc7', 0.1)
    """
    features, prefix, scorer = _parse(name)
    if scorer is _ENSEMBLE:
        return _build_ensemble(name, features, random_state, overrides)
    whiten = scorer.entry.whiten and prefix != _PATCHES
    system = Pipeline(
        [
            ("features", _features(features, prefix)),
            ("normalize", _normalizer(features)),
            ("reduce", _reducer(features) if whiten else "passthrough"),
            ("detector", scorer.make()),
        ]
    )
    own = system["features"].get_params()
    overrides = {
        key if "__" in key or key not in own else f"features__{key}": value
        for key, value in overrides.items()
    }
    known = system.get_params()
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise ValueError(_unknown_parameter(name, system, unknown[0]))
    if prefix == _STATS and "features__weights" in overrides:
        weights = overrides["features__weights"]
        three = default_layers(_NETWORKS[features], weights)[1]
        overrides = {"features__layer": three} | overrides
    seeds = {key: random_state for key in known if key.endswith("__random_state")}
    return system.set_params(**(seeds | overrides))


def _build_ensemble(name, features, random_state, overrides):
    """Return the ensemble of a network; what is not for its detector is for members."""
    own = {key: overrides[key] for key in overrides if key.startswith("detector__")}
    for_members = {key: overrides[key] for key in overrides if key not in own}
    members = {"stats": "stats-mahalanobis", "patches": "patches-gaussian"}
    estimators = [
        (label, build(f"{features}-{kind}", random_state=random_state, **for_members))
        for label, kind in members.items()
    ]
    ensemble = ScoreEnsemble(estimators, random_state=random_state)
    system = Pipeline([("detector", ensemble)])
    unknown = sorted(own.keys() - system.get_params().keys())
    if unknown:
        raise ValueError(_unknown_parameter(name, system, unknown[0]))
    return system.set_params(**own)


def default_grid(name: str) -> dict[str, list]:
    """Return the parameters worth trying for a system, for ``GridSearchCV``.

    Parameters
    ----------
    name : str
        A named system.

    Returns
    -------
    grid : dict of str to list
        Keys are parameters of ``build(name)``. It is a copy, yours to change.

    Examples
    --------
    >>> from featad.registry import default_grid
    >>> default_grid("vgg16-kmeans")
    {'detector__n_clusters': [1, 4, 8, 16]}
    """
    return deepcopy(_parse(name)[2].entry.grid)


def _unknown_parameter(name, system, key):
    """Return what to say of a parameter that a system does not have."""
    text = f"{name} has no parameter {key!r}"
    step, separator, wanted = key.partition("__")
    if not separator:
        step, wanted = "features", key
    elif step not in system.named_steps:
        return f"{text}: its steps are {', '.join(system.named_steps)}."
    takes = {
        name: sorted(part.get_params(deep=False)) if part != "passthrough" else []
        for name, part in system.steps
    }
    places = [step] if separator else takes
    known = {p: f"{place}__{p}" for place in places for p in takes[place]}
    near = get_close_matches(wanted, known, n=1)
    hint = f" Did you mean {known[near[0]]}?" if near else ""
    if not takes[step]:
        return f"{text}.{hint} Its step {step} has no parameters."
    others = ", ".join(other for other in takes if other != step)
    verb = "take" if step == "features" else "takes"
    return (
        f"{text}.{hint} Its {step} {verb} {', '.join(takes[step])}; other steps "
        f"({others}) take step__parameter."
    )


def _scorers_of(features, prefix):
    """Return the detectors that follow features, and a prefix, in a system's name."""
    if features == _IMAGES:
        return learned() if not prefix else {}
    if features not in _NETWORKS and (prefix or features not in _PLAIN_FEATURES):
        return {}
    if prefix == _PATCHES:
        return patch_scorers()
    has_patches = features in _NETWORKS and not prefix
    return scorers() | ({_ENSEMBLE.entry.name: _ENSEMBLE} if has_patches else {})


def _parse(name):
    """Return features, prefix and scorer of a system."""
    features, _, kind = name.removeprefix("vgg_").partition("-")  # vgg_mini: mini
    prefix = next((p for p in (_STATS, _PATCHES) if kind.startswith(p)), "")
    found = _scorers_of(features, prefix).get(kind.removeprefix(prefix))
    if found is not None:
        return features, prefix, found
    near = get_close_matches(name, [system.name for system in list_systems()], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `featad list`."
    raise ValueError(f"There is no system {name!r}: {hint}")


def _features(features, prefix):
    if features == "pixels":
        return ImageReader(size=32, mode="L", flatten=True)
    if features == "filters":
        return FilterBankFeatures()
    if features == _IMAGES:
        return ImageReader(size=64)
    arch = _NETWORKS[features]
    is_vgg = arch.startswith("vgg")
    if prefix == _PATCHES:
        patches: Any = VGGPatches if is_vgg else PatchFeatures
        options = {"grid": 28, "n_components": 128, "dtype": "float16"}
        return patches(arch, image_size=_PATCHES_SIZE, **options)
    last, three = default_layers(arch)
    network: Any = VGGFeatures if is_vgg else BackboneFeatures
    if prefix == _STATS:
        pooling = ("mean", "std", "max")
        return network(arch, layer=three, pooling=pooling, normalize=True)
    return network(arch, layer=last, normalize=True)


def _normalizer(features):
    # filter responses have units of their own; networks normalize their layers
    return StandardScaler() if features == "filters" else "passthrough"


def _reducer(features):
    # pixels have directions that no image fills, which the shrunk covariance magnifies
    plain = features in _PLAIN_FEATURES
    return PCA(0.97, whiten=True) if plain else ShrunkWhitening()
