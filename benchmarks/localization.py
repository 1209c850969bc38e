"""Where is it odd? Maps and scores of patch systems, statistics and anomalib's models.

Every system runs with the registry's defaults, chosen on the sets of ``CHOSEN_ON``; the
others are reported only. Figures of a run replace those of the same sets, networks and
systems in ``localization.csv``, and ``localization.md`` is written from all that are
there, so that a run may do a part.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from PIL import Image
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

import featad
from benchmarks._report import (
    DATA,
    RESULTS,
    SQUEEZENET,
    VGG16,
    heading,
    markdown_table,
    run_peers,
    write,
)
from featad.features import patch_layers
from featad.metrics import aupro, pixel_auroc
from featad.registry import patch_scorers

CHOSEN_ON = ("magnetic_tile", "transistor")
SETS = {
    "magnetic_tile": "magnetic_tile",
    "transistor": "mvtec_reduced/transistor",
    "hazelnut": "mvtec_reduced/hazelnut",
    "deep_pcb": "deep_pcb",
    "breast_ultrasound": "breast_ultrasound",
    "elpv": "elpv",
    "brain_mri": "brain_mri",
}
"""The folder of each set. Masks of ``deep_pcb`` are boxes; the last three have none."""

NETWORKS = {
    "mini": ("vgg_mini", "default"),
    "generated": ("vgg_mini", "generated"),
    "squeezenet1_1": ("squeezenet1_1", SQUEEZENET),
    "vgg16": ("vgg16", VGG16),
}
PATCHES = tuple(f"patches-{name}" for name in patch_scorers())
STATISTICS = tuple(f"stats-{name}" for name in ("mahalanobis", "ocsvm", "knn", "pca"))
PEERS = {"patchcore": "anomalib PatchCore", "padim": "anomalib PaDiM"}
MASK_SIZE = 224
KEY = ["set", "network", "system"]


@dataclass
class Part:
    """The images of a run: paths to train on and to test on, and what is known."""

    name: str
    train: list
    test: list
    labels: np.ndarray
    masks: list | None


def main() -> None:
    """Measure what is asked for, and write ``results/localization.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of data sets", default=SETS)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument(
        "--systems",
        nargs="+",
        choices=[*PATCHES, *STATISTICS],
        default=[*PATCHES, *STATISTICS],
        help="parts of the names of systems, such as patches-memory (default: all)",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=200,
        help="train on so many images at most, and test on so many (default: 200)",
    )
    parser.add_argument(
        "--peers",
        metavar="PYTHON",
        help="a Python that has anomalib beside what featad needs",
    )
    args = parser.parse_args()
    with threadpool_limits(1):
        for name in args.only:
            try:
                part = load_part(name, args.limit)
            except featad.errors.DatasetError as error:
                print(f"{name}: skipped, {error}", file=sys.stderr)
                continue
            for network in args.networks:
                for row in _measured(part, network, args.systems, args.peers):
                    _keep({"set": name, "network": network, **row})
    write("localization.md", _text(args))


def load_part(name: str, limit: int) -> Part:
    """Return a set, at most ``limit`` images to train on and as many to test on."""
    normal = {"normal": "no", "anomaly": "yes"} if name == "brain_mri" else {}
    dataset = featad.load_folder(DATA / SETS[name], **normal)
    rng = np.random.default_rng(0)
    good, bad = (rng.permutation(np.flatnonzero(dataset.labels == k)) for k in (1, -1))
    if dataset.has_split:
        train = good[dataset.parts[good] == "train"]
        good = good[dataset.parts[good] == "test"]
    else:
        train, good = np.split(good, [round(0.7 * len(good))])
    n_good = min(len(good), max(limit // 2, limit - len(bad)))
    test = np.concatenate([good[:n_good], bad[: limit - n_good]])
    masks = None
    if dataset.masks is not None:
        masks = [_mask(dataset.masks[i]) for i in test]
    return Part(
        name,
        [dataset.images[i] for i in train[:limit]],
        [dataset.images[i] for i in test],
        dataset.labels[test],
        masks,
    )


def _mask(mask):
    size = (MASK_SIZE, MASK_SIZE)
    return np.zeros(size, bool) if mask is None else featad.read_mask(mask, size=size)


def _measured(part, network, wanted, peers):
    """Yield a row of figures for each system of a network, as soon as it is there."""
    arch, weights = NETWORKS[network]
    is_file = isinstance(weights, Path)
    if is_file and not weights.exists():
        print(f"{network}: skipped, there is no {weights}", file=sys.stderr)
        return
    options = {"weights": str(weights)}
    if is_file:
        options["preprocessing"] = "imagenet"  # said, so nothing is assumed of the file
    for names in (PATCHES, STATISTICS):
        first = "mini" if arch == "vgg_mini" else network
        systems = [f"{first}-{name}" for name in names if name in wanted]
        if systems:
            for row in _of_one_extraction(part, systems, options):
                if weights == "generated":
                    row["system"] += ", generated"
                yield row
    if peers and part.masks is not None and weights != "generated":
        yield from _of_peers(part, network, peers)


def _of_one_extraction(part, names, options):
    """Yield the rows of systems whose features are the same, so that they run once."""
    features = featad.build(names[0], **options)["features"].fit(part.train[:1])
    _, train = _timed(features.transform, part.train)
    seconds, test = _timed(features.transform, part.test)
    for name in names:
        system = featad.build(name, **options)[1:]
        fit_seconds, _ = _timed(system.fit, train)
        score_seconds, scores = _timed(system.score_samples, test)
        maps = None
        if hasattr(system[-1], "anomaly_map"):
            maps = system[-1].anomaly_map(system[:-1].transform(test))
        speed = len(part.test) / (seconds + score_seconds)
        yield _row(part, name, -scores, maps, speed, fit_seconds)


def _of_peers(part, network, python):
    """Yield the rows of anomalib's models, run by another Python in this run."""
    arch, weights = NETWORKS[network]
    own = featad.build(f"{network}-{PATCHES[0]}")["features"]
    with tempfile.TemporaryDirectory() as folder:
        jobs = [
            {
                "peer": peer,
                "arch": arch,
                "weights": str(weights),
                "layers": patch_layers(arch),
                "size": own.image_size,
                "train": [str(path) for path in part.train],
                "test": [str(path) for path in part.test],
                "output": str(Path(folder, f"{peer}.npz")),
            }
            for peer in PEERS
        ]
        run_peers(python, jobs)
        for job in jobs:
            got = np.load(job["output"])
            speed, fit = got["images_per_second"].item(), got["fit_seconds"].item()
            maps = got["maps"].astype(np.float32)
            name = f"{PEERS[job['peer']]}, {network}"
            yield _row(part, name, got["scores"], maps, speed, fit)


def _timed(call, *args):
    """Return the seconds of processor that a call takes, and its result."""
    began = time.process_time()
    result = call(*args)
    return time.process_time() - began, result


def _row(part, system, scores, maps, speed, fit_seconds):
    row = {
        "system": system,
        "n_train": len(part.train),
        "n_test": len(part.test),
        "image_auroc": roc_auc_score(part.labels == -1, scores),
        "pixel_auroc": np.nan,
        "aupro": np.nan,
        "images_per_second": speed,
        "fit_seconds": fit_seconds,
    }
    if maps is not None and part.masks is not None:
        maps = [resized(one) for one in maps]
        row["pixel_auroc"] = pixel_auroc(part.masks, maps)
        row["aupro"] = aupro(part.masks, maps)
    return row


def resized(one: np.ndarray) -> np.ndarray:
    """Return a map at the size of the masks."""
    image = Image.fromarray(np.asarray(one, dtype=np.float32))
    size = (MASK_SIZE, MASK_SIZE)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def _keep(row):
    """Put a row into the table of all runs, in the place of an older one."""
    print(row, file=sys.stderr)
    path = RESULTS / "localization.csv"
    with FileLock(Path(tempfile.gettempdir(), "featad-localization.lock")):
        table = pd.DataFrame([row])
        if path.exists():
            table = pd.concat([pd.read_csv(path), table])
        table = table.drop_duplicates(KEY, keep="last")
        table.to_csv(path, index=False, float_format="%.4f")


def _text(args):
    table = pd.read_csv(RESULTS / "localization.csv")
    text = heading("Where it is odd", "benchmarks.localization") + _notes(args)
    masked = table[table.pixel_auroc.notna()]
    for title, column, rows in (
        ("Image AUROC", "image_auroc", table),
        ("Pixel AUROC", "pixel_auroc", masked),
        ("AUPRO (up to 30 % false positives)", "aupro", masked),
        ("Images per second", "images_per_second", table),
        ("Seconds to fit, features not counted", "fit_seconds", table),
    ):
        digits = 3 if "au" in column else 1
        text += f"\n## {title}\n\n" + _by_set(rows, column, digits)
    return text


def _by_set(table, column, digits):
    """Return a table of one figure: a row for each system, a column for each set."""
    wide = table.pivot(index=["network", "system"], columns="set", values=column)
    sets = [name for name in SETS if name in wide]
    wide = wide[sets]
    if {"hazelnut", "transistor"} <= set(sets) and digits == 3:
        wide["hazelnut + transistor"] = wide[["hazelnut", "transistor"]].mean(
            axis=1, skipna=False
        )
    rows = [
        [system, *("" if np.isnan(v) else f"{v:.{digits}f}" for v in values)]
        for (_, system), values in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return markdown_table(["system", *wide.columns], rows)


def _notes(args):
    table = pd.read_csv(RESULTS / "localization.csv")
    sizes = table.groupby("set")[["n_train", "n_test"]].max()
    counts = "; ".join(
        f"{name} {sizes.n_train[name]} and {sizes.n_test[name]}"
        for name in SETS
        if name in sizes.index
    )
    peers = (
        " Models of anomalib 2.7 are its own torch models, PatchCore with 1 % coreset "
        "and 9 neighbors and PaDiM with 100 features, given the same network, layers "
        "and images of 256 pixels, in the same run."
        if table.system.str.startswith("anomalib").any()
        else " anomalib's own models were not run (`--peers`)."
    )
    return (
        f"\nOn {' and '.join(CHOSEN_ON)} were chosen: the size of images (224 or 256 "
        "pixels), zeros beyond the border of maps, the smoothing, the rule from map to "
        "score and the pooled covariance of `PatchGaussian`. The two layers were "
        "compared with others on tiles, with 100 training images and blowholes, breaks "
        "and cracks only. Grid and number of projections were set, not searched. "
        "Nothing was chosen on the other sets, but figures on hazelnut were seen "
        "meanwhile. Systems of patches see images of 256 pixels, statistics 224. Sets "
        "and networks that are not in the tables were not measured, and rows of "
        "several runs of the command, with other sets and networks, stand together. "
        "Training and test images (drawn at random where a set has more than "
        f"{args.limit}): {counts}. Masks of deep_pcb are boxes; the sets without pixel "
        "figures have no masks. Maps are resized to 224 pixels, as the masks are. "
        "Images per second are those of one processor core, from processor time: "
        f"reading, network and detector.{peers}\n"
    )


if __name__ == "__main__":
    main()
