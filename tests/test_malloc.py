"""Networks take the memory of the batch before, and not new pages from the system."""

import os
import subprocess
import sys

import pytest

from featad import _malloc

_PASSES = """
import resource
import numpy as np
from featad import VGGFeatures

images = np.random.default_rng(0).random((8, 112, 112, 3), dtype=np.float32)
features = VGGFeatures("vgg_mini", image_size=112, device="cpu").fit(images)
features.transform(images)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    features.transform(images)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _new_pages(**variables):
    """Return how many pages three passes ask for, after one to warm up."""
    done = subprocess.run(
        [sys.executable, "-c", _PASSES],
        env=os.environ | variables,
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="it is about glibc")
def test_a_pass_asks_for_few_pages_unless_somebody_has_chosen_otherwise():
    dask = {"MALLOC_TRIM_THRESHOLD_": "65536"}  # as Dask starts its workers
    kept = _new_pages(**dask)
    chosen = _new_pages(**dask, MALLOC_MMAP_THRESHOLD_="131072")
    assert chosen > 3 * kept


@pytest.mark.skipif(sys.platform != "linux", reason="it is about glibc")
@pytest.mark.parametrize("largest", [1 << 25, 1 << 30])
def test_an_older_glibc_keeps_what_it_can(largest, monkeypatch):
    class Library:
        def __init__(self):
            self.set = {}

        def mallopt(self, name, value):
            if name == _malloc._MMAP_THRESHOLD and value > largest:
                return 0
            self.set[name] = value
            return 1

    library = Library()
    monkeypatch.setattr(_malloc.ctypes, "CDLL", lambda name: library)
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    _malloc.keep_freed_memory.__wrapped__()
    assert library.set[_malloc._MMAP_THRESHOLD] == largest
