"""What is written from the detectors is up to date."""

import pytest

from docs.tables import NAMES, README, detectors_table, with_names, with_table
from featad.detectors import all_detectors


@pytest.mark.parametrize(
    ("path", "filled"), [(README, with_table), (NAMES, with_names)], ids=lambda x: None
)
def test_what_make_tables_writes_is_up_to_date(path, filled):
    text = path.read_text(encoding="utf-8")
    assert filled(text) == text, "run `make tables`"


def test_every_detector_has_a_row():
    table = detectors_table()
    assert [name for name in all_detectors() if f"| `{name}` |" not in table] == []


def test_an_outdated_table_is_replaced_and_nothing_else():
    text = README.read_text(encoding="utf-8")
    outdated = text.replace("far from every k-means center", "something else")
    assert outdated != text
    assert with_table(outdated) == text
