"""One-class SVM against scikit-learn's, and where its kernel is blind."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn import svm
from sklearn.decomposition import PCA
from sklearn.metrics import euclidean_distances, roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import make_pipeline

from featad import OneClassSVM, ShrunkWhitening

SETTINGS = {
    "default": {},
    "auto": {"gamma": "auto"},
    "number": {"gamma": 0.02, "nu": 0.1},
    "linear": {"kernel": "linear", "nu": 0.2},
    "poly": {"kernel": "poly", "degree": 2, "coef0": 1.0},
    "sigmoid": {"kernel": "sigmoid", "gamma": 0.01, "coef0": -1.0},
    "callable": {"kernel": rbf_kernel},
}
EVERY_KERNEL = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
BOTH_WAYS = pytest.mark.parametrize("cache_size", [200, 1e-3])


def samples(n=120, n_features=10, n_new=40, seed=0):
    X = np.random.default_rng(seed).normal(size=(n + n_new, n_features)) + 0.5
    X[-n_new // 2 :] += 1
    return X[:n], X[n:]


@EVERY_KERNEL
@BOTH_WAYS
def test_scores_threshold_and_labels_are_scikit_learns(settings, cache_size):
    X, new = samples()
    theirs = svm.OneClassSVM(**settings, cache_size=cache_size).fit(X)
    ours = OneClassSVM(**settings, cache_size=cache_size).fit(X)
    expected = theirs.score_samples(new)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours.score_samples(new), expected, atol=1e-5 * scale)
    np.testing.assert_allclose(
        ours.decision_function(new), theirs.decision_function(new), atol=1e-5 * scale
    )
    np.testing.assert_allclose(ours.offset_, theirs.offset_, atol=1e-5 * scale)
    np.testing.assert_array_equal(ours.predict(new), theirs.predict(new))


@EVERY_KERNEL
@BOTH_WAYS
def test_attributes_are_scikit_learns(settings, cache_size):
    X, _ = samples()
    theirs = svm.OneClassSVM(**settings, cache_size=cache_size).fit(X)
    ours = OneClassSVM(**settings, cache_size=cache_size).fit(X)
    extra = {"sample_shape_", "image_range_", "threshold"}
    assert set(vars(ours)) - extra == set(vars(theirs))
    np.testing.assert_array_equal(ours.support_, theirs.support_)
    np.testing.assert_array_equal(ours.support_vectors_, theirs.support_vectors_)
    np.testing.assert_array_equal(ours.n_support_, theirs.n_support_)
    np.testing.assert_allclose(ours.dual_coef_, theirs.dual_coef_, atol=1e-5)
    assert ours.shape_fit_ == theirs.shape_fit_
    if not callable(ours.kernel):
        assert ours.n_features_in_ == theirs.n_features_in_
    if ours.kernel == "linear":
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


def test_parameters_are_scikit_learns_and_the_threshold():
    theirs = svm.OneClassSVM()
    assert isinstance(OneClassSVM(), svm.OneClassSVM)
    expected = theirs.get_params() | {"threshold": "training"}
    assert OneClassSVM().get_params() == expected


def test_a_precomputed_kernel_is_taken():
    X, new = samples()
    theirs = svm.OneClassSVM(gamma=0.1).fit(X)
    ours = OneClassSVM(kernel="precomputed").fit(rbf_kernel(X, gamma=0.1))
    scores = ours.score_samples(rbf_kernel(new, X, gamma=0.1))
    np.testing.assert_allclose(scores, theirs.score_samples(new))


@pytest.mark.parametrize("gamma", ["scale", "median", 0.1])
def test_sparse_samples_are_taken(gamma):
    X, new = samples()
    dense = OneClassSVM(gamma=gamma).fit(X)
    sparse = OneClassSVM(gamma=gamma).fit(csr_array(X))
    expected = dense.score_samples(new)
    np.testing.assert_allclose(sparse.score_samples(csr_array(new)), expected)
    np.testing.assert_allclose(sparse.score_samples(new), expected)
    with pytest.raises(ValueError, match="sparse input"):
        dense.score_samples(csr_array(new))


def test_a_dense_fit_is_forgotten_by_a_sparse_one():
    X, new = samples()
    detector = OneClassSVM().fit(X).fit(csr_array(X))
    assert not hasattr(detector, "sample_shape_")
    expected = OneClassSVM().fit(csr_array(X)).score_samples(new)
    np.testing.assert_array_equal(detector.score_samples(new), expected)


@BOTH_WAYS
def test_weights_of_samples_are_scikit_learns(cache_size):
    X, new = samples()
    weights = np.linspace(0.1, 2, len(X))
    theirs = svm.OneClassSVM(cache_size=cache_size).fit(X, sample_weight=weights)
    ours = OneClassSVM(cache_size=cache_size).fit(X, sample_weight=weights)
    np.testing.assert_allclose(
        ours.score_samples(new), theirs.score_samples(new), rtol=1e-5
    )


def test_the_kernel_matrix_is_made_where_it_fits_in_the_cache(monkeypatch):
    sizes = []
    whole = OneClassSVM._kernel

    def recorded(self, X, Y, gamma):
        sizes.append((len(X), len(Y)))
        return whole(self, X, Y, gamma)

    monkeypatch.setattr(OneClassSVM, "_kernel", recorded)
    X, _ = samples()
    megabytes = 8 * 120**2 / 2**20
    OneClassSVM(cache_size=megabytes).fit(X)
    assert (120, 120) in sizes
    sizes.clear()
    OneClassSVM(cache_size=0.99 * megabytes).fit(X)
    assert (120, 120) not in sizes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_offset_changes_nothing(dtype):
    X, new = (np.round(part, 2).astype(dtype) for part in samples())
    near = OneClassSVM(gamma=0.1).fit(X)
    far = OneClassSVM(gamma=0.1).fit(X.astype(np.float64) + 2.0**20)
    scores = far.score_samples(new.astype(np.float64) + 2.0**20)
    np.testing.assert_allclose(scores, near.score_samples(new), rtol=1e-5)


def test_the_median_width_is_one_over_the_median_squared_distance():
    X, new = samples()
    squared = euclidean_distances(X)[np.triu_indices(len(X), 1)] ** 2
    expected = svm.OneClassSVM(gamma=1 / np.median(squared)).fit(X)
    for cache_size in (200, 1e-3):
        detector = OneClassSVM(gamma="median", cache_size=cache_size).fit(X)
        np.testing.assert_allclose(
            detector.score_samples(new), expected.score_samples(new)
        )


def test_the_median_width_is_taken_from_samples_evenly_spread(monkeypatch):
    monkeypatch.setattr("featad.kernels.MEDIAN_SAMPLES", 40)
    X, new = samples()
    squared = euclidean_distances(X[::3])[np.triu_indices(40, 1)] ** 2
    expected = OneClassSVM(gamma=1 / np.median(squared)).fit(X).score_samples(new)
    detector = OneClassSVM(gamma="median").fit(X)
    np.testing.assert_allclose(detector.score_samples(new), expected)


def test_the_median_width_leaves_out_equal_samples_where_most_are_equal():
    X = np.zeros((30, 2))
    X[-3:] = [[2, 0], [2, 0], [2, 0]]
    expected = OneClassSVM(gamma=1 / 4).fit(X).score_samples(X)
    scores = OneClassSVM(gamma="median").fit(X).score_samples(X)
    np.testing.assert_allclose(scores, expected)


@pytest.mark.filterwarnings("ignore:The kernel of OneClassSVM is blind")
@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("kernel", ["rbf", "poly", "sigmoid", "linear"])
def test_equal_samples_have_a_median_width(n, kernel):
    detector = OneClassSVM(kernel=kernel, gamma="median").fit(np.ones((n, 3)))
    assert np.isfinite(detector.score_samples([[1.0, 1, 1], [2, 2, 2]])).all()


def test_the_median_width_is_of_no_use_to_a_precomputed_kernel():
    X, _ = samples()
    kernel = rbf_kernel(X, gamma=0.1)
    scores = [
        OneClassSVM(kernel="precomputed", gamma=gamma).fit(kernel).score_samples(kernel)
        for gamma in ("scale", "median")
    ]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("cache_size", [200, 1e-3])
def test_a_blind_kernel_is_told_of_with_the_way_out(cache_size):
    X = np.random.default_rng(0).normal(size=(60, 2000))
    in_sample = ShrunkWhitening(cv=None).fit_transform(X)
    message = (
        "kernel of OneClassSVM is blind: .* gamma='median'.* featad.ShrunkWhitening"
    )
    with pytest.warns(UserWarning, match=message):
        OneClassSVM(gamma=10.0, cache_size=cache_size).fit(in_sample)
    with pytest.warns(UserWarning, match=message):
        OneClassSVM(gamma=1e-9, cache_size=cache_size).fit(in_sample)


@pytest.mark.parametrize("n_features", [2, 300])
def test_a_kernel_that_sees_is_not_told_of(n_features):
    X, _ = samples(n_features=n_features)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OneClassSVM(gamma="median").fit(X)
        OneClassSVM().fit(X)
        make_pipeline(ShrunkWhitening(), OneClassSVM(gamma="median")).fit(X)


def test_whitening_finds_what_lies_in_a_quiet_direction():
    scales = np.repeat([1.0, 0.1], [10, 20])
    X, test = (samples(200, 30, seed=seed)[0] * scales for seed in (0, 1))
    y = np.repeat([1, -1], 100)
    test[y == -1, -20:] += 0.15
    detector = OneClassSVM(gamma="median", nu=0.05)
    aurocs = [
        roc_auc_score(y, make_pipeline(before, detector).fit(X).score_samples(test))
        for before in (PCA(0.97, whiten=True), ShrunkWhitening())
    ]
    assert aurocs[0] < 0.6
    assert aurocs[1] > 0.9


@pytest.mark.parametrize("kernel", ["linear", "poly"])
def test_values_whose_products_overflow_are_refused(kernel):
    X, _ = samples()
    with pytest.raises(ValueError, match=f"kernel '{kernel}' .* overflows on X. Scale"):
        OneClassSVM(kernel=kernel, gamma=1.0).fit(X * 1e200)


def test_scores_are_the_same_in_small_batches(monkeypatch):
    X, new = samples()
    detector = OneClassSVM().fit(X)
    whole = detector.score_samples(new)
    monkeypatch.setattr("featad._blocks._VALUES", 100)
    np.testing.assert_allclose(detector.score_samples(new), whole, rtol=1e-12)


def test_a_held_out_threshold_holds_for_new_samples_of_many_features():
    rates = {"training": [], "held-out": []}
    for seed in range(5):
        X = np.random.default_rng(seed).normal(size=(340, 500))
        for threshold, found in rates.items():
            detector = OneClassSVM(gamma="median", nu=0.1, threshold=threshold)
            found.append((detector.fit(X[:40]).predict(X[40:]) == -1).mean())
    assert np.mean(rates["training"]) > 0.8
    assert 0.05 < np.mean(rates["held-out"]) < 0.2


def test_a_held_out_threshold_is_close_to_that_of_refits_without_each_sample():
    X, _ = samples()
    detector = OneClassSVM(nu=0.2, gamma=0.1, threshold="held-out").fit(X)
    refits = [
        OneClassSVM(nu=0.2 * 120 / 119, gamma=0.1).fit(np.delete(X, i, axis=0))
        for i in range(len(X))
    ]
    scores = [fit.score_samples(X[[i]])[0] for i, fit in enumerate(refits)]
    expected = np.percentile(scores, 20)
    assert detector.offset_ == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize("cache_size", [200, 1e-3])
def test_the_threshold_changes_no_score(cache_size):
    X, new = samples()
    plain, held_out = (
        OneClassSVM(cache_size=cache_size, threshold=threshold).fit(X)
        for threshold in ("training", "held-out")
    )
    np.testing.assert_array_equal(held_out.score_samples(new), plain.score_samples(new))
    assert held_out.offset_ < plain.offset_
    assert held_out.intercept_ == -held_out.offset_


@pytest.mark.parametrize(
    ("X", "kernel", "message"),
    [
        (np.eye(3), "linear", "takes dense samples and kernel='rbf'"),
        (csr_array(np.eye(3)), "rbf", "takes dense samples and kernel='rbf'"),
        ([[0.0]], "rbf", "needs at least 2 samples, got 1 sample"),
    ],
)
def test_a_held_out_threshold_is_refused_where_there_is_none(X, kernel, message):
    with pytest.raises(ValueError, match=message):
        OneClassSVM(kernel=kernel, threshold="held-out").fit(X)


def test_frames_keep_their_column_names():
    X, _ = samples(n_features=3)
    detector = OneClassSVM().fit(pd.DataFrame(X, columns=list("abc")))
    assert list(detector.feature_names_in_) == list("abc")
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        detector.predict(X)


def test_scikit_learns_own_methods_work_on_what_was_learned():
    X, new = samples()
    detector = OneClassSVM(gamma="median").fit(X)
    expected = svm.OneClassSVM.decision_function(detector, new)
    np.testing.assert_allclose(detector.decision_function(new), expected, atol=1e-8)


def test_a_stored_detector_scores_the_same():
    X, new = samples()
    for detector in (OneClassSVM().fit(X), OneClassSVM(kernel=rbf_kernel).fit(X)):
        stored = pickle.loads(pickle.dumps(detector))
        np.testing.assert_array_equal(
            stored.score_samples(new), detector.score_samples(new)
        )
