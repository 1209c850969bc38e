"""What goes wrong on a Dask cluster ends in a sentence, or is done again."""

import functools
import os
import pickle
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from featad import cluster_work, clusters
from featad.base import BaseDetector
from featad.calibration import calibrate
from featad.errors import ClusterError, MissingExtraError, ModelFileError
from featad.persistence import load, save
from featad.registry import build
from featad.scoring import score_to_file
from tests._clusters import local_cluster

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def system(images):
    return calibrate(build("pixels-kmeans"), target_fpr=0.1).fit(images)


def test_without_dask_the_extra_is_named(system, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'featad\[dask\]'"):
        score_to_file(system, [], tmp_path / "s.csv", client=object())


def test_what_is_not_a_client_is_refused(system, tmp_path):
    with pytest.raises(TypeError, match="client must be a dask.distributed.Client"):
        score_to_file(system, [], tmp_path / "s.csv", client="tcp://10.0.0.1:8786")


def test_load_needs_a_client(system, tmp_path):
    with pytest.raises(ValueError, match="load needs client"):
        score_to_file(system, [], tmp_path / "s.csv", load=lambda: system)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tcp://x:y"])
def test_no_scheduler_at_an_address_is_told(address, monkeypatch):
    monkeypatch.setattr(clusters, "ANSWER", 0.2)
    with (
        pytest.raises(ClusterError, match="No Dask scheduler answers at"),
        clusters.connected(address),
    ):
        pass


def test_a_cluster_without_workers_is_told(system, monkeypatch, tmp_path):
    monkeypatch.setattr(clusters, "ANSWER", 0.2)
    with (
        local_cluster(0) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(ClusterError, match="no workers for 0 s. Start some with"),
    ):
        score_to_file(system, [], tmp_path / "s.csv", client=client)


def test_losing_all_workers_ends_in_a_sentence(system, paths, monkeypatch, tmp_path):
    monkeypatch.setattr(clusters, "PATIENCE", 0.1)
    monkeypatch.setattr(clusters, "_LOOK", 0.1)
    with (
        local_cluster(1) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(ClusterError, match="has had no workers for"),
    ):
        score_to_file(
            system,
            paths * 20,
            tmp_path / "s.csv",
            batch_size=1,
            client=client,
            progress=lambda n_images: cluster.scale(0),
        )


def test_a_scheduler_that_goes_away_ends_in_a_sentence(system, paths, tmp_path):
    cluster = local_cluster(1)
    client = distributed.Client(cluster)
    with pytest.raises(ClusterError, match="connection to the Dask scheduler .* lost"):
        score_to_file(
            system,
            paths * 20,
            tmp_path / "s.csv",
            batch_size=1,
            client=client,
            progress=lambda n_images: client.close(),
        )
    cluster.close()


def test_a_worker_with_another_version_is_named():
    expected = cluster_work.versions() | {"torch": "1.0"}
    with pytest.raises(ClusterError, match=r"tcp://a has torch .* has 1\.0"):
        cluster_work._check_versions("tcp://a", expected)


@pytest.mark.parametrize("found", [None, ModuleNotFoundError("featad")])
def test_a_worker_without_featad_is_named(found, system, client, monkeypatch):
    monkeypatch.setattr(client, "run", lambda *_, **__: {"tcp://a:1": found})
    with pytest.raises(ClusterError, match="worker at tcp://a:1 does not have featad"):
        clusters.Workers(client, system)


def test_images_that_workers_do_not_see_are_named(
    system, client, paths, monkeypatch, tmp_path
):
    monkeypatch.setattr(clusters, "_sent", lambda path: f"/elsewhere{path}")
    with pytest.raises(ClusterError, match=r"does not see the file '.*0\.png'"):
        score_to_file(system, paths, tmp_path / "s.csv", client=client)


def test_what_a_worker_cannot_load_is_told(system, client, paths, tmp_path):
    def load():
        raise ModelFileError("There is no model file '/m.joblib'.")

    with pytest.raises(ClusterError, match="cannot load the model: There is no model"):
        score_to_file(system, paths, tmp_path / "s.csv", client=client, load=load)


def test_another_system_on_a_worker_is_refused_until_it_has_the_right_one(
    system, client, images, paths, tmp_path
):
    file, output = tmp_path / "m.joblib", tmp_path / "s.csv"
    options = {"client": client, "load": functools.partial(load, file)}
    save(build("pixels-knn").fit(images), file)
    with pytest.raises(ClusterError, match="load returned another system"):
        score_to_file(system, paths, output, **options)
    save(system, file)
    assert score_to_file(system, paths, output, **options).scored == 5


def test_a_package_that_workers_lack_is_named(system, client, paths, tmp_path):
    def load():
        import package_of_this_machine  # noqa: F401

    with pytest.raises(ClusterError, match="cannot import 'package_of_this_machine'"):
        score_to_file(system, paths, tmp_path / "s.csv", client=client, load=load)


class Unpicklable(ValueError):
    """An error that does not survive being sent."""

    def __init__(self, a, b):
        super().__init__(a)


def test_an_error_that_cannot_be_sent_is_told_in_words():
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(Unpicklable("full", 1)))
    assert str(cluster_work._portable(Unpicklable("full", 1))) == "Unpicklable: full"


def _two_processes():
    return distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    )


class _Slow(BaseDetector):
    """Takes a moment for each batch; may take its process with it."""

    def __init__(self, contamination=0.1, deadly=False):
        self.contamination = contamination
        self.deadly = deadly

    def _fit(self, X):
        self.mean_ = X.mean(axis=0)

    def _strangeness(self, X):
        threading.Event().wait(0.02)
        if self.deadly and X.max() == 1:
            os._exit(1)
        return np.abs(X - self.mean_).reshape(len(X), -1).sum(axis=1)


def _slow_system(images, **options):
    steps = [("read", build("pixels-knn")[0]), ("detector", _Slow(**options))]
    system = build("pixels-knn").set_params(steps=steps)
    return system.fit(images[:12])


@pytest.mark.slow
def test_the_part_of_a_killed_worker_is_done_again(images, paths, tmp_path):
    sources = paths * 100
    system = _slow_system(images)
    score_to_file(system, sources, tmp_path / "whole.csv", batch_size=4)
    pids = []

    def kill(n_images):
        if not pids:
            pids.append(client.run(os.getpid))
            os.kill(next(iter(pids[0].values())), 9)

    with _two_processes() as cluster, distributed.Client(cluster) as client:
        score_to_file(
            system,
            sources,
            tmp_path / "s.csv",
            batch_size=4,
            client=client,
            progress=kill,
        )
    assert len(pids[0]) == 2
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.slow
def test_images_that_kill_workers_are_named(images, paths, tmp_path):
    import dask

    Image.new("RGB", (8, 8), "white").save(paths[5])
    system = _slow_system(images)
    deadly = functools.partial(system.set_params, detector__deadly=True)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        _two_processes() as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(ClusterError, match=r"(?i)workers died .*0\.png to .*5\.png"),
    ):
        score_to_file(
            system,
            paths,
            tmp_path / "s.csv",
            client=client,
            load=deadly,
        )
