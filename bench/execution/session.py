"""A run from beginning to end with all that are told of it: its log, a script that reads events, whoever looks on."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Literal

from bench.execution.estimates import Forecast
from bench.execution.executor import Executor
from bench.execution.observers import Events, Observer, Observers, open_log
from bench.execution.progress import Progress
from bench.execution.run import Options, Plan, Result, prepare, repeated, run
from bench.execution.screens import console
from bench.store import Store
from bench.terminal import echo
from bench.workspace import Workspace

Show = Literal["progress", "events", "nothing"]
"""What a run shows while it goes on: its progress on stderr, events on stdout, or nothing."""


def execute(
    title: str, planned: Plan, workspace: Workspace, executor: Executor, options: Options, show: Show = "progress"
) -> Result:
    """Do what is pending of a plan. Raises BenchError as ``prepare`` and ``run`` do."""
    tasks = prepare(planned, workspace, options)
    pending = len(tasks)
    facts = {"jobs": len(planned.jobs), "recorded": len(planned.records), "pending": pending}
    forecast = Forecast(planned.pending, planned.expected, lambda: executor.slots)
    with contextlib.ExitStack() as open_until_the_end:
        streams = [sys.stdout] if show == "events" else []
        if pending:
            streams.append(open_until_the_end.enter_context(open_log(workspace.results)))
        events = [Events(stream, forecast.left) for stream in streams]
        observers: list[Observer] = [forecast, *events]
        if show == "progress":
            observers.append(open_until_the_end.enter_context(_progress(title, planned, workspace, executor, forecast)))
        for each in events:
            each.write("run", title=title, command=planned.command, pid=os.getpid(), host=socket.gethostname(), **facts)
        with contextlib.redirect_stdout(sys.stderr):  # Ray prints that a node is lost, amid the events
            result = run(planned, tasks, Store(workspace.results), executor, Observers(observers), options)
        for each in events:
            each.write(
                "finished",
                failed=len(result.failed),
                missing=result.missing,
                elsewhere=len(result.elsewhere),
                signal=result.signal,
            )
    if result.elsewhere and show == "progress":
        echo(f"{len(result.elsewhere)} of {pending} jobs were done by another run on {workspace.results}", err=True)
    return result


def described(executor: Executor) -> str:
    """The places where jobs run, in words."""
    slots = executor.slots
    return f"{slots} {'slot' if slots == 1 else 'slots'} ({executor.device}) of {executor.place}"


def _progress(title: str, planned: Plan, workspace: Workspace, executor: Executor, forecast: Forecast) -> Progress:
    echo(
        f"{title}: {len(planned.jobs)} jobs, {len(planned.records)} recorded, {len(planned.pending)} to run"
        f"{repeated(planned)} on {described(executor)}; records in {workspace.results}",
        err=True,
    )
    return Progress(console(), title, len(planned.pending), forecast)
