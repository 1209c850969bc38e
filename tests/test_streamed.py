"""Detectors for more samples than the memory holds."""

import tracemalloc

import numpy as np
import pytest

from featad import Mahalanobis
from featad._blocks import row_blocks
from featad.detectors import MiniBatchKMeansDistance, NystroemSVM
from featad.streamed import BATCH, _mixed

STREAMED = [MiniBatchKMeansDistance, NystroemSVM]
EACH = pytest.mark.parametrize("detector", STREAMED)
READERS = pytest.mark.parametrize("detector", [Mahalanobis, *STREAMED])


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(3000, 16)) * np.linspace(1, 9, 16)).astype(np.float32)


def fitted(detector, X, **parameters):
    if detector is not Mahalanobis:
        parameters["random_state"] = 0
    return detector(**parameters).fit(X)


@READERS
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_file_is_not_copied_into_memory(detector, dtype, monkeypatch, tmp_path):
    monkeypatch.setattr("featad._blocks._VALUES", 2**14)
    monkeypatch.setattr("featad.kernels.MEDIAN_SAMPLES", 100)
    shape = (30_000, 64)
    X = np.lib.format.open_memmap(tmp_path / "table.npy", "w+", dtype, shape)
    rng = np.random.default_rng(0)
    for rows in row_blocks(*shape):
        X[rows] = rng.normal(size=X[rows].shape)
    options = {} if detector is Mahalanobis else {"threshold": "held-out"}
    options |= {"n_components": 64} if detector is NystroemSVM else {}
    tracemalloc.start()
    fitted(detector, X, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.9 * 4 * X.size


@READERS
def test_float16_gives_the_scores_of_its_values(detector, table):
    half = table.astype(np.float16)
    wide = fitted(detector, half.astype(np.float32))
    np.testing.assert_allclose(
        fitted(detector, half).score_samples(half),
        wide.score_samples(half.astype(np.float32)),
        rtol=1e-4,
        atol=1e-5,
    )


@READERS
def test_float16_that_is_not_finite_is_refused(detector, table):
    half = table.astype(np.float16)
    half[7, 3] = np.inf
    with pytest.raises(ValueError, match=r"infinity|NaN"):
        fitted(detector, half)


@EACH
def test_samples_are_read_in_another_order_and_all_of_them(detector, table):
    order = _mixed(len(table), np.random.RandomState(0))
    assert sorted(order) == list(range(len(table)))
    assert np.mean(np.abs(np.diff(order)) == 1) < 0.01


def test_very_many_samples_are_read_in_runs_of_neighbors():
    order = _mixed(10**5, np.random.RandomState(0))
    assert sorted(order) == list(range(10**5))
    assert 0.8 < np.mean(np.diff(order) == 1) < 0.9


@EACH
@pytest.mark.parametrize("n", [60, 3000])
def test_a_held_out_threshold_holds_for_new_samples(detector, n):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(40, 40))
    rates = []
    for seed in range(4):
        new = rng.normal(size=(500, 40)) @ mixing
        X = rng.normal(size=(n, 40)) @ mixing
        model = detector(contamination=0.2, threshold="held-out", random_state=seed)
        rates.append(np.mean(model.fit(X).predict(new) == -1))
    assert np.mean(rates) == pytest.approx(0.2, abs=0.03 if n == 3000 else 0.12)


@EACH
def test_one_sample_is_refused(detector):
    with pytest.raises(ValueError, match="at least 2 samples to estimate a covariance"):
        detector().fit([[1.0, 2.0]])


@EACH
@pytest.mark.parametrize("threshold", ["training", "held-out"])
def test_two_samples_are_enough(detector, threshold):
    model = detector(threshold=threshold).fit([[0.0, 0.0], [1.0, 1.0]])
    assert np.isfinite(model.score_samples([[0.0, 3.0]])).all()


@EACH
def test_the_unit_of_the_samples_does_not_matter(detector, table):
    one, other = fitted(detector, table), fitted(detector, 1000.0 * table)
    np.testing.assert_allclose(
        other.score_samples(1000.0 * table[:50]),
        one.score_samples(table[:50]),
        rtol=1e-3,
    )


def test_sorted_samples_are_learned_as_mixed_ones_are(table):
    by_first = table[np.argsort(table[:, 0])]
    scores = [
        fitted(NystroemSVM, X).score_samples(table[:200]) for X in (table, by_first)
    ]
    assert np.corrcoef(*scores)[0, 1] > 0.95


def test_batches_are_of_one_size(table):
    assert len(table) > 2 * BATCH  # so that the tests above see several
