"""What is written from the detectors and the commands is up to date."""

import pytest

from docs.tables import WRITTEN, commands_reference, detectors_table, with_written
from featad.detectors import all_detectors


@pytest.mark.parametrize("what", WRITTEN)
def test_what_is_written_is_up_to_date(what):
    text = WRITTEN[what][0].read_text(encoding="utf-8")
    assert with_written(text, what) == text, "run `make tables`"


def test_every_detector_has_a_row():
    table = detectors_table()
    assert [name for name in all_detectors() if f"| `{name}` |" not in table] == []


def test_options_and_their_defaults_are_written_as_help_says_them():
    text = commands_reference()
    assert "### featad compare" in text
    assert "| `--batch-size N` | images scored at a time (default: 64) |" in text


def test_an_outdated_table_is_replaced_and_nothing_else():
    text = WRITTEN["detectors"][0].read_text(encoding="utf-8")
    outdated = text.replace("far from every k-means center", "something else")
    assert outdated != text
    assert with_written(outdated, "detectors") == text
