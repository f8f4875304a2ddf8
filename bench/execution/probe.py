"""Timing a few training steps of jobs that no record tells the length of."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from bench.errors import BenchError
from bench.execution.aside import run_aside
from bench.execution.estimates import Work, is_length
from bench.execution.executor import Executor
from bench.execution.observers import Observer
from bench.execution.run import Options, Plan
from bench.jobs import Job
from bench.record import Record
from bench.specs import Spec, Value, parse_spec
from bench.workspace import Workspace

STEPS = (4, 20)
"""Lengths of the two trials of a job: their difference is what steps take, the rest is what it takes to begin."""

SCORED = 256
"""Test images of a trial, about: what one takes is known from them."""


def probe(
    planned: Plan, workspace: Workspace, executor: Executor, observe: Callable[[Sequence[Job]], Observer]
) -> list[str]:
    """Put into a plan what its jobs of unknown length should take, and the longest first again.

    Of the jobs with one spec, dataset, protocol and training cap, the first is trained for 4 steps and for 20, where
    the run would train it, and scores a few hundred test images; nothing of that is kept. ``observe`` gets these
    trials. Returns the labels of those that cannot be timed so: they have no epochs, cannot be imported, or did not end
    well. Raises BenchError where it was stopped.
    """
    estimates = planned.estimates
    if estimates is None:
        return []
    unknown: dict[tuple[object, ...], list[Job]] = defaultdict(list)
    for job in planned.pending:
        if job.key not in planned.expected:
            unknown[job.spec, job.dataset, job.protocol, job.max_train].append(job)
    trials = {
        place: _trials(jobs[0], estimates.parameters(jobs[0]) or {}, workspace) for place, jobs in unknown.items()
    }
    tried = [job for each in trials.values() for job in each]
    records = run_aside(tried, workspace, executor, observe(tried), Options(most_scored=SCORED))
    if len(records) < len(tried):
        raise BenchError("stopped while a few steps of each job were timed; nothing was run")
    untimed = []
    for place, jobs in unknown.items():
        ended = [records[job.key] for job in trials[place] if records[job.key].status == "done"]
        if len(ended) < len(STEPS):
            untimed.append(jobs[0].label)
            continue
        works = [estimates.work(trial) for trial in trials[place]]
        fits: set[str] = set()
        for job in jobs:
            planned.expected[job.key] = from_trials(estimates.work(job), ended, works, fitted=job.fit_key in fits)
            fits.add(job.fit_key)
    planned.put_in_order()
    return untimed


def _trials(job: Job, parameters: Mapping[str, Value], workspace: Workspace) -> list[Job]:
    """The job cut to each number of steps; none for a method that does not train by epochs, or cannot be imported."""
    spec = parse_spec(job.spec)
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


def from_trials(work: Work, ended: Sequence[Record], works: Sequence[Work], fitted: bool = False) -> float:
    """Seconds for so much work, from a short trial and a longer one; for scoring alone where another job has fitted."""
    (short, long), (little, more) = ended, works
    scoring = work.scored / long.cost["images_per_second"]
    if fitted:
        return scoring
    first, second = (record.cost["fit_seconds"] for record in (short, long))
    rate = (second - first) / (more.shown - little.shown) if more.shown > little.shown else 0.0
    if rate <= 0:  # noise, or a class too small for trials of two lengths
        rate = second / more.shown
    begin = max(0.0, second - rate * more.shown)
    return begin + rate * work.shown + scoring
