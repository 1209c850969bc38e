"""Reports for all readers: axe-core's rules, the keyboard, paper, hostile text."""

import numpy as np
import pandas as pd
import pytest

import featad
from featad import Mahalanobis, compare, make_spots_and_lines
from featad.report import NearestNormal, summarize, summarize_batch, write_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOSTILE = (
    "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'"
    "</script> 'single' \"double\" & line\nbreak \u202eתמונה\u202c \x00 " + "n" * 10_000
)


def _system(size=8):
    reader = featad.ImageReader(size=size, flatten=True)
    return featad.make_pipeline(reader, Mahalanobis())


@pytest.fixture(scope="module")
def parts():
    return make_spots_and_lines(30, 30, size=32, random_state=0)


@pytest.fixture(scope="module")
def compared(parts):
    """Return all that a comparison can show."""
    train, test = (np.flatnonzero(parts.parts == part) for part in ("train", "test"))
    systems = {"small": _system(4), "large": _system(8)}
    table, scores = compare(
        systems, parts.images, parts.labels, cv=[(train, test)], return_scores=True
    )
    normal = parts.images[train]
    few = [(name, n, 1, 0.8) for name in systems for n in (5, 10)]
    return summarize(
        scores,
        parts,
        table=table,
        systems=systems,
        overlays=lambda images: [np.zeros((32, 32, 3)) for _ in images],
        nearest=NearestNormal(_system().fit(normal), normal),
        located={"pixel_auroc": 0.9, "aupro": 0.8, "n_images": 30, "shrunk": True},
        few_shot=pd.DataFrame(few, columns=["system", "n_train", "draw", "auroc"]),
        command="featad compare --data parts",
    )


@pytest.fixture(scope="module")
def batch(parts, tmp_path_factory):
    """Return a batch with a drift, errors, and the times of files."""
    folder = tmp_path_factory.mktemp("batch")
    X = np.random.default_rng(0).random((60, 8, 8))
    system = featad.calibrate(_system(), target_fpr=0.05, random_state=0).fit(X)
    rows = pd.concat(featad.score_images(system, np.clip(1.5 * X, 0, 1)))
    rows.loc[rows.index[-1], "error"] = HOSTILE
    found = summarize_batch(rows, X, system=system, title=folder.name)
    points = [{"start": f"2026-01-0{i}", "n": 20, "share": i / 9} for i in (1, 2, 3)]
    found["batch"]["over_time"] = {
        "unit": "day",
        "points": points,
        "what": "with p <= 0.05",
        "expected": 0.05,
    }
    return found


@pytest.fixture(params=["comparison", "unfinished", "folds", "batch"])
def any_summary(request, parts, compared, batch):
    """Return a summary of each kind of page."""
    if request.param == "batch":
        return batch
    if request.param == "unfinished":
        return compared | {"unfinished": {"missing": ["other"], "reason": "no memory"}}
    if request.param == "folds":
        _, scores = compare(
            {"small": _system()}, parts.images, parts.labels, cv=3, return_scores=True
        )
        return summarize(scores, parts)
    return compared


def _open(browser, summary, tmp_path, **options):
    context = browser.new_context(**options)
    page = context.new_page()
    page.goto(write_report(summary, tmp_path / "report.html").as_uri())
    return page


@pytest.mark.parametrize(
    ("scheme", "options"), [("light", None), ("dark", {"runOnly": ["color-contrast"]})]
)
def test_axe_finds_no_serious_fault(browser, any_summary, tmp_path, scheme, options):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = _open(browser, any_summary, tmp_path, color_scheme=scheme)
    found = axe.run(page, options=options).response["violations"]
    page.context.close()
    serious = [
        (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_the_keyboard_reaches_and_moves_everything(browser, compared, tmp_path):
    page = _open(browser, compared, tmp_path)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {
        "system",
        "threshold",
        "target",
        "apply-target",
        "which",
        "after",
    } <= reached
    before = page.locator("#threshold-value").inner_text()
    page.locator("#threshold").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#threshold-value").inner_text() != before
    page.locator("table.sortable thead button").nth(1).focus()
    page.keyboard.press("Enter")
    assert page.locator("table.sortable thead th[aria-sort]").count() == 1
    page.context.close()


def test_paper_has_no_controls_and_no_cut_tables(browser, any_summary, tmp_path):
    page = _open(
        browser, any_summary, tmp_path, viewport={"width": 750, "height": 1000}
    )
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator(".controls").first.is_visible()
    assert page.locator("#images li").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 750
    page.context.close()


def test_hostile_text_is_text_wherever_it_stands(browser, any_summary, tmp_path):
    odd = {**any_summary, "title": HOSTILE, "shown": HOSTILE}
    odd["systems"] = [{**any_summary["systems"][0], "name": HOSTILE}]
    odd["images"] = [
        {**one, "name": HOSTILE, "kind": HOSTILE, "group": HOSTILE}
        for one in any_summary["images"]
    ]
    odd["neighbors"] = {
        "says": HOSTILE,
        "images": [{**i, "name": HOSTILE} for i in any_summary["neighbors"]["images"]],
    }
    kinds = [{**kind, "kind": HOSTILE} for kind in any_summary["data"]["kinds"]]
    left_out = [{"why": HOSTILE, "n": 2, "first": [HOSTILE]}]
    odd["data"] = {**any_summary["data"], "kinds": kinds, "left_out": left_out}
    odd["few_shot"] = [{**row, "system": HOSTILE} for row in any_summary["few_shot"]]
    if odd["unfinished"]:
        odd["unfinished"] = {"missing": [HOSTILE], "reason": HOSTILE}
    odd["reproduce"] = {
        **any_summary["reproduce"],
        "command": HOSTILE,
        "parameters": {HOSTILE: {HOSTILE: HOSTILE}},
        "weights": [{"weights": HOSTILE, "fingerprint": HOSTILE}],
    }
    faults = []
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(write_report(odd, tmp_path / "report.html").as_uri())
    assert faults == []
    assert page.title() != "taken"
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("h1").inner_text().startswith("<img src=x onerror=")
    assert "<img src=x onerror=" in page.locator("#images li").first.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
