"""What every detector must hold to: scikit-learn's contract and featad's own.

The detectors are found by walking ``featad.detectors``: a new file is tested at once.
"""

import io
import pickle
import re
import subprocess
import sys
from ast import literal_eval
from inspect import getdoc, signature
from pathlib import Path
from pkgutil import iter_modules

import joblib
import numpy as np
import pytest
import torch
from sklearn import svm
from sklearn.base import clone
from sklearn.utils.estimator_checks import (
    check_param_validation,
    parametrize_with_checks,
)

import featad.detectors
from featad.calibration import CalibratedDetector
from featad.detectors import KMeansDistance, all_detectors
from featad.neural.detector import TorchDetector
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
    "FenceGAN": {
        **_TINY_NETWORK,
        "latent_dim": 2,
        "width": 8,
        "max_epochs": 60,
        "lr": 0.003,
    },
    "GANomaly": {**_TINY_NETWORK, "latent_dim": 2, "dense": False},
    "CenteredAutoencoder": {**_TINY_NETWORK, "latent_dim": 2, "warmup_epochs": 1},
    "PerceptualAutoencoder": {
        **_TINY_NETWORK,
        "max_epochs": 30,
        "lr": 0.01,
        "arch": "squeezenet1_1",
        "layer": "features.1",
        "weights": None,
    },
    "UNetAutoencoder": {
        **_TINY_NETWORK,
        "depth": 2,
        "max_epochs": 20,
        "lr": 0.01,
        "noise": 0.5,
    },
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
}

BATCH_ROUNDING = {
    "check_methods_subset_invariance": "float32 products round with the batch size; "
    "test_scores_do_not_depend_on_the_batch holds them to 1e-4 instead"
}

LIBSVM = {
    f"check_sample_weight_equivalence_on_{kind}_data": "scikit-learn's OneClassSVM, "
    "which it is, does not weigh a sample as it does copies"
    for kind in ("dense", "sparse")
}
EXPECTED_FAILURES = {TorchDetector: BATCH_ROUNDING, svm.OneClassSVM: LIBSVM}


def _without_labels(detector):
    """Return a detector that ``fit`` needs no labels for: it invents an anomaly."""
    if not getattr(detector, "_needs_anomalies", False):
        return detector

    def _train(self, X, labels):
        noise = np.random.default_rng(0).normal(size=X[:1].shape)
        odd = np.clip(X[:1] + noise, X.min(), X.max()).astype(X.dtype)
        detector._train(self, np.concatenate([X, odd]), np.append(labels, -1))

    hooks = {
        "_uses_labels": False,
        "_needs_anomalies": False,
        "_training_labels": TorchDetector._training_labels,
        "_train": _train,
    }
    made = type(detector.__name__, (detector,), {**hooks, "__module__": __name__})
    return globals().setdefault(detector.__name__, made)  # pickle looks there


ESTIMATORS = [
    *(
        _without_labels(detector)(**TINY.get(name, {}))
        for name, detector in all_detectors().items()
    ),
    CalibratedDetector(KMeansDistance()),
    TrimmedDetector(KMeansDistance()),
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* too few for target_fpr"),
    pytest.mark.filterwarnings("ignore:y holds .* but no -1"),  # the contract's classes
]


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def detector(request):
    detector = clone(request.param)
    if "random_state" in detector.get_params():
        detector.set_params(random_state=0)
    return detector


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_contract(estimator, check):
    name = getattr(check, "func", check).__name__
    for kind, reasons in EXPECTED_FAILURES.items():
        if isinstance(estimator, kind) and name in reasons:
            pytest.skip(reasons[name])
    check(estimator)


def test_wrong_parameters_are_refused_in_the_standard_sentence(detector):
    check_param_validation(type(detector).__name__, detector)


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
        "import random, numpy as np, torch; np.random.seed(0); torch.manual_seed(0); "
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


def test_documented_defaults_match_the_signature(detector):
    section = getdoc(type(detector)).split("Attributes\n")[0]
    documented = re.findall(r"^(\w+) : .*default=(.+)$", section, re.M)
    parameters = signature(type(detector)).parameters.items()
    actual = {name: p.default for name, p in parameters if p.default is not p.empty}
    assert {name: literal_eval(text) for name, text in documented} == actual


def test_every_parameter_is_documented(detector):
    documented = re.findall(r"^(\w+) : ", getdoc(type(detector)), re.M)
    assert set(detector.get_params(deep=False)) <= set(documented)


def test_every_fitted_attribute_is_documented(detector, images):
    documented = set(re.findall(r"^(\w+) : ", getdoc(type(detector)), re.M))
    assert set(fitted_attributes(detector.fit(images))) <= documented


def test_constraints_cover_the_parameters(detector):
    parameters = detector.get_params(deep=False)
    assert detector._parameter_constraints.keys() == parameters.keys()


def test_fit_returns_self_and_adds_only_learned_attributes(detector, images):
    before = set(vars(detector))
    assert detector.fit(images) is detector
    added = set(vars(detector)) - before
    assert added
    if isinstance(detector, svm.OneClassSVM):  # keeps what scikit-learn's does, too
        added -= set(vars(svm.OneClassSVM().fit(images.reshape(24, -1))))
        assert added
    assert all(name.endswith("_") and name[0] != "_" for name in added)


def test_fit_changes_no_parameter(detector, images):
    before = detector.get_params()
    shown = repr(before)
    after = detector.fit(images).get_params()
    assert all(after[name] is value for name, value in before.items())
    assert repr(after) == shown


@pytest.mark.parametrize("kind", ["images", "table"])
def test_scores_are_one_float64_per_sample(detector, images, kind):
    X = images if kind == "images" else images.reshape(24, -1)
    scores = detector.fit(X).score_samples(X)
    assert scores.shape == (24,)
    assert scores.dtype == np.float64


def test_flattened_images_score_the_same(detector, images):
    if isinstance(detector, TorchDetector):
        pytest.skip("images go through convolutions, tables through dense layers")
    table = images.reshape(24, -1)
    expected = detector.fit(images).score_samples(images)
    close(detector.fit(table).score_samples(table), expected)


def test_scores_do_not_depend_on_the_batch(detector, images):
    detector.fit(images)
    one_by_one = np.concatenate([detector.score_samples(x[None]) for x in images])
    close(detector.score_samples(images), one_by_one)


def test_scores_do_not_depend_on_the_order(detector, images):
    detector.fit(images)
    order = np.random.default_rng(0).permutation(24)
    close(detector.score_samples(images[order]), detector.score_samples(images)[order])


def test_the_same_seed_gives_the_same_scores(detector, images):
    first = clone(detector).fit(images).score_samples(images)
    np.testing.assert_array_equal(detector.fit(images).score_samples(images), first)


def test_a_second_fit_forgets_the_first(detector, images):
    first = detector.fit(images).score_samples(images)
    detector.fit(images[:12] * 0.5)
    np.testing.assert_array_equal(detector.fit(images).score_samples(images), first)


@pytest.mark.parametrize("library", [pickle, joblib])
def test_a_stored_detector_scores_the_same(detector, images, library):
    expected = detector.fit(images).score_samples(images)
    file = io.BytesIO()
    library.dump(detector, file)
    file.seek(0)
    loaded = library.load(file)
    np.testing.assert_array_equal(loaded.score_samples(images), expected)


def test_memory_layout_does_not_matter(detector, images):
    fortran = np.asfortranarray(images)
    fortran.setflags(write=False)
    expected = detector.fit(images).score_samples(images)
    close(detector.fit(fortran).score_samples(fortran), expected)


def test_the_input_is_left_as_it_was(detector, images):
    X = images.copy()
    detector.fit(X).predict(X)
    np.testing.assert_array_equal(X, images)


def test_scoring_changes_nothing_in_the_detector(detector, images):
    detector.fit(images)
    keys, before = set(vars(detector)), pickle.dumps(detector)
    detector.score_samples(images)
    detector.predict(images)
    assert set(vars(detector)) == keys
    assert pickle.dumps(detector) == before


def test_nan_is_refused(detector, images):
    broken = images.copy()
    broken[3, 2, 2, 1] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        detector.fit(broken)
    with pytest.raises(ValueError, match="contains NaN"):
        detector.fit(images).score_samples(broken)


def test_a_foreign_shape_is_refused(detector, images):
    detector.fit(images)
    with pytest.raises(ValueError, match=r"fitted on samples of shape \(8, 8, 3\)"):
        detector.predict(images[:, :4])


def test_a_missing_batch_axis_is_refused(detector, images):
    detector.fit(images)
    with pytest.raises(ValueError, match=r"Pass X\[None\] to score one image"):
        detector.predict(images[0])


@pytest.mark.parametrize("kind", ["images", "table"])
def test_an_obvious_outlier_is_ranked_last(detector, images, kind):
    checkerboard = np.indices((8, 8, 3)).sum(axis=0) % 2
    X = np.concatenate([images, checkerboard[None].astype(np.float32)])
    if kind == "table":
        X = X.reshape(25, -1)
    detector.fit(X[:-1])
    assert detector.score_samples(X).argmin() == 24
    assert detector.predict(X)[-1] == -1


def test_contamination_is_met_on_the_training_samples(detector, images):
    if "contamination" not in detector.get_params(deep=False):
        pytest.skip("its threshold is not a quantile of the training scores")
    detector.set_params(contamination=0.25).fit(images)
    assert (detector.predict(images) == -1).sum() == 6


def test_predictions_follow_the_threshold(detector, images):
    detector.fit(images)
    scores = detector.score_samples(images)
    np.testing.assert_array_equal(
        detector.predict(images), np.where(scores < detector.offset_, -1, 1)
    )
    np.testing.assert_array_equal(
        detector.decision_function(images), scores - detector.offset_
    )


def test_global_generators_are_left_alone(detector, images):
    numpy_before, torch_before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    clone(detector).fit(images).score_samples(images)
    numpy_after = np.random.get_state()  # noqa: NPY002
    assert numpy_before[2] == numpy_after[2]
    np.testing.assert_array_equal(numpy_before[1], numpy_after[1])
    assert torch.equal(torch_before, torch.get_rng_state())


def test_nothing_is_written(detector, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    detector.fit(images).predict(images)
    assert list(tmp_path.iterdir()) == []


def test_labels_do_not_change_an_unsupervised_detector(detector, images):
    expected = clone(detector).fit(images).score_samples(images)
    labels = np.ones(24, dtype=int)
    np.testing.assert_array_equal(
        detector.fit(images, labels).score_samples(images), expected
    )


def fitted_attributes(detector):
    return [name for name in vars(detector) if name.endswith("_") and name[0] != "_"]


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-9)
