"""What features cost in a search: the second pass, a grid, ways to store them.

Second pass: JPEG files of 1024 x 768 pixels to features of vgg_mini's three layers,
computed and stored, then read. Grid: twelve choices of layers and five detectors on 200
images, filled and searched with a cache, beside a pipeline that extracts anew for each
fit and score, with vgg_mini and with VGG16; images that went through the network are
counted. Stores: time to write
and to read rows as large as those features, by one process and by two at once, in one
file an image (featad's), in SQLite and in a memory-mapped file.
"""

import argparse
import hashlib
import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import featad
from benchmarks._report import heading, markdown_table, write
from benchmarks.speed import _write_images
from featad.features.cache import FeatureCache
from featad.features.cache_folder import set_cache_dtype
from featad.features.extractor import Extractor

_LAYERS = {
    "mini": ["conv1_1", "conv2_2", "conv3_2", "conv4_1", "conv4_4"],
    "vgg16": ["conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"],
}
_WIDTH = 3456  # features of the three layers
_TIMED = 40  # images by which the naive pipeline is timed
_BATCH = 8  # images that featad's network takes at a time


def main() -> None:
    """Measure and write ``results/searches.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, default=200)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--n-rows", type=int, default=2000, help="of the stores")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        paths = _write_images(place, args.n_images)
        text = heading("Features in searches", "benchmarks.searches")
        text += _second_pass(paths, place, args.image_size)
        text += _grid(paths, place / "grid", args.image_size)
        text += _stores(place, args.n_rows)
    write("searches.md", text)


def _second_pass(paths, place, size):
    rows = []
    for dtype in ("float32", "float16"):
        cache = place / dtype
        set_cache_dtype(cache, dtype)
        system = featad.build("mini-stats-kmeans", image_size=size, cache=cache)
        features = system["features"]
        clone(features).set_params(cache=None).fit_transform(paths[:8])  # loads it
        run = partial(features.fit_transform, paths)
        first, again = _seconds(run), median(_seconds(run) for _ in range(5))
        share = f"{100 * again / first:.1f} %"
        each = f"{1e6 * again / len(paths):.0f}"
        rows.append([dtype, len(paths), f"{first:.2f}", f"{again:.3f}", each, share])
    header = ["kept in", "images", "first pass, s", "from the cache, s"]
    header += ["µs/image", "share"]
    return (
        f"\nA pass of vgg_mini's three layers at {size} pixels, from JPEG files of "
        f"{paths[0].stat().st_size / 1000:.0f} kB; from the cache the median of five:"
        "\n\n" + markdown_table(header, rows)
    )


def _grid(paths, place, size):
    y = np.where(np.arange(len(paths)) < 0.8 * len(paths), 1, -1)
    detectors = [
        featad.Mahalanobis(),
        featad.NearestNeighbors(1),
        featad.KMeansDistance(random_state=0),
        featad.OneClassSVM(gamma="median", nu=0.05),
        featad.IsolationForest(random_state=0),
    ]
    cv = featad.OneClassKFold(2, random_state=0)
    n_used = sum(len(train) + len(test) for train, test in cv.split(paths, y))
    rows = []
    for network, chosen in (
        ("mini", detectors),
        ("mini", detectors[:-1]),
        ("vgg16", detectors),
    ):
        choices = _choices(_LAYERS[network])
        system = featad.build(f"{network}-stats-kmeans", image_size=size)
        if network == "vgg16":
            system.set_params(features__weights=None)  # as fast as any
        each = (_seconds_an_image(system, paths, layer) for layer in choices)
        extraction = n_used * sum(each)
        cache = place / f"{network} {len(chosen)}"
        cached = clone(system).set_params(features__cache=cache)
        grid = {"features__layer": choices, "detector": chosen}
        search = _search(cached, grid, cv)

        def fill_and_search(search=search):
            featad.fill_cache(search, paths)
            search.fit(paths, y)

        with _counted() as count:
            ours = _seconds(fill_and_search)
        alone = 0.0
        for layer in choices:
            features = cached.set_params(features__layer=layer)["features"]
            rest = _search(cached[1:], {"detector": chosen}, cv)
            alone += _seconds(partial(rest.fit, features.fit_transform(paths), y))
        naive = extraction * len(chosen) + alone
        n_naive = n_used * len(chosen) * len(choices)
        row = [network, f"{len(choices)} x {len(chosen)}", len(paths), f"{alone:.1f}"]
        row += [f"{ours:.1f}", f"{count[0]:,}", f"{naive:.0f}", f"{n_naive:,}"]
        rows.append([*row, f"{naive / ours:.0f}"])
    header = ["network", "grid", "images", "detectors alone, s", "featad, s"]
    header += ["images through the network", "naive, s"]
    header += ["images through the network", "ratio"]
    return (
        "\nA grid over layers and detectors, two folds, without a refit, one process. "
        "The detectors alone are the same search on features that are at hand. The "
        "naive pipeline spends as much on them, and extracts anew for each fit and "
        f"score: its seconds follow from the rate of {_TIMED} images for each choice "
        "of layers. The second grid is without `IsolationForest`, whose 600 trees "
        "scikit-learn grows one by one:\n\n" + markdown_table(header, rows)
    )


def _choices(layers):
    """Return twelve choices: each layer, pairs of the deeper ones, and all together."""
    return [*layers, *combinations(layers[1:], 2), tuple(layers)]


def _search(system, grid, cv):
    scoring = featad.anomaly_roc_auc
    return GridSearchCV(system, grid, scoring=scoring, cv=cv, refit=False)


def _seconds_an_image(system, paths, layer):
    plain = clone(system["features"]).set_params(layer=layer)
    plain.fit_transform(paths[:8])
    return _seconds(partial(plain.transform, paths[:_TIMED])) / _TIMED


@contextmanager
def _counted() -> Iterator[list[int]]:
    """Count the images that go through networks."""
    count, launch = [0], Extractor.launch

    def counting(self: Extractor, pixels: np.ndarray, *args: Any, **kwargs: Any) -> Any:
        count[0] += len(pixels)
        return launch(self, pixels, *args, **kwargs)

    Extractor.launch = counting  # type: ignore[method-assign]
    try:
        yield count
    finally:
        Extractor.launch = launch  # type: ignore[method-assign]


def _stores(place, n_rows):
    rows = np.random.default_rng(0).random((n_rows, _WIDTH), dtype=np.float32)
    keys = [hashlib.sha256(row).hexdigest() for row in rows]
    table = []
    for name, make in _STORES.items():
        put, get = make(place / "alone", n_rows)
        written = _seconds(partial(put, keys, rows, 0))
        read = min(_seconds(partial(get, keys)) for _ in range(3))
        both = _seconds(partial(_by_two, make, place / "both", keys, rows))
        table.append(
            [name, *(f"{1e6 * s / n_rows:.0f}" for s in (written, read, both))]
        )
    header = ["store", "write, µs/row", "read, µs/row", "two processes write, µs/row"]
    return (
        f"\nWays to store {n_rows:,} rows of {_WIDTH:,} float32 values, each with a "
        f"digest that is checked when it is read; written in batches of {_BATCH}, best "
        "of three reads. Two processes write half of the rows each, at once; nothing "
        "is told to wait for the disk. The memory-mapped file has no index and no "
        "lock: it is a bound, not a store.\n\n" + markdown_table(header, table)
    )


def _by_two(make, folder, keys, rows):
    make(folder, len(rows))
    half = len(rows) // 2
    parts = (slice(None, half), 0), (slice(half, None), half)
    fork = multiprocessing.get_context("fork")
    writers = [
        fork.Process(
            target=_write, args=(make, folder, len(rows), keys[p], rows[p], at)
        )
        for p, at in parts
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def _write(make, folder, n_rows, keys, rows, start):
    make(folder, n_rows)[0](keys, rows, start)


def _files(folder, n_rows):
    cache = FeatureCache(folder / "files", "f" * 64, _WIDTH)

    def put(keys, rows, _):
        for key, row in zip(keys, rows, strict=True):
            cache.put(key, row)

    return put, lambda keys: [cache.get(key) for key in keys]


def _sqlite(folder, n_rows):
    folder.mkdir(exist_ok=True)
    path = folder / "features.sqlite"
    database = sqlite3.connect(path, timeout=60, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=OFF")
    database.execute("CREATE TABLE IF NOT EXISTS f (key TEXT PRIMARY KEY, row BLOB)")

    def put(keys, rows, _):
        for start in range(0, len(keys), _BATCH):
            part = slice(start, start + _BATCH)
            entries = zip(keys[part], map(_entry, rows[part]), strict=True)
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO f VALUES (?, ?)", entries)
            database.execute("COMMIT")

    def get(keys):
        ask = "SELECT row FROM f WHERE key = ?"
        return [_row(database.execute(ask, (key,)).fetchone()[0]) for key in keys]

    return put, get


def _mapped(folder, n_rows):
    folder.mkdir(exist_ok=True)
    path = folder / "features.bin"
    mode = "r+" if path.exists() else "w+"
    entries = np.memmap(path, np.uint8, mode, shape=(n_rows, 32 + 4 * _WIDTH))
    places: dict[str, int] = {}

    def put(keys, rows, start):
        for place, (key, row) in enumerate(zip(keys, rows, strict=True), start):
            entries[place] = np.frombuffer(_entry(row), np.uint8)
            places[key] = place

    return put, lambda keys: [_row(entries[places[key]].tobytes()) for key in keys]


_STORES: dict[str, Callable] = {
    "a file an image": _files,
    "SQLite, WAL": _sqlite,
    "memory-mapped": _mapped,
}


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
