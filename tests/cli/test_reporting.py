"""The page of `prune report`, in a real browser: it draws, filters, sorts, and runs nothing that a run's files hold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands import Prune
from tests.made_runs import made_run
from tests.tiers import exhaustive

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
OURS = ("file:", "data:", "blob:")
HOSTILE_NAME = "<b>hostile <svg onload=alert(1)>"
LINK = '<a href="javascript:window.hacked=1">$title`${1}`'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[[Path], Page]]:
    """Opens a page, whose every console error fails the test; the network is not there."""
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    errors: list[str] = []

    def go(file: Path) -> Page:
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "request",
            lambda asked: errors.append(asked.url) if not asked.url.startswith(("file:", "data:", "blob:")) else None,
        )
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready=yes]", timeout=30_000)
        return page

    yield go
    context.close()
    assert errors == []


@pytest.fixture
def report(prune: Prune, tmp_path: Path) -> Path:
    """Two tasks, two criteria, three seeds; one run hostile in every text, one broken, one that has no history."""
    runs = tmp_path / "runs"
    for task in ("mrpc", "rte"):
        for seed in (1, 2, 3):
            made_run(runs, task=task, sparsity=0.0, seed=seed, metric=0.85 + seed / 100)
            for criterion, cost in (("pins", 0.02), ("magnitude", 0.05)):
                for sparsity in (0.8, 0.9):
                    metric = 0.85 - cost * (1 + (sparsity == 0.9)) + seed / 100
                    made_run(runs, task=task, criterion=criterion, sparsity=sparsity, seed=seed, metric=metric)
    sample = {HOSTILE: LINK, "expected": HOSTILE, "predicted": LINK, "right": False}
    hostile = made_run(
        runs, task=LINK, model=HOSTILE, criterion=HOSTILE, samples=[sample], name="<b>hostile <svg onload=alert(1)>"
    )
    text = (hostile / "result.json").read_text()
    (hostile / "result.json").write_text(text.replace("bert.encoder.layer.0", json.dumps(HOSTILE)[1:-1].replace("/", ".")))
    (made_run(runs, name="torn") / "result.json").write_text('{"format": 1, "metric')
    (made_run(runs, name="quiet", seed=9) / "history.jsonl").write_text("")
    ended = prune("report", str(runs), "--output", "page.html")
    assert ended.code == 0, ended.err
    assert "33 runs in page.html" in ended.out
    return tmp_path / "page.html"


def test_it_draws_filters_and_sorts(report: Path, opened: Callable[[Path], Page]) -> None:
    page = opened(report)
    assert page.locator("#frontiers .chart svg.main-svg").count() >= 3
    assert page.locator("#curves svg.main-svg").count() and page.locator("#heat svg.main-svg").count()
    rows = page.locator("#table tbody tr")
    assert rows.count() == 33
    page.fill("#filter", "rte PINS 0.9")
    assert rows.count() == 3 and page.inner_text("#count") == "3 of 33 runs"
    page.fill("#filter", "")
    page.select_option("#state", "broken")
    assert rows.count() == 2
    page.select_option("#state", "")
    page.select_option("#task", "mrpc")
    for direction, of in (("ascending", min), ("descending", max)):
        page.get_by_role("button", name="value").press("Enter")  # by keyboard
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == direction
        values = [float(text) for text in page.locator("#table tbody tr td:nth-child(10)").all_inner_texts() if text]
        assert values == sorted(values, reverse=direction == "descending") and values[0] == of(values)


@exhaustive
def test_a_run_is_looked_at(report: Path, opened: Callable[[Path], Page]) -> None:
    page = opened(report)
    page.select_option("#focus", label="torn")
    assert "broken" in page.inner_text("#facts") and "result.json" in page.inner_text("#facts")
    ticks = page.locator("#table tbody input")
    for number in range(12):
        ticks.nth(number).set_checked(True, force=True) if number < 4 else ticks.nth(number).click()
    assert page.locator("#table tbody input:checked").count() <= 8
    assert page.inner_text("#count").startswith("8 runs are drawn at most") or page.inner_text("#count").endswith("runs")


def test_nothing_that_a_run_says_is_run(report: Path, opened: Callable[[Path], Page]) -> None:
    page = opened(report)
    page.fill("#filter", "hostile")
    page.locator("#table tbody input").first.check(force=True)
    page.select_option("#focus", label=HOSTILE_NAME)
    assert page.inner_text("#samples tbody td:nth-child(2)") == LINK
    page.hover("#curves .nsewdrag", force=True)
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main a[href^=javascript], svg a").count() == 0
    assert page.locator("script").count() == 3


@exhaustive
def test_it_fits_a_phone_and_the_dark_and_paper(report: Path, opened: Callable[[Path], Page]) -> None:
    page = opened(report)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)"
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("#filters").is_visible()


@exhaustive
def test_charts_fit_the_paper_and_then_the_screen_again(report: Path, opened: Callable[[Path], Page]) -> None:
    page = opened(report)
    widths = "[...document.querySelectorAll('.chart svg.main-svg')].map((svg) => svg.getBoundingClientRect().width)"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert {round(width) for width in page.evaluate(widths)} == {680}
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_timeout(300)
    assert max(page.evaluate(widths)) > 1000


@exhaustive
def test_whoever_does_not_see_it_is_told(report: Path, opened: Callable[[Path], Page]) -> None:
    page = opened(report)
    for chart in page.locator(".chart").all():
        assert chart.get_attribute("role") == "img" and chart.get_attribute("aria-label")
    unlabelled = page.evaluate(
        "[...document.querySelectorAll('input, select')].filter((e) => !e.labels.length && !e.ariaLabel).length"
    )
    assert unlabelled == 0
    page.click("#frontier-data summary")
    assert page.locator("#frontier-data tbody tr").count() == 9


def test_a_file_that_cannot_be_there_is_refused(prune: Prune, tmp_path: Path) -> None:
    made_run(tmp_path / "runs")
    ended = prune("report", "runs", "--output", "nowhere/page.html")
    assert ended.code == 2 and "--output nowhere/page.html: there is no folder nowhere" in ended.err
