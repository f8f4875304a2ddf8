"""Plugins as their authors meet them: a package that pip installs and removes, and docs/plugins.md as it stands."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli import python_prints
from pages import blocks

from bench.record import Record
from bench.store import Store

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PACKAGE = HERE / "plugin_package"
PAGE = HERE.parent / "docs" / "plugins.md"
OFFLINE = ["--quiet", "--no-deps", *(["--no-build-isolation"] if importlib.util.find_spec("setuptools") else [])]
"""For pip: all that the package needs is there."""


@dataclass(frozen=True)
class Machine:
    """An empty working folder, and a virtual environment that also sees everything that this one has installed."""

    folder: Path
    python: Path

    def __call__(self, *arguments: str) -> str:
        """What ``python …`` prints, once it has ended well."""
        own = {"BENCH_DATA": str(self.folder / "data"), "CUDA_VISIBLE_DEVICES": ""}
        return python_prints(*arguments, folder=self.folder, python=self.python, **own)

    def bench(self, *arguments: str) -> str:
        return self("-m", "bench", *arguments)

    def sources(self) -> dict[str, str]:
        """Where each method comes from, by name."""
        return {row["name"]: row["source"] for row in json.loads(self.bench("list", "methods", "--json"))}

    def records(self) -> list[Record]:
        """Every record, all of them of jobs that ended well."""
        records, unreadable = Store(self.folder / "results" / "runs").records()
        assert unreadable == []
        assert {record.status for record in records} == {"done"}
        return records


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    environment, folder = tmp_path / "environment", tmp_path / "work"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (site,) = environment.glob("lib/python3.*/site-packages")
    seen = dict.fromkeys(sysconfig.get_path(scheme) for scheme in ("purelib", "platlib"))
    # addsitedir, and not the bare paths, for the .pth files of editable installs to be read
    (site / "outer.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in seen))
    return Machine(folder, environment / "bin" / "python")


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
