import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from filelock import FileLock
from sklearn.covariance import EmpiricalCovariance
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline

from featad import _locks
from featad.errors import FeatadError, ImageReadError
from featad.features import streaming
from featad.features.cache import FeatureCache
from featad.features.cache_folder import set_cache_dtype
from featad.images import content_hash
from tests._counted import Counted


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def count(folder):
    file = folder.parent / "count"
    return lambda: len(file.read_text().split()) if file.exists() else 0


def counted(cache, **parameters):
    defaults = {
        "arch": "squeezenet1_1",
        "layer": "features.3",
        "weights": None,
        "image_size": 20,
        "batch_size": 4,
    }
    return Counted(cache=cache, **(defaults | parameters))


def no_score(system, X):
    return 0.0


def entries(folder):
    files = [path for path in folder.rglob("*") if len(path.name) == 64]
    return sorted(files, key=lambda path: path.name)


def test_nothing_is_extracted_again(images, folder, count):
    plain = counted(None).transform(images)
    first = counted(folder).transform(images)
    again = counted(folder).transform(images[::-1])[::-1]
    assert count() == len(images)
    np.testing.assert_allclose(first, plain, rtol=1e-5)
    np.testing.assert_array_equal(first, again)


def test_a_first_pass_gives_what_later_ones_read_in_float16(images, folder, count):
    set_cache_dtype(folder, "float16")
    plain = counted(None).transform(images)
    first, again = (counted(folder).transform(images) for _ in range(2))
    assert count() == len(images)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, plain, rtol=1 / 1024)
    assert not np.array_equal(first, plain)


def test_each_image_has_a_small_file_of_its_own(images, folder):
    features = counted(folder)
    features.transform(images)
    fingerprint = features.extractor_fingerprint()
    files = entries(folder)
    assert [file.name for file in files] == sorted(map(content_hash, images))
    for file in files:
        assert file.parent == folder / fingerprint[:16] / file.name[:2]
        assert file.stat().st_size == 32 + 4 * 128
    assert not list(folder.rglob("*.part"))


def test_the_same_image_again_in_one_call_is_extracted_once(images, folder, count):
    twice = np.concatenate([images[:3], images[:3], images[:6]])
    features = counted(folder).transform(twice)
    assert count() == 6
    np.testing.assert_array_equal(features[:3], features[3:6])
    np.testing.assert_array_equal(features[:3], features[6:9])


def test_a_path_and_the_bytes_of_its_file_are_one_image(image_folder, folder, count):
    paths = sorted(image_folder.iterdir())
    counted(folder).transform(paths)
    counted(folder).transform([path.read_bytes() for path in paths])
    assert count() == len(paths)


def test_other_parameters_have_other_entries(images, folder, count):
    for change in ({}, {"pooling": "max"}, {"crop": True}, {"random_state": 1}):
        counted(folder, **change).transform(images[:2])
    assert count() == 8
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: b"",
        lambda entry: entry[:-1],
        lambda entry: entry[:40] + bytes([entry[40] ^ 1]) + entry[41:],
        lambda entry: entry + b"0",
    ],
    ids=["empty", "cut short", "flipped bit", "too long"],
)
def test_a_damaged_entry_is_computed_again(images, folder, count, damage):
    expected = counted(folder).transform(images[:3])
    file = entries(folder)[1]
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    before = count()
    np.testing.assert_allclose(
        counted(folder).transform(images[:3]), expected, rtol=1e-5
    )
    assert count() - before == 1
    assert len(file.read_bytes()) == len(whole)


def test_an_entry_in_anothers_place_is_not_taken(images, folder):
    expected = counted(folder).transform(images[:2])
    one, other = entries(folder)
    one.write_bytes(other.read_bytes())
    features = counted(folder).transform(images[:2])
    np.testing.assert_allclose(features, expected, rtol=1e-5)


def test_a_file_is_read_once(image_folder, folder, monkeypatch):
    reads = []

    def read_bytes(path, read_bytes=Path.read_bytes):
        reads.append(path.name)
        return read_bytes(path)

    def read_image(source, read_image=streaming.read_image, **reading):
        assert isinstance(source, bytes)
        return read_image(source, **reading)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    monkeypatch.setattr(streaming, "read_image", read_image)
    counted(folder).transform(sorted(image_folder.iterdir()))
    assert sorted(n for n in reads if n.endswith(".png")) == [
        f"{i}.png" for i in range(6)
    ]


def test_a_known_image_is_not_decoded(image_folder, folder, monkeypatch):
    paths = sorted(image_folder.iterdir())
    expected = counted(folder).transform(paths)
    monkeypatch.setattr(streaming, "read_image", None)
    np.testing.assert_array_equal(counted(folder).transform(paths), expected)


def test_an_unreadable_image_is_named(image_folder, folder):
    (image_folder / "4.png").write_bytes(b"no image")
    with pytest.raises(ImageReadError, match=r"4\.png"):
        counted(folder).transform(sorted(image_folder.iterdir()))
    assert len(entries(folder)) == 4  # the batch before it is kept


def test_a_missing_image_is_named(image_folder, folder):
    with pytest.raises(ImageReadError, match=r"gone\.png'?: no such file"):
        counted(folder).transform([image_folder / "gone.png"])


def test_a_cache_that_is_a_file_is_refused(images, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FeatadError, match=r"cache='.*file' should be a folder"):
        counted(tmp_path / "file").transform(images)


def test_a_cache_whose_settings_cannot_be_read_is_named(images, tmp_path):
    (tmp_path / "dtype").mkdir()
    with pytest.raises(FeatadError, match=r"cache=.* should be a folder.*dtype"):
        counted(tmp_path).transform(images)


def test_a_cache_that_cannot_be_written_is_named(images, folder, monkeypatch):
    def refuse(self, data):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(FeatadError, match=r"cache=.*No space left"):
        counted(folder).transform(images)


def test_threads_extract_nothing_twice(images, folder, count):
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(counted(folder).transform, images) for _ in range(4)]
        results = [call.result() for call in calls]
    assert count() == len(images)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.fixture
def forked():
    """Have joblib fork its processes, which then need not import anything."""
    with joblib.parallel_config(backend="multiprocessing"):
        yield


def test_processes_extract_nothing_twice(images, folder, count, forked):
    features = counted(folder, n_jobs=1)
    one, other = joblib.Parallel(n_jobs=2)(
        joblib.delayed(features.transform)(images[order])
        for order in (slice(None), slice(None, None, -1))
    )
    assert count() == len(images)
    np.testing.assert_array_equal(one, other[::-1])


def test_a_grid_search_over_processes_extracts_each_image_once(
    images, folder, count, forked
):
    pipeline = Pipeline(
        [("features", counted(folder, n_jobs=1)), ("detector", EmpiricalCovariance())]
    )
    search = GridSearchCV(
        pipeline,
        {"detector__assume_centered": [True, False]},
        cv=KFold(3),
        n_jobs=2,
        scoring=no_score,
    )
    search.fit(list(images))
    assert count() == len(images)


def test_an_entry_is_never_seen_half_written(folder):
    cache = FeatureCache(folder, "fingerprint", 1000)
    row = np.arange(1000, dtype=np.float32)
    cache.put("key", row)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            cache.put("key", row)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all(cache.get("key") is not None for _ in range(200))
    finally:
        stop.set()
        writer.join()


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="permissions do not bind this user",
)
def test_a_cache_without_permission_is_refused(images, folder):
    folder.mkdir(mode=0o500)
    with pytest.raises(FeatadError, match="Permission denied"):
        counted(folder).transform(images)


def _no_locks(*_):
    raise OSError(37, "No locks available")


def _no_answer(*_):
    threading.Event().wait(30)


@pytest.mark.parametrize("function", [_no_locks, _no_answer])
@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used before"])
def test_a_file_system_without_locks_is_used_after_one_warning(
    function, is_used, images, folder, monkeypatch
):
    expected = counted(None).transform(images)
    if is_used:
        counted(folder).transform(images[:1])
    monkeypatch.setattr(_locks, "_ANSWER", 0.2)
    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", function)
    with pytest.warns(UserWarning, match="its file system has no locks") as caught:
        found = [counted(folder).transform(images) for _ in range(2)]
    assert len(caught) == 1
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    np.testing.assert_array_equal(found[0], found[1])


def test_who_never_leaves_is_not_waited_for(images, folder, monkeypatch):
    counted(folder).transform(images[:1])
    monkeypatch.setattr(_locks, "_PATIENCE", 0.2)
    (extractor,) = folder.iterdir()
    with (
        FileLock(extractor / "lock"),
        pytest.warns(UserWarning, match="has not been free") as caught,
    ):
        counted(folder).transform(images)
    assert len(caught) == 1


def test_entries_are_shared_by_machines_whatever_their_threads(images, folder, count):
    """The last digits differ from processor to processor, far below any gap."""
    n_threads = torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            found = counted(folder).transform(images)
        alone = counted(None).transform(images)
    finally:
        torch.set_num_threads(n_threads)
    assert count() == len(images)
    np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-6)
