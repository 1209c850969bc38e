"""Covariances that are added up block by block, beside those of all samples at once."""

import pickle

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from featad import Mahalanobis, ShrunkWhitening, anomaly_scores
from featad.covariance import estimate_from, shrunk_covariance
from featad.covariance_sums import CovarianceSums

SHAPES = pytest.mark.parametrize("shape", [(90, 12), (40, 40), (30, 50)])
BOTH = pytest.mark.parametrize("estimator", [Mahalanobis, ShrunkWhitening])


def samples(shape, n_new=15):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(shape[1], shape[1])) * np.linspace(0.1, 5, shape[1])
    X = rng.normal(size=(shape[0] + n_new, shape[1])) @ mixing + 3
    return X[: shape[0]], X[shape[0] :]


def added(X, *cuts):
    sums = CovarianceSums()
    for block in np.split(X, cuts):
        sums.add(block)
    return sums


@SHAPES
@pytest.mark.parametrize("cuts", [(), (7,), (1, 2, 20)])
def test_blocks_add_up_to_the_covariance_of_all_samples(shape, cuts):
    X, new = samples(shape)
    covariance, reference = estimate_from(added(X, *cuts))[0], LedoitWolf().fit(X)
    np.testing.assert_allclose(covariance.shrinkage, reference.shrinkage_)
    np.testing.assert_allclose(covariance.location, reference.location_)
    np.testing.assert_allclose(
        covariance.squared_lengths(new), reference.mahalanobis(new), rtol=1e-7
    )


def test_blocks_that_lie_far_apart_lose_no_digits():
    X, _ = samples((60, 8))
    X[30:] += 1e3
    one, other = estimate_from(added(X, 30))[0], shrunk_covariance(X[::-1])
    np.testing.assert_allclose(one.variances, other.variances, rtol=1e-8)
    np.testing.assert_allclose(one.shrinkage, other.shrinkage, rtol=1e-6)


def test_a_large_offset_changes_nothing():
    X, _ = samples((60, 8))
    X = np.round(X, 6)
    near, far = (added(part, 9) for part in (X, X + 2.0**20))
    np.testing.assert_allclose(far.scatter, near.scatter, rtol=1e-7)


def test_a_feature_that_never_varies_is_exact():
    X, _ = samples((60, 8))
    X[:, 3] = 0.1
    sums = added(X, 5, 33)
    assert sums.location[3] == 0.1
    assert not sums.scatter[3].any()


@SHAPES
@BOTH
def test_partial_fit_of_blocks_equals_fit_of_all(shape, estimator):
    X, new = samples(shape)
    whole, parts = estimator().fit(X), estimator()
    for block in np.split(X, [12]):
        assert parts.partial_fit(block) is parts
    if estimator is Mahalanobis:
        one, other = anomaly_scores(whole, new), anomaly_scores(parts, new)
    else:
        one, other = whole.transform(new), parts.transform(new)
    np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-9)


@BOTH
def test_partial_fit_goes_on_after_pickling(estimator):
    X, _ = samples((60, 8))
    parts = pickle.loads(pickle.dumps(estimator().partial_fit(X[:20])))
    whole = estimator().partial_fit(X[:20]).partial_fit(X[20:])
    np.testing.assert_array_equal(
        parts.partial_fit(X[20:]).variances_, whole.variances_
    )


@BOTH
def test_fit_begins_anew_after_partial_fit(estimator):
    X, _ = samples((60, 8))
    again = estimator().partial_fit(X[:20]).fit(X[20:])
    np.testing.assert_array_equal(again.variances_, estimator().fit(X[20:]).variances_)


@SHAPES
@BOTH
def test_partial_fit_goes_on_after_fit(shape, estimator):
    X, _ = samples(shape)
    parts = estimator().fit(X[:20]).partial_fit(X[20:])
    whole = estimator().fit(X)
    np.testing.assert_allclose(parts.shrinkage_, whole.shrinkage_, rtol=1e-7)
    n_axes = len(whole.variances_)
    np.testing.assert_allclose(parts.variances_[:n_axes], whole.variances_, rtol=1e-7)


@BOTH
def test_partial_fit_refuses_another_number_of_features(estimator):
    X, _ = samples((60, 8))
    with pytest.raises(ValueError, match="7 features"):
        estimator().partial_fit(X).partial_fit(X[:, :7])


@BOTH
def test_partial_fit_refuses_one_sample_at_first_and_takes_it_later(estimator):
    X, _ = samples((60, 8))
    with pytest.raises(ValueError, match=r"minimum of 2|at least 2 samples"):
        estimator().partial_fit(X[:1])
    estimator().partial_fit(X[:9]).partial_fit(X[9:10])


@pytest.mark.parametrize("threshold", ["training", "held-out"])
def test_the_threshold_of_partial_fit_is_from_the_samples_of_the_last_call(threshold):
    X, _ = samples((3000, 8))
    detector = Mahalanobis(contamination=0.1, threshold=threshold)
    detector.partial_fit(X[:1000]).partial_fit(X[1000:])
    assert np.mean(detector.predict(X[1000:]) == -1) == pytest.approx(0.1, abs=0.01)
    assert detector.held_out_scores_ is None


def test_products_that_overflow_are_refused():
    with pytest.raises(ValueError, match=r"Products .* overflow"):
        Mahalanobis().partial_fit(np.eye(3) * 1e200)
