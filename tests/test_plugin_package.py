"""Plugins as their authors meet them: a package that pip installs and removes, and docs/plugins.md as it stands."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from machines import OFFLINE, PACKAGE, Machine
from pages import blocks

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "plugins.md"


def test_a_method_in_a_package_of_its_own_is_installed_checked_run_and_removed(machine: Machine) -> None:
    assert "ledoit_wolf" not in machine.sources()
    source = machine.folder / "package"
    shutil.copytree(PACKAGE, source)  # a build leaves its traces beside the sources
    machine("-m", "pip", "install", *OFFLINE, str(source))
    shutil.rmtree(source / "src")
    assert machine.sources()["ledoit_wolf"] == (
        "entry point oneclass_bench_example.ledoit_wolf of oneclass-bench-example"
    )

    with ThreadPoolExecutor() as pool:
        ran, checked, tested = pool.map(
            lambda arguments: machine(*arguments),
            [
                shlex.split("-m bench run --suite quickstart --classes 0 --methods ledoit_wolf"),
                shlex.split("-m bench check ledoit_wolf"),
                shlex.split("-m pytest -q -p no:cacheprovider package"),
            ],
        )
    assert "every_third" in machine.bench("list", "protocols")
    assert "FAILED" not in machine.bench("check", "every_third")
    printed = machine.bench("run", "--dataset", "digits", "--protocol", "every_third", "--methods", "ocsvm,pca")
    assert "digits, every_third (version 1)" in printed
    assert "ledoit_wolf" in ran
    (record,) = (each for each in machine.records() if each.job.protocol == "holdout_80_20")
    assert record.metrics["auroc"] > 0.95
    assert "FAILED" not in checked
    assert re.search(r"\d+ passed", tested)

    machine("-m", "pip", "uninstall", "--quiet", "--yes", "oneclass-bench-example")
    assert "ledoit_wolf" not in machine.sources()
    assert "the same: every score, bit for bit" in machine.bench("reproduce", record.job.key)


# ---------------------------------------------------------------------------------------------------------------------
# docs/plugins.md


def follow(page: str, machine: Machine) -> dict[str, str]:
    """Do what a page says: write each file that a block names in its first line, type each command.

    What was printed, by command.
    """
    printed = {}
    for language, text in blocks(page):
        if language == "sh":
            for line in text.splitlines():
                printed[line] = type_in(shlex.split(line), machine)
        elif named := re.match(r"# (\S+\.(?:py|toml))\n", text):
            file = machine.folder / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return printed


def type_in(words: list[str], machine: Machine) -> str:
    match words:
        case ["bench", *arguments]:
            return machine.bench(*arguments)
        case ["python", "-m", "pip", "install", package]:
            return machine("-m", "pip", "install", *OFFLINE, package)
        case ["python", *arguments]:
            return machine(*arguments)
        case _:
            subprocess.run(words, cwd=machine.folder, check=True)
            return ""


def test_the_page_on_plugins_leads_to_a_row_in_the_table(machine: Machine) -> None:
    printed = follow(PAGE.read_text(encoding="utf-8"), machine)

    def mean(label: str, dataset: str) -> float:
        figures = [r.metrics["auroc"] for r in machine.records() if (r.job.label, r.job.dataset) == (label, dataset)]
        assert len(figures) == {"digits": 10, "shapes": 3}[dataset]
        return sum(figures) / len(figures)

    assert mean("bottleneck", "digits") > mean("nearest", "digits") > 0.9
    assert mean("ocsvm", "shapes") > 0.8
    assert machine.sources()["nearest"] == "entry point my_package.nearest of my-package"
    assert 'datasets = ["my_datasets"]' in printed["bench new dataset shapes"]
    for command, text in printed.items():
        if command.startswith("bench check"):
            assert "FAILED" not in text
