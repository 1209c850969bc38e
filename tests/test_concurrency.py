"""Threads, processes, memory maps, and machines without locks, home or room."""

import errno
import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone

import featad
from featad import _locks, bundles
from featad.errors import ModelFileError
from featad.features.cache import FeatureCache

TINY = {"max_epochs": 1, "width": 4, "latent_dim": 2, "random_state": 0}
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.fixture(scope="module")
def system(images):
    return featad.calibrate(featad.build("pixels-kmeans"), target_fpr=0.1).fit(images)


def test_eight_threads_write_the_files_that_one_does(system, image_folder, tmp_path):
    (image_folder / "2.png").write_bytes(b"not an image")
    paths = sorted(image_folder.iterdir())

    def score(name):
        featad.score_to_file(system, paths, tmp_path / name, batch_size=4)
        return (tmp_path / name).read_bytes()

    serial = score("serial.csv")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(score, [f"{i}.csv" for i in range(8)]))
    assert found == [serial] * 8


def _enter_twice(folder):
    table = folder / "scores.csv"
    with _locks.turn(folder), _locks.turn(folder):  # nobody is waited for
        pass
    with _locks.alone(table) as one, _locks.alone(table) as other:
        assert one
        assert other


@pytest.mark.parametrize(
    "refusal", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EIO]
)
def test_a_file_system_that_refuses_locks_has_none(refusal, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(refusal, os.strerror(refusal))

    fcntl = pytest.importorskip("fcntl")
    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, refuse)
    with pytest.warns(UserWarning, match="its file system has no locks") as caught:
        _enter_twice(tmp_path)
    assert len(caught) == 1
    assert not list(tmp_path.glob(".featad-*"))


@needs_fork
def test_processes_share_a_cache_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(_locks, "has_locks", lambda folder: False)
    rows = np.random.default_rng(0).random((20, 50)).astype(np.float32)

    def fill(order):
        cache = FeatureCache(tmp_path, "f" * 64, 50)
        for i in order:
            found = cache.get(f"{i:064}")
            if found is None:
                with cache.locked():
                    cache.put(f"{i:064}", rows[i])
            elif not np.array_equal(found, rows[i]):
                os._exit(1)

    fork = multiprocessing.get_context("fork")
    orders = [range(20), range(19, -1, -1)] * 2
    children = [fork.Process(target=fill, args=(order,)) for order in orders]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    cache = FeatureCache(tmp_path, "f" * 64, 50)
    for i in range(20):
        np.testing.assert_array_equal(cache.get(f"{i:064}"), rows[i])


def test_weights_of_a_bundle_without_a_folder_name_the_variables(monkeypatch):
    def full(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(bundles, "_unpack", full)
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    digest = "0" * 64
    with pytest.raises(ModelFileError, match="TORCH_HOME or TMPDIR"):
        bundles._unpacked(None, f"weights/{digest}.safetensors", digest)


def _systems():
    return [
        featad.build("mini-stats-mahalanobis", image_size=32),
        featad.FilterBankFeatures(),
        featad.Autoencoder(**TINY),
        featad.AnoGAN(n_steps=1, **TINY),
    ]


def _used(estimator, X):
    """Fit and apply an estimator; a warning of an array that is read-only is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        estimator.fit(X)
    method = "transform" if hasattr(estimator, "transform") else "score_samples"
    is_mapped = isinstance(X, np.memmap) and not X.flags.writeable
    return is_mapped, getattr(estimator, method)(X)


@pytest.mark.slow
def test_workers_of_loky_take_read_only_memory_maps():
    images = np.random.default_rng(0).random((16, 32, 32, 3)).astype(np.float32)
    here = [_used(clone(system), images)[1] for system in _systems()]
    found = joblib.Parallel(n_jobs=2, max_nbytes="1K")(
        joblib.delayed(_used)(system, images) for system in _systems()
    )
    for (is_mapped, there), expected in zip(found, here, strict=True):
        assert is_mapped
        np.testing.assert_array_equal(there, expected)


@pytest.mark.slow
def test_a_spawned_process_scores_as_its_parent_does(images):
    system = featad.build("mini-stats-mahalanobis", image_size=32).fit(images)
    here = system.score_samples(images)  # the parent has used its threads
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(system.score_samples, (images,))
    np.testing.assert_array_equal(there, here)


BARE = """
import ctypes, os, subprocess, sys, tempfile
import featad
from featad.cli import main

assert ctypes.CDLL(None, use_errno=True).unshare(0x00020000) == 0  # own mounts
for command in (
    "mount --make-rprivate /",
    "mount -t tmpfs -o size=64m tmpfs /dev/shm",
    "mount -o remount,bind,ro /",
):
    subprocess.run(command, shell=True, check=True)
tempfile.tempdir = None
os.chdir("/")
folder = sys.argv[1]
for name in ("pixels", "mini"):
    model, images = f"{folder}/{name}.joblib", f"{folder}/parts/test"
    assert main(["score", model, images, "-o", "/dev/shm/scores.csv"]) == 0
    found = open("/dev/shm/scores.csv").read()
    assert found == open(f"{folder}/{name}.csv").read()
assert main(["score", model, images, "-o", f"{folder}/new.csv"]) == 1
assert main(["score", model, images, "--cache", f"{folder}/cache"]) == 1
data = ["--data", f"{folder}/parts"]
fit = ["fit", *data, "--system", "pixels-kmeans", "-o", "/dev/shm/m.joblib"]
assert main([*fit, "--target-fpr", "0.2"]) == 0
assert main(["compare", *data, "--systems", "pixels-kmeans,pixels-pca"]) == 0
"""


def _can_unshare():
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    done = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"],
        capture_output=True,
    )
    return done.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm here")
def test_a_read_only_machine_without_a_home_scores(tmp_path):
    if not _can_unshare():
        pytest.skip("only root makes mounts of its own")
    parts = featad.make_spots_and_lines(12, 8, size=32)
    featad.save_folder(parts, tmp_path / "parts")
    images = featad.list_images(tmp_path / "parts" / "test")
    for name, of in (("pixels", "pixels-kmeans"), ("mini", "mini-stats-kmeans")):
        system = featad.build(of).fit(parts.part("train").images)
        featad.save(system, tmp_path / f"{name}.joblib")
        featad.score_to_file(system, images, tmp_path / f"{name}.csv")
    environment = {
        k: v for k, v in os.environ.items() if k not in ("HOME", "TMPDIR", "TORCH_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"Read-only file system: {tmp_path}" in done.stderr
    assert f"--cache {tmp_path}/cache should be a folder" in done.stderr
    assert not (tmp_path / "new.csv").exists()
