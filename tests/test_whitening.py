"""Whitening against scikit-learn's dense covariance, and against refits."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import (
    check_param_validation,
    parametrize_with_checks,
)

from featad import KMeansDistance, Mahalanobis, ShrunkWhitening, anomaly_scores
from featad.covariance import shrunk_covariance

SHAPES = pytest.mark.parametrize("shape", [(30, 80), (80, 30), (30, 30), (40, 2)])
OUT_OF_FOLD = {
    name: "fit_transform whitens the training samples out of fold, as TargetEncoder "
    "encodes, and is not fit().transform()"
    for name in ("check_transformer_general", "check_transformer_data_not_an_array")
}


@parametrize_with_checks(
    [ShrunkWhitening(), ShrunkWhitening(3), ShrunkWhitening(None)],
    expected_failed_checks=lambda e: {} if e.cv is None else OUT_OF_FOLD,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_wrong_parameters_are_refused_in_the_standard_sentence():
    check_param_validation("ShrunkWhitening", ShrunkWhitening())


def samples(shape, n_new=20, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(shape[1], shape[1])) * np.linspace(0.1, 5, shape[1])
    X = rng.normal(size=(shape[0] + n_new, shape[1])) @ mixing + 3
    return X[: shape[0]], X[shape[0] :]


def inverse_root(covariance):
    values, vectors = np.linalg.eigh(covariance)
    return vectors / np.sqrt(values) @ vectors.T


def dense(X, new):
    reference = LedoitWolf().fit(X)
    return (new - reference.location_) @ inverse_root(reference.covariance_)


def left_out(X, i):
    """Whiten one sample by a refit on the others that keeps the shrinkage of all."""
    everything = LedoitWolf().fit(X)
    shrinkage, n_features = everything.shrinkage_, X.shape[1]
    others = np.delete(X, i, axis=0)
    covariance = (1 - shrinkage) * np.cov(others.T, bias=True) + (
        shrinkage * X.var(axis=0).sum() / n_features * np.eye(n_features)
    )
    return inverse_root(covariance) @ (X[i] - others.mean(axis=0))


@SHAPES
def test_new_samples_are_whitened_by_the_dense_ledoit_wolf_covariance(shape):
    X, new = samples(shape)
    whitening = ShrunkWhitening().fit(X)
    np.testing.assert_allclose(whitening.transform(new), dense(X, new), atol=1e-9)
    np.testing.assert_allclose(whitening.shrinkage_, LedoitWolf().fit(X).shrinkage_)


@SHAPES
def test_fit_transform_whitens_each_sample_by_a_refit_on_the_others(shape):
    X, _ = samples(shape)
    expected = [left_out(X, i) for i in range(len(X))]
    np.testing.assert_allclose(
        ShrunkWhitening().fit_transform(X), expected, atol=1e-8, rtol=1e-8
    )


@SHAPES
def test_fit_transform_with_folds_equals_a_refit_per_fold(shape):
    X, _ = samples(shape)
    whitened = ShrunkWhitening(10, random_state=0).fit_transform(X)
    for train, test in KFold(10, shuffle=True, random_state=0).split(X):
        refit = ShrunkWhitening().fit(X[train])
        np.testing.assert_allclose(whitened[test], refit.transform(X[test]), atol=1e-9)


@pytest.mark.parametrize("cv", ["leave-one-out", 10])
def test_fit_transform_is_not_fit_and_transform(cv):
    X, _ = samples((30, 80))
    whitening = ShrunkWhitening(cv, random_state=0)
    apart = whitening.fit_transform(X) - whitening.transform(X)
    assert np.linalg.norm(apart, axis=1).min() > 1


def test_fit_transform_without_folds_is_fit_and_transform():
    X, _ = samples((30, 80))
    whitening = ShrunkWhitening(cv=None)
    np.testing.assert_array_equal(whitening.fit_transform(X), whitening.transform(X))


@pytest.mark.parametrize("cv", ["leave-one-out", 10])
def test_fit_transform_leaves_the_same_fit_behind(cv):
    X, new = samples((30, 80))
    whitening = ShrunkWhitening(cv)
    whitening.fit_transform(X)
    np.testing.assert_array_equal(
        whitening.transform(new), ShrunkWhitening().fit(X).transform(new)
    )


@SHAPES
def test_squared_lengths_are_mahalanobis_distances(shape):
    X, new = samples(shape)
    whitening, detector = ShrunkWhitening(), Mahalanobis().fit(X)
    held_out = np.square(whitening.fit_transform(X)).sum(axis=1)
    np.testing.assert_allclose(held_out, -detector.held_out_scores_)
    lengths = np.square(whitening.transform(new)).sum(axis=1)
    np.testing.assert_allclose(lengths, anomaly_scores(detector, new))


def test_in_sample_training_samples_are_equally_long_and_held_out_ones_are_not():
    X, new = samples((60, 300), n_new=60)
    held_out = ShrunkWhitening().fit_transform(X)
    whitening = ShrunkWhitening(cv=None)
    in_sample, fresh = whitening.fit_transform(X), whitening.transform(new)
    held_out, in_sample, fresh = (
        np.linalg.norm(part, axis=1) for part in (held_out, in_sample, fresh)
    )
    assert in_sample.std() < 0.5 * fresh.std()
    assert in_sample.max() < fresh.min()
    assert np.median(held_out) == pytest.approx(np.median(fresh), rel=0.05)


def test_thresholds_of_training_scores_hold_for_new_samples():
    rates = []
    for seed in range(8):
        X, fresh = samples((60, 200), n_new=200, seed=seed)
        detector = KMeansDistance(1, contamination=0.1, random_state=0)
        system = make_pipeline(ShrunkWhitening(), detector).fit(X)
        rates.append((system.predict(fresh) == -1).mean())
    assert 0.05 < np.mean(rates) < 0.15


@pytest.mark.parametrize("cv", ["leave-one-out", 3])
@SHAPES
def test_float32_comes_back_as_float32_within_its_own_rounding(shape, cv):
    X, new = (part.astype(np.float32) for part in samples(shape))
    wide = X.astype(np.float64)
    single, double = (clone(ShrunkWhitening(cv, random_state=0)) for _ in range(2))
    whitened = single.fit_transform(X)
    assert whitened.dtype == single.transform(new).dtype == np.float32
    np.testing.assert_allclose(whitened, double.fit_transform(wide), 1e-5, 1e-6)
    assert single.components_.dtype == np.float64


@SHAPES
def test_blocks_of_rows_change_nothing(monkeypatch, shape):
    X, new = samples(shape)
    whole = ShrunkWhitening().fit_transform(X), Mahalanobis().fit(X).score_samples(new)
    monkeypatch.setattr("featad._blocks.BLOCK_VALUES", 7 * shape[1])
    rows = ShrunkWhitening().fit_transform(X), Mahalanobis().fit(X).score_samples(new)
    np.testing.assert_allclose(rows[0], whole[0], atol=1e-9)
    np.testing.assert_allclose(rows[1], whole[1], rtol=1e-9)


@pytest.mark.parametrize(
    "system",
    [
        Mahalanobis(),
        make_pipeline(ShrunkWhitening(), KMeansDistance(2, random_state=0)),
    ],
)
def test_a_large_table_is_not_copied_to_float64(monkeypatch, system):
    monkeypatch.setattr("featad._blocks.BLOCK_VALUES", 2**14)
    X = np.random.default_rng(0).normal(size=(8_000, 200)).astype(np.float32)
    tracemalloc.start()
    clone(system).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.1 * X.nbytes


@pytest.mark.parametrize("cv", ["leave-one-out", 3])
@SHAPES
def test_a_large_offset_changes_nothing(shape, cv):
    X, new = samples(shape)
    X, new = np.round(X, 6), np.round(new, 6)
    near, far = (ShrunkWhitening(cv, random_state=0) for _ in range(2))
    np.testing.assert_allclose(
        far.fit_transform(X + 2.0**20), near.fit_transform(X), atol=1e-5
    )
    np.testing.assert_allclose(
        far.transform(new + 2.0**20), near.transform(new), atol=1e-5
    )


@pytest.mark.parametrize("cv", ["leave-one-out", 3])
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_the_unit_does_not_matter(factor, cv):
    X, new = samples((30, 80))
    one, other = (ShrunkWhitening(cv, random_state=0) for _ in range(2))
    np.testing.assert_allclose(
        other.fit_transform(X * factor), one.fit_transform(X), atol=1e-8
    )
    np.testing.assert_allclose(
        other.transform(new * factor), one.transform(new), atol=1e-8
    )


@pytest.mark.parametrize("cv", ["leave-one-out", 5])
@pytest.mark.parametrize("shape", [(30, 80), (80, 30)])
def test_constant_columns_are_whitened_as_the_dense_way_does(shape, cv):
    X, new = samples(shape)
    X[:, :5] = 0.1
    new[:, 5:] = X[:20, 5:]
    whitening = ShrunkWhitening(cv, random_state=0)
    assert np.isfinite(whitening.fit_transform(X)).all()
    np.testing.assert_allclose(whitening.transform(new), dense(X, new), atol=1e-9)


@pytest.mark.parametrize("cv", ["leave-one-out", 5])
@pytest.mark.parametrize("shape", [(10, 80), (80, 10)])
def test_samples_that_occur_twice_are_whitened_as_the_dense_way_does(shape, cv):
    X, new = samples(shape)
    X = np.concatenate([X, X])
    whitening = ShrunkWhitening(cv, random_state=0)
    assert np.isfinite(whitening.fit_transform(X)).all()
    np.testing.assert_allclose(whitening.transform(new), dense(X, new), atol=1e-8)


@pytest.mark.parametrize("shape", [(10, 80), (80, 10)])
def test_samples_on_a_line_are_whitened_as_the_dense_way_does(shape):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(shape[0], 1)) * rng.normal(size=shape[1]) + 1
    new = rng.normal(size=shape)
    whitening = ShrunkWhitening()
    expected = [left_out(X, i) for i in range(len(X))]
    np.testing.assert_allclose(whitening.fit_transform(X), expected, atol=1e-6)
    np.testing.assert_allclose(
        whitening.transform(new), dense(X, new), rtol=1e-6, atol=1e-6
    )


def test_two_samples_are_whitened_along_the_line_through_them():
    whitening = ShrunkWhitening().fit([[0.0, 0, 0], [2, 0, 0]])
    whitened = whitening.transform([[3.0, 0, 0], [1, 5, 0]])
    np.testing.assert_allclose(whitened, [[2, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("cv", "message"), [("leave-one-out", "2 samples, .* full rank"), (10, "leaves 1")]
)
def test_two_samples_cannot_whiten_each_other(cv, message):
    with pytest.raises(ValueError, match=rf"{message}.* cv=None"):
        ShrunkWhitening(cv).fit_transform([[0.0, 0, 0], [2, 0, 0]])


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="minimum of 2 is required by ShrunkWhitening"):
        ShrunkWhitening().fit([[1.0, 2.0]])


@pytest.mark.parametrize("n_features", [3, 30])
def test_equal_samples_leave_nothing_to_whiten(n_features):
    X = np.full((7, n_features), 0.1)
    np.testing.assert_array_equal(ShrunkWhitening(3).fit_transform(X), 0)
    np.testing.assert_array_equal(ShrunkWhitening().fit(X).transform(X + 1), 0)
    with pytest.raises(ValueError, match="7 samples, their covariance is not of full"):
        ShrunkWhitening().fit_transform(X)


def test_a_fold_of_equal_training_samples_whitens_to_zero():
    X = np.repeat([[0.1] * 30, [0.3] * 30], 3, axis=0)
    whitened = ShrunkWhitening(KFold(2)).fit_transform(X)
    np.testing.assert_array_equal(whitened, 0)


def test_one_far_sample_does_not_spoil_the_folds_without_it():
    X, _ = samples((30, 80))
    X[0] += 1e9
    whitened = ShrunkWhitening(KFold(30)).fit_transform(X)
    np.testing.assert_allclose(whitened[0], dense(X[1:], X[:1])[0], rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5)])
def test_values_whose_products_overflow_are_refused(shape):
    X, _ = samples(shape)
    with pytest.raises(ValueError, match="overflow. Scale X"):
        ShrunkWhitening().fit(X * 1e200)


def test_there_are_no_more_folds_than_samples():
    X, _ = samples((6, 20))
    np.testing.assert_allclose(
        ShrunkWhitening(10).fit_transform(X), ShrunkWhitening(KFold(6)).fit_transform(X)
    )


def test_a_splitter_must_hold_out_each_sample_once():
    X, _ = samples((20, 30))
    cv = ShuffleSplit(1, test_size=0.5, random_state=0)
    with pytest.raises(ValueError, match="20 samples exactly once, .* 10 of them"):
        ShrunkWhitening(cv).fit_transform(X)


def test_a_splitter_gets_the_labels():
    class Halves:
        def split(self, X, y):
            first, second = np.flatnonzero(y == 1), np.flatnonzero(y == 2)
            yield first, second
            yield second, first

        def get_n_splits(self):
            return 2

    X, _ = samples((20, 30))
    y = np.arange(20) % 2 + 1
    whitened = ShrunkWhitening(Halves()).fit_transform(X, y)
    expected = ShrunkWhitening().fit(X[y == 1]).transform(X[y == 2])
    np.testing.assert_allclose(whitened[y == 2], expected)


def test_the_seed_repeats_the_folds():
    X, _ = samples((20, 30))
    one, same, other = (
        ShrunkWhitening(3, random_state=seed).fit_transform(X) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_columns_keep_their_names_and_frames_come_back():
    X, new = samples((30, 4))
    frame = pd.DataFrame(X, columns=list("abcd"))
    whitening = ShrunkWhitening().set_output(transform="pandas")
    whitened = whitening.fit_transform(frame)
    assert list(whitened.columns) == list("abcd")
    assert list(whitening.get_feature_names_out()) == list("abcd")
    columns = whitening.transform(pd.DataFrame(new, columns=list("abcd"))).columns
    assert list(columns) == list("abcd")


def test_a_stored_whitening_whitens_the_same():
    X, new = samples((30, 80))
    whitening = ShrunkWhitening().fit(X)
    stored = pickle.loads(pickle.dumps(whitening))
    np.testing.assert_array_equal(stored.transform(new), whitening.transform(new))


def test_whitening_before_fit_is_refused():
    with pytest.raises(NotFittedError):
        ShrunkWhitening().transform([[0.0]])


def test_the_input_is_left_as_it_was():
    X, _ = samples((30, 80))
    before = X.copy()
    ShrunkWhitening(3).fit_transform(X)
    ShrunkWhitening().fit(X).transform(X)
    np.testing.assert_array_equal(X, before)


def test_the_covariance_of_many_samples_is_all_axes():
    X, _ = samples((80, 30))
    covariance = shrunk_covariance(X)
    assert covariance.components.shape == (30, 30)
    assert (np.diff(covariance.variances) <= 0).all()
