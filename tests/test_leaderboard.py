"""A comparison in a notebook: figures, intervals, differences, and hostile names."""

import pickle
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from featad import Leaderboard, compare_scores

Y = np.repeat([1, -1], 30)


def _scores(**shifts):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=60)
    return pd.concat(
        pd.DataFrame(
            {
                "system": name,
                "fold": 1,
                "sample": range(60),
                "label": Y,
                "anomaly_score": noise + 0.3 * rng.normal(size=60) + shift * (Y == -1),
            }
        )
        for name, shift in shifts.items()
    )


class _Cells(HTMLParser):
    """The texts of the cells of each row, and all tags."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.tags = [], set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def table():
    return compare_scores(_scores(good=3, near=2.9, bad=0.2), n_bootstrap=200)


def test_what_is_made_of_it_is_an_ordinary_data_frame(table):
    assert isinstance(table, pd.DataFrame)
    for made in (
        table.loc[["bad"]],
        table.copy(),
        table.sort_index(),
        table[["auroc"]],
    ):
        assert type(made) is pd.DataFrame


def test_it_survives_pickling(table):
    copy = pickle.loads(pickle.dumps(table))
    assert copy._repr_html_() == table._repr_html_()


def test_each_system_has_its_figures_and_interval(table):
    head, *rows, chance = _Cells(table._repr_html_()).rows
    assert head[:2] == ["system", "AUROC (95 % interval)"]
    assert [row[0] for row in rows] == list(table.index)
    for row, (_, figures) in zip(rows, table.iterrows(), strict=True):
        low, high = figures["auroc_low"], figures["auroc_high"]
        assert row[1] == f"{figures['auroc']:.3f} ({low:.3f} to {high:.3f})"
        assert row[3] == f"{figures['average_precision']:.3f}"
        assert row[5] == f"{100 * figures['tpr_at_fpr_1']:.3g} %"
    assert chance[:5] == ["chance", "0.500", "", "0.500", "0.667"]


def test_clear_differences_are_marked_and_others_are_not(table):
    told = {row[0]: row[2] for row in _Cells(table._repr_html_()).rows}
    assert told["good"] == "the reference"
    assert told["near"].startswith("no clear difference: ")
    assert told["bad"].startswith("worse: ")


def test_a_better_system_than_the_reference_is_called_better():
    table = compare_scores(_scores(good=3, bad=0.2), reference="bad", n_bootstrap=200)
    rows = _Cells(table._repr_html_()).rows
    assert rows[0][2] == "difference from bad"
    assert rows[1][2].startswith("better: +")


def test_systems_without_intervals_are_shown():
    scores = _scores(a=3, b=1).query("sample <= 30")
    with pytest.warns(UserWarning, match="only one anomalous"):
        table = compare_scores(scores, n_bootstrap=10)
    rows = _Cells(table._repr_html_()).rows
    assert rows[1][1].endswith("(no interval)")
    assert rows[2][2] == "not tested"


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "\"'&amp;", "a\nb\0", "x" * 10_000, "\u202eab"],
)
def test_hostile_names_are_text(name):
    html = compare_scores(_scores(**{name: 1, "b": 0}), n_bootstrap=10)._repr_html_()
    cells = _Cells(html)
    assert name in [row[0] for row in cells.rows]
    assert not cells.tags & {"script", "img", "iframe"}


def test_a_saved_table_is_shown_again(table, tmp_path):
    table.to_csv(tmp_path / "table.csv")
    read = Leaderboard(pd.read_csv(tmp_path / "table.csv", index_col="system"))
    assert _Cells(read._repr_html_()).rows[3] == _Cells(table._repr_html_()).rows[3]


def test_other_tables_and_terminals_are_left_to_pandas(table):
    some = Leaderboard(pd.DataFrame({"auroc": [0.5]}))
    assert some._repr_html_() == pd.DataFrame(some)._repr_html_()
    assert repr(table) == repr(pd.DataFrame(table))
    with pd.option_context("display.notebook_repr_html", False):
        assert table._repr_html_() is None
