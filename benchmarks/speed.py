"""Seconds of featad beside the plain way: features, whitening, One-class SVM; patches.

Features: beside a torchvision loop, both sides read the same JPEG files, resize them
the same way and run the same network in float32. Alone, each network gets arrays of its
own size, so that nothing is read or resized. Engines: the same files, beside the same
loop, by each engine in each precision. Fits: both sides get the same float64
table, and their results are compared. All take turns in one run; ratios are of the
medians. Patches: processor time beside that of statistics of the same layers, in one
thread, the least of all rounds, which other work on the machine hardly changes. Peers
are measured where `--peers` names a Python that has them.
"""

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn import svm
from sklearn.covariance import LedoitWolf

import featad
from benchmarks._arithmetic import operations, share_of_limit
from benchmarks._plain import FIRST_EDITION, network_and_weights, run_plain_loop
from benchmarks._report import heading, markdown_table, run_peers, write
from featad.cli.speed import settings


def main() -> None:
    """Measure and write the pages that begin with ``speed``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--archs",
        nargs="+",
        default=["vgg16", "vgg_mini", FIRST_EDITION, "squeezenet1_1"],
    )
    parser.add_argument("--n-images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only",
        choices=["features", "engines", "fits", "patches", "peers"],
        help="measure one of them",
    )
    parser.add_argument(
        "--peers",
        metavar="PYTHON",
        help="a Python that has anomalib and PyOD beside what featad needs",
    )
    args = parser.parse_args()
    if args.only in (None, "features"):
        _measure_features(args)
    if args.only in (None, "engines"):
        _measure_engines(args)
    if args.only in (None, "fits"):
        _measure_fits(args)
    if args.only in (None, "patches"):
        _measure_patches(args)
    if args.peers and args.only in (None, "peers"):
        _measure_peers(args)


def _measure_features(args):
    rows = []
    with _files_and_child(args.n_images) as (paths, child):
        for arch in args.archs:
            loop = partial(_plain_loop_elsewhere, child, arch)
            runs = {"featad": _featad(arch), "loop": loop}
            ours, theirs = _rates(runs, paths, args.rounds).values()
            row = [arch, f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}"]
            rows.append(row)
            print(*row, file=sys.stderr)
    arrays = np.random.default_rng(0).random((args.n_images, 224, 224, 3), np.float32)
    rates = _rates({a: _featad(a) for a in args.archs}, arrays, args.rounds)
    slowest = min(rates.values())
    alone = []
    for arch, rate in rates.items():
        share = share_of_limit(rate, operations(_features(arch)), "float32")
        alone.append([arch, f"{rate:.1f}", f"{rate / slowest:.1f}", share])
    text = heading("Speed of features", "benchmarks.speed")
    text += (
        f"\n{args.n_images} JPEG files of 1024 x 768 pixels to features at 224 pixels, "
        f"float32, {torch.get_num_threads()} threads, median of {args.rounds} rounds. "
        "The plain loop reads with Pillow and runs the same model, 32 images a batch, "
        "one step after the other, in a process of its own.\n\n"
    )
    header = ["network", "featad, images/s", "plain torchvision, images/s", "ratio"]
    text += markdown_table(header, rows)
    text += (
        f"\nThe networks alone, {args.n_images} arrays of 224 x 224 pixels, the "
        "default batch, to the default layer (fc7 of a VGG), float32, median of "
        f"{args.rounds} rounds in one run. The last column is their arithmetic as a "
        "share of the rate at which torch multiplies large matrices.\n\n"
    )
    header = ["network", "images/s", "times the slowest", "of the arithmetic"]
    write("speed.md", text + markdown_table(header, alone))


def _measure_engines(args):
    rows = []
    with _files_and_child(args.n_images) as (paths, child):
        for arch in [arch for arch in args.archs if arch != FIRST_EDITION]:
            runs: dict = {"loop": partial(_plain_loop_elsewhere, child, arch)}
            for engine, precision in settings(_features(arch)):
                for decode in ("exact", "draft"):
                    features = _features(arch).set_params(
                        engine=engine, precision=precision, decode=decode
                    )
                    runs[engine, precision, decode] = features.fit(paths[:16]).transform
            rates = _rates(runs, paths, args.rounds)
            plain = rates.pop("loop")
            for key, rate in rates.items():
                row = [arch, *key, f"{rate:.1f}", f"{plain:.1f}", f"{rate / plain:.2f}"]
                rows.append(row)
                print(*row, file=sys.stderr)
    text = heading("Speed of engines", "benchmarks.speed")
    text += (
        f"\n{args.n_images} JPEG files of 1024 x 768 pixels to features at 224 pixels, "
        f"{torch.get_num_threads()} threads, median of {args.rounds} rounds in turns. "
        "The plain loop is that of `speed.md`: torchvision in float32. The cosines of "
        "rounded features are in `precision.md`, those of drafts in `draft.md`.\n\n"
    )
    header = ["network", "engine", "precision", "decode", "images/s", "plain loop"]
    write("speed_engines.md", text + markdown_table([*header, "ratio"], rows))


def _measure_fits(args):
    rows = []
    for shape, ours, plain, difference in _FITS:
        X, new = _table_like_features(shape)
        fitted, seconds = _seconds({**ours, "plain": plain}, X, args.rounds)
        for name in ours:
            ratio = seconds["plain"] / seconds[name]
            far = difference(fitted[name], fitted["plain"], new)
            row = [name, f"{shape[0]} x {shape[1]}", f"{seconds[name]:.2f}"]
            rows.append([*row, f"{seconds['plain']:.2f}", f"{ratio:.1f}", f"{far:.0e}"])
            print(*rows[-1], file=sys.stderr)
    text = heading("Speed of fits", "benchmarks.speed")
    text += (
        f"\nThe same float64 table, {torch.get_num_threads()} threads, median of "
        f"{args.rounds} rounds in turns. Whitening beside scikit-learn's `LedoitWolf` "
        "and the eigendecomposition of its covariance; One-class SVM "
        "beside scikit-learn's, which computes fewer kernel values where `nu` is "
        "small; other parameters are the defaults. The difference is the "
        "largest between both sides' results on 100 new samples, as a share of the "
        "largest result.\n\n"
    )
    header = ["fit", "table", "featad, s", "plain, s", "ratio", "difference"]
    write("speed_fits.md", text + markdown_table(header, rows))


_PATCHES = {  # of a position; the last is what named systems take
    "all channels": {"neighborhood": 1},
    "all channels, averaged over 3 x 3": {},
    "128 selected, averaged, 28 x 28, float16": {
        "reduction": "selection",
        "n_components": 128,
        "grid": 28,
        "dtype": "float16",
    },
    "128 projected, averaged, 28 x 28, float16": {
        "n_components": 128,
        "grid": 28,
        "dtype": "float16",
    },
}


def _measure_patches(args):
    torch.set_num_threads(1)
    images = np.random.default_rng(0).random((args.n_images, 224, 224, 3), np.float32)
    rows = []
    for arch in args.archs:
        options = {"weights": None, "device": "cpu", "n_jobs": 1}
        layers = featad.features.patch_layers(arch)
        statistics_of = {"layer": layers, "pooling": ("mean", "std", "max")}
        runs = {"statistics": featad.BackboneFeatures(arch, **statistics_of, **options)}
        for name, patches in _PATCHES.items():
            runs[name] = featad.PatchFeatures(arch, **patches, **options)
        least = dict.fromkeys(runs, float("inf"))
        for _ in range(args.rounds):
            for name, features in runs.items():
                start = time.process_time()
                features.transform(images)
                least[name] = min(least[name], time.process_time() - start)
        for name in _PATCHES:
            each = [least[n] / args.n_images * 1000 for n in ("statistics", name)]
            more = f"{100 * (each[1] / each[0] - 1):+.0f} %"
            rows.append([arch, name, *(f"{ms:.1f}" for ms in each), more])
            print(*rows[-1], file=sys.stderr)
    text = heading("Speed of patches", "benchmarks.speed")
    text += (
        f"\nProcessor time of {args.n_images} arrays of 224 x 224 pixels, one thread, "
        f"the least of {args.rounds} rounds in turns: `PatchFeatures` beside mean, "
        "standard deviation and maximum of the same two layers.\n\n"
    )
    header = ["network", "features of a position", "statistics, ms/image"]
    header += ["patches, ms/image", "difference"]
    write("speed_patches.md", text + markdown_table(header, rows))


_BESIDE = {  # what others call it, what featad does, and what they need to know
    "anomalib PatchCore": ("mini-patches-memory", {"peer": "patchcore"}),
    "anomalib PaDiM": ("mini-patches-gaussian", {"peer": "padim"}),
    "PyOD EmbeddingOD, KNN": ("mini-stats-knn", {"peer": "pyod"}),
}


def _measure_peers(args):
    """Score files with systems of ours and of others, which all take turns."""
    rates = {name: ([], []) for name in _BESIDE}
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_images(Path(folder), args.n_images)
        train = paths[: args.n_images // 2]
        ours = {name: featad.build(name).fit(train) for name, _ in _BESIDE.values()}
        jobs = [
            _job(peer, ours[name], paths, folder) for name, peer in _BESIDE.values()
        ]
        for _ in range(args.rounds):
            run_peers(args.peers, jobs)
            for (name, _), job, found in zip(
                _BESIDE.values(), jobs, rates.values(), strict=True
            ):
                start = time.perf_counter()
                ours[name].score_samples(paths)
                found[0].append(len(paths) / (time.perf_counter() - start))
                got = np.load(job["output"])
                found[1].append(got["images_per_second_of_wall"].item())
    rows = []
    for peer, found in rates.items():
        own, theirs = map(statistics.median, found)
        each = [own / other for own, other in zip(*found, strict=True)]
        row = [f"`{_BESIDE[peer][0]}`", f"{own:.1f}", peer, f"{theirs:.1f}"]
        rows.append(
            [*row, f"{own / theirs:.1f}", f"{min(each):.1f} to {max(each):.1f}"]
        )
    text = heading("Speed beside other packages", "benchmarks.speed")
    text += (
        f"\n{args.n_images} JPEG files of 1024 x 768 pixels to scores, images/s, "
        f"{torch.get_num_threads()} threads, median of {args.rounds} rounds in turns. "
        "All run vgg_mini in float32, fitted on half of the files. anomalib's models "
        "are its own, with the layers of ours at 256 pixels and a coreset of 1 %; two "
        "processes of a DataLoader read for them. PyOD has the plain loop of "
        "`speed.md` as its encoder, at 224 pixels.\n\n"
    )
    header = ["featad", "images/s", "other", "images/s", "ratio", "of the rounds"]
    write("speed_peers.md", text + markdown_table(header, rows))


def _job(peer, system, paths, folder):
    train = [str(path) for path in paths[: len(paths) // 2]]
    test, output = [str(path) for path in paths], f"{folder}/{peer['peer']}.npz"
    job = peer | {"arch": "vgg_mini", "train": train, "test": test, "output": output}
    if peer["peer"] == "pyod":
        return job
    features = system["features"]
    layers, size = featad.features.patch_layers("vgg_mini"), features.image_size
    return job | {"weights": "default", "layers": layers, "size": size, "n_readers": 2}


def _table_like_features(shape):
    """Return a table with a spectrum like that of features, and 100 new rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(shape[0] + 100, shape[1]))
    X *= np.logspace(0, -2, shape[1])
    return X[:-100], X[-100:]


def _dense_whitening(X):
    """Return mean and symmetric inverse root of the dense shrunk covariance."""
    covariance = LedoitWolf(store_precision=False).fit(X)
    values, vectors = np.linalg.eigh(covariance.covariance_)
    return covariance.location_, vectors / np.sqrt(values) @ vectors.T


def _share(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def _fit_transformed(X):
    whitening = featad.ShrunkWhitening()
    whitening.fit_transform(X)
    return whitening


_FITS = [  # samples by features, ours by name, the plain way, how far they are apart
    (
        (800, 4096),
        {
            "ShrunkWhitening.fit": lambda X: featad.ShrunkWhitening().fit(X),
            "ShrunkWhitening.fit_transform": _fit_transformed,
        },
        _dense_whitening,
        lambda ours, dense, new: _share(
            ours.transform(new), (new - dense[0]) @ dense[1]
        ),
    ),
    *(
        (
            (4000, 4096),
            {f"OneClassSVM(nu={nu}).fit": featad.OneClassSVM(nu=nu).fit},
            svm.OneClassSVM(nu=nu).fit,
            lambda ours, theirs, new: _share(
                ours.score_samples(new), theirs.score_samples(new)
            ),
        )
        for nu in (0.5, 0.05)
    ),
]


def _rates(runs, images, n_rounds):
    """Return images per second of each run, by name; they take turns."""
    rates = {name: [] for name in runs}
    for _ in range(n_rounds):
        for name, run in runs.items():
            run(images[:32])  # load the network, which others may have pushed out
            start = time.perf_counter()
            run(images)
            rates[name].append(len(images) / (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in rates.items()}


def _seconds(runs, X, n_rounds):
    """Return the last result and the median seconds of each run; they take turns."""
    results, seconds = {}, {name: [] for name in runs}
    for _ in range(n_rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            results[name] = run(X)
            seconds[name].append(time.perf_counter() - start)
    return results, {name: statistics.median(t) for name, t in seconds.items()}


@contextmanager
def _files_and_child(n_images):
    """Give JPEG files, and another process to run the plain loop in."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, get_context("spawn")) as child,
    ):
        yield _write_images(Path(folder), n_images), child


def _write_images(folder, n_images):
    rng = np.random.default_rng(0)
    paths = []
    for index in range(n_images):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        paths.append(folder / f"{index}.jpg")
        Image.fromarray(coarse).resize((1024, 768)).save(paths[-1], quality=90)
    return paths


def _featad(arch):
    return _features(arch).fit_transform


def _features(arch):
    network = featad.VGGFeatures if arch.startswith("vgg") else featad.BackboneFeatures
    arch, weights = network_and_weights(arch)
    return network(arch, weights=weights, random_state=0)


def _plain_loop_elsewhere(child, arch, paths):
    """Run the plain loop where featad has not told the C library to keep memory."""
    return child.submit(run_plain_loop, arch, paths).result()


if __name__ == "__main__":
    main()
