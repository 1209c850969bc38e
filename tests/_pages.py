"""Runs the code of a Markdown page, and holds what it prints to what the page says.

A block of ``python`` runs in the page's one namespace. Each line of a block of ``sh``
is a featad command, which has to succeed unless it ends in ``# exit code N``. A block
of ``text`` right below is what either prints: numbers may differ a little, ``...``
stands for anything. ``<!-- not run: REASON -->`` above a block leaves it out.
"""

import io
import re
import shlex
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from featad.cli import main

ROOT = Path(__file__).resolve().parents[1]
SLOW = "<!-- slow -->"
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^>]+) -->\n+)?"
    r"^```(?P<language>\S*)[^\n]*\n(?P<code>.*?)^```$"
    r"(?:\n+^```text\n(?P<output>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?"
_TOKEN = re.compile(rf"(?P<number>{_NUMBER})|(?P<space>\s+)|(?P<any>\.\.\.)|.")
_RELATIVE, _ABSOLUTE = 0.05, 0.03


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; ``output`` is None where the page does not show any."""

    language: str
    code: str
    line: int
    output: str | None
    reason: str | None


def pages() -> list[Path]:
    """Return the pages whose code runs."""
    folders = ("docs", "docs/getting_started", "docs/guide")
    found = [page for name in folders for page in sorted((ROOT / name).glob("*.md"))]
    return [ROOT / "README.md", *found]


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, each with the output below it."""
    return [
        Block(
            language=found["language"],
            code=found["code"],
            line=text.count("\n", 0, found.start("code")) + 1,
            output=found["output"],
            reason=found["reason"],
        )
        for found in _BLOCK.finditer(text)
    ]


def run_page(text: str, name: str) -> None:
    """Run the blocks of a page in order; the current folder is theirs to write to."""
    namespace: dict = {"__name__": "__main__"}
    for block in blocks(text):
        if block.reason or block.language not in ("python", "sh"):
            continue
        printed = io.StringIO()
        with redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            if block.language == "python":
                lines = "\n" * (block.line - 1)  # so that a traceback names the line
                exec(compile(lines + block.code, name, "exec"), namespace)
            else:
                with redirect_stderr(printed):
                    _run_commands(block.code, printed)
        if block.output is not None:
            problem = difference(block.output, printed.getvalue())
            assert not problem, f"{name}, line {block.line}: {problem}"


def commands(code: str) -> list[str]:
    """Return the commands of a block of ``sh``, one string each."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line for line in map(str.strip, lines) if line and line[0] != "#"]


def _run_commands(code, printed):
    for command in commands(code):
        program, *arguments = shlex.split(command, comments=True)
        assert program == "featad", f"{command!r} is not a featad command"
        expected = re.search(r"# exit code (\d+)", command)
        code = main(arguments)
        said = printed.getvalue()
        assert code == int(expected[1] if expected else 0), f"{command}:\n{said}"


def difference(expected: str, printed: str) -> str:
    """Return how a text differs from what the page says, or nothing."""
    pattern, numbers = "", []
    for token in _TOKEN.finditer(expected.strip()):
        if token["number"]:
            pattern += f"({_NUMBER})"
            numbers.append(float(token["number"]))
        elif token["space"]:
            pattern += r"\s+"
        else:
            pattern += ".*?" if token["any"] else re.escape(token[0])
    found = re.fullmatch(pattern, printed.strip(), re.DOTALL)
    if found is None:
        return f"the page says\n{expected}\nbut the code prints\n{printed}"
    far = [
        f"{said:g} is {value}"
        for said, value in zip(numbers, found.groups(), strict=True)
        if abs(float(value) - said) > max(_ABSOLUTE, _RELATIVE * abs(said))
    ]
    return f"{', '.join(far)} in\n{printed}" if far else ""
