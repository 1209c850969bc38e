"""The code of the README and the guide runs, and its text says what is true."""

import re

import pytest
from _pages import ROOT, SLOW, blocks, commands, difference, pages, run_page

from featad.cli import _parser

NAMES = [str(page.relative_to(ROOT)) for page in pages()]
LANGUAGES = {"python", "sh", "text", "{toctree}"}


def _read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def _marked(name):
    marks = [pytest.mark.slow] if SLOW in _read(name) else []
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [_marked(name) for name in NAMES])
def test_the_code_of_a_page_runs_and_prints_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(_read(name), name)


@pytest.mark.parametrize("name", NAMES)
def test_every_block_of_code_says_its_language(name):
    text = _read(name)
    unknown = [block for block in blocks(text) if block.language not in LANGUAGES]
    assert unknown == []
    fenced = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"\n\n    [^ ].*", fenced) == [], "an indented block is not run"


def test_the_readme_is_one_page():
    assert len(_read("README.md").splitlines()) <= 120


def test_images_have_a_text_for_those_who_cannot_see_them():
    assert [n for n in NAMES if re.search(r"!\[\s*\]\(", _read(n))] == []


def test_links_to_files_lead_somewhere():
    broken = [
        f"{name}: {target}"
        for name in NAMES
        for target in re.findall(r"\]\((?!\w+:|#)([^)#\s]+\.\w+)", _read(name))
        if not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert broken == []


def test_commands_and_options_of_the_docs_exist():
    known = _known_options()
    strange = []
    for name in NAMES:
        code = [b.code for b in blocks(_read(name)) if b.language == "sh"]
        inline = re.findall(r"`(featad [^`]+)`", _read(name).replace("\n", " "))
        for command in [c for text in code for c in commands(text)] + inline:
            words = command.split(" #")[0].split()
            if words[0] != "featad" or len(words) < 2 or words[1].startswith("-"):
                continue
            options = {w.split("=")[0] for w in words[2:] if w.startswith("-")}
            if words[1] not in known or not options <= known[words[1]]:
                strange.append(f"{name}: {command}")
    assert strange == []


def test_options_that_the_docs_name_exist():
    known = set().union(*_known_options().values()) | {"--version", "--help"}
    strange = [
        f"{name}: {option}"
        for name in NAMES
        for option in re.findall(r"`(--[a-z][a-z-]*)", _read(name))
        if option not in known
    ]
    assert strange == []


def test_every_command_and_option_is_on_the_page_of_commands():
    page = _read("docs/guide/commands.md")
    missing = [
        f"{command} {option}"
        for command, options in _known_options().items()
        for option in [f"featad {command}", *options - {"-h", "--help"}]
        if not re.search(rf"{re.escape(option)}\b", page)
    ]
    assert missing == []


@pytest.mark.parametrize("command", ["", "fit", "score", "check", "calibrate"])
def test_a_difference_of_output_is_told(command):
    assert difference(f"{command} 0.98 ok", f"{command} 0.97  ok\n") == ""


def test_output_that_is_far_from_the_page_fails():
    assert "0.98 is 0.9" in difference("AUROC 0.98\n...", "AUROC 0.9\nmore")
    assert "but the code prints" in difference("AUROC 0.98", "AUROC")


def _known_options():
    """Return {command: its options} as the parser has them."""
    choices = next(a.choices for a in _parser()._actions if a.dest == "command")
    return {
        name: {option for a in parser._actions for option in a.option_strings}
        for name, parser in choices.items()
    }
