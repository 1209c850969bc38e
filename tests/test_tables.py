"""What is written from the detectors is up to date."""

from docs.tables import README, detectors_table, with_table
from featad.detectors import all_detectors


def test_the_readme_s_table_is_up_to_date():
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run `make tables`"


def test_every_detector_has_a_row():
    table = detectors_table()
    assert [name for name in all_detectors() if f"| `{name}` |" not in table] == []


def test_an_outdated_table_is_replaced_and_nothing_else():
    text = README.read_text(encoding="utf-8")
    outdated = text.replace("far from every k-means center", "something else")
    assert outdated != text
    assert with_table(outdated) == text
