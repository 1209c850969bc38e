"""The coreset is that of the plain greedy algorithm, chosen in few passes."""

import tracemalloc

import numpy as np
import pytest

from featad import coreset
from featad._progress import fraction, listening
from featad.coreset import coreset_bytes, greedy_coreset

X = np.random.default_rng(0).normal(size=(600, 5))


def seed(n=0):
    return np.random.RandomState(n)


def plain_greedy(X, n_selected, first):
    selected, distances = [first], np.linalg.norm(X - X[first], axis=1)
    for _ in range(n_selected - 1):
        selected.append(int(distances.argmax()))
        to_new = np.linalg.norm(X - X[selected[-1]], axis=1)
        distances = np.minimum(distances, to_new)
    return selected


@pytest.mark.parametrize("n_candidates", [1, 7, 50, 600, 4096])
def test_it_is_the_choice_of_the_plain_algorithm(monkeypatch, n_candidates):
    monkeypatch.setattr(coreset, "N_CANDIDATES", n_candidates)
    found = greedy_coreset(X, 90, random_state=seed())
    assert found.tolist() == plain_greedy(X, 90, found[0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_smaller_floats_are_chosen_from_as_well(dtype):
    small = X.astype(dtype)
    found = greedy_coreset(small, 60, random_state=seed())
    assert found.tolist() == plain_greedy(small.astype(np.float64), 60, found[0])


def test_batches_of_products_change_nothing(monkeypatch):
    expected = greedy_coreset(X, 50, random_state=seed())
    monkeypatch.setattr(coreset, "_BATCH_VALUES", 64)
    assert (greedy_coreset(X, 50, random_state=seed()) == expected).all()


def test_most_samples_are_passed_over_few_times(monkeypatch):
    passes = []
    update = coreset._update
    monkeypatch.setattr(
        coreset, "_update", lambda *args: (passes.append(args), update(*args))
    )
    many = np.random.default_rng(0).normal(size=(20_000, 16)).astype(np.float32)
    greedy_coreset(many, 400, random_state=seed())
    assert len(passes) < 20


def test_the_first_ones_are_a_smaller_coreset():
    large = greedy_coreset(X, 80, random_state=seed())
    assert (greedy_coreset(X, 20, random_state=seed()) == large[:20]).all()


def test_copies_are_chosen_once():
    copies = np.repeat(X[:10], 30, axis=0)
    found = greedy_coreset(copies, 50, random_state=seed())
    assert sorted(found // 30) == list(range(10))


@pytest.mark.parametrize("value", [0.0, 3.7])
def test_of_equal_samples_one_is_chosen(value):
    found = greedy_coreset(np.full((40, 3), value), 5, random_state=seed())
    assert len(found) == 1


def test_all_samples_can_be_chosen():
    assert sorted(greedy_coreset(X[:30], 99, random_state=seed())) == list(range(30))


def test_projection_keeps_the_coreset_close_to_all_samples():
    wide = np.random.default_rng(0).normal(size=(400, 4)) @ X.reshape(4, -1)[:, :300]

    def radius(**options):
        found = wide[greedy_coreset(wide, 40, random_state=seed(), **options)]
        return np.linalg.norm(wide[:, None] - found, axis=2).min(axis=1).max()

    assert radius(n_projections=32) < 1.3 * radius()


def test_the_same_seed_chooses_the_same():
    once, again = (
        greedy_coreset(X, 20, n_projections=3, random_state=seed(5)) for _ in range(2)
    )
    assert (once == again).all()


@pytest.mark.parametrize("n_projections", [None, 8])
def test_memory_is_at_most_what_is_announced(n_projections):
    many = np.random.default_rng(0).normal(size=(60_000, 32)).astype(np.float16)
    tracemalloc.start()
    greedy_coreset(many, 200, n_projections=n_projections, random_state=seed())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    announced = coreset_bytes(many.shape, many.dtype, 200, n_projections)
    assert 0.3 < peak / announced <= 1


def test_progress_is_told(monkeypatch):
    monkeypatch.setattr(coreset, "N_CANDIDATES", 20)
    seen = []
    with listening(lambda levels: seen.append(fraction(levels))):
        greedy_coreset(X, 300, random_state=seed())
    assert seen == sorted(seen)
    assert len(seen) > 2
