"""Write the README's table of detectors, from the detectors themselves.

    python -m docs.tables    # or: make tables

The table stands between two markers.
"""

from pathlib import Path

from featad.detectors import all_detectors
from featad.neural.detector import TorchDetector

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN = "<!-- detectors: written by `make tables` -->"
END = "<!-- end of detectors -->"
_HEAD = """\
| detector | a sample is anomalous if it is ... | in names of systems | source |
| --- | --- | --- | --- |"""
_SYSTEMS = {
    "features": "`FEATURES-{}`",
    "patches": "`FEATURES-patches-{}`",
    "images": "`images-{}`",
}


def detectors_table() -> str:
    """Return a Markdown table of all detectors that have an entry."""
    found = {
        name: detector
        for name, detector in all_detectors().items()
        if "_entry" in vars(detector)
    }
    names = sorted(found, key=lambda name: (_kind(found[name]), name.lower()))
    return "\n".join([_HEAD, *(_row(name, found[name]) for name in names)])


def _takes(detector):
    """Return what named systems give a detector."""
    usual = "images" if issubclass(detector, TorchDetector) else "features"
    return detector._entry.takes or (usual,)


def _kind(detector):
    """Return the place of detectors of features, patches, images, labeled images."""
    if detector._entry.name is None:
        return len(_SYSTEMS)
    return min(list(_SYSTEMS).index(kind) for kind in _takes(detector))


def _row(name, detector):
    entry = detector._entry
    system = "none: `fit` needs `y`"
    if entry.name is not None:
        names = [_SYSTEMS[kind].format(entry.name) for kind in _takes(detector)]
        system = ", ".join(names)
    cells = (f"`{name}`", entry.summary, system, entry.source)
    return f"| {' | '.join(cells)} |"


def with_table(text: str) -> str:
    """Return the README's text with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{detectors_table()}\n{END}{after}"


def main() -> None:
    """Write the table."""
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
