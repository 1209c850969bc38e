"""ASCNet, which learns from two sets, beside what learns from either or both.

The reference set is normal; the mixed one holds anomalies, and nobody has said which
they are. What is tested is in neither.
"""

import argparse
import sys
import time

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

import featad
from benchmarks._report import DATA, heading, markdown_table, write
from benchmarks.learned import FEW
from featad.metrics import auroc, bootstrap_interval

N_REFERENCE, N_MIXED, N_ODD, N_TEST = 250, 250, 50, 2000
ALONE = {  # trained on the reference set alone
    "PCA-32 reconstruction": featad.PCAReconstruction(32),
    "nearest neighbor": featad.NearestNeighbors(),
    "Autoencoder": featad.Autoencoder(random_state=0),
}


def main() -> None:
    """Run one data set after the other; each writes ``results/mixed_NAME.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of data sets", default=())
    parser.add_argument("--seeds", type=int, default=3, help="fits of ASCNet (3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name, load in DATASETS.items():
        if args.only and name not in args.only:
            continue
        try:
            *parts, protocol = load()
        except featad.errors.DatasetError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)
            continue
        options = FEW if len(parts[0]) < 200 else {}
        if options:
            protocol += f" Networks: {options}, as there are so few."
        rows = []
        for row in _rows(args.seeds, options, *parts):
            rows.append(row)
            print(name, *row, file=sys.stderr)
        notes = (
            f"{protocol} {args.threads} thread(s). ASCNet: mean of {args.seeds} "
            "seed(s), lowest and highest under seeds; the interval, by bootstrap, is "
            "that of the first."
        )
        text = heading(f"A reference set and a mixed one: {name}", "benchmarks.mixed")
        header = ["detector", "AUROC", "95 % interval", "seeds", "fit and score s"]
        write(f"mixed_{name}.md", f"{text}\n{notes}\n\n{markdown_table(header, rows)}")


def _rows(n_seeds, options, reference, mixed, test, y):
    """Yield the cells of one system after the other."""
    X = np.concatenate([reference, mixed])
    sets = np.repeat([1, 0], [len(reference), len(mixed)])
    for name, system in ALONE.items():
        detector = clone(system)
        if "max_epochs" in detector.get_params():
            detector.set_params(**options)
        start = time.perf_counter()
        scores = featad.anomaly_scores(detector.fit(reference), test)
        yield _row(name, y, [scores], start)
    start = time.perf_counter()
    linear = LogisticRegression(C=0.01, max_iter=1000, class_weight="balanced")
    linear.fit(X.reshape(len(X), -1), sets)
    scores = -linear.decision_function(test.reshape(len(test), -1))
    yield _row("logistic regression, one set against the other", y, [scores], start)
    for name, params in {"ASCNet, untrained": {"max_epochs": 0}, "ASCNet": {}}.items():
        start = time.perf_counter()
        scores = []
        for seed in range(n_seeds):
            detector = featad.ASCNet(random_state=seed, **{**options, **params})
            scores.append(featad.anomaly_scores(detector.fit(X, sets), test))
        yield _row(name, y, scores, start)


def _row(name, y, scores, start):
    seconds = (time.perf_counter() - start) / len(scores)
    areas = [auroc(y, one) for one in scores]
    low, high = bootstrap_interval(auroc, y, scores[0])
    spread = f"{min(areas):.3f} to {max(areas):.3f}" if len(areas) > 1 else "-"
    interval = f"{low:.3f} to {high:.3f}"
    return [name, f"{np.mean(areas):.3f}", interval, spread, f"{seconds:.0f}"]


def _one_class(folder, normal, what):
    images, kinds = featad.load_idx(DATA / folder, "train")
    tested, test_kinds = featad.load_idx(DATA / folder, "test")
    usual = images[kinds == normal][: N_REFERENCE + N_MIXED - N_ODD]
    rng = np.random.default_rng(0)
    odd = images[rng.choice(np.flatnonzero(kinds != normal), N_ODD, replace=False)]
    chosen = rng.permutation(len(tested))[:N_TEST]
    reference, mixed = np.split(np.concatenate([usual, odd]), [N_REFERENCE])
    parts = [part / np.float32(255) for part in (reference, mixed, tested[chosen])]
    protocol = (
        f"Reference: {N_REFERENCE} {what}. Mixed: {N_MIXED - N_ODD} more, {N_ODD} of "
        f"other kinds. Tested: {N_TEST} of the test set."
    )
    return *parts, np.where(test_kinds[chosen] == normal, 1, -1), protocol


def _brain_mri():
    dataset = featad.load_folder(DATA / "brain_mri", normal="no", anomaly="yes")
    images = featad.ImageReader(size=64, mode="L").fit_transform(dataset.images)
    rng = np.random.default_rng(0)
    usual, odd = (
        rng.permutation(np.flatnonzero(dataset.labels == label)) for label in (1, -1)
    )
    reference, more, usual = np.split(usual, [49, 70])
    mixed, test = np.append(more, odd[:60]), np.append(usual, odd[60:])
    protocol = (
        f"Slices at 64 pixels. Reference: {len(reference)} without a tumour. Mixed: "
        f"{len(more)} more and 60 with one. Tested: {len(usual)} without, "
        f"{len(odd) - 60} with one."
    )
    return (
        *(images[i] for i in (reference, mixed, test)),
        dataset.labels[test],
        protocol,
    )


DATASETS = {
    "digit_8": lambda: _one_class("mnist", 8, "eights"),
    "fashion": lambda: _one_class("fashion_mnist", 0, "T-shirts"),
    "brain_mri": _brain_mri,
}


if __name__ == "__main__":
    main()
