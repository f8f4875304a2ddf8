"""The study of criteria without labels: its tool, and that pages show what its committed records tell."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest
from pages import DOCS

from bench.api.choosing import LEADING
from bench.choice import tuned
from bench.cli.choose import TRUST
from bench.record import Record
from bench.store import Store

REPOSITORY = DOCS.parent
STUDY = REPOSITORY / "results/choosing"


def choosing(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What the study's tool ends with."""
    command = [sys.executable, str(REPOSITORY / "benchmarks/choosing.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@functools.cache
def told() -> str:
    """What the tool tells from the committed records."""
    return choosing("tell", "--results", STUDY).stdout


def rows(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("page", ["docs/choosing.md", "results/README.md"])
def test_a_page_shows_what_the_records_of_the_study_tell(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8").splitlines()
    made = rows(told())
    shown = [line for line in text if line in made]
    assert {line.split("|")[1].strip() for line in shown} >= {"chosen by", "made_anomalies", "*a draw by lot*"}
    first, last = text.index(shown[0]), len(text) - text[::-1].index(shown[-1])
    assert [line for line in text[first:last] if line.startswith("|")] == shown, "make it anew with results/make.py"


def test_choose_recommends_by_what_was_best_on_development_classes_and_says_what_the_study_came_to() -> None:
    printed = rows(told()[told().index("Choosing among methods") :])
    head, _, *others = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed]
    development, held_out = head.index("regret, development"), head.index("regret, held out")
    regrets = {own[0]: own for own in others}
    said = (LEADING, "*a draw by lot*", "*always knn*", "all of them together")
    assert re.findall(r"0\.\d{3}", TRUST) == [regrets[name][held_out] for name in said]
    alone = {name: own[development] for name, own in regrets.items() if "*" not in name}
    assert min(alone, key=lambda name: float(alone[name])) == LEADING


def records_of(*datasets: str) -> list[Record]:
    """What is committed of the examples that the page has of ``bench tune`` and ``bench choose``."""
    records, unreadable = Store(REPOSITORY / "results/tuned").records()
    assert not unreadable
    return [record for record in records if record.job.dataset.partition("(")[0] in datasets]


def test_what_was_chosen_for_the_tiles_is_told_with_the_aurocs_of_the_records() -> None:
    page = (DOCS / "choosing.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| (\w+) \| \S+ \| \d\.\d\d \| (\d\.\d{3}) \|$", page, re.MULTILINE))
    aurocs = {record.job.label: record.metrics["auroc"] for record in records_of("magnetic_tile")}
    assert shown == {label: f"{auroc:.3f}" for label, auroc in aurocs.items()}
    best = max(aurocs.values())
    assert f"lost {best - aurocs['skip_ganomaly']:.3f} to the best" in page
    assert f"a draw by lot {best - fmean(aurocs.values()):.3f}" in page


def test_what_was_tuned_is_told_as_its_records_have_it() -> None:
    aurocs: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    chosen: dict[tuple[str, str], str] = {}
    for record in records_of("mnist", "cifar10"):
        place, choice = (record.job.normal_class, record.job.method), tuned(record)
        if choice is not None:
            chosen[place] = choice.chosen
        aurocs[place][choice.chosen if choice else record.job.label] = record.metrics["auroc"]

    def cell(place: tuple[str, str], label: str) -> str:
        setting = label.removeprefix(place[1]).strip("()") or "default"
        return f"{aurocs[place][label]:.3f} ({setting})"

    made = {
        place: [f"{own[place[1]]:.3f}", cell(place, chosen[place]), cell(place, max(own, key=lambda label: own[label]))]
        for place, own in aurocs.items()
    }
    page = (DOCS / "choosing.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| (?:MNIST|CIFAR-10) (\w+) \| `(\w+)`.* \| (.*) \| (.*) \| (.*) \|$", re.MULTILINE)
    assert {(normal_class, method): figures for normal_class, method, *figures in row.findall(page)} == made


@pytest.mark.slow
def test_the_study_is_done_and_told_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    asked = ("run", "choosing_digits", "--repeats", "2", "--workers", "2", "--results", tmp_path)
    assert "42 jobs, 0 recorded" in choosing(*asked).stderr
    assert "42 jobs, 42 recorded" in choosing(*asked).stderr
    printed = rows(choosing("tell", "--results", tmp_path, "--out", tmp_path / "figures").stdout)
    assert [line for line in printed if "made_anomalies" in line]
    assert [line for line in printed if "*always" in line], "digit 0 is for development"
    assert (tmp_path / "figures/regret-by-criterion.png").is_file()
