"""Learned detectors beside their untrained selves, PCA and the nearest neighbor.

Images go in at 64 pixels, MNIST and Fashion-MNIST at their own 28. Every detector has
its defaults, but for small batches and more epochs where there are few images. Where
there are masks, maps are judged pixel by pixel.
"""

import argparse
import sys
import time
from functools import partial

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import featad
from benchmarks._report import DATA, heading, markdown_table, read_rows, write
from featad.metrics import aupro, auroc, bootstrap_interval, pixel_auroc
from featad.registry import learned

SIZE = 64
FEW = {"batch_size": 8, "max_epochs": 100}  # for sets too small to fill many batches
MANY = {"dense": True, "batch_size": 256, "lr": 0.002, "max_epochs": 2}
LABELED = {
    "logistic regression": make_pipeline(
        FunctionTransformer(lambda images: images.reshape(len(images), -1)),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=200),
    ),
    "autoencoder, labels": featad.Autoencoder(
        anomaly_weight=0.5, score_by="mean", balance=0.5, random_state=0, **MANY
    ),
    "ReconstructionGAN": featad.ReconstructionGAN(random_state=0, **MANY),
    "DualDiscriminatorGAN": featad.DualDiscriminatorGAN(random_state=0, **MANY),
}


def main() -> None:
    """Run one data set after the other; each writes ``results/learned_NAME.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of data sets", default=())
    parser.add_argument(
        "--kinds", nargs="+", default=(), help="detectors' names; other rows stay"
    )
    parser.add_argument("--seeds", type=int, default=1, help="fits of each (1)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    jobs = {name: partial(_one_class, name, load) for name, load in DATASETS.items()}
    jobs["kept_aside"] = _kept_aside
    if not args.kinds:
        jobs["labeled"] = _labeled
    for name, job in jobs.items():
        if args.only and name not in args.only:
            continue
        try:
            job(args)
        except featad.errors.DatasetError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)


def _one_class(name, load, args):
    """Write ``results/learned_NAME.md``: trained on normal images alone."""
    train, test, y, masks, protocol = load()
    options = FEW if len(train) < 200 else {}
    if options:
        protocol += f" {options}, as there are so few."
    found = read_rows(f"learned_{name}.md") if args.kinds else {}
    for label, detector in _detectors(name, options, args.kinds):
        found[label] = _row(detector, args.seeds, train, test, y, masks)
        print(name, label, *found[label], file=sys.stderr)
    write(f"learned_{name}.md", _text(name, protocol, found, args))


def _kept_aside(args):
    """Write ``results/learned_kept_aside.md``: what no default was chosen on."""
    name, found = "learned_kept_aside.md", {}
    sets = {set_name: load() for set_name, load in KEPT_ASIDE.items()}
    for label, detector in _detectors("kept_aside", {}, args.kinds):
        cells = []
        for set_name, (train, test, y, masks, _) in sets.items():
            system = clone(detector)
            if "views" in system.get_params() and set_name.startswith("digit"):
                system.set_params(views=("crop", "jitter"))
            area, _, spread, untrained, *_ = _row(
                system, args.seeds, train, test, y, masks
            )
            cells.append(area if spread == "-" else f"{area} ({spread}), {untrained}")
            print(set_name, label, cells[-1], file=sys.stderr)
        found[label] = cells
    text = heading("Learned detectors: what was kept aside", "benchmarks.learned")
    notes = (
        "No default was chosen on these. MNIST's test set: trained on half of the "
        "images of one digit, tested on 1,000 of the others. Fashion-MNIST: trained on "
        "500 images of one kind, tested on 1,000 of the test set. AUROC, for networks "
        f"its mean over {args.seeds} seed(s), the lowest and the highest, and after "
        "the comma that of the untrained networks. Contrastive detectors are told not "
        f"to mirror digits, as was best for eights. {args.threads} thread(s)."
    )
    if args.kinds:
        notes += " Rows of other detectors come from an earlier run."
        found = read_rows(name) | found
    rows = [[label, *cells] for label, cells in found.items()]
    write(name, f"{text}\n{notes}\n\n{markdown_table(['detector', *sets], rows)}")


def _labeled(args):
    """Write ``results/learned_labeled.md``: kinds that had labels, and others."""
    parts = [
        featad.load_idx(DATA / "fashion_mnist", part) for part in ("train", "test")
    ]
    first, last = [1, 2, 3, 4], [5, 6, 7, 8, 9]
    splits = {
        "all kinds": ([*first, *last], [*first, *last]),
        "5 to 9, unseen": (first, last),
        "1 to 4, unseen": (last, first),
    }
    rows = []
    for name, system in LABELED.items():
        cells, start = [], time.perf_counter()
        for seen, tested in splits.values():
            (X, y), (X_test, y_test) = (
                _one_against(*part, kinds)
                for part, kinds in zip(parts, (seen, tested), strict=True)
            )
            detector = clone(system).fit(X, y)
            scores = -detector.decision_function(X_test)
            low, high = bootstrap_interval(auroc, y_test, scores)
            cells.append(f"{auroc(y_test, scores):.3f} ({low:.3f} to {high:.3f})")
        seconds = time.perf_counter() - start
        rows.append([name, *cells, f"{seconds / len(splits):.0f}"])
        print("labeled", *rows[-1], file=sys.stderr)
    protocol = (
        "Fashion-MNIST, T-shirts (kind 0) normal: trained with labels on all images of "
        "the training set, or on those of T-shirts and kinds 1 to 4, or 5 to 9; tested "
        "on T-shirts and the kinds named, of the test set. AUROC, 95 % interval. "
        f"{MANY} for all networks, {args.threads} thread(s), one seed."
    )
    text = heading("Learned detectors: labeled kinds", "benchmarks.learned")
    table = markdown_table(["detector", *splits, "s a fit"], rows)
    write("learned_labeled.md", f"{text}\n{protocol}\n\n{table}")


def _one_against(images, kinds, others):
    """Return the images of kind 0 and of others, in [0, 1], and their labels."""
    chosen = np.isin(kinds, [0, *others])
    return images[chosen] / np.float32(255), np.where(kinds[chosen] == 0, 1, -1)


def _detectors(name, options, kinds):
    if not kinds:
        yield "PCA-32 reconstruction", featad.PCAReconstruction(32)
        yield "nearest neighbor", featad.NearestNeighbors()
        for kind in ("ocsvm", "stats-mahalanobis"):
            yield (
                f"vgg_mini at 64 pixels, {kind}",
                featad.build(f"mini-{kind}", image_size=SIZE),
            )
    for kind, scorer in learned().items():
        if not kinds or kind in kinds:
            yield kind, scorer.make().set_params(**options)
    if name == "nine_digits" and not kinds:
        yield (
            "vae, 5 numbers, dense layers, by its bound, 150 epochs",
            featad.VAE(5, dense=True, score_by="elbo", max_epochs=150),
        )


def _row(system, n_seeds, train, test, y, masks):
    """Return the cells of one system: means over the seeds, but for the last two."""
    learned = "max_epochs" in system.get_params()
    runs = []
    for seed in range(n_seeds if learned else 1):
        detector = clone(system)
        if learned:
            detector.set_params(random_state=seed)
        start = time.perf_counter()
        detector.fit(train)
        fit_seconds = time.perf_counter() - start
        start = time.perf_counter()
        scores = featad.anomaly_scores(detector, test)
        seconds = time.perf_counter() - start
        figures = {"AUROC": auroc(y, scores), "untrained": np.nan}
        if learned:
            fresh = clone(detector).set_params(max_epochs=0).fit(train)
            figures["untrained"] = auroc(y, featad.anomaly_scores(fresh, test))
        if masks is not None:
            figures |= {"pixel": np.nan, "aupro": np.nan}
            if hasattr(detector, "anomaly_map"):
                maps = detector.anomaly_map(test)
                figures["pixel"] = pixel_auroc(masks, maps)
                figures["aupro"] = aupro(masks, maps)
        if not runs:
            low, high = bootstrap_interval(auroc, y, scores)
        runs.append(figures)
    cells = {name: _mean([run[name] for run in runs]) for name in runs[0]}
    interval = f"{low:.3f} to {high:.3f}"
    areas = [run["AUROC"] for run in runs]
    spread = f"{min(areas):.3f} to {max(areas):.3f}" if len(areas) > 1 else "-"
    area, *others = cells.values()
    return [
        area, interval, spread, *others, f"{fit_seconds:.0f}",
        f"{len(test) / seconds:.0f}",
    ]  # fmt: skip


def _mean(figures):
    return "-" if np.isnan(figures).any() else f"{np.mean(figures):.3f}"


def _text(name, protocol, found, args):
    n_columns = len(next(iter(found.values())))
    header = ["detector", "AUROC", "95 % interval", "seeds", "untrained"]
    if n_columns > len(header) + 1:
        header += ["pixel AUROC", "AUPRO"]
    header += ["fit s", "images/s"]
    text = heading(f"Learned detectors: {name}", "benchmarks.learned")
    notes = (
        f"{protocol} {args.threads} thread(s). Means over {args.seeds} seed(s), lowest "
        "and highest under seeds; the interval, by bootstrap, is that of the first."
    )
    if args.kinds:
        notes += " Rows of other detectors come from an earlier run."
    order = [name for name in found if name not in learned()]
    order += [kind for kind in learned() if kind in found]
    rows = [[label, *found[label]] for label in order]
    return f"{text}\n{notes}\n\n{markdown_table(header, rows)}"


def _digits():
    images, labels = featad.load_idx(DATA / "mnist", "test")
    order = np.random.default_rng(0).permutation(len(images))
    return images[order] / np.float32(255), labels[order]


def _digit(kind, n_test):
    """Return training images, test images, labels, no masks, and the protocol."""
    images, labels = _digits()
    same = np.flatnonzero(labels == kind)
    train = same[: len(same) // 2]
    others = np.setdiff1d(np.arange(len(images)), train)
    test = np.random.default_rng(1).permutation(others)[:n_test]
    y = np.where(labels[test] == kind, 1, -1)
    protocol = (
        f"MNIST's test set: trained on half of its images of a {kind} ({len(train)}), "
        f"tested on {len(test)} of the other images, drawn at random."
    )
    return images[train], images[test], y, None, protocol


def _nine_digits():
    images, labels = featad.load_idx(DATA / "mnist", "train")
    train = images[labels != 0] / np.float32(255)
    test, test_labels = _digits()
    y = np.where(test_labels != 0, 1, -1)
    protocol = (
        f"MNIST, one digit anomalous: trained on {len(train)} images of 1 to 9, tested "
        f"on the {len(test)} of the test set, zeros being anomalous. The last row's "
        "length of the code was chosen by the zeros of 2,000 of them: the defaults, "
        "made for one kind of normal image, rebuild zeros from parts of other digits."
    )
    return train, test, y, None, protocol


def _clothes(kind, n_test):
    images, labels = featad.load_idx(DATA / "fashion_mnist", "train")
    train = images[labels == kind][:500] / np.float32(255)
    test, kinds = featad.load_idx(DATA / "fashion_mnist", "test")
    chosen = np.random.default_rng(0).permutation(len(test))[:n_test]
    y = np.where(kinds[chosen] == kind, 1, -1)
    protocol = (
        f"Fashion-MNIST, kind {kind} normal: trained on 500 of its images, tested on "
        f"{n_test} of the test set."
    )
    return train, test[chosen] / np.float32(255), y, None, protocol


def _inspection(folder):
    dataset = featad.load_folder(DATA / folder)
    train, test = dataset.part("train"), dataset.part("test")
    read = featad.ImageReader(size=SIZE).fit_transform
    masks = [
        np.zeros((SIZE, SIZE), dtype=bool)
        if mask is None
        else featad.read_mask(mask, size=(SIZE, SIZE))
        for mask in test.masks
    ]
    protocol = (
        f"Its own split: {len(train)} good images to train on, {len(test)} to test on, "
        f"{(test.labels == -1).sum()} of them with defects."
    )
    return read(train.images), read(test.images), test.labels, masks, protocol


def _brain_mri():
    dataset = featad.load_folder(DATA / "brain_mri", normal="no", anomaly="yes")
    normal = np.random.default_rng(0).permutation(np.flatnonzero(dataset.labels == 1))
    train, rest = normal[:70], normal[70:]
    test = np.concatenate([rest, np.flatnonzero(dataset.labels == -1)])
    images = featad.ImageReader(size=SIZE, mode="L").fit_transform(dataset.images)
    protocol = (
        f"Trained on {len(train)} slices without a tumour, tested on the other "
        f"{len(rest)} and the {len(test) - len(rest)} with one."
    )
    return images[train], images[test], dataset.labels[test], None, protocol


digit_8 = partial(_digit, 8, 2000)
KEPT_ASIDE = {f"digit {kind}": partial(_digit, kind, 1000) for kind in (2, 3, 5)} | {
    f"clothes {kind}": partial(_clothes, kind, 1000) for kind in (1, 4, 6)
}
DATASETS = {
    "digit_8": digit_8,
    "nine_digits": _nine_digits,
    "fashion": partial(_clothes, 0, 2000),
    "hazelnut": lambda: _inspection("mvtec_reduced/hazelnut"),
    "transistor": lambda: _inspection("mvtec_reduced/transistor"),
    "brain_mri": _brain_mri,
    "magnetic_tile": lambda: _inspection("magnetic_tile"),
}


if __name__ == "__main__":
    main()
