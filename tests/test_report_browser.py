"""Reports in a real browser: the slider, the gallery, the table, and no request."""

import numpy as np
import pandas as pd
import pytest

import featad
from featad import Mahalanobis, compare, make_spots_and_lines
from featad.report import summarize, summarize_batch, write_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOSTILE = '<img src=x onerror="alert(1)"> "quoted" \u202e' + "n" * 3000


@pytest.fixture(scope="module")
def summary():
    parts = make_spots_and_lines(40, 60, size=32, random_state=0)
    train, test = (np.flatnonzero(parts.parts == part) for part in ("train", "test"))
    systems = {
        f"pixels-{size}": featad.make_pipeline(
            featad.ImageReader(size=size, flatten=True), Mahalanobis()
        )
        for size in (4, 8)
    }
    table, scores = compare(
        systems, parts.images, parts.labels, cv=[(train, test)], return_scores=True
    )
    found = summarize(scores, parts, table=table)
    found["images"][0]["name"] = found["images"][1]["kind"] = HOSTILE
    return found


@pytest.fixture
def page(browser, summary, tmp_path):
    """Return the open report, and fail on any error or request."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened, faults = context.new_page(), []
    opened.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    path = write_report(summary, tmp_path / "report.html")
    opened.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("data:", path.as_uri()))
            else faults.append(request.url)
        ),
    )
    opened.goto(path.as_uri())
    yield opened
    context.close()
    assert faults == []


def _counts(page):
    cells = page.locator("[data-count]").all()
    return {cell.get_attribute("data-count"): cell.inner_text() for cell in cells}


def _move(page, index):
    page.locator("#threshold").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", index
    )
    return float(page.locator("#threshold-value").get_attribute("data-threshold"))


def test_the_explorer_counts_what_the_scores_say_at_twenty_thresholds(page, summary):
    one = next(s for s in summary["systems"] if s["name"] == summary["shown"])
    value = np.array(one["scores"]["value"])
    anomalous = np.array(one["scores"]["label"]) == -1
    last = int(page.locator("#threshold").get_attribute("max"))
    for index in np.linspace(0, last, 20).astype(int):
        called = value > _move(page, int(index))
        shown = _counts(page)
        tp, fp = int((called & anomalous).sum()), int((called & ~anomalous).sum())
        n_anomalous, n_normal = int(anomalous.sum()), int((~anomalous).sum())
        assert shown["tp"] == f"{tp} of {n_anomalous}"
        assert shown["fn"] == f"{n_anomalous - tp} of {n_anomalous}"
        assert shown["fp"] == f"{fp} of {n_normal}"
        assert shown["tn"] == f"{n_normal - fp} of {n_normal}"
        f1 = 2 * tp / (tp + fp + n_anomalous)
        assert float(shown["f1"]) == pytest.approx(f1, abs=6e-4)
        rate = float(shown["fpr"].split()[0]) / 100
        assert rate == pytest.approx(fp / n_normal, abs=5e-4)
        cost = 10 * (n_anomalous - tp) + fp
        assert float(shown["cost"]) == cost


def test_a_target_rate_sets_the_lowest_threshold_that_keeps_it(page, summary):
    one = next(s for s in summary["systems"] if s["name"] == summary["shown"])
    value, label = np.array(one["scores"]["value"]), np.array(one["scores"]["label"])
    page.locator("#target").fill("10")
    page.locator("#apply-target").click()
    at = float(page.locator("#threshold-value").get_attribute("data-threshold"))
    assert (value[label == 1] > at).mean() <= 0.1
    lower = np.sort(value)[np.searchsorted(np.sort(value), at) - 1]
    assert (value[label == 1] >= lower).mean() > 0.1


def test_the_cheapest_threshold_costs_least_of_all(page):
    page.locator("#cost-miss").fill("3")
    page.locator("#cheapest").click()
    least = float(_counts(page)["cost"])
    last = int(page.locator("#threshold").get_attribute("max"))
    for index in range(0, last + 1, 3):
        _move(page, index)
        assert float(_counts(page)["cost"]) >= least


def test_the_gallery_pages_and_chooses(page, summary):
    first = page.locator("#images li").first.inner_text()
    page.locator("#after").click()
    assert "page 2" in page.locator("#page").inner_text()
    assert page.locator("#images li").first.inner_text() != first
    page.locator("#which").select_option("misses")
    misses = int(_counts(page)["fn"].split()[0])
    assert page.locator("#page").inner_text().startswith(f"{misses} images")
    page.locator("#which").select_option("alarms")
    alarms = int(_counts(page)["fp"].split()[0])
    assert page.locator("#page").inner_text().startswith(f"{alarms} images")


def test_the_table_sorts_by_its_columns(page):
    head = page.locator("table.sortable thead th").nth(1)
    rows = page.locator("table.sortable tbody tr th")
    head.get_by_role("button").click()
    high = rows.first.inner_text()
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert rows.last.inner_text() == high


def test_another_system_is_chosen(page, summary):
    other = summary["systems"][1]["name"]
    page.locator("#system").select_option(other)
    assert page.locator("#threshold-value").inner_text().startswith("anomaly score")
    assert "of" in _counts(page)["tp"]


def test_hostile_names_are_text(page):
    page.locator("#which").select_option("high")
    seen = ""
    while True:
        seen += page.locator("#images").inner_text()
        if page.locator("#after").is_disabled():
            break
        page.locator("#after").click()
    assert "<img src=x onerror=" in seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_nothing_is_wider_than_the_screen(browser, summary, tmp_path, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(write_report(summary, tmp_path / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_the_page_of_a_batch_counts_too(browser, tmp_path):
    X = np.random.default_rng(0).random((60, 8, 8))
    reader = featad.ImageReader(size=8, flatten=True)
    system = featad.calibrate(featad.make_pipeline(reader, Mahalanobis())).fit(X)
    rows = pd.concat(featad.score_images(system, X))
    summary = summarize_batch(rows, X, system=system)
    page = browser.new_page()
    page.goto(write_report(summary, tmp_path / "report.html").as_uri())
    assert _counts(page)["called"] == f"{summary['batch']['n_anomalous']} of 60"
    page.close()
