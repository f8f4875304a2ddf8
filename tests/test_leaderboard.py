"""``bench leaderboard``: which methods stand side by side, where each figure leads, and that it needs no script."""

from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from browsers import faults, show
from projects import Project, invoked
from records import QUICKSTART, make_record, put_scored, scored

from bench.cli.leaderboard import leaderboard
from bench.errors import BenchError
from bench.report.leaderboard.entries import Board, boards
from bench.report.leaderboard.site import apart, views
from bench.store import Store
from bench.workspace import open_workspace

ROOT = Path(__file__).parent.parent
LABELS = np.repeat([0, 1], [40, 60]).astype(np.uint8)
EVIL = "<script>alert('&')</script>"
EPOCHS = [{"epoch": 1, "losses": {}, "auroc": 0.99}]


class _Links(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.tags: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.tags.add(tag)
        self.anchors.add(given.get("id") or "")
        if tag == "a" and (link := given["href"]):
            self.links.append(link)


@pytest.fixture
def results(project: Project) -> Path:
    """Two folders of records of digits: three methods on two classes, one of them on one alone, and a failed job."""
    folder = project.root / "results"
    for method, seeds, classes, distance, facts in (
        ("ocsvm", 2, "01", 1.5, {"cost": {"fit_seconds": 20.0}}),
        ("pca", 1, "01", 2.0, {"cost": {"fit_seconds": 0.5}, "traced": True, "epochs": EPOCHS}),
        ("knn", 1, "0", 3.0, {"cost": {"fit_seconds": 0.1}}),
    ):
        for seed in range(seeds):
            for digit in classes:
                scores = scored(LABELS, distance, 10 * seed + int(digit))
                job = {**QUICKSTART, "method": method, "normal_class": digit, "normal_label": int(digit), "seed": seed}
                put_scored(Store(folder / "mine"), LABELS, scores, **job, **facts)
    ledger = {"used": ["photographs"], "published": ["test labels"]}
    for digit in "01":
        job = {**QUICKSTART, "method": "vae", "label": f"vae(note={EVIL!r})", "normal_class": digit, "seed": 0}
        put_scored(Store(folder / "theirs"), LABELS, scored(LABELS, 1.0, 7), **job, ledger=ledger)
    paper = {**QUICKSTART, "profile": "paper"}
    put_scored(Store(folder / "theirs"), LABELS, scored(LABELS, 1.0, 8), **paper, method="pca", normal_class="0")
    Store(folder / "theirs").put(make_record(**paper, method="vae", normal_class="0", status="failed"))
    return folder


def made(*folders: Path) -> list[Board]:
    return boards(folders, open_workspace().config, lambda record: True)[0]


def test_methods_of_one_setting_stand_side_by_side_and_those_of_other_classes_apart(results: Path) -> None:
    cpu, paper = made(results / "mine", results / "theirs")
    assert (cpu.setting.profile, paper.setting.profile) == ("cpu", "paper")
    assert list(cpu.suites) == ["quickstart"]
    assert list(cpu.classes) == ["0", "1"]
    shown = {
        (view.selection, view.orders): [each.records[0].job.method for each in view.entries] for view in views(cpu)
    }
    assert shown["last", "auroc"] == ["pca", "ocsvm", "vae"]
    assert shown["last", "fpr_at_95_tpr"][-1] == "vae"
    assert shown["last", "seconds"] == ["pca", "ocsvm", "vae"]
    assert shown["last", "label"] == ["ocsvm", "pca", "vae"]
    assert shown["oracle", "auroc average_precision fpr_at_95_tpr"] == ["pca"]
    assert sorted(views(cpu)[4].places.values()) == [1, 2, 3]
    (other,) = apart(cpu).entries
    assert other.label == "knn"
    ocsvm = next(entry for entry in cpu.entries if entry.label == "ocsvm")
    by_seed = [np.mean([ocsvm.record(d, s).metrics["auroc"] for d in "01"]) for s in (0, 1)]  # type: ignore[union-attr]
    assert ocsvm.figures["auroc"].values == pytest.approx(by_seed)
    assert (ocsvm.seconds, cpu.entries[-1].used, cpu.entries[-1].published) == (20, ["photographs"], ["test labels"])
    failed = next(entry for entry in paper.entries if entry.label == "vae")
    assert failed.figures == {}


def test_records_of_different_splits_are_refused(results: Path) -> None:
    Store(results / "other").put(make_record(**QUICKSTART, method="pca", normal_class="0", split="another"))
    with pytest.raises(BenchError, match="made on different splits"):
        made(results / "mine", results / "other")


def test_what_has_no_records_is_refused(results: Path) -> None:
    with pytest.raises(BenchError, match="no records in nowhere; make some with bench run"):
        invoked(leaderboard)("nowhere")


def _every_link_leads_somewhere(folder: Path) -> None:
    pages = {page: _Links(page) for page in folder.resolve().rglob("*.html")}
    for page, found in pages.items():
        assert "script" not in found.tags
        for link in found.links:
            path, _, anchor = unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), (page, link)
            if anchor:
                assert anchor in pages[target].anchors, (page, link)


def test_every_figure_leads_to_its_records_their_commands_and_its_ledger(results: Path) -> None:
    told = invoked(leaderboard)("--out", "site").stdout
    assert told.startswith("site/index.html: 2 tables, 6 entries")
    site = Path("site")
    _every_link_leads_somewhere(site)
    index = (site / "index.html").read_text(encoding="utf-8")
    assert EVIL not in index
    assert "&lt;script&gt;" in index
    for row in re.findall(r"<tr data-outside.*?</tr>", index, re.DOTALL):
        targets = re.findall(r'href="([^"#]+)(#?\w*)"', row)
        (page,) = {file for file, _ in targets}
        assert {"", "#records", "#ledger"} <= {anchor for _, anchor in targets} | {""}
        text = (site / page).read_text(encoding="utf-8")
        assert "Used beyond normal training images by these jobs:" in text
        commands = re.findall(r"<code>(bench reproduce .*?)</code>", text)
        assert commands
        for command in commands:
            _, _, key, _, folder = shlex.split(command)
            assert f'id="r{key}"' in text
            assert Store(Path(folder)).find(key).job.profile in ("cpu", "paper")


def test_links_to_records_on_the_web_are_below_an_address(results: Path) -> None:
    invoked(leaderboard)("--out", "site", "--records-at", "https://example.org/repository/", "results/mine")
    (page,) = Path("site/entries").glob("knn-*.html")
    assert 'href="https://example.org/repository/results/mine/digits/' in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_committed_record_is_on_the_leaderboard_and_its_first_page_is_small(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    invoked(leaderboard)("--out", str(project.root / "site"))
    _every_link_leads_somewhere(project.root / "site")
    pages = [page.read_text(encoding="utf-8") for page in (project.root / "site/entries").iterdir()]
    keys = [key for page in pages for key in re.findall(r'<tr id="r([0-9a-f]+)"', page)]
    committed = [folder for folder in (ROOT / "results").iterdir() if folder.is_dir()]
    current = sum(len(entry.records) for board in made(*committed) for entry in board.entries)
    assert len(keys) == current > 3000
    assert (project.root / "site/index.html").stat().st_size < 2_000_000


# ---------------------------------------------------------------------------------------------------------------------
# in a browser


def _methods(browser: Any) -> list[str]:
    """The methods of the rows that are shown, from top to bottom."""
    script = """return [...document.querySelectorAll(".board tbody tr")].filter(row => row.checkVisibility())
        .map(row => row.cells[0].textContent)"""
    found: list[str] = browser.execute_script(script)
    return [text.partition("(")[0] for text in found]


def _choose(browser: Any, control: str, text: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(browser.find_element("id", control)).select_by_visible_text(text)


@pytest.fixture
def index(results: Path) -> Path:
    invoked(leaderboard)("--out", "site")
    return (results.parent / "site/index.html").resolve()


def test_without_any_script_it_filters_and_sorts(index: Path, browser: Any) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    show(browser, index, 1280)
    everything = ["pca", "ocsvm", "vae"]
    assert _methods(browser) == [*everything, "pca"]  # and that of profile paper
    for control, text, expected in (
        ("profile", "cpu", everything),
        ("outside", "none", ["pca", "ocsvm"]),
        ("outside", "some", ["vae"]),
        ("outside", "any", everything),
        ("cost", "up to 10 seconds", ["pca"]),
        ("cost", "up to 1 minute", ["pca", "ocsvm"]),
        ("cost", "any", everything),
        ("order", "name", ["ocsvm", "pca", "vae"]),
        ("selection", "best test epoch", ["pca"]),
        ("selection", "last epoch", ["ocsvm", "pca", "vae"]),
        ("folder", "theirs", ["vae"]),
        ("folder", "all", ["ocsvm", "pca", "vae"]),
        ("profile", "paper", ["pca"]),
        ("suite", "quickstart", ["pca"]),
        ("protocol", "holdout_80_20", ["pca"]),
    ):
        _choose(browser, control, text)
        assert _methods(browser) == expected, (control, text)
    browser.find_element("css selector", "button[type=reset]").click()
    assert _methods(browser) == [*everything, "pca"]


def test_the_keyboard_reaches_every_control_and_table(index: Path, browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, index, 1280)
    met = []
    for _ in range(14):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        element = browser.switch_to.active_element
        met.append(element.get_attribute("id") or element.get_attribute("role") or element.text)
        if met[-1] == "outside":
            element.send_keys(Keys.ARROW_DOWN)
            assert _methods(browser) == ["pca", "ocsvm", "pca"]
    controls = ["suite", "protocol", "profile", "outside", "cost", "folder", "selection", "order", "Show all"]
    assert met[: len(controls) + 3] == ["Skip to the tables", *controls, "region", "pca"]
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"


@pytest.mark.parametrize("width", [1280, 390])
def test_controls_stay_in_view_and_nothing_is_wider_than_the_window(index: Path, browser: Any, width: int) -> None:
    show(browser, index, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_script("document.body.style.minHeight = '9000px'; window.scrollTo(0, 2000)")
    box = browser.execute_script("return document.querySelector('.controls').getBoundingClientRect().toJSON()")
    assert (box["top"], box["left"]) == (0, 0)
    assert box["height"] < 900 / 4
    for page in (index.parent / "entries").iterdir():
        show(browser, page, width)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_tool_finds_nothing_inaccessible(index: Path, browser: Any, scheme: str) -> None:
    for page in (index, *(index.parent / "entries").glob("vae-*.html")):
        show(browser, page, 390, scheme)
        assert faults(browser) == []
