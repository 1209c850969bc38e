"""Scores of one model on other processors: instruction sets, threads, precisions.

    python -m benchmarks.machines

Each setting is a process of its own that loads the same model files and scores the
same 500 tiles. oneDNN and ATen are kept to smaller instruction sets by their
environment variables; what the processor lacks is left out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import featad
from benchmarks._report import SQUEEZENET, heading, markdown_table, write

_AVX512 = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512"}
_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
_SSE = {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}
_CAPABILITIES = ["DEFAULT", "AVX2", "AVX512"]
SETTINGS = {  # environment, threads, precision; the first one is the reference
    "AVX2, 1 thread": (_AVX2, 1, "float32"),
    "AVX2, 2 threads": (_AVX2, 2, "float32"),
    "AVX-512, 1 thread": (_AVX512, 1, "float32"),
    "AVX-512, 2 threads": (_AVX512, 2, "float32"),
    "SSE 4.1, 1 thread": (_SSE, 1, "float32"),
    "AVX2, 1 thread, bfloat16": (_AVX2, 1, "bfloat16"),
}
SYSTEMS = {
    "mini-stats-mahalanobis": {},
    "mini-stats-knn": {},
    "mini-ocsvm": {},
    "squeezenet1_1-stats-mahalanobis": {
        "weights": SQUEEZENET,
        "preprocessing": "imagenet",
    },
    "images-autoencoder": {"size": 64, "detector__max_epochs": 20},
    "images-vae": {"size": 64, "detector__max_epochs": 20},
    "images-restoration": {"size": 32, "detector__max_epochs": 20},
}
_N_TRAIN, _N_TEST = 120, 500


def main() -> None:
    """Measure and write ``results/machines.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _score(*args.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        names = _fit(Path(folder), args.systems)
        _measure(Path(folder), names)


def _measure(folder, names):
    """Score the tiles in every setting and write the table."""
    found = {}
    for setting in filter(_is_offered, SETTINGS):
        print(f"scoring with {setting}", file=sys.stderr, flush=True)
        found[setting] = _scores_of(setting, folder, names)
    first, *others = found
    rows = [
        [name, setting, *_compared(found[first][name], found[setting].get(name))]
        for name in names
        for setting in others
        if name in found[setting]
    ]
    left_out = [setting for setting in SETTINGS if setting not in found]
    text = heading("Scores on other processors", "benchmarks.machines")
    text += (
        f"\n{_N_TEST} tiles, models fitted on {_N_TRAIN} others and calibrated for 5 % "
        f"false alarms, against {first}, float32. A score differs relative to its own "
        "size; the gap is the distance of the nearest score to the threshold, relative "
        "to it.\n\n"
    )
    text += markdown_table(
        ["system", "setting", "largest difference", "flipped decisions", "gap"], rows
    )
    if left_out:
        text += f"\nThis processor does not offer {'; '.join(left_out)}.\n"
    write("machines.md", text)


def _fit(folder, names):
    """Write the test tiles and one model per system; return the names of these."""
    torch.set_num_threads(1)
    parts = featad.make_spots_and_lines(_N_TRAIN, _N_TEST, size=64, random_state=0)
    np.save(folder / "tiles.npy", parts.part("test").images)
    fitted = []
    for name in names:
        options = SYSTEMS[name]
        if not Path(options.get("weights", __file__)).exists():
            continue
        system = featad.build(name, random_state=0, **options)
        system = featad.calibrate(system, target_fpr=0.05, cv=2, random_state=0)
        featad.save(system.fit(parts.part("train").images), folder / f"{name}.joblib")
        print(f"fitted {name}", file=sys.stderr)
        fitted.append(name)
    return fitted


def _is_offered(setting):
    environment, n_threads, _ = SETTINGS[setting]
    if n_threads > (os.cpu_count() or 1):
        return False
    here = torch.backends.cpu.get_cpu_capability()
    wanted = environment["ATEN_CPU_CAPABILITY"].upper()
    return _CAPABILITIES.index(wanted) <= _CAPABILITIES.index(here)


def _scores_of(setting, folder, names):
    environment, n_threads, precision = SETTINGS[setting]
    command = [sys.executable, "-m", "benchmarks.machines", "--child"]
    command += [str(folder), str(n_threads), precision]
    threads = {"OMP_NUM_THREADS": str(n_threads)}
    subprocess.run(command, env=os.environ | environment | threads, check=True)
    files = {name: folder / f"{name}.npz" for name in names}
    found = {n: dict(np.load(file)) for n, file in files.items() if file.exists()}
    for file in files.values():
        file.unlink(missing_ok=True)
    return found


def _score(folder, n_threads, precision):
    """Score the tiles with every model that has this precision."""
    torch.set_num_threads(int(n_threads))
    tiles = np.load(Path(folder) / "tiles.npy")
    for path in Path(folder).glob("*.joblib"):
        system = featad.load(path)
        if precision != "float32":
            if "features__precision" not in system.get_params():
                continue  # trained networks always score in float32
            system.set_params(features__precision=precision)
        scores = featad.anomaly_scores(system, tiles)
        threshold = featad.anomaly_threshold(system)
        np.savez(path.with_suffix(".npz"), scores=scores, threshold=threshold)


def _compared(first, second):
    a, b, threshold = first["scores"], second["scores"], first["threshold"]
    flipped = ((a > threshold) != (b > threshold)).sum()
    gap = np.abs(a - threshold).min() / abs(threshold)
    return f"{np.max(np.abs(a - b) / np.abs(a)):.1e}", str(flipped), f"{gap:.1e}"


if __name__ == "__main__":
    main()
