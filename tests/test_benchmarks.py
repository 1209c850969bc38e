"""Benchmarks can be started; what they measure takes minutes."""

import importlib
from pathlib import Path

import pytest

import benchmarks

FOREIGN = {"_peers"}  # runs in a Python that has anomalib
MODULES = sorted(
    {p.stem for p in Path(benchmarks.__file__).parent.glob("*.py")} - FOREIGN
)


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_finds_what_it_imports(name):
    importlib.import_module(f"benchmarks.{name}")
