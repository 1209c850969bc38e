"""What all detectors of maps of features have in common."""

import logging
import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer

import featad
from featad.base import without_threshold
from featad.detectors import PatchGaussian, PatchKMeans, PatchMemory
from featad.map_scores import reduce_maps, smooth_maps
from featad.systems import last_step

rng = np.random.default_rng(0)
MAPS = rng.normal(size=(40, 6, 5, 4)).astype(np.float32)
NEW = rng.normal(size=(40, 6, 5, 4)).astype(np.float32)
ODD = NEW[:20].copy()
ODD[:, 2, 3] += 5  # strange at one position

DETECTORS = [
    PatchGaussian(),
    PatchGaussian(covariance="diagonal"),
    PatchGaussian("shared"),
    PatchMemory(random_state=0),
    PatchMemory(n_neighbors=3, random_state=0),
    PatchKMeans(8, random_state=0),
]
WITH_HELD_OUT = [d for d in DETECTORS if getattr(d, "positions", "") != "shared"]


def name(detector):
    return repr(detector)


@pytest.fixture(params=DETECTORS, ids=name)
def detector(request):
    return clone(request.param)


@pytest.fixture(params=WITH_HELD_OUT, ids=name)
def with_held_out(request):
    return clone(request.param)


def test_the_strange_position_is_the_peak_of_the_map(detector):
    maps = detector.set_params(smoothing=0).fit(MAPS).anomaly_map(ODD)
    peaks = [np.unravel_index(one.argmax(), one.shape) for one in maps]
    assert np.mean([peak == (2, 3) for peak in peaks]) > 0.9


def test_strange_samples_score_lower(detector):
    detector.set_params(smoothing=0.5).fit(MAPS)
    scores = detector.score_samples(np.concatenate([NEW[20:], ODD]))
    assert scores[:20].min() > np.median(scores[20:])


@pytest.mark.parametrize("score_by", ["max", "top1%", "mean"])
def test_the_score_is_that_of_the_map(score_by):
    detector = PatchGaussian(score_by=score_by, smoothing=0.7).fit(MAPS)
    expected = -reduce_maps(detector.anomaly_map(ODD), score_by)
    np.testing.assert_allclose(detector.score_samples(ODD), expected, rtol=1e-6)


def test_maps_are_smoothed(detector):
    rough = clone(detector).set_params(smoothing=0).fit(MAPS).anomaly_map(ODD)
    smooth = detector.set_params(smoothing=1.5).fit(MAPS).anomaly_map(ODD)
    np.testing.assert_allclose(smooth, smooth_maps(rough, 1.5), rtol=1e-4)


def test_rows_of_a_table_are_maps_of_one_position(detector):
    table, new = MAPS[:, 0, 0], NEW[:, 0, 0]
    expected = (
        clone(detector).fit(table[:, None, None]).score_samples(new[:, None, None])
    )
    found = detector.fit(table).score_samples(new)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_gray_images_are_maps_of_one_feature():
    gray = PatchGaussian().fit(MAPS[..., 0])
    maps = gray.anomaly_map(NEW[..., 0])
    np.testing.assert_array_equal(gray.anomaly_map(NEW[..., :1]), maps)


def test_features_of_any_size_are_taken_as_they_are(detector, recwarn):
    features = np.abs(MAPS)  # images of such values would be in [0, 4]
    detector.fit(features).score_samples(1000 * features)
    assert detector.image_range_ is None
    assert not recwarn.list


def test_float16_scores_as_float32(detector):
    half = MAPS.astype(np.float16)
    found = clone(detector).fit(half)
    expected = detector.fit(half.astype(np.float32)).score_samples(NEW)
    np.testing.assert_allclose(found.score_samples(NEW), expected, rtol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_float16_maps_with_nan_or_infinity_are_refused(value):
    detector, maps = PatchGaussian().fit(MAPS), NEW.astype(np.float16)
    assert np.isfinite(detector.score_samples(maps)).all()
    maps[7, 2, 3, 1] = value
    with pytest.raises(ValueError, match="NaN|infinity"):
        detector.score_samples(maps)


@pytest.mark.parametrize("detector", [PatchGaussian(), PatchKMeans(8), PatchMemory(50)])
def test_float16_maps_are_not_copied_as_a_whole(detector, monkeypatch):
    monkeypatch.setattr("featad._blocks._VALUES", 2**14)
    maps = rng.normal(size=(600, 12, 12, 16)).astype(np.float16)
    in_float32 = 2 * maps.nbytes
    detector.fit(maps[:60])
    tracemalloc.start()
    detector.score_samples(maps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < in_float32 / 2


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_fit_needs_no_more_memory_than_it_says(detector, dtype, monkeypatch):
    monkeypatch.setattr("featad._blocks._VALUES", 2**16)
    monkeypatch.setattr("featad.patch_detector._BATCHES", 2**19 * 8)
    monkeypatch.setattr("featad.coreset._BATCH_VALUES", 2**16)
    monkeypatch.setattr("featad.nearest._BATCH_VALUES", 2**16)
    maps = rng.normal(size=(100, 14, 14, 40)).astype(dtype)
    tracemalloc.start()
    detector.fit(maps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.1 < peak / detector.memory_of_fit(maps.shape, dtype) <= 1


def test_memory_is_stated_before_fit_begins(caplog, detector, monkeypatch):
    def stop(self, X):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(detector), "_fit_maps", stop)
    with caplog.at_level(logging.INFO, "featad"), pytest.raises(KeyboardInterrupt):
        detector.fit(MAPS)
    megabytes = f"{detector.memory_of_fit(MAPS.shape) / 1e6:.0f} MB"
    name = type(detector).__name__
    assert f"{name} learns from 40 maps of 6 x 5 positions with 4" in caplog.text
    assert megabytes in caplog.text


def test_held_out_scores_are_close_to_those_of_fits_without_the_sample(with_held_out):
    detector = with_held_out.fit(MAPS)
    refits = [
        clone(detector).fit(np.delete(MAPS, i, axis=0)).score_samples(MAPS[[i]])[0]
        for i in range(12)
    ]
    np.testing.assert_allclose(detector.held_out_scores_[:12], refits, rtol=0.25)
    assert np.mean(detector.held_out_scores_[:12] - refits) < 0.05 * np.mean(
        np.abs(refits)
    )


def test_the_held_out_threshold_holds_for_new_samples(with_held_out):
    options = {"threshold": "held-out", "contamination": 0.25}
    detector = with_held_out.set_params(**options).fit(MAPS)
    assert 0.05 <= np.mean(detector.predict(NEW) == -1) <= 0.45


def test_calibration_needs_no_folds(with_held_out):
    system = featad.calibrate(with_held_out, target_fpr=0.1).fit(MAPS)[-1]
    known = last_step(system.estimator_).held_out_scores_
    np.testing.assert_array_equal(system.held_out_scores_, known)


def test_detectors_without_held_out_scores_are_calibrated_by_folds():
    system = featad.calibrate(PatchGaussian("shared"), target_fpr=0.1).fit(MAPS)
    assert np.isfinite(system[-1].held_out_scores_).all()


def test_held_out_scores_are_not_computed_where_no_threshold_is_read(with_held_out):
    assert without_threshold(with_held_out).fit(MAPS).held_out_scores_ is None


def test_a_search_tries_smoothing(detector):
    system = featad.make_pipeline(FunctionTransformer(), detector)
    grid = {f"{type(detector).__name__.lower()}__smoothing": [0, 1]}
    X, y = np.concatenate([NEW[20:], ODD]), np.repeat([1, -1], 20)
    folds = featad.OneClassKFold(2)
    search = GridSearchCV(
        system, grid, scoring="roc_auc", cv=folds, error_score="raise"
    )
    assert search.fit(X, y).best_score_ > 0.8


def test_maps_of_a_whole_system_have_the_size_of_the_images():
    images = rng.uniform(size=(30, 8, 8, 3)).astype(np.float32)
    system = featad.make_pipeline(featad.ImageReader(size=4), PatchGaussian())
    assert featad.anomaly_maps(system.fit(images), images[:2]).shape == (2, 8, 8)


def test_a_threshold_that_cannot_be_held_out_is_an_error():
    detector = PatchMemory(threshold="held-out", random_state=0)
    with pytest.raises(ValueError, match="needs more samples that differ"):
        detector.fit(MAPS[:1])
