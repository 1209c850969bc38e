"""Copies and near-copies among training samples are told, once, with their names."""

import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline as sklearn_pipeline
from sklearn.svm import OneClassSVM

import featad
from featad.calibration import CalibratedDetector
from featad.copies import exact_copies, near_copies
from featad.detectors import Autoencoder, KMeansDistance, Mahalanobis, NearestNeighbors
from featad.images import ImageReader


def bursts(seed, n_parts=20, n_frames=10, jitter=1e-3):
    rng = np.random.default_rng(seed)
    base = np.repeat(rng.normal(size=(n_parts, 16)), n_frames, axis=0)
    return base + jitter * rng.normal(size=base.shape)


def told(fit, *args, **options):
    """Return what is said of copies during a fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(*args, **options)
    words = ("copies", "identical", "blind")
    said = [str(warning.message) for warning in caught]
    return [text for text in said if any(word in text for word in words)]


def share_of_near_copies(table):
    rows = np.arange(len(table))
    return near_copies(table, [(rows, rows)])[0]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("cv", [5, 0.3])
def test_bursts_without_groups_are_told_in_one_sentence(seed, cv):
    detector = CalibratedDetector(NearestNeighbors(1), target_fpr=0.05, cv=cv)
    [said] = told(detector.fit, bursts(seed))
    assert "near-copies" in said
    assert "Pass groups" in said


@pytest.mark.parametrize(
    "detector",
    [
        Mahalanobis(),
        KMeansDistance(random_state=0),
        OneClassSVM(nu=0.1),
        Autoencoder(2, width=4, max_epochs=1, device="cpu"),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_bursts_are_told_whatever_the_detector(detector):
    system = featad.calibrate(detector, target_fpr=0.05, random_state=0)
    [said] = told(system.fit, bursts(0))
    assert "near-copies" in said


def test_near_copies_are_told_when_a_fitted_system_is_calibrated_on_bursts():
    fitted = FrozenEstimator(Mahalanobis().fit(bursts(1)))
    frozen = featad.calibrate(fitted, target_fpr=0.05)
    assert told(frozen.fit, bursts(0))


def test_groups_need_no_warning():
    detector = CalibratedDetector(NearestNeighbors(1), target_fpr=0.05)
    assert told(detector.fit, bursts(0), groups=np.repeat(range(20), 10)) == []


def test_a_splitter_that_keeps_bursts_together_needs_no_warning():
    X, parts = bursts(0), np.repeat(range(20), 10)
    cv = list(GroupKFold(5).split(X, groups=parts))
    assert told(CalibratedDetector(Mahalanobis(), target_fpr=0.05, cv=cv).fit, X) == []


@pytest.mark.parametrize(
    ("n_parts", "n_frames", "jitter"),
    [(100, 2, 1e-3), (100, 2, 0.1), (20, 10, 0.1), (20, 10, 0.2), (5, 40, 1e-2)],
)
def test_short_long_and_loose_bursts_are_found(n_parts, n_frames, jitter):
    assert share_of_near_copies(bursts(0, n_parts, n_frames, jitter)) > 0.9


def test_bursts_among_half_of_the_samples_are_found():
    single = np.random.default_rng(1).normal(size=(100, 16))
    share = share_of_near_copies(np.r_[bursts(0, 10, 10), single])
    assert share == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("n", [30, 200])
@pytest.mark.parametrize("n_features", [1, 2, 3, 16, 512])
def test_independent_samples_are_not_called_near_copies(n, n_features):
    rng = np.random.default_rng(0)
    assert share_of_near_copies(rng.normal(size=(n, n_features))) == 0


def test_variants_of_a_product_are_not_called_near_copies():
    rng = np.random.default_rng(0)
    variants = np.repeat(10 * rng.normal(size=(5, 16)), 40, axis=0)
    assert share_of_near_copies(variants + rng.normal(size=(200, 16))) == 0


def test_samples_of_few_dimensions_among_many_are_not_called_near_copies():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 500))
    assert share_of_near_copies(table) == 0


@pytest.mark.data
@pytest.mark.parametrize("name", ["mvtec_reduced/hazelnut", "magnetic_tile", "elpv"])
def test_real_parts_are_not_called_near_copies(real_data, name):
    train = featad.load_folder(real_data / name).part("train")
    images = list(train.images[:: max(1, len(train) // 120)])
    reader = ImageReader((48, 48), mode="L", flatten=True)
    assert share_of_near_copies(reader.fit_transform(images)) == 0


def test_many_samples_of_many_features_are_looked_at_by_a_few():
    table = np.random.default_rng(0).normal(size=(3000, 5000)).astype(np.float32)
    table[1::2] = table[::2] + 1e-3
    assert share_of_near_copies(table) > 0.9


def test_near_copies_are_told_by_the_names_of_their_files(tmp_path):
    rng = np.random.default_rng(0)
    names = []
    for part in range(12):
        pixels = rng.integers(0, 200, size=(8, 8))
        for frame in range(2):
            names.append(str(tmp_path / f"{part}-{frame}.png"))
            noise = rng.integers(0, 3, size=(8, 8))
            Image.fromarray((pixels + noise).astype(np.uint8)).save(names[-1])
    system = sklearn_pipeline(ImageReader(mode="L", flatten=True), NearestNeighbors(1))
    for tried in (system, FrozenEstimator(system.fit(names))):
        [said] = told(CalibratedDetector(tried, target_fpr=0.1).fit, names)
        assert ".png and " in said


def test_exact_copies_are_told_with_their_number():
    X = np.random.default_rng(0).normal(size=(60, 4))
    X[[7, 50]] = X[3]
    system = CalibratedDetector(Mahalanobis(), target_fpr=0.1)
    [said] = told(system.fit, X)
    assert said.startswith("2 of 60 training samples are exact copies of others, such")
    assert "3 and 7; 3 and 50" in said


def test_exact_copies_within_their_group_are_not_told():
    X = np.random.default_rng(0).normal(size=(60, 4))
    X[1] = X[0]
    detector = CalibratedDetector(Mahalanobis(), target_fpr=0.1)
    assert told(detector.fit, X, groups=np.arange(60) // 2) == []
    assert len(told(detector.fit, X, groups=np.arange(60))) == 1


def test_no_samples_hold_no_copies():
    assert exact_copies(np.empty((0, 3))).shape == (0, 2)


@pytest.mark.parametrize(
    "detector", [Mahalanobis(), OneClassSVM(), IsolationForest(random_state=0)]
)
def test_identical_training_images_are_told(detector):
    X = np.zeros((20, 8, 8), np.uint8)
    reader = ImageReader(flatten=True, mode="L")
    system = featad.calibrate(sklearn_pipeline(reader, detector), target_fpr=0.1)
    [said] = told(system.fit, X)
    assert said.startswith("All 20 training samples are identical")


def test_a_detector_that_scores_all_alike_is_told_to_be_blind():
    X = np.random.default_rng(0).normal(size=(200, 512))
    system = featad.calibrate(OneClassSVM(nu=0.05, gamma=0.05), target_fpr=0.05)
    [said] = told(system.fit, X)
    assert said.startswith("OneClassSVM is blind: nine in ten held-out samples")


def test_copies_that_spoil_the_local_outlier_factor_are_told():
    X = np.random.default_rng(0).normal(size=(60, 8))
    X = np.r_[X, np.repeat(X[:1], 25, axis=0)]
    system = featad.make_pipeline(LocalOutlierFactor(novelty=True))
    [said] = told(system.fit, X)
    assert "LocalOutlierFactor(n_neighbors=20)" in said
    calibrated = featad.calibrate(LocalOutlierFactor(novelty=True), target_fpr=0.1)
    assert len(told(calibrated.fit, X)) == 2  # and the copies by number
    assert told(featad.make_pipeline(LocalOutlierFactor(40, novelty=True)).fit, X) == []


def told_by_compare(X, y, **options):
    detector = KMeansDistance(1, random_state=0)
    systems = {"pixels": featad.make_pipeline(ImageReader(4, flatten=True), detector)}
    return told(featad.compare, systems, X, y, cv=3, n_bootstrap=10, **options)


@pytest.mark.parametrize("kind", ["arrays", "files"])
def test_copies_of_tested_samples_among_the_training_ones_are_told(kind, tmp_path):
    X = np.random.default_rng(0).integers(0, 255, (16, 4, 4, 3)).astype(np.uint8)
    X[1::2] = X[::2]
    y = np.repeat([1, -1], [12, 4])
    if kind == "files":
        paths = [tmp_path / f"{index}.png" for index in range(16)]
        for path, pixels in zip(paths, X, strict=True):
            Image.fromarray(pixels).save(path)
        X = paths
    [said] = told_by_compare(X, y)
    assert "samples, such as" in said
    assert "exact copies of them are trained on" in said
    assert (".png" in said) == (kind == "files")
    assert told_by_compare(X, y, groups=np.arange(16) // 2) == []
