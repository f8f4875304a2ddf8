"""Makes what this folder holds besides records, from the records alone, and fills the tables into the pages.

Run it as ``python results/make.py`` after a run into results/reference.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TABLES = ("1", "2", "3", "4", "5", "overview")
FIGURES = ("heatmap", "cost", "seeds", "critical-difference", "training-shared_ae-0-seed0")
BLOCK = re.compile(r"<!-- (bench|choosing) (.*?) -->\n(?:.+\n)*\n")
TRAININGS = (("cifar100", "apple"), ("coil100", "obj79"))
"""Suites of small classes, whose trainings are shown for one class, from records of their own."""
CONDITIONS = {"contamination": "contamination", "corruption": "severity"}
"""Conditions that are tried on MNIST and Fashion-MNIST, and the figure that shows the AUROC under each."""
DIFFERS = 1
"""What ``bench verify`` ends with where something was published otherwise."""


def bench(*arguments: str) -> str:
    """What a command prints, about the reference run where it names no other; empty where there is nothing to tell."""
    command = ["bench", *arguments, *([] if "--results" in arguments else ["--results", "reference"])]
    ended = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, DIFFERS):
        print(f"{' '.join(command)}: {ended.stderr.strip()}")  # noqa: T201
    return ended.stdout


def choosing(*arguments: str) -> str:
    """What the study of criteria tells from its records."""
    tool = [sys.executable, HERE.parent / "benchmarks/choosing.py", "tell", "--results", HERE / "choosing"]
    return subprocess.run([*tool, *arguments], capture_output=True, text=True, check=True).stdout


def draw() -> None:
    """The figures that show whole suites, and the training of the shared autoencoder."""
    shutil.rmtree(HERE / "figures", ignore_errors=True)
    (HERE / "figures").mkdir()
    with tempfile.TemporaryDirectory() as folder:
        for table in TABLES:
            bench("figures", table, "--config", "tables.toml", "--out", folder)
        for name in FIGURES:
            for file in Path(folder).glob(f"*-{name}.*"):
                shutil.copy(file, HERE / "figures")
    draw_trainings()
    by_steps = ("--config", "ablation/bench.toml", "--results", "ablation_by_steps")
    bench("figures", "budgets", *by_steps, "--only", "steps", "--out", "figures")
    draw_conditions()
    choosing("--out", str(HERE / "figures"))


def draw_trainings() -> None:
    """Losses by epoch, and the traced AUROC, of every network on a class of few images."""
    with tempfile.TemporaryDirectory() as folder:
        for suite, normal_class in TRAININGS:
            asked = ("--class", normal_class, "--only", "training", "--results", "small_classes", "--out", folder)
            bench("figures", suite, *asked)
        for file in Path(folder).glob("*.png"):
            shutil.copy(file, HERE / "figures")


def draw_conditions() -> None:
    """The AUROC of every method by the share of anomalies among its training images, and by severity of corruptions."""
    conditions = ("--config", "protocols/bench.toml", "--results", "protocols")
    with tempfile.TemporaryDirectory() as folder:
        for (condition, figure), dataset in itertools.product(CONDITIONS.items(), ("mnist", "fashion_mnist")):
            bench("figures", f"{condition}_{dataset}", *conditions, "--only", figure, "--out", folder)
        for file in Path(folder).glob("*.png"):
            shutil.copy(file, HERE / "figures")


def fill(page: Path) -> None:
    """Renew each block that begins with ``<!-- bench ARGUMENTS -->`` (or ``choosing``) and ends with an empty line."""
    commands = {"bench": bench, "choosing": choosing}

    def renewed(block: re.Match[str]) -> str:
        printed = commands[block[1]](*block[2].split())
        rows = [line for line in printed.splitlines() if line.startswith("|")]
        text = [line for line in printed.splitlines() if line.strip()]
        shown = rows or (["```text", *text, "```"] if text else ["No records yet."])
        return "\n".join([f"<!-- {block[1]} {block[2]} -->", *shown, "", ""])

    text = page.read_text(encoding="utf-8")
    page.write_text(BLOCK.sub(renewed, text), encoding="utf-8")


if __name__ == "__main__":
    (HERE / "tables.txt").write_text(bench("table", "all"), encoding="utf-8")
    (HERE / "tables.tex").write_text(bench("table", "all", "--format", "latex", "--document"), encoding="utf-8")
    (HERE / "verify.txt").write_text(bench("verify"), encoding="utf-8")
    draw()
    bench("report", "--out", "report.html")
    fill(HERE / "README.md")
    fill(HERE.parent / "README.md")
    fill(HERE.parent / "docs/shared-ae.md")
    fill(HERE.parent / "docs/choosing.md")
