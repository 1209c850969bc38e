"""Image anomaly detection that is scikit-learn.

The public names are imported on first use, so that ``import featad`` is quick. Their
list is ``__init__.pyi``, which type checkers and editors read as well.

Examples
--------
>>> import featad
>>> featad.KMeansDistance(n_clusters=2)
KMeansDistance(n_clusters=2)
"""

import os
import re
import tempfile
from importlib import import_module
from pathlib import Path

__version__ = "0.1.0"

_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
_HOME_OF = {
    name: home
    for home, name in re.findall(r"^from (\S+) import \w+ as (\w+)$", _STUB, re.M)
}

try:
    tempfile.gettempdir()
except FileNotFoundError:  # torch only starts with a folder, which it never uses here
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.dirname(__file__))

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'featad' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
