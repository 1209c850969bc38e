"""Tables of figures are sorted by a click on a heading."""

from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "_static" / "sortable.js"
ROWS = [
    ("knn", "0.871 (0.793 to 0.946)", "1,200"),
    ("ae", "-", "90"),
    ("vae", "0.952", "300"),
]

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser, tmp_path):
    cells = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in ROWS)
    heads = "".join(f"<th>{name}</th>" for name in ("detector", "AUROC", "images"))
    path = tmp_path / "page.html"
    path.write_text(
        f'<article><table class="docutils"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{cells}</tbody></table></article>"
        f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>"
    )
    opened = browser.new_page()
    opened.goto(path.as_uri())
    yield opened
    opened.close()


def _after_clicks(page, heading, n_clicks):
    for _ in range(n_clicks):
        page.get_by_role("button", name=heading).click()
    return page.locator("tbody tr td:first-child").all_text_contents()


def test_figures_are_sorted_as_numbers_and_missing_ones_stay_last(page):
    assert _after_clicks(page, "AUROC", 1) == ["knn", "vae", "ae"]
    assert _after_clicks(page, "AUROC", 1) == ["vae", "knn", "ae"]


def test_thousands_are_read(page):
    assert _after_clicks(page, "images", 1) == ["ae", "vae", "knn"]


def test_the_heading_says_how_the_table_is_sorted(page):
    _after_clicks(page, "detector", 2)
    heading = page.locator("th", has_text="detector")
    assert heading.get_attribute("aria-sort") == "descending"
