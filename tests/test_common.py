"""What every detector must hold to: scikit-learn's contract and featad's own.

The detectors are found by walking ``featad.detectors``: a new file is tested at once.
"""

import subprocess
import sys
from pathlib import Path
from pkgutil import iter_modules

import pytest

import featad.detectors
from featad.calibration import CalibratedDetector
from featad.detectors import KMeansDistance, Mahalanobis, all_detectors
from featad.ensemble import ScoreEnsemble
from featad.testing import detector_checks
from featad.testing.checks import check_name
from featad.trimming import TrimmedDetector

_TINY_NETWORK = {"max_epochs": 2, "width": 4, "device": "cpu"}
_TINY_GAN = {**_TINY_NETWORK, "latent_dim": 2, "dense": False, "lr": 0.01}
TINY: dict[str, dict] = {  # parameters that make a slow detector quick, by class name
    "Autoencoder": {**_TINY_NETWORK, "latent_dim": 2},
    "VAE": {**_TINY_NETWORK, "latent_dim": 2},
    "AnoGAN": {**_TINY_GAN, "max_epochs": 10, "n_steps": 10},
    "DiscriminatorGAN": {**_TINY_GAN, "max_epochs": 60, "width": 8},
    "FAnoGAN": {**_TINY_GAN, "lr": 2e-4},
    "BiGAN": {**_TINY_NETWORK, "latent_dim": 2, "dense": False},
    "FeatureFlow": {**_TINY_NETWORK, "max_epochs": 30, "n_components": 4},
    "FenceGAN": {
        **_TINY_NETWORK,
        "latent_dim": 2,
        "width": 8,
        "max_epochs": 60,
        "lr": 0.003,
    },
    "GANomaly": {**_TINY_NETWORK, "latent_dim": 2, "dense": False},
    "CenteredAutoencoder": {**_TINY_NETWORK, "latent_dim": 2, "warmup_epochs": 1},
    "PatchFlow": {**_TINY_NETWORK, "max_epochs": 10},
    "PerceptualAutoencoder": {
        **_TINY_NETWORK,
        "max_epochs": 30,
        "lr": 0.01,
        "arch": "squeezenet1_1",
        "layer": "features.1",
        "weights": None,
    },
    "DeepSVDD": {**_TINY_NETWORK, "latent_dim": 4},
    "DeepSAD": {**_TINY_NETWORK, "latent_dim": 4},
    "UNetAutoencoder": {
        **_TINY_NETWORK,
        "depth": 2,
        "max_epochs": 20,
        "lr": 0.01,
        "noise": 0.5,
    },
    "IsolationForest": {"n_estimators": 60},
    "Inpainting": {**_TINY_NETWORK, "depth": 1, "max_epochs": 10, "lr": 0.01},
    "SymmetricGAN": {**_TINY_NETWORK, "depth": 1, "max_epochs": 10, "lr": 0.01},
    "MADGAN": {**_TINY_NETWORK, "depth": 1, "max_epochs": 10, "lr": 0.01},
    "ASCNet": {
        **_TINY_NETWORK,
        "depth": 1,
        "max_epochs": 20,
        "n_critic": 1,
        "lr": 0.01,
    },
    "ContrastTranslation": {**_TINY_NETWORK, "n_components": 2, "lr": 0.01},
    "VAERestoration": {**_TINY_NETWORK, "latent_dim": 2, "n_steps": 5},
    "ProgressiveGANSimilarity": {
        **_TINY_NETWORK,
        "latent_dim": 3,
        "max_epochs": 15,
        "batch_size": 16,
        "lr": 0.01,
        "scale_weights": (0.0, 1.0),  # a checkerboard of half the size is plain gray
    },
    "TrimmedGAN": {**_TINY_NETWORK, "latent_dim": 2},
    "ALAD": {**_TINY_NETWORK, "latent_dim": 2, "dense": False},
    "DualDiscriminatorGAN": {**_TINY_NETWORK, "max_epochs": 20, "latent_dim": 2},
    "ReconstructionGAN": {**_TINY_NETWORK, "max_epochs": 20, "latent_dim": 2},
    "SSD": {**_TINY_NETWORK, "latent_dim": 8, "width": 8},
    "CSI": {**_TINY_NETWORK, "latent_dim": 8},
}


def _quick(detector):
    """Return it with two epochs of one step: enough for everything but outliers."""
    options = TINY.get(detector.__name__, {})
    if "max_epochs" in options:
        n_epochs = min(options["max_epochs"], 2)
        options = {**options, "max_epochs": n_epochs, "batch_size": 512}
    if "n_steps" in options:
        options = {**options, "n_steps": 2}
    return detector(**options)


TRAINED = {
    detector: detector(**TINY.get(name, {}))
    for name, detector in all_detectors().items()
}
ESTIMATORS = [
    *map(_quick, TRAINED),
    CalibratedDetector(KMeansDistance()),
    TrimmedDetector(KMeansDistance()),
    ScoreEnsemble([("near", KMeansDistance()), ("far", Mahalanobis())]),
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* too few for target_fpr"),
    pytest.mark.filterwarnings("ignore:y holds .* but no -1"),  # the contract's classes
]


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        param
        for estimator in ESTIMATORS
        for param in detector_checks(estimator, mark="xfail")
    ],
)
def test_contract(estimator, check):
    if check_name(check).startswith("check_an_outlier"):
        estimator = TRAINED.get(type(estimator), estimator)
    check(estimator)


def test_every_file_holds_one_detector_named_like_it():
    files = [info.name for info in iter_modules(featad.detectors.__path__)]
    assert "mahalanobis" in files
    by_file = [d.__module__.rpartition(".")[2] for d in all_detectors().values()]
    assert sorted(by_file) == sorted(files)
    for name, detector in all_detectors().items():
        file = detector.__module__.rpartition(".")[2]
        assert file.replace("_", "") == name.lower()


def test_every_detector_is_found_by_name_and_listed():
    for name, detector in all_detectors().items():
        assert getattr(featad.detectors, name) is detector
        assert name in dir(featad.detectors)


def test_an_unknown_detector_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Astrology'"):
        featad.detectors.Astrology  # noqa: B018


def test_importing_one_detector_does_not_import_the_others():
    program = (
        "import sys; from featad.detectors import Mahalanobis; "
        "print(*(m for m in sys.modules if m.startswith('featad.detectors.')))"
    )
    assert run(program) == "featad.detectors.mahalanobis"


def test_importing_touches_no_global_generator():
    program = (
        # scikit-learn imports rich where it is installed, which draws a number
        "import random, numpy as np, sklearn.metrics, torch; "
        "np.random.seed(0); torch.manual_seed(0); "
        "random.seed(0); before = random.random(); "
        "n, t = np.random.get_state()[1:3], torch.get_rng_state(); "
        "random.seed(0); import featad.detectors, featad.calibration, featad.trimming; "
        "featad.detectors.all_detectors(); m = np.random.get_state()[1:3]; "
        "print((n[0] == m[0]).all() and n[1] == m[1], "
        "(t == torch.get_rng_state()).all().item(), before == random.random())"
    )
    assert run(program) == "True True True"


def run(program):
    root = Path(__file__).resolve().parents[1]
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
