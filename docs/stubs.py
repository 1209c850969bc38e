"""Write every detector's name into the stubs: ``python -m docs.stubs``.

``featad/__init__.pyi`` is the list of public names, by hand but for the detectors;
``featad/detectors/__init__.pyi`` says in which file each detector is.
"""

from pathlib import Path

import featad
from featad.detectors import all_detectors

PACKAGE = Path(featad.__file__).parent


def stubs() -> dict[Path, str]:
    """Return the text that each stub should have, by path.

    Returns
    -------
    stubs : dict of Path to str
        The detectors' lines are made anew, all others are as they are.
    """
    public, files = PACKAGE / "__init__.pyi", PACKAGE / "detectors" / "__init__.pyi"
    detectors = all_detectors()
    by_hand = [
        line
        for line in public.read_text(encoding="utf-8").splitlines()
        if line.startswith("from ") and not line.startswith("from featad.detectors ")
    ]
    names = [f"from featad.detectors import {name} as {name}" for name in detectors]
    homes = [
        f"from {detector.__module__} import {name} as {name}"
        for name, detector in detectors.items()
    ]
    return {
        public: _lines(*sorted([*by_hand, *names]), "", "__version__: str"),
        files: _lines(
            "from featad.base import BaseDetector",
            *sorted(homes),
            "",
            "def all_detectors() -> dict[str, type[BaseDetector]]: ...",
        ),
    }


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the stubs."""
    for path, text in stubs().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
