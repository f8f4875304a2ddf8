"""Timing a few training steps of jobs that no record tells the length of."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.execution import run as execution
from bench.execution.estimates import Work, is_length
from bench.execution.executor import Executor
from bench.execution.observers import Observer
from bench.jobs import Job
from bench.record import Record
from bench.specs import Spec, Value, parse_spec
from bench.store import Store
from bench.workspace import Workspace

STEPS = (4, 20)
"""Lengths of the two trials of a job: their difference is what steps take, the rest is what it takes to begin."""


def probe(planned: execution.Plan, workspace: Workspace, executor: Executor, observer: Observer) -> list[str]:
    """Put into a plan what its jobs of unknown length should take, and the longest first again.

    Of the jobs with one spec, dataset, protocol and training cap, the first is trained for 4 steps and for 20, where
    the run would train it, and scored; nothing of that is kept. Returns the labels of those that cannot be timed so:
    they have no epochs, or did not end well. Raises BenchError where it was stopped.
    """
    unknown: dict[tuple[object, ...], list[Job]] = defaultdict(list)
    for job in planned.pending:
        if job.key not in planned.expected:
            unknown[job.spec, job.dataset, job.protocol, job.max_train].append(job)
    trials = {place: _trials(jobs[0], workspace) for place, jobs in unknown.items()}
    records = _done([job for each in trials.values() for job in each], workspace, executor, observer)
    untimed = []
    for place, jobs in unknown.items():
        ended = [records[job.key] for job in trials[place] if job.key in records]
        if len(ended) < len(STEPS):
            untimed.append(jobs[0].label)
            continue
        works = [planned.work(trial) for trial in trials[place]]
        for job in jobs:
            planned.expected[job.key] = from_trials(planned.work(job), ended, works)
    planned.pending.sort(key=lambda job: -planned.expected.get(job.key, math.inf))
    return untimed


def _trials(job: Job, workspace: Workspace) -> list[Job]:
    """The job cut to each number of steps; none for a method that does not train by epochs."""
    spec = parse_spec(job.spec)
    fields = workspace.methods.fields(spec.name, spec.parameters)
    parameters: dict[str, Value] = {name: spec.parameters.get(name, field.default) for name, field in fields.items()}
    lengths = {name: 1 for name, value in parameters.items() if is_length(name) and value}
    batch = parameters.get("batch_size")
    if not lengths or not isinstance(batch, int):
        return []
    cut = []
    for steps in STEPS:
        least = {"min_steps": steps} if "min_steps" in parameters else {}
        shorter = workspace.methods.resolve(Spec(spec.name, {**spec.parameters, **lengths, **least}))
        cap = min(steps * batch, job.max_train or steps * batch)
        cut.append(dataclasses.replace(job, spec=str(shorter), max_train=cap))
    return cut


def _done(jobs: Sequence[Job], workspace: Workspace, executor: Executor, observer: Observer) -> Mapping[str, Record]:
    """The records of those that ended well, by key."""
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = dataclasses.replace(workspace, results=Path(folder))
        planned = execution.Plan(jobs, list(jobs), device=executor.device)
        options = execution.Options()
        tasks = execution.prepare(planned, elsewhere, options)
        result = execution.run(planned, tasks, Store(elsewhere.results), executor, observer, options)
    if result.signal is not None:
        raise BenchError("stopped while a few steps of each job were timed; nothing was run")
    return {key: record for key, record in result.records.items() if record.status == "done"}


def from_trials(work: Work, ended: Sequence[Record], works: Sequence[Work]) -> float:
    """Seconds for so much work, from a short trial and a longer one."""
    (short, long), (little, more) = ended, works
    first, second = (record.cost["fit_seconds"] for record in (short, long))
    rate = (second - first) / (more.shown - little.shown) if more.shown > little.shown else 0.0
    if rate <= 0:  # noise, or a class too small for trials of two lengths
        rate = second / more.shown
    begin = max(0.0, second - rate * more.shown)
    return begin + rate * work.shown + long.cost["score_seconds"] / max(1.0, more.scored) * work.scored
