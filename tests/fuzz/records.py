"""Read damaged models, manifests, tables of scores, IDX files and cached features."""

import argparse
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from featad import build, calibrate, load, load_folder, save, score_to_file
from featad.datasets import load_idx
from featad.errors import DatasetError, FeatadError, ModelFileError
from featad.features.cache import FeatureCache
from featad.persistence import manifest_path
from featad.score_files import read_rows
from tests.fuzz.files import damage


class Record:
    """A file that is read, and how what came of it is judged.

    Parameters
    ----------
    path : Path
        A whole file.

    read : callable
        Reads it.

    named : tuple of exception types
        What it may raise.

    is_fine : callable
        Whether what it returned is a result.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[], object],
        named: tuple[type[Exception], ...],
        is_fine: Callable[[object], bool] = lambda result: True,
    ) -> None:
        self.path, self.read, self.named, self.is_fine = path, read, named, is_fine
        self._whole = path.read_bytes()

    def fault(self, rng: np.random.Generator) -> str | None:
        """Damage the file, read it, and put it right; return what was wrong."""
        self.path.write_bytes(damage(self._whole, rng))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = self.read()
            return None if self.is_fine(result) else f"a wrong result: {result!r}"
        except self.named:
            return None
        except Exception:
            return traceback.format_exc()
        finally:
            self.path.write_bytes(self._whole)


def records(folder: Path) -> Iterator[Record]:
    """Yield every kind of record, written into an empty folder."""
    images = np.random.default_rng(0).random((12, 8, 8, 3))
    system = calibrate(build("pixels-kmeans"), target_fpr=0.2).fit(images)
    paths = [folder / f"{i}.png" for i in range(12)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray((image * 255).astype(np.uint8)).save(path)

    for ending in ("joblib", "skops"):
        model = folder / f"model.{ending}"
        save(system, model)
        for file in (model, manifest_path(model)):
            yield Record(file, lambda model=model: load(model), (ModelFileError,))
    alone = folder / "alone.skops"
    alone.write_bytes((folder / "model.skops").read_bytes())
    yield Record(alone, lambda: load(alone), (ModelFileError,))

    manifest = folder / "manifest.csv"
    labels = np.where(np.arange(12) < 10, "good", "bad")
    names = [path.name for path in paths]
    pd.DataFrame({"path": names, "label": labels}).to_csv(manifest, index=False)
    yield Record(manifest, lambda: load_folder(manifest), (DatasetError,))

    for ending in ("csv", "jsonl", "parquet"):
        scores = folder / f"scores.{ending}"
        score_to_file(system, paths, scores)
        yield Record(
            scores, lambda scores=scores: read_rows(scores), (ValueError, OSError)
        )

    pixels = (images[..., 0] * 255).astype(np.uint8)
    tables = {"images-idx3": pixels, "labels-idx1": pixels[:, 0, 0]}
    for kind, data in tables.items():
        head = bytes([0, 0, 8, data.ndim]) + np.array(data.shape, ">i4").tobytes()
        (folder / f"train-{kind}-ubyte").write_bytes(head + data.tobytes())
    for kind in tables:
        file = folder / f"train-{kind}-ubyte"
        yield Record(file, lambda: load_idx(folder), (DatasetError,))

    values = np.arange(6, dtype=np.float32)
    cache = FeatureCache(folder / "cache", fingerprint="f" * 64, shape=6)
    cache.put("a" * 64, values)
    entry = next(path for path in (folder / "cache").rglob("a*") if path.is_file())
    yield Record(
        entry,
        lambda: cache.get("a" * 64),
        (FeatadError,),
        lambda found: found is None or np.array_equal(found, values),
    )


def read_damaged(n_each: int, seed: int, folder: Path) -> dict[str, list[str]]:
    """Return, for the name of each record, the faults that damage to it has shown."""
    found = {}
    for place, record in enumerate(records(folder)):
        rngs = (np.random.default_rng([seed, place, i]) for i in range(n_each))
        faults = [fault for rng in rngs if (fault := record.fault(rng))]
        found[record.path.name] = faults
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = read_damaged(args.each, args.seed, Path(folder))
    for name, faults in found.items():
        print(f"{name[:24]}: {args.each} files, {len(faults)} faults")
        print(*faults[:3], sep="\n")
    raise SystemExit(any(found.values()))
