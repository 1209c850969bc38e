"""Write what the guide says of detectors and commands, from the code itself.

    python -m docs.tables    # or: make tables

What is written stands between two markers on a page.
"""

import argparse
import re
from pathlib import Path

from featad.cli import _parser
from featad.detectors import all_detectors
from featad.neural.detector import TorchDetector

GUIDE = Path(__file__).resolve().parent / "guide"
_DETECTORS_HEAD = """\
| detector | a sample is anomalous if it is ... | in names of systems | source |
| --- | --- | --- | --- |"""
_OPTIONS_HEAD = """\
| argument | what it does |
| --- | --- |"""
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
    return "\n".join([_DETECTORS_HEAD, *(_row(name, found[name]) for name in names)])


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


def commands_reference() -> str:
    """Return every command with its arguments, as ``--help`` says them."""
    actions = _parser()._actions
    (commands,) = (a for a in actions if isinstance(a, argparse._SubParsersAction))
    return "\n\n".join(_command(*item) for item in commands.choices.items())


def _command(name, parser):
    expand = parser._get_formatter()._expand_help
    rows = [
        f"| {_argument(action)} | {_escaped(expand(action))} |"
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction)
    ]
    table = [_OPTIONS_HEAD, *rows] if rows else ["It takes no arguments."]
    return "\n".join(
        [f"### featad {name}", "", _escaped(parser.description), "", *table]
    )


def _argument(action):
    value = action.metavar or "|".join(action.choices or [action.dest.upper()])
    shown = "" if action.nargs == 0 else f" {value}"
    options = ", ".join(action.option_strings)
    return f"`{options + shown if options else value}`".replace("|", r"\|")


def _escaped(text):
    """Return a help text for a table: files and options in it are code."""
    text = re.sub(r"(?<![\w`'-])(--?[a-z][\w-]*|<\w+>)(?![\w`'])", r"`\1`", text)
    return text.replace("|", r"\|").replace("*", r"\*")


WRITTEN = {
    "detectors": (GUIDE / "detectors.md", detectors_table),
    "commands": (GUIDE / "commands.md", commands_reference),
}


def with_written(text: str, what: str) -> str:
    """Return a page's text with the part of this name as it should be."""
    begin = f"<!-- {what}: written by `make tables` -->"
    end = f"<!-- end of {what} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{WRITTEN[what][1]()}\n\n{end}{after}"


def main() -> None:
    """Write the pages."""
    for what, (page, _) in WRITTEN.items():
        text = with_written(page.read_text(encoding="utf-8"), what)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
