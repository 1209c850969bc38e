"""The site: every public name has a place and a docstring that numpydoc accepts."""

import dataclasses
import importlib
import re
from pathlib import Path

import pandas as pd
import pytest
from numpydoc.validate import validate

import featad
from docs.checks import foreign_resources, missing_words

ROOT = Path(__file__).resolve().parents[1]
API = ROOT / "docs" / "api"
PACKAGES = ("datasets", "features", "images", "maps", "metrics", "plots", "report")

# numpydoc's checks, but for these
LEFT_OUT = {
    "ES01": "a summary may say it all",
    "GL01": "summaries start on the line of the quotes",
    "RT02": "returned values have names",
    "SA01": "not everything has something beside it",
}
WITHOUT_EXAMPLE = {  # starts of names
    "featad.errors.": "FeatadError has one for all",
    "featad.neural.": "CONTRIBUTING.md has whole detectors on these bases",
    "featad.patch_detector.": "as above; its subclasses have examples",
}


def _reference():
    """Return the full names in the tables of the API pages."""
    names = []
    for page in sorted(API.glob("*.rst")):
        module = None
        for line in page.read_text(encoding="utf-8").splitlines():
            if found := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = found[1]
            elif found := re.match(r"   ([A-Za-z][\w.]*)$", line):
                names.append(f"{module}.{found[1]}")
            elif found := re.match(r"\.\. autodata:: (\S+)", line):
                names.append(found[1])
    return names


REFERENCE = _reference()


def _object(name):
    for end in range(len(name.split(".")) - 1, 0, -1):
        module, rest = ".".join(name.split(".")[:end]), name.split(".")[end:]
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError:
            continue
        for part in rest:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


def test_every_public_name_has_a_place_in_the_reference():
    assert set(featad.__all__) - {"__version__"} <= {n[7:] for n in REFERENCE}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_a_package_has_a_place_in_the_reference(package):
    names = importlib.import_module(f"featad.{package}").__all__
    places = {f"featad.{name}" for name in names}
    places |= {f"featad.{package}.{name}" for name in names}
    listed = {name.rpartition(".")[2] for name in places & set(REFERENCE)}
    assert set(names) - listed - {"Source"} == set()  # a type, named in the text


def test_nothing_is_listed_twice():
    assert sorted(REFERENCE) == sorted(set(REFERENCE))


def test_numpydoc_accepts_the_docstring_of_every_public_name():
    wrong = []
    for name in REFERENCE:
        if callable(_object(name)):
            for code, message in validate(name)["errors"]:
                if not _is_excused(name, code):
                    wrong.append(f"{name}: {code} {message}")
    assert wrong == []


def _is_excused(name, code):
    if code == "EX01":
        return name.startswith(tuple(WITHOUT_EXAMPLE))
    if code == "PR01":
        return _is_a_frame(_object(name)) or _lists_its_fields(_object(name))
    return code in LEFT_OUT


def _is_a_frame(found):
    return isinstance(found, type) and issubclass(found, pd.DataFrame)


def _lists_its_fields(found):
    """Tell whether a record documents what it holds, as attributes."""
    if dataclasses.is_dataclass(found):
        fields = [field.name for field in dataclasses.fields(found)]
    else:
        fields = getattr(found, "_fields", ())
    listed = re.findall(r"^ *([\w, ]+) : ", found.__doc__, re.M)
    return bool(fields) and set(fields) <= set(", ".join(listed).split(", "))


def test_a_page_that_asks_another_host_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="https://other.org">link</a><script src="https://cdn.org/x.js">'
        '</script><link rel="stylesheet" href="//fonts.org/a.css"><img src="b.png">'
    )
    (tmp_path / "b.css").write_text("@import url(https://fonts.org/b.css); a{}")
    assert foreign_resources(tmp_path) == [
        "a.html: https://cdn.org/x.js",
        "a.html: //fonts.org/a.css",
        "b.css: https://fonts.org/b.css",
    ]


def test_a_word_that_the_search_does_not_know_is_found(tmp_path):
    (tmp_path / "searchindex.js").write_text('Search.setIndex({"terms":{"heat":1}})')
    assert missing_words(tmp_path, ["heat", "gridsearchcv"]) == ["gridsearchcv"]
