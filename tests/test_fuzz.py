"""Damaged files end in a result or a named error; `make fuzz` reads many more."""

import os

import pytest

from featad.score_files import read_rows
from tests.fuzz import files, records


@pytest.mark.skipif(not hasattr(os, "fork"), reason="files are read in forks")
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_image_is_read_or_refused_by_name(tmp_path):
    found = files.read_damaged(170, seed=1, folder=tmp_path)
    assert found.faults == []
    assert found.n_read + found.n_refused == 170
    assert min(found.n_read, found.n_refused) > 20


def test_a_damaged_record_is_read_or_refused_by_name(tmp_path):
    pytest.importorskip("skops")
    pytest.importorskip("pyarrow")
    found = records.read_damaged(6, seed=1, folder=tmp_path)
    assert len(found) == 12
    assert not any(found.values()), found


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a.png,1,2", "line 2: cells are missing or too many"),
        ("a.png", "line 2: cells are missing or too many"),
        ("a" * 200_000 + ",1", "line 2: field larger than field limit"),
    ],
)
def test_a_damaged_row_of_scores_is_named(row, told, tmp_path):
    (tmp_path / "s.csv").write_text(f"path,anomaly_score\n{row}\n")
    with pytest.raises(ValueError, match=told):
        read_rows(tmp_path / "s.csv")
