"""Learned detectors on kinds of images that nothing was chosen on.

One digit, or one kind of clothes, is normal. The score of the reconstructions, and the
networks and the score of DeepSVDD, were chosen on the kinds of ``CHOSEN_ON``; the
others are reported only.
"""

import argparse
import sys

import numpy as np
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA

import featad
from benchmarks._report import DATA, heading, markdown_table, read_rows, write
from featad import map_scores
from featad.metrics import auroc
from featad.neural.scores import REDUCTIONS, score_map
from featad.registry import learned

KINDS = {
    **{f"digit {digit}": ("mnist", digit) for digit in (8, 2, 3, 5)},
    **{f"clothes {kind}": ("fashion_mnist", kind) for kind in (0, 1, 4, 6)},
}
CHOSEN_ON = ("digit 8", "clothes 0")
REBUILD = ("autoencoder", "vae", "centered", "unet")  # scored in all REDUCTIONS
BY = {
    **dict.fromkeys(REBUILD, ()),
    "centered": ("combined", "latent"),
    "perceptual": tuple(map_scores.REDUCTIONS),  # its errors are relative already
    "deep-svdd": ("whitened", "latent"),
}
QUICKER = {  # a fit takes minutes otherwise
    **{name: {"dense": True} for name in ("autoencoder", "vae", "centered")},
    "unet": {"max_epochs": 8},
    "perceptual": {"max_epochs": 10},
}
LABELED = {"digit 8": (3, 9), "clothes 0": (6, 2)}  # kinds that DeepSAD is shown
N_TRAIN, N_TEST, N_LABELED = 500, 2000, 25


def main() -> None:
    """Write ``results/kinds.md``, all detectors on all kinds, and ``kinds_sad.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="detectors", default=["pca", *BY])
    parser.add_argument("--on", nargs="+", help="kinds", default=list(KINDS))
    parser.add_argument("--labels", action="store_true", help="DeepSAD alone")
    parser.add_argument("--seeds", type=int, default=1, help="fits of each (1)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.labels:
        _measure_labels(args.seeds)
        return
    found = read_rows("kinds.md")
    for name in args.only:
        for kind in args.on:
            runs = [_aurocs(name, kind, seed) for seed in range(args.seeds)]
            for way in runs[0]:
                row = found.setdefault(f"{name}, {way}", ["-"] * len(KINDS))
                row[list(KINDS).index(kind)] = _cell([run[way] for run in runs])
            write("kinds.md", _text(found))


def _measure_labels(n_seeds):
    """Write ``results/kinds_sad.md``: a few labels of one kind, and other kinds."""
    found = {}
    for kind, shown in LABELED.items():
        for other in shown:
            runs = [_with_labels(kind, other, seed) for seed in range(n_seeds)]
            cells = [_cell(areas) for areas in zip(*runs, strict=True)]
            found[f"{kind}, {N_LABELED} of {other}"] = [str(n_seeds), *cells]
    write("kinds_sad.md", _labels_text(found))


def _with_labels(kind, shown, seed):
    """Return AUROCs of DeepSVDD and DeepSAD: the kind shown, then all the others."""
    folder, number = KINDS[kind]
    train, test, y = _images(kind)
    images, kinds = featad.load_idx(DATA / folder, "train")
    _, test_kinds = featad.load_idx(DATA / folder, "test")
    test_kinds = test_kinds[np.random.default_rng(0).permutation(len(test_kinds))]
    seen = test_kinds[:N_TEST] == shown
    labeled = images[kinds == shown][:N_LABELED] / np.float32(255)
    labels = np.repeat([0, -1], [len(train), len(labeled)])
    one = featad.DeepSVDD(random_state=seed).fit(train)
    other = featad.DeepSAD(random_state=seed).fit(
        np.concatenate([train, labeled]), labels
    )
    areas = []
    for part in (seen | (y == 1), ~seen):
        for detector in (one, other):
            scores = featad.anomaly_scores(detector, test[part])
            areas.append(auroc(y[part], scores))
    print("deep-sad", kind, shown, seed, areas, file=sys.stderr, flush=True)
    return areas


def _labels_text(found):
    notes = (
        f"{N_TRAIN} unlabeled images, all of the kind that is normal, and {N_LABELED} "
        "of one other kind, labeled -1; tested on this kind, and on all others. AUROC, "
        "mean over the seeds (lowest). Defaults."
    )
    header = ["normal, labeled", "seeds"]
    header += [
        f"{name}, {part}"
        for part in ("that kind", "other kinds")
        for name in ("DeepSVDD", "DeepSAD")
    ]
    rows = [[label, *cells] for label, cells in found.items()]
    text = heading("DeepSAD: a few labels", "benchmarks.kinds")
    return f"{text}\n{notes}\n\n{markdown_table(header, rows)}"


def _aurocs(name, kind, seed):
    """Return the AUROC of one fit by each way to score, and of it untrained."""
    train, test, y = _images(kind)
    if name == "pca":
        scores = _pca_scores(train, test)
    else:
        detector = learned()[name].make()
        detector.set_params(random_state=seed, **QUICKER.get(name, {}))
        untrained = clone(detector).set_params(max_epochs=0).fit(train)
        detector.fit(train)
        scores = {
            way: featad.anomaly_scores(detector.set_params(score_by=way), test)
            for way in BY[name]
        }
        if name in REBUILD:
            scores |= _by_reconstruction(detector.restore(test), test)
        scores["untrained"] = featad.anomaly_scores(untrained, test)
    areas = {way: auroc(y, found) for way, found in scores.items()}
    print(name, kind, seed, areas, file=sys.stderr, flush=True)
    return areas


def _pca_scores(train, test):
    """Return the scores of a linear autoencoder with a code of 32 numbers."""
    pca = PCA(32).fit(train.reshape(len(train), -1))
    rebuilt = pca.inverse_transform(pca.transform(test.reshape(len(test), -1)))
    return _by_reconstruction(rebuilt.reshape(test.shape), test)


def _by_reconstruction(rebuilt, test):
    """Return the scores by each way to reduce the squared errors of the pixels."""
    error, x = torch.as_tensor((rebuilt - test) ** 2), torch.as_tensor(test)[:, None]
    return {
        way: score_map("mse", error, x, way, in_unit_range=True).numpy()
        for way in REDUCTIONS
    }


def _images(kind):
    """Return normal images to train on, images to test, and their labels."""
    folder, number = KINDS[kind]
    train, kinds = featad.load_idx(DATA / folder, "train")
    test, test_kinds = featad.load_idx(DATA / folder, "test")
    chosen = np.random.default_rng(0).permutation(len(test))[:N_TEST]
    train, test = train[kinds == number][:N_TRAIN], test[chosen]
    y = np.where(test_kinds[chosen] == number, 1, -1)
    return train / np.float32(255), test / np.float32(255), y


def _cell(areas):
    mean = f"{np.mean(areas):.3f}"
    return mean if len(areas) == 1 else f"{mean} ({min(areas):.3f})"


def _text(found):
    notes = (
        f"One digit of MNIST or one kind of Fashion-MNIST is normal: trained on "
        f"{N_TRAIN} of its images, tested on {N_TEST:,} of the test set. AUROC, mean "
        "over the seeds (lowest); without a second number: one seed; -: not measured. "
        f"Networks and scores were chosen on {' and '.join(CHOSEN_ON)}; the other "
        "columns are reported only. The rows of a detector differ in its score_by "
        "alone; untrained: all epochs 0, default score. Defaults, except for "
        f"{QUICKER}. pca: reconstruction from 32 components; its mean is the score of "
        "PCAReconstruction(32)."
    )
    rows = [[label, *cells] for label, cells in found.items()]
    text = heading("Learned detectors: kinds set aside", "benchmarks.kinds")
    table = markdown_table(["detector, score", *KINDS], rows)
    return f"{text}\n{notes}\n\n{table}"


if __name__ == "__main__":
    main()
