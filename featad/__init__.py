"""Image anomaly detection that is scikit-learn.

The public names are imported on first use, so that ``import featad`` is quick.

Examples
--------
>>> import featad
>>> featad.KMeansDistance(n_clusters=2)
KMeansDistance(n_clusters=2)
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "base": ["BaseDetector", "anomaly_scores", "anomaly_threshold"],
    "calibration": ["CalibratedDetector", "calibrate"],
    "comparison": ["compare"],
    "datasets": [
        "ImageDataset",
        "aggregate_scores",
        "load_digits_images",
        "load_folder",
        "load_idx",
        "make_spots_and_lines",
        "one_vs_rest",
        "save_split",
        "slice_windows",
    ],
    "detectors": [
        "ALAD",
        "ASCNet",
        "AnoGAN",
        "Autoencoder",
        "ContrastTranslation",
        "DiscriminatorGAN",
        "DualDiscriminatorGAN",
        "FAnoGAN",
        "BiGAN",
        "FenceGAN",
        "GANomaly",
        "CenteredAutoencoder",
        "Inpainting",
        "KMeansDistance",
        "MADGAN",
        "Mahalanobis",
        "TrimmedGAN",
        "NearestNeighbors",
        "OneClassSVM",
        "PCAReconstruction",
        "PerceptualAutoencoder",
        "ProgressiveGANSimilarity",
        "ReconstructionGAN",
        "SymmetricGAN",
        "UNetAutoencoder",
        "VAE",
        "VAERestoration",
    ],
    "features": ["BackboneFeatures", "FilterBankFeatures", "VGGFeatures"],
    "images": ["ImageReader", "list_images", "read_image"],
    "model_selection": [
        "OneClassKFold",
        "anomaly_average_precision",
        "anomaly_roc_auc",
        "anomaly_tpr_at_fpr",
    ],
    "persistence": ["load", "save"],
    "registry": ["build"],
    "scoring": ["score_images", "score_to_file"],
    "trimming": ["TrimmedDetector"],
    "whitening": ["ShrunkWhitening"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'featad' has no attribute {name!r}")
    value = getattr(import_module(f"featad.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
