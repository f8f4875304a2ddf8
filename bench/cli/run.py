"""``bench run``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli import options

if TYPE_CHECKING:
    from bench.execution.run import Plan, Result
    from bench.workspace import Workspace


def run(
    suite: Annotated[str | None, typer.Option(help="Named grid of jobs: see bench list suites.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Instead of a suite: one dataset, all its classes, e.g. \"folder(path='tiles')\"."),
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="With --dataset: how it is split.")] = None,
    methods: Annotated[
        str | None, typer.Option(help='Specs, e.g. all or "ocsvm,shared_ae(epochs=5)". Default: the suite\'s.')
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Normal classes by name or number, e.g. 0,8.")] = None,
    seeds: Annotated[str | None, typer.Option(help="How many (3) or which (0,1,2).")] = None,
    profile: options.Profile = None,
    max_train: Annotated[int | None, typer.Option(min=1, help="Use at most N training images.")] = None,
    precision: Annotated[Literal["fp32", "bf16"], typer.Option(help="Of the networks' forward pass.")] = "fp32",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="METHOD.PARAM=VALUE", help="Override a parameter; repeatable.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Jobs at a time (default: one a core or GPU).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    timeout: Annotated[float | None, typer.Option(min=0.001, help="Seconds that a job may take.")] = None,
    trace: Annotated[
        bool, typer.Option(help="Record the test AUROC of every epoch and candidate, for an oracle.")
    ] = False,
    rerun: Annotated[
        Literal["missing", "failed", "all"],
        typer.Option(help="Jobs to run: without a record, also those not done, or every one."),
    ] = "missing",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and stop.")] = False,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Run every job of a suite that has no record yet, then print the suite's table.

    Stopped at any time, the same command goes on where it was. Exit code 1: some jobs failed (each is named).
    """
    from bench.execution import run as execution
    from bench.jobs import Request, expand
    from bench.store import Store
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    request = Request(
        suite, dataset, protocol, methods, classes, seeds, profile, max_train, precision, tuple(set_ or ())
    )
    title = suite or dataset or ""
    jobs = expand(request, workspace)
    planned = execution.plan(jobs, Store(workspace.results), rerun, trace)
    for error in planned.unreadable:
        print(f"warning: {error}", file=sys.stderr)  # noqa: T201
    if dry_run:
        _print_plan(title, planned)
        return
    result = _execute(title, planned, workspace, execution.Options(timeout, trace, rerun), device, workers)
    _print_tables(result, workspace, suite)
    _finish(result, planned)


def _print_plan(title: str, planned: Plan) -> None:
    from collections import Counter

    from bench.execution.run import counts

    statuses = ", ".join(f"{number} {status}" for status, number in sorted(counts(planned).items()))
    typer.echo(f"{title}: {len(planned.jobs)} jobs ({statuses}); {len(planned.pending)} would be run")
    for label, number in Counter(job.label for job in planned.pending).items():
        typer.echo(f"  {number:6} {label}")


def _execute(
    title: str, planned: Plan, workspace: Workspace, chosen: object, device: str, workers: int | None
) -> Result:
    from rich.console import Console

    from bench.execution.progress import Progress
    from bench.execution.run import Options, run
    from bench.execution.slots import find_slots

    assert isinstance(chosen, Options)
    slots = find_slots(device, workers)
    there = len(planned.jobs) - len(planned.pending)
    on = f"{len(slots)} {'slot' if len(slots) == 1 else 'slots'} ({', '.join(dict.fromkeys(s.device for s in slots))})"
    typer.echo(
        f"{title}: {len(planned.jobs)} jobs, {there} recorded, {len(planned.pending)} to run on {on}; "
        f"records in {workspace.results}",
        err=True,
    )
    progress = Progress(Console(stderr=True), title, len(planned.pending))
    return run(planned, workspace, slots, progress, chosen)


def _print_tables(result: Result, workspace: Workspace, suite: str | None) -> None:
    from itertools import groupby

    from bench.report.formats import rendered
    from bench.report.selection import select, setting_of
    from bench.report.tables import class_table

    labels = list(dict.fromkeys(job.label for job in result.jobs))
    parts = workspace.config.parts(suite) if suite is not None else []
    expected = {(part.dataset, part.protocol): len(part.classes) for _, part in parts if part.classes is not None}
    records = sorted(result.records.values(), key=lambda r: str(setting_of(r)))
    for setting, group in groupby(records, key=setting_of):
        typer.echo()
        selection = select(group, lambda record: True).with_expected(expected.get((setting.dataset, setting.protocol)))
        typer.echo(rendered(class_table(selection, "auroc", labels), "text"), nl=False)


def _finish(result: Result, planned: Plan) -> None:
    """Say what is not well and how to go on, and exit with the code that says so."""
    if failed := result.failed:
        typer.echo(f"\n{len(failed)} of {len(result.jobs)} jobs did not end well:", err=True)
        for record in failed:
            typer.echo(f"  {record.job.key[:12]}  {record.status:8}  {record.job.title}: {record.reason}", err=True)
        typer.echo("bench show KEY tells more; --rerun failed runs them again", err=True)
    if result.signal is not None:
        typer.echo(f"\nstopped: {result.missing} jobs are left; the same command goes on with them", err=True)
        raise typer.Exit(128 + result.signal)
    if failed or result.missing:
        raise typer.Exit(1)
