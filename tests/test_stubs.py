"""The stubs that type checkers and editors read hold every public name."""

import pytest

import featad
from docs import stubs
from featad.detectors import all_detectors

PATHS = sorted(stubs.stubs(), key=str)


@pytest.mark.parametrize("path", PATHS, ids=lambda p: str(p.relative_to(stubs.PACKAGE)))
def test_the_stub_is_up_to_date(path):
    assert path.read_text(encoding="utf-8") == stubs.stubs()[path]  # make tables


def test_every_detector_has_a_public_name():
    assert set(all_detectors()) <= set(featad.__all__)


def test_a_new_detector_gets_its_lines(monkeypatch):
    class Novel(featad.KMeansDistance):
        """Made up."""

    Novel.__module__ = "featad.detectors.novel"
    found = {**all_detectors(), "Novel": Novel}
    monkeypatch.setattr(stubs, "all_detectors", lambda: found)
    public, detectors = stubs.stubs().values()
    assert "\nfrom featad.detectors import Novel as Novel\n" in public
    assert "\nfrom featad.detectors.novel import Novel as Novel\n" in detectors
