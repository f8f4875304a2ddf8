"""``bench run``."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli import options
from bench.errors import BenchError, warn
from bench.execution.failures import failures
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.execution.executor import Executor
    from bench.execution.run import Plan, Result
    from bench.jobs import Job
    from bench.workspace import Workspace


def run(
    suite: Annotated[
        str | None, typer.Option(help="Named grid of jobs, or several: mnist,cifar10. See bench list suites.")
    ] = None,
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
    max_train: Annotated[
        str | None, typer.Option(metavar="N,…", help="Use at most so many training images; several: one after another.")
    ] = None,
    normal: Annotated[
        str | None, typer.Option(metavar="A+B|N", help="Classes that are normal together, or how many to draw.")
    ] = None,
    contamination: Annotated[
        str | None, typer.Option(metavar="SHARE,…", help="Replace so many training images by anomalies, e.g. 0,0.05.")
    ] = None,
    corruption: Annotated[
        str | None, typer.Option(metavar="SPEC,…", help='Of the test images, e.g. "gaussian_noise(severity=3)".')
    ] = None,
    precision: Annotated[
        Literal["fp32", "tf32", "bf16"],
        typer.Option(help="Of networks: tf32 rounds products, on GPUs alone; bf16 is for training's forward passes."),
    ] = "fp32",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="METHOD.PARAM=VALUE", help="Override a parameter; repeatable.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Jobs at a time, at most (default: as many as there is room for).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    jobs_per_gpu: Annotated[str, typer.Option(metavar="auto|N", help="Jobs at a time on one GPU.")] = "auto",
    graphs: Annotated[
        bool, typer.Option(help="On a GPU, replay training steps as CUDA graphs: same scores, less time.")
    ] = True,
    executor: Annotated[
        Literal["local", "ray", "dask"], typer.Option(help="Where jobs run: on this machine or on a cluster.")
    ] = "local",
    address: Annotated[str | None, typer.Option(help="Of the cluster: see docs/clusters.md.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.001, help="Seconds that a job may take.")] = None,
    memory: Annotated[float | None, typer.Option(min=0.001, help="GB of main memory that a job may hold.")] = None,
    checkpoint: Annotated[
        float | None,
        typer.Option(min=0, metavar="MINUTES", help="Keep a training's state so often (default 10; 0: never)."),
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0, help="Start no job that is not expected to end within so many hours.")
    ] = None,
    trace: Annotated[
        bool, typer.Option(help="Record the test AUROC of every epoch and candidate, for an oracle.")
    ] = False,
    keep_maps: Annotated[
        bool, typer.Option("--keep-maps", help="Keep the score maps of all test images, where they are measured.")
    ] = False,
    rerun: Annotated[
        Literal["missing", "failed", "all"],
        typer.Option(help="Jobs to run: without a record, also those not done, or every one."),
    ] = "missing",
    probe: Annotated[
        bool, typer.Option("--probe", help="First time a few steps of each job whose length no record tells.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress, only what failed and the table.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events, a line of JSON each, and neither progress nor table.")
    ] = False,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Run every job of a suite that has no record yet, then print the suite's table.

    Stopped at any time, the same command goes on where it was. Exit code 1: some jobs failed (each is named).
    """
    from bench.execution import run as execution
    from bench.execution.opening import open_executor
    from bench.execution.session import Show, execute
    from bench.jobs import Request, expand, left_out
    from bench.specs import parse_specs
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    workspace.config.shown()  # what is wrong with a name is said before hours of computing, not after
    request = Request(
        suite,
        dataset,
        protocol,
        methods,
        classes,
        seeds,
        profile,
        max_train=options.numbers("--max-train", max_train, int),
        precision=precision,
        overrides=tuple(set_ or ()),
        contamination=options.numbers("--contamination", contamination, float),
        corruption=[str(spec) for spec in parse_specs(corruption)] if corruption else (),
        normal=normal,
    )
    title = suite or dataset or ""
    jobs = expand(request, workspace)
    for told in left_out(request, workspace):
        echo(told, err=True)
    with open_executor(executor, address, device, workers, _jobs_per_gpu(jobs_per_gpu)) as places:
        if precision == "tf32" and places.device == "cpu":
            raise BenchError("--precision tf32 is a way in which GPUs compute, and there is none; use fp32 or bf16")
        planned = execution.plan(jobs, workspace, places.device, rerun, trace)
        for error in planned.unreadable:
            warn(error)
        if probe:
            _probe(planned, workspace, places, quiet or as_json)
        if dry_run:
            _print_plan(title, planned, places, probe)
            return
        seconds = math.inf if max_hours is None else 3600 * max_hours
        chosen = execution.Options(
            timeout=timeout,
            memory=memory,
            max_seconds=seconds,
            trace=trace,
            graphs=graphs,
            checkpoint=checkpoint,
            keep_maps=keep_maps,
        )
        show: Show = "events" if as_json else "nothing" if quiet else "progress"
        result = execute(title, planned, workspace, places, chosen, show)
    if not as_json:
        _print_tables(result, workspace, suite)
    _finish(result, planned)


@functools.wraps(run, assigned=("__module__", "__annotations__"))
def plan(**options: Any) -> None:
    """Say which jobs of a suite would be run, how long they are expected to take, and in which order."""
    run(**options, dry_run=True)


_NOT_FOR_PLAN = ("dry_run", "max_hours", "quiet", "as_json")
_signature = inspect.signature(run, eval_str=True)
plan.__signature__ = _signature.replace(  # type: ignore[attr-defined]  # typer reads the options from it
    parameters=[parameter for name, parameter in _signature.parameters.items() if name not in _NOT_FOR_PLAN]
)


def _probe(planned: Plan, workspace: Workspace, executor: Executor, quiet: bool) -> None:
    from bench.execution.estimates import Forecast
    from bench.execution.observers import Observer, Observers
    from bench.execution.probe import STEPS, probe
    from bench.execution.progress import Progress
    from bench.execution.screens import console

    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as shown:

        def observe(trials: Sequence[Job]) -> Observer:
            if quiet or not trials:
                return Observer()
            title = f"timing {' and '.join(map(str, STEPS))} steps"
            echo(
                f"{title} of {len(trials) // len(STEPS)} jobs like which no record is; nothing of it is kept", err=True
            )
            forecast = Forecast(trials, {}, lambda: executor.slots)
            return Observers([forecast, shown.enter_context(Progress(console(), title, len(trials), forecast))])

        untimed = probe(planned, workspace, executor, observe)
    if untimed:
        echo(f"a few steps could not be timed of {', '.join(dict.fromkeys(untimed))}", err=True)


def _print_plan(title: str, planned: Plan, executor: Executor, probed: bool) -> None:
    from collections import defaultdict

    from bench.execution.estimates import makespan
    from bench.execution.progress import clock
    from bench.execution.run import counts, repeated
    from bench.execution.session import described

    statuses = ", ".join(f"{number} {status}" for status, number in sorted(counts(planned).items()))
    echo(f"{title}: {len(planned.jobs)} jobs ({statuses}); {len(planned.pending)} would be run{repeated(planned)}")
    labels: dict[str, list[float | None]] = defaultdict(list)
    for job in planned.pending:
        labels[job.label].append(planned.expected.get(job.key))
    for label, expected in labels.items():
        known = [seconds for seconds in expected if seconds is not None]
        echo(f"  {len(expected):6}  {clock(sum(known)) if known else 'unknown':>10}  {label}")
    if planned.expected:
        in_order = [planned.expected[job.key] for job in planned.pending if job.key in planned.expected]
        echo(
            f"expected: {clock(sum(in_order))} of computing, {clock(makespan(in_order, max(1, executor.slots)))} on "
            f"{described(executor)}, longest first"
        )
    if unknown := len(planned.pending) - len(planned.expected):
        hint = "" if probed else "; --probe times a few of their steps"
        echo(f"not in this: {unknown} jobs like which no record on this kind of device is{hint}")
    if planned.accuracy is not None:
        error = f"{planned.accuracy.median_error:.0%}"
        echo(f"earlier estimates were off by {error} (median over {planned.accuracy.records} jobs)")


def _jobs_per_gpu(text: str) -> int | Literal["auto"]:
    if text == "auto" or text.isdecimal():
        return "auto" if text == "auto" else int(text)
    raise typer.BadParameter(f"{text!r} is neither auto nor a number", param_hint="--jobs-per-gpu")


def _print_tables(result: Result, workspace: Workspace, suite: str | None) -> None:
    from itertools import groupby

    from bench.report.selection import renamed, select, setting_of
    from bench.report.shared import shared
    from bench.report.tables.formats import rendered
    from bench.report.tables.table import class_table

    names = workspace.config.shown()
    shown = list(dict.fromkeys(names.get(job.label, job.label) for job in result.jobs))
    parts = workspace.config.parts(suite) if suite is not None else []
    expected = {(part.dataset, part.protocol): len(part.classes) for _, part in parts if part.classes is not None}
    records = sorted(renamed(result.records.values(), names), key=lambda r: str(setting_of(r)))
    for setting, group in groupby(records, key=setting_of):
        echo()
        selection = shared(select(group, lambda record: True))
        whole = selection.with_expected(expected.get((setting.dataset, setting.protocol)))
        echo(rendered(class_table(whole, "auroc", shown), "text"), nl=False)


def _finish(result: Result, planned: Plan) -> None:
    """Say what is not well and how to go on, and exit with the code that says so."""
    if failed := result.failed:
        echo(f"\n{len(failed)} of {len(result.jobs)} jobs did not end well:", err=True)
        for each in failures(failed):
            echo(f"  {each}", err=True)
        echo("bench show KEY tells more; --rerun failed runs them again", err=True)
    if result.signal is not None:
        echo(f"\nstopped: {result.missing} jobs are left; the same command goes on with them", err=True)
        raise typer.Exit(128 + result.signal)
    if result.unfit:
        echo(
            f"\n{len(result.unfit)} jobs were not started, as they were not expected to end in time; "
            "the same command goes on with them",
            err=True,
        )
    if failed or result.missing > len(result.unfit):
        raise typer.Exit(1)
