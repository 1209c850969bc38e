"""What the command line says of thresholds."""

from pathlib import Path

import pytest

from featad._words import percent
from featad.cli import thresholds
from featad.cli.values import folds_or_share


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.01, "1 %"), (0.036, "3.6 %"), (0.00025, "0.025 %"), (1, "100 %"), (0, "0 %")],
)
def test_shares_are_said_in_percent(share, text):
    assert percent(share) == text


def test_names_lose_the_folders_they_share(tmp_path):
    paths = [tmp_path / "a" / "1.png", tmp_path / "b" / "1.png"]
    assert thresholds._short(paths) == [str(Path("a/1.png")), str(Path("b/1.png"))]


def test_names_on_several_drives_stay_whole(tmp_path, monkeypatch):
    def fail(paths):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr(thresholds.os.path, "commonpath", fail)
    assert thresholds._short([tmp_path / "1.png"]) == [str(tmp_path / "1.png")]


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("0.3", 0.3), ("2", 2)])
def test_folds_are_whole_numbers_and_shares_are_not(text, value):
    assert folds_or_share(text) == value
    assert type(folds_or_share(text)) is type(value)
