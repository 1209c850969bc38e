"""How much adversarial detectors hang on the seed: digit 8 of MNIST, many seeds each.

The protocol is the one of ``benchmarks.learned``. A score that is not finite stops it.
"""

import argparse
import sys
import time

import numpy as np
import torch

import featad
from benchmarks._report import heading, markdown_table, write
from benchmarks.learned import digit_8
from featad.metrics import auroc
from featad.registry import learned


def main() -> None:
    """Fit every detector with every seed and write ``results/seeds.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=["fanogan", "trimmedgan"])
    parser.add_argument("--n-seeds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train, test, y, _, protocol = digit_8()
    rows = []
    for kind in args.kinds:
        figures, start = [], time.perf_counter()
        for seed in range(args.n_seeds):
            detector = learned()[kind].make().set_params(random_state=seed).fit(train)
            scores = featad.anomaly_scores(detector, test)
            if not np.isfinite(scores).all():
                sys.exit(f"error: {kind}, seed {seed}: scores are not finite")
            figures.append(auroc(y, scores))
            print(kind, seed, round(figures[-1], 3), file=sys.stderr)
        seconds = (time.perf_counter() - start) / args.n_seeds
        spread = (np.mean, np.std, np.min, np.max)
        cells = [f"{statistic(figures):.3f}" for statistic in spread]
        rows.append([kind, *cells, f"{seconds:.0f}"])
    text = heading("Seeds of adversarial detectors", "benchmarks.seeds")
    text += f"\n{protocol} {args.n_seeds} seeds, {args.threads} thread(s).\n\n"
    header = ["detector", "mean AUROC", "deviation", "worst", "best", "seconds a seed"]
    write("seeds.md", text + markdown_table(header, rows))


if __name__ == "__main__":
    main()
