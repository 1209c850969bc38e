"""Kill runs at random moments: what they leave is whole, and scoring resumes."""

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from featad import (
    build,
    calibrate,
    load,
    make_spots_and_lines,
    save_folder,
    score_to_file,
)
from featad.cli import main
from featad.features.cache import FeatureCache


def kill_runs(
    run: Callable[[], object],
    n_kills: int,
    rng: random.Random,
    check: Callable[[], object] = lambda: None,
) -> int:
    """Fork ``run`` and kill it (-9) at random moments; return how many runs ended.

    Parameters
    ----------
    run : callable
        Is called in a child of this process.

    n_kills : int
        How many children to kill. The last child is left to its end.

    rng : random.Random
        Chooses the moments: up to the time that a whole run takes.

    check : callable
        Is called after each run, and raises where it has left something damaged.
    """
    start = time.perf_counter()
    _wait(_fork(run))
    seconds = time.perf_counter() - start
    n_killed = n_ended = 0
    while n_killed < n_kills:
        child = _fork(run)
        time.sleep(rng.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        code = _wait(child)
        n_killed += code == -signal.SIGKILL
        n_ended += code == 0
        check()
    return n_ended + (_wait(_fork(run)) == 0)


def kill_once(run: Callable[[], object], seconds: float, rng: random.Random) -> None:
    """Kill one run within some seconds, and let another one come to its end."""
    child = _fork(run)
    time.sleep(rng.uniform(0, seconds))
    os.kill(child, signal.SIGKILL)
    _wait(child)
    _wait(_fork(run))


def score_under_fire(folder: Path, suffix: str, n_kills: int, seed: int) -> int:
    """Return how many complete files came out, all the same to the byte.

    Parameters
    ----------
    folder : Path
        Empty; holds the images and files.

    suffix : str
        The format, such as ``".csv"``.

    n_kills : int
        How many runs to kill.

    seed : int
        Of the moments.
    """
    images = np.random.default_rng(0).random((60, 8, 8, 3))
    system = calibrate(build("pixels-kmeans"), target_fpr=0.1).fit(images[:20])
    paths = [folder / f"{i}.png" for i in range(60)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray((image * 255).astype(np.uint8)).save(path)
    paths[40].write_bytes(b"not an image")
    whole, file = folder / f"whole{suffix}", folder / f"scores{suffix}"
    score_to_file(system, paths, whole, batch_size=4)
    expected = whole.read_bytes()

    def run():
        score_to_file(system, paths, file, batch_size=4, resume=True)
        if file.read_bytes() != expected:
            raise AssertionError(f"{file} is not what a run without a kill writes.")

    n_ended = kill_runs(run, n_kills, random.Random(seed))
    left = {path.name for path in folder.glob(f"*{suffix}*")} - {whole.name, file.name}
    assert not left
    return n_ended


def commands_under_fire(folder: Path, n_kills: int, seed: int) -> None:
    """Kill `featad fit`, `recalibrate` and `compare`; every file is absent or whole."""
    parts = make_spots_and_lines(12, 8, size=16)
    save_folder(parts, folder / "parts")
    data, model = str(folder / "parts"), folder / "m.joblib"
    table, scores, page = (folder / f"c.{end}" for end in ("csv", "scores.csv", "html"))
    system = ["--system", "pixels-kmeans"]
    compare = ["compare", "--data", data, "--systems", "pixels-kmeans,pixels-pca"]
    jobs = [
        ["fit", "--data", data, *system, "-o", str(model)],
        ["recalibrate", str(model), "--target-fpr", "0.2"],
        [*compare, "-o", str(table), "--scores", str(scores), "--report", str(page)],
    ]

    def run():
        with open(os.devnull, "w") as nowhere:
            sys.stdout = sys.stderr = nowhere
            codes = [main(job) for job in jobs]
        if any(codes):
            raise AssertionError(f"The commands ended with {codes}.")

    def check():
        if model.exists():
            load(model)
        for path in (table, scores, folder / "m.joblib.split.csv"):
            if path.exists():
                assert path.read_bytes().endswith(b"\n")
                assert len(pd.read_csv(path)) > 0
        assert not page.exists() or page.read_text().rstrip().endswith("</html>")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model without its manifest
        kill_runs(run, n_kills, random.Random(seed), check)


def cache_under_fire(folder: Path, n_kills: int, seed: int) -> None:
    """Kill a run that stores features; every entry is absent or right."""
    values = np.arange(50_000, dtype=np.float32)
    keys = [hashlib.sha256(bytes([i])).hexdigest() for i in range(50)]
    cache = FeatureCache(folder, fingerprint="f" * 64, shape=len(values))

    def run():
        for key in keys:
            cache.put(key, values)

    def check():
        for path in folder.rglob("*"):
            if path.name in keys:
                found = cache.get(path.name)
                assert found is not None
                np.testing.assert_array_equal(found, values)

    kill_runs(run, n_kills, random.Random(seed), check)


def _fork(run):
    child = os.fork()
    if child:
        return child
    try:
        run()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _wait(child):
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise AssertionError(f"A run ended with the code {code}.")
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="for each format")
    parser.add_argument("--other-kills", type=int, default=100, help="of other runs")
    args = parser.parse_args()
    for suffix in (".csv", ".jsonl", ".parquet"):
        with tempfile.TemporaryDirectory() as folder:
            n_ended = score_under_fire(Path(folder), suffix, args.kills, seed=0)
        print(
            f"{suffix}: {args.kills} runs killed, {n_ended} files complete, all alike"
        )
    for under_fire in (commands_under_fire, cache_under_fire):
        with tempfile.TemporaryDirectory() as folder:
            under_fire(Path(folder), args.other_kills, seed=0)
        print(f"{under_fire.__name__}: {args.other_kills} runs killed, nothing damaged")
