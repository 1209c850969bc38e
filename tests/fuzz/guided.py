"""Read image files that a fuzzer makes, led by which lines of the readers they reach.

Pillow's readers and featad's own are Python, so that the fuzzer (atheris) sees new ways
through them. It begins with small whole files of every format. Whatever is neither an
image nor a named error ends the run, and the file is kept.
"""

import argparse
import sys
import tempfile
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path


def whole_files() -> dict[str, bytes]:
    """Return small whole files of every format, by name."""
    from tests.fuzz.files import samples

    return samples()


def fuzz(folder: Path, corpus: Path, seconds: int) -> None:
    """Fuzz for a while; the process ends with it.

    Parameters
    ----------
    folder : Path
        For a file that is at fault.

    corpus : Path
        The files to begin with; those that reach something new are added.

    seconds : int
        How long.
    """
    import atheris

    with atheris.instrument_imports(include=["PIL", "featad.images"]):
        from PIL import Image

        from featad.errors import ImageReadError
        from featad.images import read_image

        Image.init()  # imports all readers

    def read_one(data):
        with suppress(ImageReadError):
            read_image(data)

    flags = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={folder}/",
        *("-timeout=60", "-rss_limit_mb=4096", "-max_len=65536"),
    ]
    atheris.Setup([sys.argv[0], str(corpus), *flags], read_one)
    atheris.Fuzz()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--keep", type=Path, default=".", help="for a file at fault")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as corpus:
        # in a process of its own: readers that are imported already are not led by
        with get_context("spawn").Pool(1) as pool:
            for name, data in pool.apply(whole_files).items():
                Path(corpus, name).write_bytes(data)
        fuzz(args.keep, Path(corpus), args.seconds)
