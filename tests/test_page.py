"""``bench report``: one page that holds everything, needs nothing else, and works in a browser."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import show
from projects import Project, invoked
from records import QUICKSTART, make_record, put_quickstart

from bench.cli.report import report
from bench.errors import BenchError
from bench.report.page.account import account
from bench.report.tables.markup import bodies, fragment
from bench.report.tables.table import Cell, Table
from bench.store import Store

LABELS = np.repeat([0, 1], [40, 60]).astype(np.uint8)
EVIL = "<script>alert('&')</script>"
PROVENANCE = {
    "bench": "0.1.0",
    "git_commit": "c0ffee" * 6,
    "git_dirty": True,
    "cpu": "A processor",
    "cores": 2,
    "command": ["bench", "run", "--suite", "quickstart", "--methods", "ocsvm(nu=0.1),pca"],
    "started": "2025-01-01T00:00:00+00:00",
    "ended": "2025-01-01T00:00:01+00:00",
}
COST = {
    "fit_seconds": 1.5,
    "score_seconds": 0.5,
    "images_per_second": 200.0,
    "parameters": None,
    "peak_memory_bytes": 2e9,
}


class _Parsed(HTMLParser):
    """What a page holds: its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page(project: Project) -> Callable[..., str]:
    """``bench report`` over three methods on eight classes of digits, two seeds each, and a failed job; the page."""
    store = Store(project.root / "results/runs")
    facts = {"cost": COST, "provenance": PROVENANCE, "parameters": {"note": EVIL}}
    put_quickstart(store, LABELS, {"ocsvm": {}, "pca": {}, "mean_image": {}}, classes=8, **facts)
    store.put(make_record(method="vae", label=f"vae(note={EVIL!r})", normal_class="0", status="failed", **QUICKSTART))
    command = invoked(report)

    def run(*arguments: str) -> str:
        told = command(*arguments).stdout
        assert told.startswith("report.html: ")
        return (project.root / "report.html").read_text(encoding="utf-8")

    return run


def test_the_page_has_all_that_a_reader_asks_for(page: Callable[..., str]) -> None:
    parsed = _Parsed(page())
    text = re.sub(r"\s+", " ", parsed.text)
    for expected in (
        "Overview", "digits, holdout_80_20 (version 1), profile cpu", "seeds: 0, 1", r"\begin{table*}",
        "Friedman's test over 8 blocks", "not independent", "p, Wilcoxon–Holm",
        "not compared, for want of a figure on every class: vae(note=",
        "ValueError: made to fail", "bench show RECORD", "A processor, 2 cores", "with uncommitted changes",
        "bench run --suite quickstart --methods 'ocsvm(nu=0.1),pca'    # 48 records".replace("    ", " "),
    ):  # fmt: skip
        assert expected in text, expected
    captions = [image["alt"] for image in parsed.named("img")]
    assert captions == [
        "quickstart: ROC curves, normal class 0",
        "quickstart: AUROC by normal class and method",
        "quickstart: AUROC from seed to seed",
        "quickstart: AUROC against what it costs",
        "mean ranks and critical difference",
    ]


def test_the_page_needs_nothing_but_itself_and_runs_nothing_that_a_record_says(page: Callable[..., str]) -> None:
    html = page("--figures", "all")
    parsed = _Parsed(html)
    for tag, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            if (target := attributes.get(name)) is not None:
                assert target.startswith(("data:", "#")), (tag, target)
    assert "@import" not in html and "url(" not in html
    assert len(parsed.named("script")) == 1
    assert EVIL not in html
    assert "&lt;script&gt;alert" in html
    anchors = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
    assert {link["href"] for link in parsed.named("a")} <= {f"#{anchor}" for anchor in anchors}
    assert any(image["alt"].startswith("quickstart: histogram of ocsvm") for image in parsed.named("img"))  # type: ignore[union-attr]


def test_the_same_records_give_the_same_page(page: Callable[..., str]) -> None:
    assert page() == page()


def test_without_figures_there_are_none(page: Callable[..., str]) -> None:
    assert _Parsed(page("quickstart", "--figures", "none")).named("img") == []


def test_what_no_table_shows_is_counted(page: Callable[..., str], project: Project) -> None:
    Store(project.root / "results/runs").put(make_record(method="pca", dataset="gone", profile="cpu"))
    text = re.sub(r"\s+", " ", _Parsed(page("--figures", "none")).text)
    assert "Not in any table of this page: 1 records of gone, official_split (version 1), profile cpu" in text


def test_it_refuses_with_a_reason(page: Callable[..., str], project: Project) -> None:
    (project.root / "file").write_text("")
    for arguments, reason in (
        (["mnist"], "no records for mnist"),
        (["quickstat"], "did you mean quickstart"),
        (["--profile", "paper"], "no records of profile paper in"),
        (["--results", "nowhere"], "no records in nowhere; make them with bench run"),
        (["--figures", "none", "--out", "file/report.html"], "cannot write file/report.html: .*; name another"),
    ):
        with pytest.raises(BenchError, match=reason):
            page(*arguments)


def test_records_that_do_not_belong_together_are_named_and_not_left_away(
    page: Callable[..., str], project: Project
) -> None:
    facts = {"method": "knn", "normal_class": "0", "seed": 0, **QUICKSTART}
    Store(project.root / "results/runs").put(make_record(split="another split", **facts))
    with pytest.raises(BenchError, match="were made on different splits"):
        page("--figures", "none")


def test_the_account_counts_what_differs_and_takes_medians() -> None:
    def made(seed: int, seconds: float, commit: str) -> Any:
        record = make_record(method="pca", seed=seed)
        cost = {**COST, "fit_seconds": seconds, "parameters": 10 * seconds}
        provenance = {**PROVENANCE, "git_commit": commit, "git_dirty": False}
        return record.__class__(**{**vars(record), "cost": cost, "provenance": provenance, "epochs": [{}] * 3})

    records = [made(0, 1.0, "a"), made(1, 2.0, "b"), made(2, 9.0, "b"), make_record(method="vae", status="timeout")]
    found = account(records, lambda record: record.job.seed > 0)
    assert found.counts == {"done": 3, "timeout": 1}
    assert found.stale == 2  # of seed 0: one record of pca, and vae's
    assert [record.job.method for record in found.failures] == ["vae"]
    assert found.facts["code"] == {"b": 2, "a": 1}
    assert not found.changed_code
    (effort,) = found.efforts
    assert (effort.records, effort.fit_seconds, effort.trained_parameters, effort.epochs) == (3, 2.0, 20.0, 3)


def test_a_table_as_html_marks_its_cells_and_sorts_published_ones_and_the_mean_apart() -> None:
    cells = {
        "a<b": {"0": Cell((0.9,), 1), "1": Cell((), 1, 1)},
        "c": {"0": Cell((0.8,), 1), "1": Cell((0.7,), 2)},
        "P, published": {"0": Cell((0.95,), kind="published"), "1": Cell(kind="published")},
        "Δ c": {"0": Cell((-0.15,), kind="difference"), "1": Cell(kind="difference")},
    }
    table = Table("A & B", "method", list(cells), ["0", "1"], cells, ["a note"], {"c": ["labels"]}, "suite")
    groups = [[line.name for line in lines] for lines in bodies(table, 3)]
    assert groups == [["a<b", "c †"], ["P, published", "Δ c"]]
    html = fragment(table)
    for expected in (
        "<caption>A &amp; B</caption>", 'scope="row">a&lt;b</th>', "<li>a note</li>",
        '<td class="failed">failed</td>', '<td class="published" data-value="0.95"><i>0.950</i></td>',
        '<td class="difference" data-value="-0.15">−0.150</td>', '<td data-value="0.7">0.700 (1/2)</td>',
    ):  # fmt: skip
        assert expected in html, expected
    best = Table("", "class", ["0"], ["a", "b"], {"0": {"a": Cell((0.9,), 1), "b": Cell((0.8,), 1)}})
    assert [cell.look for cell in bodies(best, 3)[0][0].cells] == ["best", "second"]


# ---------------------------------------------------------------------------------------------------------------------
# in a browser


def _column(browser: Any, number: int) -> list[list[str]]:
    """A column of the first table, body by body."""
    script = """return [...document.querySelector("table.figures").tBodies].map(
        body => [...body.rows].map(row => row.cells[arguments[0]].textContent.trim()))"""
    found: list[list[str]] = browser.execute_script(script, number)
    return found


def test_a_browser_shows_it_sorts_it_and_has_nothing_to_complain_of(
    page: Callable[..., str], project: Project, browser: Any
) -> None:
    page("--figures", "all")
    for width in (1280, 390):
        show(browser, project.root / "report.html", width)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        sizes = browser.execute_script(
            "return Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))"
        )
        assert len(sizes) > 5
        assert min(sizes) > 100
        folder = os.environ.get("BENCH_SCREENSHOTS")
        if folder:
            browser.save_screenshot(str(Path(folder) / f"report-{width}.png"))
    headers = browser.find_elements("css selector", "table.figures thead th")
    (header,) = [each for each in headers[:5] if each.text.startswith("ocsvm")]
    number = headers.index(header)
    before = _column(browser, number)
    assert header.get_attribute("aria-sort") == "none"
    button = header.find_element("css selector", "button")
    browser.execute_script("arguments[0].click()", button)
    assert header.get_attribute("aria-sort") == "ascending"
    rising = _column(browser, number)
    browser.execute_script("arguments[0].click()", button)
    falling = _column(browser, number)
    assert rising[0] == sorted(before[0]) != before[0]
    assert falling[0] == rising[0][::-1]
    assert falling[1] == before[1]  # the mean stays where it is
    assert browser.get_log("browser") == []


def test_it_is_dark_where_the_reader_wants_it_dark(page: Callable[..., str], project: Project, browser: Any) -> None:
    page("--figures", "none")
    script = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    brightness = {}
    for scheme in ("light", "dark"):
        show(browser, project.root / "report.html", 1280, scheme)
        brightness[scheme] = sum(browser.execute_script(script)[:3]) / 3
    assert brightness["light"] > 200
    assert brightness["dark"] < 60
