"""``bench status``: the records that are there, the jobs that are being done, and the runs that are going on."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from bench.cli import options
from bench.execution.failures import failures
from bench.terminal import echo

if TYPE_CHECKING:
    from pathlib import Path

    from bench.execution.progress import Board
    from bench.record import Record

LOOK_SECONDS = 1.0
"""How often ``--watch`` looks into the logs."""


def status(
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the runs that are going on, until the last has ended.")
    ] = False,
    as_json: options.Json = False,
    results: options.Results = None,
    config: options.Config = None,
) -> None:
    """Count the records by dataset, method and status; name those that did not end well, and jobs under way."""
    from bench.execution.claims import claims
    from bench.report.request import currency
    from bench.report.selection import superseded
    from bench.store import Store
    from bench.workspace import open_workspace

    workspace = open_workspace(config, None, results)
    if watch:
        _watch(workspace.results)
    records, unreadable = Store(workspace.results).records()
    under_way = [claim for claim in claims(workspace.results) if not claim.dead]
    if as_json:
        facts = {
            "results": str(workspace.results),
            "records": [
                {
                    "key": record.job.key,
                    "status": record.status,
                    "label": record.job.label,
                    "dataset": record.job.dataset,
                    "protocol": record.job.protocol,
                    "normal_class": record.job.normal_class,
                    "seed": record.job.seed,
                    "profile": record.job.profile,
                    "auroc": record.metrics.get("auroc"),
                    "reason": record.reason,
                }
                for record in records
            ],
            "unreadable": [str(error) for error in unreadable],
            "running": [
                {"key": claim.key, "job": claim.title, "since": claim.since, "owner": str(claim.owner or "")}
                for claim in under_way
            ],
        }
        echo(json.dumps(facts, indent=1))
        return
    if records:
        _print_counts(records)
    elif not unreadable and not under_way:
        echo(f"no records in {workspace.results}; try:  bench run --suite quickstart --methods all")
    old = {record.job.key for record in superseded(records, currency(workspace))}
    for each in failures(record for record in records if record.job.key not in old):
        echo(f"{each.status:8}  {each.key}  {each.text}")
    if mended := sum(record.status != "done" and record.job.key in old for record in records):
        echo(f"{mended} that did not end well are superseded by newer records of their jobs; bench gc removes them")
    for error in unreadable:
        echo(f"unreadable  {error}")
    for claim in under_way:
        since = claim.since[:19].replace("T", " ")
        echo(f"running   {claim.key[:12]}  {claim.title}, since {since} UTC by {claim.owner or 'another run'}")


def _print_counts(records: list[Record]) -> None:
    from collections import Counter

    from tabulate import tabulate

    groups = Counter(
        (r.job.dataset, r.job.protocol, r.job.profile, r.job.label, r.status) for r in records
    )  # fmt: skip
    rows = [(*names, number) for names, number in sorted(groups.items())]
    echo(tabulate(rows, headers=["dataset", "protocol", "profile", "method", "status", "records"]) + "\n")


def _watch(results: Path) -> None:
    """Show the boards of the runs whose logs are live, until none is."""
    from rich.console import Console, Group
    from rich.live import Live

    from bench.execution.observers import live_logs, read_events

    with contextlib.ExitStack() as open_until_the_end:
        console = Console()
        live = Live(console=console, auto_refresh=False, transient=True)
        if console.is_terminal:
            open_until_the_end.enter_context(live)
        streams: dict[Path, TextIO] = {}
        boards: dict[Path, Board] = {}
        while paths := live_logs(results):
            for path in paths:
                if path not in streams:
                    streams[path] = open_until_the_end.enter_context(path.open(encoding="utf-8"))
                before = boards[path].counts if path in boards else ""
                for event in read_events(streams[path]):
                    _take_in(event, path, boards)
                if not console.is_terminal and path in boards and boards[path].counts != before:
                    echo(f"{boards[path].title}: {boards[path].counts}")
            live.update(Group(*(boards[path].rendered() for path in paths if path in boards)), refresh=True)
            time.sleep(LOOK_SECONDS)
        if not boards:
            echo(f"no run is going on in {results}\n")


def _take_in(event: dict[str, Any], path: Path, boards: dict[Path, Board]) -> None:
    from bench.execution.progress import Board

    if event["event"] == "run":
        boards[path] = Board(event["title"], event["pending"])
    boards[path].read(event)
