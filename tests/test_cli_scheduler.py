"""``featad score --scheduler`` scores on a Dask cluster as it does without one."""

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest

from featad import cluster_work, clusters, seals
from featad.cli import _parser, main, scheduler
from featad.cli.scheduler import ModelOfWorkers
from featad.score_files import read_rows
from tests._clusters import local_cluster

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def address():
    """Return the address of a cluster of threads of this process."""
    with local_cluster() as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def command(part_model, part_folder, tmp_path):
    images, output = str(part_folder / "test"), str(tmp_path / "there.csv")
    return ["score", str(part_model), images, "-o", output, "--batch-size", "4"]


def _here(part_model, part_folder, tmp_path, *options):
    file = tmp_path / "here.csv"
    command = ["score", str(part_model), str(part_folder / "test"), "-o", str(file)]
    assert main([*command, "--batch-size", "4", *options]) == 0
    return file.read_bytes()


@pytest.mark.parametrize("options", [[], ["--resume"], ["--target-fpr", "0.3"]])
def test_the_table_is_that_of_a_run_without_a_scheduler(
    options, address, command, part_model, part_folder, tmp_path, capsys
):
    assert main([*command, "--scheduler", address, *options]) == 0
    assert "scored 16 images" in capsys.readouterr().err
    there = (tmp_path / "there.csv").read_bytes()
    assert there == _here(part_model, part_folder, tmp_path, *options)


def test_relative_names_are_found_by_the_workers(
    address, part_model, part_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(part_folder)
    model = os.path.relpath(part_model)
    assert main(["score", model, "test", "--scheduler", address]) == 0
    there = capsys.readouterr().out
    assert main(["score", model, "test"]) == 0
    assert capsys.readouterr().out == there


def test_an_interrupt_says_how_far_it_came(address, command, tmp_path, capsys):
    command += ["--resume", "--scheduler", address]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters.Workers, "_first", _interrupted(clusters.Workers._first))
        assert main(command) == 130
    told = capsys.readouterr().err.strip()
    assert told.endswith("are scored; the same command goes on from there")
    assert main(command) == 0
    assert "images by an earlier run" in capsys.readouterr().err
    assert len(read_rows(tmp_path / "there.csv")) == 16


def _interrupted(first):
    def one(self, waiting, notes):
        if one.is_done:
            raise KeyboardInterrupt
        one.is_done = True
        yield from first(self, waiting, notes)

    one.is_done = False
    return one


def test_a_scheduler_that_is_not_there_is_a_failed_job(command, monkeypatch, capsys):
    monkeypatch.setattr(clusters, "ANSWER", 0.2)
    assert main([*command, "--scheduler", "tcp://127.0.0.1:9"]) == 1
    assert "No Dask scheduler answers at 'tcp://127.0.0.1:9'" in capsys.readouterr().err


def test_without_dask_the_command_names_the_extra(command, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main([*command, "--scheduler", "tcp://127.0.0.1:9"]) == 1
    assert "pip install 'featad[dask]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["m", "x.png", "--maps", "d"], ["m", "--retry", "s.csv"]]
)
def test_options_that_do_not_go_with_a_scheduler_are_refused(arguments, capsys):
    assert main(["score", *arguments, "--scheduler", "tcp://a:1"]) == 2
    told = capsys.readouterr().err
    assert "--scheduler: not allowed with --retry or --maps" in told


def test_workers_trust_what_this_command_may_trust(
    address, command, monkeypatch, capsys
):
    load = ModelOfWorkers.__call__

    def as_another_user(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(seals, "_key", lambda create=False: None)
            return load(self)

    cluster_work._load.cache_clear()
    monkeypatch.setattr(ModelOfWorkers, "__call__", as_another_user)
    command += ["--scheduler", address]
    assert main(command) == 1
    told = capsys.readouterr().err
    assert "cannot load the model" in told
    assert "not written by this user on this machine" in told
    assert main([*command, "--trust"]) == 0


def test_another_file_of_that_name_on_a_worker_is_refused(
    address, command, monkeypatch, capsys
):
    init = ModelOfWorkers.__init__
    monkeypatch.setattr(
        ModelOfWorkers, "__init__", lambda self, args, sha256: init(self, args, "0")
    )
    assert main([*command, "--scheduler", address]) == 1
    assert "model.joblib' is another one there" in capsys.readouterr().err


def test_device_and_cache_are_those_of_the_workers(part_model, monkeypatch):
    monkeypatch.chdir(part_model.parent)
    monkeypatch.setattr(clusters, "connected", nullcontext)
    command = ["score", part_model.name, "x.png", "--scheduler", "tcp://a:1"]
    args = _parser().parse_args([*command, "--device", "cuda:7", "--cache", "c"])
    here = scheduler.here(args)
    assert (here.device, here.cache) == (None, None)
    with scheduler.connection(args) as options:
        there = options["load"].args
    assert (there.device, there.cache) == ("cuda:7", str(part_model.parent / "c"))
    assert there.model == str(part_model)


@pytest.mark.slow
def test_a_signal_ends_a_run_in_order(command, tmp_path):
    with local_cluster(1, protocol="tcp://") as cluster:
        command = [*command[:2], *command[2:3] * 100, *command[3:], "--resume"]
        command += ["--scheduler", cluster.scheduler_address]
        run = subprocess.Popen(
            [sys.executable, "-m", "featad", *command], stderr=subprocess.PIPE
        )
        journal = tmp_path / "there.csv.unfinished"
        while not journal.exists() or journal.stat().st_size == 0:
            assert run.poll() is None, run.stderr.read().decode()
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        told = run.communicate(timeout=60)[1].decode()
    assert run.returncode == 130, told
    assert told.strip().endswith("the same command goes on from there")
