"""``bench tune``: a setting chosen on training images alone, then tested once."""

from __future__ import annotations

import dataclasses
import statistics
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli import options
from bench.errors import BenchError, warn
from bench.execution.failures import failures
from bench.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.choice import Choice
    from bench.execution.run import Result
    from bench.execution.tuning import Case

HeldOut = Annotated[float, typer.Option("--held-out", help="Share of the training images that no fit sees.")]
Repeats = Annotated[int, typer.Option(min=1, help="Fits of each setting, from different seeds.")]
Bootstrap = Annotated[
    bool, typer.Option("--bootstrap", help="Each fit has its own sample of the images that train, for stability.")
]


def tune(
    spec: Annotated[
        str, typer.Argument(help='A method, with what is the same in every setting, e.g. "vae(epochs=20)".')
    ],
    over: Annotated[
        list[str], typer.Option("--over", metavar="NAME=V,…", help="A parameter with its values; repeatable.")
    ],
    by: Annotated[str, typer.Option("--by", metavar="CRITERION", help="What to choose by: see bench list criteria.")],
    suite: Annotated[str | None, typer.Option(help="What it is for: a suite's data set, protocol and classes.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Instead of a suite: one dataset.")] = None,
    protocol: Annotated[str | None, typer.Option(help="With --dataset: how it is split.")] = None,
    classes: Annotated[str | None, typer.Option(help="Normal classes by name or number, e.g. 0,8.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Of the test: how many (3) or which (0,1,2).")] = None,
    repeats: Repeats = 3,
    held_out: HeldOut = 0.2,
    bootstrap: Bootstrap = False,
    profile: options.Profile = None,
    max_train: Annotated[int | None, typer.Option(min=2, help="Use at most so many training images.")] = None,
    workers: Annotated[int | None, typer.Option(help="Jobs at a time, at most.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    timeout: Annotated[float | None, typer.Option(min=0.001, help="Seconds that a job may take.")] = None,
    rerun: Annotated[
        Literal["missing", "failed", "all"], typer.Option(help="Fits to make: without a record, also failed, or all.")
    ] = "missing",
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress, only what was chosen.")] = False,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Choose a method's setting for each normal class without labels, then run the chosen one once on the test set.

    Settings × repeats are fitted on a part of the training images; their records lie in RESULTS/tuning. Tables show the
    chosen ones as METHOD(tuned='CRITERION'), and say among how many settings they were chosen. Stopped at any time, the
    same command goes on. Exit code 1: some jobs failed (each is named).
    """
    from bench.choice import choose
    from bench.execution import run as execution
    from bench.execution import tuning
    from bench.execution.opening import open_executor
    from bench.execution.session import execute
    from bench.jobs import Request, expand
    from bench.specs import parse_spec
    from bench.store import Store
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    criterion = workspace.criterion(by)
    specs = tuning.settings(spec, over)
    way = tuning.Way(repeats, held_out, bootstrap)
    request = Request(
        suite,
        dataset,
        protocol,
        ",".join(map(str, specs)),
        classes,
        seeds,
        profile,
        max_train=() if max_train is None else (max_train,),
    )
    cases = tuning.cases_of(expand(request, workspace))
    given = execution.Options(timeout=timeout)
    title = f"{suite or dataset}: {len(specs)} settings of {spec}"
    with open_executor(device=device, workers=workers) as places:
        show: Literal["progress", "nothing"] = "nothing" if quiet else "progress"
        compared = tuning.compare(title, cases, way, [criterion], workspace, places, given, show, rerun)
        _require_whole(compared.result)
        of = str(parse_spec(spec))
        choices = {case: choose(of, criterion, fits, compared.scores) for case, fits in compared.fits.items()}
        chosen = [dataclasses.replace(cases[case][each.chosen], label=each.label) for case, each in choices.items()]
        planned = execution.plan(chosen, workspace, places.device, "missing")
        for error in planned.unreadable:
            warn(error)
        result = execute(f"{suite or dataset}: what was chosen, tested", planned, workspace, places, given, show)
    tuning.note(zip(chosen, choices.values(), strict=True), Store(workspace.results))
    _print(choices, {case: job.key for case, job in zip(choices, chosen, strict=True)}, result)
    _require_whole(result)
    if compared.result.failed or result.failed:
        raise typer.Exit(1)


def _require_whole(result: Result) -> None:
    """Name the jobs that failed, and leave with the signal that stopped a run, if one did."""
    for each in failures(result.failed):
        echo(f"  {each}", err=True)
    if result.signal is not None:
        echo(f"\nstopped: {result.missing} jobs are left; the same command goes on with them", err=True)
        raise typer.Exit(128 + result.signal)
    if result.missing:
        raise BenchError(f"{result.missing} jobs have no record; repeat the command")


def _print(choices: Mapping[Case, Choice], keys: Mapping[Case, str], result: Result) -> None:
    for case, choice in choices.items():
        echo(f"\n{case}: {choice.by}, {choice.better} is better, on training images alone")
        width = max(len(label) for label in choice.among)
        for label, figures in choice.among.items():
            spread = f"  ({min(figures):.4g} to {max(figures):.4g} in {len(figures)} fits)" if len(figures) > 1 else ""
            mark = "  chosen" if label == choice.chosen else ""
            echo(f"  {label:{width}}  {statistics.median(figures):10.4g}{spread}{mark}")
        if len(choice.equals) > 1:
            echo(f"  {len(choice.equals)} of them are equally good by it: the first was taken")
        record = result.records.get(keys[case])
        if record is not None and record.status == "done":
            echo(f"  tested once: AUROC {record.metrics['auroc']:.3f}, key {record.job.key[:12]}")
