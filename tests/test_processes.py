"""One system in many threads and processes: equal scores, and nobody waits for ever."""

import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from featad.detectors import AnoGAN, Autoencoder, VAERestoration
from featad.features import FilterBankFeatures, VGGFeatures
from featad.registry import build

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
TINY = {"max_epochs": 1, "width": 4, "latent_dim": 2, "random_state": 0}

FORK = """
import multiprocessing, os, sys, threading, time
import numpy as np, torch
import featad
from featad._locks import turn

torch.set_num_threads(2)
images = np.random.default_rng(0).random((12, 16, 16, 3)).astype(np.float32)
tiny = {"max_epochs": 1, "width": 4, "latent_dim": 2, "random_state": 0}
systems = [
    featad.build("mini-stats-kmeans", features__cache=sys.argv[1]),
    featad.Autoencoder(**tiny),
    featad.VAERestoration(tv_weight=0.2, n_steps=2, **tiny),
]
for system in systems:
    system.fit(images).predict(images)

def score():
    for system in systems:
        assert (system.predict(images[:8] / 2) != 0).all()

(folder,) = (path for path in os.scandir(sys.argv[1]) if path.is_dir())
held = threading.Event()

def hold():
    with turn(__import__("pathlib").Path(folder.path)):
        held.set()
        time.sleep(2)

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = multiprocessing.get_context("fork").Process(target=score, daemon=True)
child.start()
child.join(150)
sys.exit(1 if child.is_alive() else child.exitcode)
"""


@needs_fork
def test_a_forked_worker_scores_after_its_parent_has_scored(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", FORK, str(tmp_path)]
    done = subprocess.run(command, env=environment, timeout=200, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).random((16, 16, 16, 3)).astype(np.float32)


def _detectors():
    search = {"tv_weight": 0.2, "n_steps": 2}
    return [
        build("mini-stats-mahalanobis"),
        Autoencoder(**TINY),
        VAERestoration(**search, **TINY),
        AnoGAN(n_steps=2, **TINY),
    ]


@pytest.mark.parametrize("system", _detectors(), ids=lambda s: type(s).__name__)
def test_eight_threads_score_as_one_does(system, batch):
    system.fit(batch)
    serial = [system.score_samples(batch[i : i + 2]) for i in range(0, 16, 2)]
    n_threads = threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        starts = [*range(0, 16, 2)] * 2
        found = list(pool.map(lambda i: system.score_samples(batch[i : i + 2]), starts))
    for start, scores in zip(starts, found, strict=True):
        np.testing.assert_array_equal(scores, serial[start // 2])
    assert threading.active_count() <= n_threads
    for net in getattr(system, "networks_", {}).values():
        assert all(weight.grad is None for weight in net.parameters())
        assert not net.training


@pytest.mark.parametrize(
    "estimator",
    [
        VGGFeatures("vgg_mini", image_size=32),
        FilterBankFeatures(),
        Autoencoder(**TINY),
        AnoGAN(n_steps=1, **TINY),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_read_only_memory_map_is_as_good_as_an_array(estimator, batch, tmp_path):
    joblib.dump(batch, tmp_path / "batch")
    mapped = joblib.load(tmp_path / "batch", mmap_mode="r")
    assert not mapped.flags.writeable
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        results = [_use(clone(estimator), X) for X in (batch, mapped)]
    np.testing.assert_array_equal(*results)


def _use(estimator, X):
    estimator.fit(X)
    method = "transform" if hasattr(estimator, "transform") else "score_samples"
    return getattr(estimator, method)(X)


def test_without_a_temporary_folder_features_are_still_there(tmp_path):
    code = (
        "import tempfile; tempfile._candidate_tempdir_list = lambda: []\n"
        "import numpy, featad\n"
        "features = featad.VGGFeatures('vgg_mini', image_size=32)\n"
        "assert len(features.transform(numpy.zeros((1, 32, 32, 3)))) == 1"
    )
    environment = {k: v for k, v in os.environ.items() if k != "HOME"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, timeout=200, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
