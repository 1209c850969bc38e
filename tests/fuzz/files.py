"""Read damaged image files of every format: each ends in an image or a named error."""

import argparse
import io
import os
import resource
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image, features

from featad.errors import ImageReadError
from featad.images import read_image

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
_SECONDS = 60  # for one file, then its process is ended


@dataclass
class Outcome:
    """What came of many files.

    Attributes
    ----------
    n_read, n_refused : int
        How many gave an image, and how many an ImageReadError.

    faults : list of str
        What else happened: other exceptions, processes that died or did not end.

    slowest : float
        Seconds of the slowest file.

    peak : int
        Bytes of memory of the largest process.
    """

    n_read: int = 0
    n_refused: int = 0
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    peak: int = 0


def samples() -> dict[str, bytes]:
    """Return small whole files of every format that this machine writes, by name."""
    rng = np.random.default_rng(0)
    color = Image.fromarray(rng.integers(0, 256, (24, 20, 3), np.uint8))
    gray, deep = (
        color.convert("L"),
        Image.fromarray(rng.integers(0, 4096, (24, 20), np.uint16)),
    )
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    files = {
        "color.png": (color, {}),
        "palette.png": (color.convert("P"), {"transparency": 0}),
        "deep.png": (deep, {}),
        "color.jpg": (color, {"exif": exif}),
        "progressive.jpg": (color, {"progressive": True}),
        "cmyk.jpg": (color.convert("CMYK"), {}),
        "color.bmp": (color, {}),
        "gray.pgm": (gray, {}),
        "color.gif": (color, {"save_all": True, "append_images": [color]}),
        "plain.tif": (color, {}),
        "lzw.tif": (gray, {"compression": "tiff_lzw"}),
        "deflate.tif": (color, {"compression": "tiff_adobe_deflate"}),
        "deep.tif": (deep, {}),
        "pages.tif": (gray, {"save_all": True, "append_images": [gray] * 3}),
    }
    if features.check("webp"):
        files["color.webp"] = color, {"exif": exif}
    if features.check("jpg_2000"):
        files["color.jp2"] = color, {}
    if features.check("avif"):
        files["color.avif"] = color, {}
    whole = {}
    for name, (image, options) in files.items():
        file = io.BytesIO()
        Image.init()
        image.save(file, Image.EXTENSION[Path(name).suffix], **options)
        whole[name] = file.getvalue()
    return whole


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Return a file with one to four faults: flips, cuts, lies, repeats, holes."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        size = len(changed)
        if size < 8:
            break
        place = int(rng.integers(size))
        if rng.random() < 0.5:
            place %= 128  # headers
        kind = rng.integers(6)
        if kind == 0:
            changed[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del changed[max(8, place) :]
        elif kind == 2:
            order = "big" if rng.random() < 0.5 else "little"
            lie = int(rng.choice(_EXTREMES)) + int(rng.integers(-1, 2))
            width = int(rng.choice([1, 2, 4]))
            lie %= 1 << 8 * width
            changed[place : place + width] = lie.to_bytes(width, order)
        elif kind == 3:
            end = place + int(rng.integers(1, 64))
            changed[place:place] = changed[place:end] * int(rng.integers(1, 200))
        elif kind == 4:
            length = int(rng.integers(1, 64))
            changed[place : place + length] = bytes(length)
        else:
            del changed[place : place + int(rng.integers(1, 16))]
    return bytes(changed)


def read_damaged(n_files: int, seed: int, folder: Path) -> Outcome:
    """Read damaged files in a process of its own; another one follows if it dies."""
    outcome, start = Outcome(), 0
    context = get_context("fork")
    while start < n_files:
        here, there = context.Pipe(duplex=False)
        child = context.Process(
            target=_read, args=(start, n_files, seed, folder, there)
        )
        child.start()
        there.close()
        number = start
        try:
            while here.poll(_SECONDS):
                number, told = here.recv()
                _count(outcome, told)
                number += 1
        except EOFError:
            pass
        child.kill()
        child.join()
        here.close()
        if number < n_files:
            outcome.faults.append(f"seed {seed}, file {number}: no end, or a crash")
            number += 1
        start = number
    return outcome


def _count(outcome, told):
    kind, seconds, peak = told
    outcome.slowest = max(outcome.slowest, seconds)
    outcome.peak = max(outcome.peak, peak)
    if kind == "read":
        outcome.n_read += 1
    elif kind == "refused":
        outcome.n_refused += 1
    else:
        outcome.faults.append(kind)


def _read(start, stop, seed, folder, pipe):
    whole = list(samples().items())
    for number in range(start, stop):
        rng = np.random.default_rng([seed, number])
        name, data = whole[number % len(whole)]
        path = folder / f"{os.getpid()}{Path(name).suffix}"
        path.write_bytes(damage(data, rng))
        begin = time.perf_counter()
        try:
            read_image(path)
            kind = "read"
        except ImageReadError:
            kind = "refused"
        except BaseException:
            kind = f"seed {seed}, file {number}, {name}: {traceback.format_exc()}"
        seconds = time.perf_counter() - begin
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pipe.send((number, (kind, seconds, peak)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = read_damaged(args.files, args.seed, Path(folder))
    print(
        f"{found.n_read} read, {found.n_refused} refused, {len(found.faults)} faults; "
        f"the slowest took {found.slowest:.2f} s, the largest process "
        f"{found.peak / 2**20:.0f} MiB"
    )
    print(*found.faults[:20], sep="\n")
    raise SystemExit(bool(found.faults))
