"""Named systems: ``<features>-<scorer>`` to a scikit-learn Pipeline."""

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import OneClassSVM

from featad import detectors
from featad.detectors import (
    KMeansDistance,
    Mahalanobis,
    NearestNeighbors,
    PCAReconstruction,
)
from featad.features import (
    BACKBONES,
    BackboneFeatures,
    FilterBankFeatures,
    VGGFeatures,
    default_layers,
)
from featad.images import ImageReader

RECOMMENDED = "mini-stats-mahalanobis"
"""What ``featad fit`` takes without ``--system``: the best of the cheap systems."""

_STATS = "stats-"
_IMAGES = "images"


@dataclass(frozen=True)
class Scorer:
    """How features are scored: the last steps of a system.

    Attributes
    ----------
    make : callable
        Returns the unfitted last step.

    summary : str
        One line on what "strange" means here.

    source : str
        Authors and year.

    whiten : bool
        Whether PCA to 97 % of the variance, whitened, goes before the detector.

    grid : dict
        Parameters worth trying, for ``GridSearchCV``.
    """

    make: Callable[[], Any]
    summary: str
    source: str
    whiten: bool = False
    grid: dict[str, list] = field(default_factory=dict)


SCORERS: dict[str, Scorer] = {
    "ocsvm": Scorer(
        lambda: OneClassSVM(nu=0.05),
        "outside the boundary of a one-class SVM",
        "Schölkopf et al. 2001",
        whiten=True,
        grid={"detector__nu": [0.01, 0.05, 0.2], "detector__gamma": ["scale", 0.01]},
    ),
    "kmeans": Scorer(
        lambda: KMeansDistance(n_clusters=8),
        "far from every k-means center",
        "MacQueen 1967",
        whiten=True,
        grid={"detector__n_clusters": [1, 4, 8, 16]},
    ),
    "iforest": Scorer(
        lambda: IsolationForest(n_estimators=200),
        "isolated by few random splits",
        "Liu et al. 2008",
        whiten=True,
        grid={"detector__max_samples": [64, 256], "detector__max_features": [0.5, 1.0]},
    ),
    "lof": Scorer(
        lambda: LocalOutlierFactor(n_neighbors=20, novelty=True),
        "in a sparser place than its neighbors",
        "Breunig et al. 2000",
        grid={"detector__n_neighbors": [5, 20, 50]},
    ),
    "mahalanobis": Scorer(
        Mahalanobis,
        "far from the mean, in units of the shrunk covariance",
        "Ledoit and Wolf 2004; Rippel et al. 2021",
        grid={"reduce": ["passthrough", PCA(0.97), PCA(0.997)]},
    ),
    "knn": Scorer(
        lambda: NearestNeighbors(n_neighbors=1),
        "far from its nearest normal neighbor",
        "Ramaswamy et al. 2000; Bergman et al. 2020",
        whiten=True,
        grid={
            "detector__n_neighbors": [1, 5],
            "reduce": ["passthrough", PCA(0.97, whiten=True)],
        },
    ),
    "pca": Scorer(
        lambda: PCAReconstruction(n_components=0.97),
        "badly rebuilt from the principal components",
        "Shyu et al. 2003",
        grid={"detector__n_components": [0.8, 0.9, 0.97]},
    ),
}

STATS_SCORERS = ("mahalanobis", "knn")

LEARNED: dict[str, Scorer] = {
    "autoencoder": Scorer(
        lambda: detectors.Autoencoder(),  # by name: importing torch takes seconds
        "badly rebuilt by an autoencoder",
        "Hinton and Salakhutdinov 2006",
        grid={"detector__latent_dim": [8, 16, 32], "detector__noise": [0.0, 0.1, 0.3]},
    ),
    "centered": Scorer(
        lambda: detectors.CenteredAutoencoder(),
        "badly rebuilt, and far from the mean code",
        "Cheng et al. 2021",
        grid={"detector__weight": [0.0, 0.1, 1.0], "detector__trim": [0.0, 0.1]},
    ),
    "unet": Scorer(
        lambda: detectors.UNetAutoencoder(),
        "rebuilt otherwise from under strong noise by a U-Net",
        "Ronneberger et al. 2015; Vincent et al. 2008",
        grid={"detector__noise": [1.0, 1.5, 2.0], "detector__skips": ["none", "all"]},
    ),
    "inpainting": Scorer(
        lambda: detectors.Inpainting(),
        "not to be guessed from what lies around it",
        "Nguyen et al. 2021",
        grid={"detector__hole": [0.2, 0.3, 0.5]},
    ),
    "symmetric": Scorer(
        lambda: detectors.SymmetricGAN(),
        "not to be guessed from the other half of the image",
        "Wu et al. 2021; Isola et al. 2017",
        grid={"detector__max_shift": [0, 3], "detector__l1_weight": [10.0, 100.0]},
    ),
    "madgan": Scorer(
        lambda: detectors.MADGAN(),
        "not how the channels, or slices, before lead to expect",
        "Han et al. 2021",
        grid={"detector__n_given": [None, 1], "detector__l1_weight": [10.0, 100.0]},
    ),
    "contrasts": Scorer(
        lambda: detectors.ContrastTranslation(),
        "contrasts, or colors, of a pixel that do not go together",
        "Medical Physics 48, 2021",
        grid={"detector__n_components": [3, 6, 10]},
    ),
    "vae": Scorer(
        lambda: detectors.VAE(),
        "badly rebuilt by a variational autoencoder, or unlikely",
        "Kingma and Welling 2014; An and Cho 2015",
        grid={"detector__latent_dim": [8, 16, 32], "detector__beta": [0.5, 1.0]},
    ),
    "restoration": Scorer(
        lambda: detectors.VAERestoration(),
        "moved far on its way to what a variational autoencoder thinks likely",
        "Chen et al. 2020",
        grid={
            "detector__tv_weight": [None, 0.1, 0.4],
            "detector__n_components": [1, 6],
        },
    ),
    "perceptual": Scorer(
        lambda: detectors.PerceptualAutoencoder(),
        "badly rebuilt in the eyes of a frozen network",
        "Shvetsova et al. 2021",
        grid={"detector__latent_dim": [16, 32, 64]},
    ),
    "anogan": Scorer(
        lambda: detectors.AnoGAN(),
        "far from all that a generator of normal images can be made to show",
        "Schlegl et al. 2017",
        grid={"detector__latent_dim": [8, 32], "detector__feature_weight": [0.0, 0.1]},
    ),
    "fanogan": Scorer(
        lambda: detectors.FAnoGAN(),
        "far from what a generator of normal images makes of its code",
        "Schlegl et al. 2019",
        grid={
            "detector__encoder_by": ["izi_f", "izi"],
            "detector__code_limit": [None, 1.0, 3.0],
        },
    ),
    "discriminator": Scorer(
        lambda: detectors.DiscriminatorGAN(),
        "taken for generated by a discriminator: a weak baseline",
        "Goodfellow et al. 2014; Radford et al. 2016",
        grid={"detector__replay": [0.0, 0.5], "detector__spectral_norm": [False, True]},
    ),
    "ganomaly": Scorer(
        lambda: detectors.GANomaly(),
        "coded differently once it has been rebuilt",
        "Akcay et al. 2018",
        grid={"detector__latent_dim": [16, 64], "detector__latent_weight": [1.0, 10.0]},
    ),
    "fence": Scorer(
        lambda: detectors.FenceGAN(),
        "beyond a fence of generated samples around the normal ones",
        "Ngo et al. 2019",
        grid={"detector__beta": [0.3, 1.0, 3.0], "detector__gamma": [0.1, 0.5]},
    ),
    "trimmedgan": Scorer(
        lambda: detectors.TrimmedGAN(),
        "not among what a generator draws that never saw the badly rebuilt",
        "Berg et al. 2019; this project",
        grid={"detector__trim": [0.0, 0.05, 0.1], "detector__latent_dim": [16, 32]},
    ),
    "bigan": Scorer(
        lambda: detectors.BiGAN(),
        "badly rebuilt by a bidirectional GAN, or odd to its critic",
        "Donahue et al. 2017; Zenati et al. 2018",
        grid={"detector__latent_dim": [8, 16, 32], "detector__critic_weight": [0, 0.1]},
    ),
    "alad": Scorer(
        lambda: detectors.ALAD(),
        "badly rebuilt by a GAN and an encoder with cycles",
        "Zenati et al. 2018",
        grid={"detector__latent_dim": [8, 16, 32]},
    ),
    "progressive": Scorer(
        lambda: detectors.ProgressiveGANSimilarity(),
        "unlike its counterpart of a growing generator, at some size",
        "Kwon et al. 2021; Karras et al. 2018",
        grid={"detector__latent_dim": [16, 32, 64]},
    ),
}
"""Detectors that train networks on the images, and map where they are odd."""

_NETWORKS = {"mini" if arch == "vgg_mini" else arch: arch for arch in BACKBONES}
_PLAIN_FEATURES = {
    "pixels": "gray pixels at 32 x 32: the trivial baseline",
    "filters": "a fixed bank of texture filters: needs no pretrained weights",
}


@dataclass(frozen=True)
class SystemInfo:
    """One line about a named system: ``name``, ``summary`` and ``source``."""

    name: str
    summary: str
    source: str


def list_systems() -> list[SystemInfo]:
    """Return every named system, features by features.

    Returns
    -------
    systems : list of SystemInfo

    Examples
    --------
    >>> from featad.registry import list_systems
    >>> [s.source for s in list_systems() if s.name == "vgg16-kmeans"]
    ['MacQueen 1967']
    """
    systems = []
    for features in [*_NETWORKS, *_PLAIN_FEATURES, _IMAGES]:
        for prefix in ("", _STATS):
            for kind, scorer in (SCORERS | LEARNED).items():
                name = f"{features}-{prefix}{kind}"
                if _is_system(features, prefix + kind):
                    systems.append(SystemInfo(name, scorer.summary, scorer.source))
    return systems


def describe_features() -> dict[str, str]:
    """Return what each name before the first hyphen stands for."""
    networks = {
        name: f"frozen {arch}; stats-: mean, std and max of {_middle(arch)}"
        for name, arch in _NETWORKS.items()
    }
    networks["mini"] += "; its weights ship with featad"
    images = {
        _IMAGES: "the images themselves at 64 x 64, for detectors that learn them"
    }
    return networks | _PLAIN_FEATURES | images


def _middle(arch):
    layers = default_layers(arch)[1]
    return layers if isinstance(layers, str) else " and ".join(layers)


def build(name: str, *, random_state: int | None = 0, **overrides: Any) -> Pipeline:
    """Return the named system as an unfitted scikit-learn Pipeline.

    Its steps are ``features`` (sources to a table), ``normalize``, ``reduce`` and
    ``detector``; each may be replaced or set to ``"passthrough"`` by a grid.

    Parameters
    ----------
    name : str
        ``<features>-<scorer>``, as ``featad list`` prints them: ``"vgg16-ocsvm"`` takes
        the last fully connected layer, ``"vgg16-stats-mahalanobis"`` the mean, standard
        deviation and maximum of a middle layer, ``"images-vae"`` the images.

    random_state : int or None, default=0
        Seeds every step that is random.

    **overrides : dict
        ``step__parameter=value`` sets a parameter of a step; ``parameter=value``
        (``weights=FILE``, ``cache=DIR``, ``device="cpu"``) goes to the ``features``
        step.

    Returns
    -------
    system : sklearn.pipeline.Pipeline

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
    features, kind, scorer = _parse(name)
    system = Pipeline(
        [
            ("features", _features(features, stats=kind.startswith(_STATS))),
            ("normalize", _normalizer(features)),
            ("reduce", PCA(0.97, whiten=True) if scorer.whiten else "passthrough"),
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
        raise ValueError(
            f"{name} has no parameter {unknown[0]!r}. Its features take "
            f"{', '.join(sorted(own))}; other steps take step__parameter, as in "
            "detector__contamination=0.1."
        )
    seeds = {key: random_state for key in known if key.endswith("__random_state")}
    return system.set_params(**(seeds | overrides))


def default_grid(name: str) -> dict[str, list]:
    """Return the parameters worth trying for a system, for ``GridSearchCV``.

    Parameters
    ----------
    name : str
        A named system.

    Returns
    -------
    grid : dict of str to list
        Keys are parameters of ``build(name)``.

    Examples
    --------
    >>> from featad.registry import default_grid
    >>> default_grid("vgg16-kmeans")
    {'detector__n_clusters': [1, 4, 8, 16]}
    """
    return dict(_parse(name)[2].grid)


def _is_system(features, kind):
    if features == _IMAGES:
        return kind in LEARNED
    if kind.startswith(_STATS):
        return features in _NETWORKS and kind[len(_STATS) :] in STATS_SCORERS
    return (features in _NETWORKS or features in _PLAIN_FEATURES) and kind in SCORERS


def _parse(name):
    features, _, kind = name.removeprefix("vgg_").partition("-")  # vgg_mini: mini
    if _is_system(features, kind):
        return features, kind, (SCORERS | LEARNED)[kind.removeprefix(_STATS)]
    near = get_close_matches(name, [system.name for system in list_systems()], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `featad list`."
    raise ValueError(f"There is no system {name!r}: {hint}")


def _features(features, *, stats):
    if features == "pixels":
        return ImageReader(size=32, mode="L", flatten=True)
    if features == "filters":
        return FilterBankFeatures()
    if features == _IMAGES:
        return ImageReader(size=64)
    arch = _NETWORKS[features]
    last, middle = default_layers(arch)
    network: Any = VGGFeatures if arch.startswith("vgg") else BackboneFeatures
    if stats:
        return network(arch, layer=middle, pooling=("mean", "std", "max"))
    return network(arch, layer=last)


def _normalizer(features):
    if features in ("pixels", _IMAGES):
        return "passthrough"
    # filter responses have units of their own; network activations share one
    return StandardScaler() if features == "filters" else Normalizer()
