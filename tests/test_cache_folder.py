"""What a folder of cached features holds, and how much it may hold."""

import os

import numpy as np
import pytest

from featad.errors import FeatadError
from featad.features.cache import FeatureCache
from featad.features.cache_folder import (
    CacheInfo,
    cache_info,
    clear_cache,
    read_dtype,
    read_limit,
    set_cache_dtype,
    set_cache_limit,
)

ROW = np.arange(250, dtype=np.float32)  # 1032 bytes in a file
KEYS = [f"{i:064x}" for i in range(10)]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def filled(folder, n, kind="a"):
    """Return a cache of n entries, the first of which are the oldest."""
    cache = FeatureCache(folder, kind * 64, len(ROW))
    for age, key in enumerate(KEYS[:n]):
        cache.put(key, ROW)
        stamp = 1_000_000_000 + age
        os.utime(cache.folder / key[:2] / key, (stamp, stamp))
    return cache


def present(cache):
    return [i for i, key in enumerate(KEYS) if cache.get(key) is not None]


def test_entries_and_their_bytes_are_counted(folder):
    filled(folder, 3)
    filled(folder, 2, "b")
    (folder / "notes.txt").write_text("mine")
    assert cache_info(folder) == CacheInfo(2, 5, 5 * 1032, None)


def test_clearing_removes_all_features_and_nothing_else(folder):
    cache = filled(folder, 3)
    (folder / "notes.txt").write_text("mine")
    set_cache_limit(folder, 10**6)
    assert clear_cache(folder).n_entries == 3
    assert cache_info(folder) == CacheInfo(0, 0, 0, 10**6)
    assert (folder / "notes.txt").read_text() == "mine"
    assert not cache.folder.exists()


def test_what_was_used_last_stays_when_the_limit_is_exceeded(folder):
    set_cache_limit(folder, 6 * 1032)
    filled(folder, 6)
    assert FeatureCache(folder, "a" * 64, len(ROW)).get(KEYS[0]) is not None  # is used
    later = FeatureCache(folder, "b" * 64, len(ROW))
    later.put(KEYS[9], ROW)
    assert present(later) == [9]
    assert present(FeatureCache(folder, "a" * 64, len(ROW))) == [0, 3, 4, 5]
    assert cache_info(folder).n_bytes <= 0.9 * 6 * 1032


def test_a_limit_that_is_set_later_counts_at_once(folder):
    cache = filled(folder, 10)
    set_cache_limit(folder, 5 * 1032)
    assert present(cache) == [6, 7, 8, 9]


def test_a_long_run_stays_near_the_limit(folder):
    set_cache_limit(folder, 100 * 1032)
    cache = FeatureCache(folder, "a" * 64, len(ROW))
    for i in range(300):
        cache.put(f"{i:064x}", ROW)
        if i % 50 == 0:
            assert cache_info(folder).n_bytes <= 1.06 * 100 * 1032
    assert cache_info(folder).n_entries > 80


def test_without_a_limit_nothing_is_removed(folder):
    set_cache_limit(folder, 5 * 1032)
    set_cache_limit(folder, None)
    assert read_limit(folder) is None
    assert present(filled(folder, 10)) == list(range(10))


def test_a_limit_that_is_no_number_is_named(folder):
    filled(folder, 1)
    (folder / "limit").write_text("plenty")
    with pytest.raises(FeatadError, match=r"limit should hold a number of bytes"):
        FeatureCache(folder, "a" * 64, len(ROW))


@pytest.mark.parametrize("function", [cache_info, clear_cache])
def test_what_is_not_a_folder_is_refused(folder, function):
    with pytest.raises(FeatadError, match="is not a folder of cached features"):
        function(folder)


def test_a_folder_keeps_float32_until_it_is_told_otherwise(folder):
    assert read_dtype(folder) == "float32"
    set_cache_dtype(folder, "float16")
    assert cache_info(folder) == CacheInfo(0, 0, 0, None, "float16")
    set_cache_dtype(folder, "float32")
    assert read_dtype(folder) == "float32"


def test_another_type_is_refused(folder):
    with pytest.raises(ValueError, match="should be one of .*float16.*, got 'int8'"):
        set_cache_dtype(folder, "int8")


def test_a_type_that_is_damaged_is_named(folder):
    filled(folder, 1)
    (folder / "dtype").write_text("half")
    with pytest.raises(FeatadError, match=r"dtype should hold float32 or float16"):
        FeatureCache(folder, "a" * 64, len(ROW))


def halved(folder, shape):
    set_cache_dtype(folder, "float16")
    return FeatureCache(folder, "a" * 64, shape)


def test_float16_takes_half_the_space(folder):
    halved(folder, len(ROW)).put(KEYS[0], ROW)
    assert cache_info(folder).n_bytes == 32 + 2 + 2 * len(ROW)


@pytest.mark.parametrize("unit", [1e-30, 1e-6, 1.0, 1e6, 1e30])
def test_float16_keeps_three_digits_whatever_the_unit_and_never_overflows(folder, unit):
    rng = np.random.default_rng(0)
    row = rng.choice([-1, 1], 250) * 10 ** rng.uniform(-8, 0, 250) * unit
    row = row.astype(np.float32)
    cache = halved(folder, len(row))
    put = cache.put(KEYS[0], row)
    np.testing.assert_allclose(put, row, rtol=1 / 2048)
    np.testing.assert_array_equal(cache.get(KEYS[0]), put)
    assert put.dtype == np.float32


def test_float16_keeps_maps_zeros_and_what_is_not_finite(folder):
    cache = halved(folder, (2, 3))
    for maps in (np.zeros((2, 3)), np.array([[0, 1, np.inf], [-np.inf, np.nan, 1e9]])):
        maps = maps.astype(np.float32)
        np.testing.assert_allclose(cache.put(KEYS[0], maps), maps, rtol=1 / 2048)


def test_entries_of_both_types_never_meet(folder):
    whole = FeatureCache(folder, "a" * 64, len(ROW))
    whole.put(KEYS[0], ROW)
    half = halved(folder, len(ROW))
    assert half.get(KEYS[0]) is None
    half.put(KEYS[0], 2 * ROW)
    np.testing.assert_array_equal(whole.get(KEYS[0]), ROW)
    assert cache_info(folder).n_kinds == 2
    name = KEYS[0][:2], KEYS[0]
    whole.folder.joinpath(*name).replace(half.folder.joinpath(*name))
    assert half.get(KEYS[0]) is None


def test_features_that_are_float16_stay_as_they_are(folder):
    set_cache_dtype(folder, "float16")
    cache = FeatureCache(folder, "a" * 64, 3, np.float16)
    row = np.array([1, 2, 60_000], np.float16)
    np.testing.assert_array_equal(cache.put(KEYS[0], row), row)
    assert cache_info(folder).n_bytes == 32 + 6
