"""Doing jobs of which nothing is to be kept."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.execution import run as execution
from bench.execution.executor import Executor
from bench.execution.observers import Observer
from bench.jobs import Job
from bench.record import Record
from bench.store import Store
from bench.workspace import Workspace


def run_aside(
    jobs: Sequence[Job], workspace: Workspace, executor: Executor, observer: Observer, options: execution.Options
) -> Mapping[str, Record]:
    """The records of jobs by key, as a results folder would have them; a job that was stopped has none."""
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = dataclasses.replace(workspace, results=Path(folder))
        planned = execution.Plan(jobs, list(jobs), device=executor.device)
        tasks = execution.prepare(planned, elsewhere, options)
        store = Store(elsewhere.results)
        execution.run(planned, tasks, store, executor, observer, options)
        return {record.job.key: record for record in store.records()[0]}
