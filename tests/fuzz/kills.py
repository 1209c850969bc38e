"""Kill runs of scoring at random moments, and resume them, until they are complete."""

import argparse
import os
import random
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from featad import build, calibrate, score_to_file


def kill_runs(run: Callable[[], object], n_kills: int, rng: random.Random) -> int:
    """Fork ``run`` and kill it (-9) at random moments; return how many runs ended.

    Parameters
    ----------
    run : callable
        Is called in a child of this process.

    n_kills : int
        How many children to kill. The last child is left to its end.

    rng : random.Random
        Chooses the moments: up to the time that a whole run takes.
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
    return n_ended + (_wait(_fork(run)) == 0)


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
    n_kills = parser.parse_args().kills
    for suffix in (".csv", ".jsonl", ".parquet"):
        with tempfile.TemporaryDirectory() as folder:
            n_ended = score_under_fire(Path(folder), suffix, n_kills, seed=0)
        print(
            f"{suffix}: {n_kills} runs killed, {n_ended} files complete, all the same"
        )
