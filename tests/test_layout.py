"""The package is laid out in wings on floors; imports never go up, nor in a circle."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import featad

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "featad"
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def _floors():
    """Return {file or folder: floor} from the table in ARCHITECTURE.md."""
    floors = {}
    for line in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| (\d+) [^|]*\| ([^|]*) \|", line)
        if row:
            for name in re.findall(r"`([^`]+)`", row[2]):
                floors[name] = int(row[1])
    return floors


FLOORS = _floors()


def _wing(path):
    """Return the table's entry for a file: its own name, or its folder's."""
    first = path.relative_to(PACKAGE).parts[0]
    return first if first.endswith(".py") else f"{first}/"


@cache
def _nodes(path):
    """Return the nodes of a file's code, at any depth."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def _imports(path):
    """Return the files of featad that a file imports, at any depth of the code."""
    imported = []
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            imported += [_file(alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            imported += [_file(name) or _file(node.module) for name in names]
    return [file for file in imported if file]


@cache
def _file(module):
    """Return the file of a module of featad, None for anything else."""
    target = ROOT.joinpath(*module.split("."))
    files = [target.with_suffix(".py"), target / "__init__.py"]
    return next((f for f in files if f in FILES), None)


def _graph(of):
    """Return {part: parts it imports}; ``of`` says which part a file belongs to."""
    graph = {of(path): set() for path in FILES}
    for path in FILES:
        graph[of(path)] |= {of(target) for target in _imports(path)} - {of(path)}
    return graph


def test_every_wing_stands_on_a_floor():
    assert {_wing(path) for path in FILES} == set(FLOORS)


def test_there_are_few_floors():
    assert sorted(set(FLOORS.values())) == list(range(6))


def test_the_files_that_the_architecture_names_are_there():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)?[a-z_]+\.py)`", text))
    places = (ROOT, PACKAGE)
    assert len(named) > 20
    assert [n for n in named if not any((p / n).is_file() for p in places)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_do_not_go_up(path):
    higher = [t for t in _imports(path) if FLOORS[_wing(t)] > FLOORS[_wing(path)]]
    assert higher == []


@pytest.mark.parametrize("of", [lambda path: _wing(path), lambda path: path])
def test_imports_do_not_go_in_a_circle(of):
    TopologicalSorter(_graph(of)).prepare()  # raises CycleError


def test_detectors_do_not_import_one_another():
    for path in (PACKAGE / "detectors").glob("[!_]*.py"):
        assert not [t for t in _imports(path) if t.parent.name == "detectors"]


def test_recipes_import_public_names_only():
    for path in (ROOT / "pipelines").glob("*.py"):
        for node in _nodes(path):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("featad"):
                private = [a.name for a in node.names if a.name.startswith("_")]
                assert not private
                assert "._" not in node.module


def _imported_names(path):
    """Yield the full names that a file imports, at any depth of the code."""
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_private_names_of_scikit_learn_are_imported_in_one_file():
    private = {
        path.name
        for path in FILES
        for name in _imported_names(path)
        if name.startswith("sklearn.") and "._" in name
    }
    assert private == {"_sklearn.py"}


def test_no_file_is_longer_than_400_lines():
    long = {p.name: len(p.read_text("utf-8").splitlines()) for p in FILES}
    assert {name: n for name, n in long.items() if n > 400} == {}


def test_importing_featad_does_not_import_torch_or_scikit_learn():
    heavy = "[m for m in ('torch', 'sklearn') if m in sys.modules]"
    code = f"import sys, featad; print({heavy})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", featad.__all__)
def test_public_names_are_there_and_documented(name):
    value = getattr(featad, name)
    assert name == "__version__" or value.__doc__


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        featad.nothing  # noqa: B018


def test_the_recommended_system_exists():
    from featad.registry import RECOMMENDED, list_systems

    assert RECOMMENDED in [system.name for system in list_systems()]


def test_public_functions_are_annotated():
    missing = []
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        for owner in [tree, *classes]:
            missing += [
                f"{path.name}: {node.name}"
                for node in owner.body
                if isinstance(node, ast.FunctionDef)
                and not node.name.startswith("_")
                and node.returns is None
            ]
    assert missing == []


def test_no_links_are_made():  # Windows asks for an administrator
    calls = re.compile(r"\b(?:sym)?link(?:_to)?\(|hardlink_to\(")
    assert [p for p in FILES if calls.search(p.read_text(encoding="utf-8"))] == []
