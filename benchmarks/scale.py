"""Peak memory and seconds of fits on large tables: each scorer, and its calibration.

A scorer's tail is what follows the features in a named system: whitening, if it has
any, and the detector. Each run is a process of its own, so that the peaks do not mix.
The table is made of as many features as fc7 of a VGG has, float32. ``featad.cli.costs``
holds what these figures say about the time and memory of a fit.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
from sklearn.base import clone

from benchmarks._report import heading, markdown_table, write


def main() -> None:
    """Measure and write ``results/scale.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[2000, 5000])
    parser.add_argument("--d", type=int, default=4096, help="number of features")
    parser.add_argument("--scorers", nargs="+", help="names; all unless given")
    parser.add_argument("--calibrate", action="store_true", help="calibrated as well")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(_measured(args.child, args.n[0], args.d, args.calibrate)))
        return
    from featad.registry import scorers

    rows = []
    for n in args.n:
        for name in args.scorers or scorers():
            for calibrated in (False, True)[: 1 + args.calibrate]:
                row = _row(name, n, args.d, calibrated)
                rows.append(row)
                print(*row, file=sys.stderr)
                write("scale.md", _text(args, rows))  # so far


def _text(args, rows):
    text = heading("Large training sets", "benchmarks.scale")
    text += (
        f"\nTables of {args.d:,} float32 features, {_threads()}. Seconds of a fit, as "
        "the clock and as the processor counts them, and of scoring 100 new samples; "
        "peak memory beyond the table, in gigabytes and in times the table.\n\n"
    )
    header = ["scorer", "samples", "fit, s", "processor, s", "100 scores, s"]
    header += ["memory, GB", "tables"]
    return text + markdown_table(header, rows)


def _row(name, n, d, calibrated):
    command = [sys.executable, "-m", "benchmarks.scale", "--child", name]
    command += ["--n", str(n), "--d", str(d), *["--calibrate"][: int(calibrated)]]
    label = f"calibrate, {name}" if calibrated else name
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.splitlines() or ["killed"])[-1]
        return [label, f"{n:,}", why, "", "", "", ""]
    found = json.loads(done.stdout)
    return [
        label,
        f"{n:,}",
        f"{found['fit']:.1f}",
        f"{found['processor']:.1f}",
        f"{found['score']:.2f}",
        f"{found['peak'] / 1e9:.2f}",
        f"{found['peak'] / (4 * n * d):.1f}",
    ]


def _measured(name, n, d, calibrated):
    """Fit in this process; return seconds, and bytes beyond the table."""
    import featad
    from featad.systems import split_stateless

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n + 100, d), np.float32)
    X *= np.logspace(0, -2, d, dtype=np.float32)  # a spectrum like that of features
    system = clone(split_stateless(featad.build(f"mini-{name}"))[1])
    if calibrated:
        system = featad.calibrate(system, random_state=0)
    before = _peak()
    start, used = time.perf_counter(), time.process_time()
    system.fit(X[:n])
    middle, used = time.perf_counter(), time.process_time() - used
    system.score_samples(X[n:])
    return {
        "fit": middle - start,
        "processor": used,
        "score": time.perf_counter() - middle,
        "peak": _peak() - before,
    }


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _threads():
    import torch

    number = torch.get_num_threads()
    return f"{number} thread{'s' * (number > 1)}"


if __name__ == "__main__":
    main()
