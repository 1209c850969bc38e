"""What features cost in a search: the second pass, the grid, ways to store them.

Second pass: JPEG files of 1024 x 768 pixels to features of vgg_mini, first computed and
stored, then read. Grid: twelve choices of layers and five detectors, filled and
searched with a cache, beside a pipeline without one: images are timed once for each
choice of layers, and counted for all detectors and folds. Stores: time to write and
read rows as large as those features, in one file an image, in SQLite and in a
memory-mapped file.
"""

import argparse
import hashlib
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import featad
from benchmarks._report import heading, markdown_table, write
from benchmarks.speed import _write_images
from featad.features.cache import FeatureCache

_LAYERS = ["conv1_2", "conv2_2", "conv3_1", "conv3_2", "conv4_1"]
_CHOICES = [*_LAYERS, *combinations(_LAYERS[1:], 2), tuple(_LAYERS)]


def main() -> None:
    """Measure and write ``searches.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, default=200)
    parser.add_argument("--image-size", type=int, default=224)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        paths = _write_images(place, args.n_images)
        text = heading("Features in searches", "benchmarks.searches")
        text += _second_pass(paths, place / "a", args.image_size)
        text += _grid(paths, place / "b", args.image_size)
        text += _stores(place / "c")
    write("searches.md", text)


def _second_pass(paths, cache, size):
    def features():
        three = featad.features.default_layers("vgg_mini")[1]
        return featad.VGGFeatures(
            "vgg_mini",
            layer=three,
            pooling=("mean", "std", "max"),
            image_size=size,
            cache=cache,
        )

    features().set_params(cache=None).fit_transform(paths[:8])  # load the network
    seconds = [_seconds(lambda: features().fit_transform(paths)) for _ in range(4)]
    first, again = seconds[0], sorted(seconds[1:])[1]
    row = [len(paths), f"{first:.2f}", f"{again:.3f}", f"{100 * again / first:.1f} %"]
    header = ["images", "first pass, s", "from the cache, s", "share"]
    return (
        f"\nA pass of vgg_mini's three layers at {size} pixels, from JPEG files of "
        "1024 x 768; from the cache the median of three:\n\n"
        + markdown_table(header, [row])
    )


def _grid(paths, cache, size):
    y = np.where(np.arange(len(paths)) < 0.8 * len(paths), 1, -1)
    detectors = [
        featad.Mahalanobis(),
        featad.NearestNeighbors(1),
        featad.KMeansDistance(random_state=0),
        featad.IsolationForest(random_state=0),
        featad.OneClassSVM(gamma="median", nu=0.05),
    ]
    cv = featad.OneClassKFold(2, random_state=0)
    system = featad.build("mini-stats-kmeans", image_size=size)
    grid = {"features__layer": _CHOICES, "detector": detectors}

    def search():
        searched = GridSearchCV(
            clone(system).set_params(features__cache=cache),
            grid,
            scoring=featad.anomaly_roc_auc,
            cv=cv,
            refit=False,
        )
        featad.fill_cache(searched, paths)
        searched.fit(paths, y)

    ours = _seconds(search)
    n_used = sum(len(train) + len(test) for train, test in cv.split(paths, y))
    naive = 0.0
    for layer in _CHOICES:
        plain = clone(system["features"]).set_params(layer=layer, cache=None)
        plain.fit_transform(paths[:8])
        each = _seconds(lambda p=plain: p.transform(paths[:40])) / 40
        naive += each * n_used * len(detectors)
    row = [f"{len(_CHOICES)} x {len(detectors)}", len(paths), f"{ours:.1f}"]
    row += [f"{naive:.0f}", f"{naive / ours:.0f}"]
    header = ["grid", "images", "filled and searched, s", "features each time, s", "x"]
    return (
        "\nA grid over layers and detectors, two folds, without a refit. Features each "
        "time are counted from the rate of 40 images for each choice, detectors not "
        "included:\n\n" + markdown_table(header, [row])
    )


def _stores(folder, n=2000, width=1920):
    rows = np.random.default_rng(0).random((n, width), dtype=np.float32)
    keys = [hashlib.sha256(row).hexdigest() for row in rows]
    folder.mkdir()
    stores: dict[str, Callable] = {
        "a file an image": _files,
        "SQLite, WAL": _sqlite,
        "memory-mapped": _mapped,
    }
    table = []
    for name, make in stores.items():
        put, get = make(folder, rows.shape)
        written = _seconds(lambda put=put: put(keys, rows))
        read = min(_seconds(lambda get=get: get(keys)) for _ in range(3))
        table.append([name, f"{1e6 * written / n:.0f}", f"{1e6 * read / n:.0f}"])
        print(*table[-1], file=sys.stderr)
    header = ["store", "write, µs/image", "read, µs/image"]
    return (
        f"\nWays to store {n} rows of {width} float32 values, each with a digest that "
        "is checked when it is read; written in batches of 8, best of three reads:\n\n"
        + markdown_table(header, table)
    )


def _files(folder, shape):
    cache = FeatureCache(folder / "files", "f" * 64, shape[1])

    def put(keys, rows):
        for key, row in zip(keys, rows, strict=True):
            cache.put(key, row)

    return put, lambda keys: [cache.get(key) for key in keys]


def _sqlite(folder, shape):
    database = sqlite3.connect(folder / "features.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("CREATE TABLE f (key TEXT PRIMARY KEY, row BLOB) WITHOUT ROWID")

    def put(keys, rows):
        for start in range(0, len(keys), 8):
            batch = zip(keys[start : start + 8], rows[start : start + 8], strict=True)
            database.execute("BEGIN IMMEDIATE")
            entries = [(key, _entry(row)) for key, row in batch]
            database.executemany("INSERT INTO f VALUES (?, ?)", entries)
            database.execute("COMMIT")

    def get(keys):
        ask = "SELECT row FROM f WHERE key = ?"
        return [_row(database.execute(ask, (key,)).fetchone()[0]) for key in keys]

    return put, get


def _mapped(folder, shape):
    n, width = shape
    path = folder / "features.bin"
    entries = np.memmap(path, np.uint8, "w+", shape=(n, 32 + 4 * width))
    places = {}

    def put(keys, rows):
        for place, (key, row) in enumerate(zip(keys, rows, strict=True)):
            entries[place] = np.frombuffer(_entry(row), np.uint8)
            places[key] = place
            if place % 8 == 7:
                entries.flush()

    return put, lambda keys: [_row(entries[places[key]].tobytes()) for key in keys]


def _entry(row):
    values = row.tobytes()
    return hashlib.sha256(values).digest() + values


def _row(entry):
    if hashlib.sha256(entry[32:]).digest() != entry[:32]:
        raise ValueError("a damaged entry")
    return np.frombuffer(entry[32:], np.float32)


def _seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
