"""How the harness scales: workers, overhead of a job, large plans, many records. Prints a Markdown table.

    python benchmarks/scaling.py [--repeats 5]

Run it on a quiet machine: the ratio of two workers to one is measured in alternation, and others' load is in it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

METHODS = "all"
"""The README's first command runs them."""
PLANNED, RECORDED = 100_000, 10_000
READING = ("status", "table mnist", "table all", "stats paper", "report --out /dev/null")
"""Commands that read every record."""

_LARGE_PLAN = """
import resource, sys, time
from pathlib import Path
from bench.execution.run import plan
from bench.jobs import Request, expand
from bench.workspace import open_workspace
workspace = open_workspace(None, None, Path(sys.argv[1]))
began = time.perf_counter()
jobs = expand(Request(suite="quickstart", methods="ocsvm,mean_image", seeds=str(int(sys.argv[2]) // 20)), workspace)
planned = plan(jobs, workspace, "cpu")
print(len(planned.pending), time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

_MANY_RECORDS = """
import dataclasses, itertools, sys
from pathlib import Path
from bench import store as stores
from bench.fingerprint import source_fingerprint
from bench.store import Store
from bench.workspace import open_workspace
stores.os.fsync = lambda descriptor: None
workspace = open_workspace()
made, many = Store(Path(sys.argv[1])), Store(Path(sys.argv[2]))
real = max(made.records()[0], key=lambda record: len(record.epochs))
epochs = [{**real.epochs[-1], "epoch": number} for number in range(1, 51)]
methods = {name: source_fingerprint(workspace.methods.find(name)) for name in workspace.config.groups["all"]}
suites = {(s.dataset, s.protocol): s.classes or range(10) for _, s in workspace.config.parts("paper")}
jobs = (
    (dataclasses.replace(real.job, method=method, label=method, spec=method, fingerprint=code, dataset=dataset,
        protocol=protocol, normal_class=str(name), seed=seed, profile="paper", max_train=None), number, len(classes))
    for seed in itertools.count()
    for (dataset, protocol), classes in suites.items()
    for number, name in enumerate(classes)
    for method, code in methods.items()
)
for job, number, classes in itertools.islice(jobs, int(sys.argv[3])):
    split = {**real.split, "normal_label": number, "normal_classes": classes}
    auroc = int(job.key[:6], 16) / 16**6
    many.put(dataclasses.replace(real, job=job, epochs=epochs, split=split, metrics={**real.metrics, "auroc": auroc}))
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=5)
    repeats = arguments.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        rows = [*throughput(Path(folder), repeats), *large_plan(Path(folder)), *many_records(Path(folder), repeats)]
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}\n")
    print("| what | median | from |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def throughput(folder: Path, repeats: int) -> list[tuple[str, str, str]]:
    """Wall time of the quickstart suite with one worker and with two, in turn; what a job costs beside its method."""
    walls: dict[int, list[float]] = defaultdict(list)
    beside: list[float] = []
    starting: list[float] = []
    for repeat in range(repeats):
        for workers in (1, 2):
            results = folder / f"{workers}-{repeat}"
            began = time.perf_counter()
            bench("run", "--suite", "quickstart", "--methods", METHODS, "--device", "cpu",
                  "--workers", str(workers), "--quiet", "--results", str(results))  # fmt: skip
            walls[workers].append(time.perf_counter() - began)
            first, later = overheads(results)
            beside += later
            if workers == 2:
                starting.append(first / walls[workers][-1])
    ratios = [one / two for one, two in zip(walls[1], walls[2], strict=True)]
    return [
        ("2 workers against 1, quickstart", f"{statistics.median(ratios):.2f} ×", _listed(ratios, "{:.2f}")),
        ("… wall time with 1 worker", f"{statistics.median(walls[1]):.0f} s", _listed(walls[1], "{:.0f}")),
        ("… wall time with 2 workers", f"{statistics.median(walls[2]):.0f} s", _listed(walls[2], "{:.0f}")),
        (
            "… start of a worker and loading, share of that",
            f"{statistics.median(starting):.1%}",
            _listed(starting, "{:.1%}"),
        ),
        ("job beside fit and score, warm worker", f"{1e3 * statistics.median(beside):.0f} ms", f"{len(beside)} jobs"),
    ]


def overheads(results: Path) -> tuple[float, list[float]]:
    """What jobs cost beside fitting and scoring, in seconds: the first one of the slowest slot, with the start of its
    worker and the loading of the dataset; and each later one, until the next one starts.
    """
    (log,) = (results / "logs").glob("*.jsonl")
    starts: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "started":
            starts[event["slot"]].append((_seconds(event["time"]), event["key"]))
    took = {}
    for file in results.glob("*/*/*/*.json"):
        record = json.loads(file.read_text())
        took[record["key"]] = record["cost"]["fit_seconds"] + record["cost"]["score_seconds"]
    costs = {
        name: [after - at - took[key] for (at, key), (after, _) in itertools.pairwise(slot)]
        for name, slot in starts.items()
    }
    first = max(slot[0] for slot in costs.values())
    later = [cost for slot in costs.values() for cost in slot[1:]]
    return first, later


def large_plan(folder: Path) -> list[tuple[str, str, str]]:
    """Time and memory of expanding and planning very many jobs."""
    count, seconds, size = python(_LARGE_PLAN, str(folder / "empty"), str(PLANNED)).split()
    return [(f"expanding and planning {count} jobs", f"{float(seconds):.1f} s", f"{float(size) / 1e9:.2f} GB at most")]


def many_records(folder: Path, repeats: int) -> list[tuple[str, str, str]]:
    """Time of the commands that read every record, over as many as the paper's suites with very many seeds leave."""
    results = folder / "many"
    python(_MANY_RECORDS, str(folder / "1-0"), str(results), str(RECORDED))
    return [row for command in READING for row in reading(command, results, repeats)]


def reading(command: str, results: Path, repeats: int) -> list[tuple[str, str, str]]:
    """Wall time of a command, and its processor time, which others' load disturbs less."""
    walls, computed = [], []
    for _ in range(repeats):
        began, before = time.perf_counter(), os.times()
        bench(*command.split(), "--results", str(results))
        after = os.times()
        walls.append(time.perf_counter() - began)
        computed.append(after.children_user - before.children_user + after.children_system - before.children_system)
    return [
        (f"bench {command} over {RECORDED} records", f"{statistics.median(walls):.1f} s", _listed(walls, "{:.1f}")),
        ("… processor time", f"{statistics.median(computed):.1f} s", _listed(computed, "{:.1f}")),
    ]


def bench(*arguments: str) -> str:
    return _printed([sys.executable, "-m", "bench", *arguments])


def python(program: str, *arguments: str) -> str:
    return _printed([sys.executable, "-c", program, *arguments])


def _printed(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _listed(figures: Sequence[float], form: str) -> str:
    return ", ".join(form.format(figure) for figure in figures)


def _seconds(time_of_day: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(time_of_day).timestamp()


if __name__ == "__main__":
    main()
