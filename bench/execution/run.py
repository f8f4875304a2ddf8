"""A run: which jobs of a request are still to be done, doing them, and what came of it."""

from __future__ import annotations

import contextlib
import datetime
import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from bench import dataset as datasets
from bench.errors import BenchError
from bench.execution.estimates import EXPECTED, Accuracy, Estimates, accuracy
from bench.execution.local import execute
from bench.execution.messages import Outcome, Task
from bench.execution.progress import Progress
from bench.execution.slots import Slot
from bench.jobs import Job
from bench.method import Method
from bench.provenance import command, environment
from bench.specs import parse_spec
from bench.store import Record, RecordUnreadable, Store
from bench.workspace import Workspace

Rerun = Literal["missing", "failed", "all"]
"""Which jobs to run: those without a record, those not done, or every one."""


@dataclass
class Plan:
    """The jobs of a run, those of them to be done, and the records that are there already.

    After ``expect`` also the seconds that the pending jobs are expected to take, by key, where records tell.
    """

    jobs: Sequence[Job]
    pending: list[Job] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    unreadable: list[RecordUnreadable] = field(default_factory=list)
    expected: dict[str, float] = field(default_factory=dict)
    accuracy: Accuracy | None = None


@dataclass
class Result:
    """What a run left: every job's record by key as far as there is one, and whether it was stopped by a signal.

    ``unfit`` are the jobs that were not started because they would not have ended within the time that the run has.
    """

    jobs: Sequence[Job]
    records: dict[str, Record]
    signal: int | None = None
    unfit: list[Job] = field(default_factory=list)

    @property
    def failed(self) -> list[Record]:
        return [record for record in self.records.values() if record.status != "done"]

    @property
    def missing(self) -> int:
        return sum(job.key not in self.records for job in self.jobs)


def plan(jobs: Sequence[Job], store: Store, rerun: Rerun = "missing", trace: bool = False) -> Plan:
    """Hold the jobs against the store. A record without the wanted trace, or one that cannot be read, is missing."""
    found = Plan(jobs)
    for job in jobs:
        record = None
        try:
            record = store.get(job)
        except RecordUnreadable as error:
            found.unreadable.append(error)
        if record is not None:
            found.records[job.key] = record
        if _wanted(record, rerun, trace):
            found.pending.append(job)
    return found


def expect(planned: Plan, workspace: Workspace, device: str) -> None:
    """Estimate the pending jobs from the records in the results folder, and put the longest first.

    A long job that starts last keeps one slot busy and the others waiting. What nothing is known of comes first of all.
    """
    if not planned.pending:
        return
    records, _ = Store(workspace.results).records()
    estimates = Estimates(records, workspace, device)
    known = {job.key: estimates.seconds(job) for job in planned.pending}
    planned.expected = {key: seconds for key, seconds in known.items() if seconds is not None}
    planned.pending.sort(key=lambda job: -planned.expected.get(job.key, math.inf))
    planned.accuracy = accuracy(records)


def run(planned: Plan, workspace: Workspace, slots: Sequence[Slot], progress: Progress, options: Options) -> Result:
    """Do the pending jobs and store their records as they come.

    Ctrl-C (or SIGTERM) starts nothing new, ends the workers and returns; a second one is not waited for.
    Raises BenchError where the results folder cannot be written.
    """
    store = Store(workspace.results)
    result = Result(planned.jobs, dict(planned.records))
    if not planned.pending:
        return result
    tasks = _tasks(planned.pending, workspace, options)
    store.require_writable()
    began: dict[str, str] = {}
    deadline = time.monotonic() + options.max_seconds

    def begin(slot: Slot, task: Task) -> bool:
        if time.monotonic() + planned.expected.get(task.job.key, 0.0) > deadline:
            result.unfit.append(task.job)
            return False
        if options.rerun == "missing" and (theirs := _done_elsewhere(store, task)):
            result.records[task.job.key] = theirs
            progress.ended(slot, theirs)
            return False
        began[task.job.key] = _now()
        progress.started(slot, task.job)
        return True

    def end(slot: Slot, task: Task, outcome: Outcome, attempts: list[dict[str, Any]]) -> None:
        expected = planned.expected.get(task.job.key)
        record = _record(task.job, slot, outcome, attempts, began[task.job.key], expected)
        store.put(record, outcome.arrays)
        result.records[task.job.key] = record
        progress.ended(slot, record)

    for job in planned.pending:
        result.records.pop(job.key, None)
    with _stopping() as (stop, received), progress:
        execute(tasks, slots, stop, begin, progress.epoch, end)
    result.signal = received[0] if received else None
    return result


@dataclass(frozen=True)
class Options:
    """How to run, apart from what.

    ``timeout``: seconds a job may take (None: its method's or bench.toml's). ``max_seconds``: seconds that the run has;
    no job starts that is not expected to end by then. ``memory``: GB a job's worker may hold, given as ``timeout`` is.
    """

    timeout: float | None = None
    memory: float | None = None
    max_seconds: float = math.inf
    trace: bool = False
    rerun: Rerun = "missing"


def counts(planned: Plan) -> Counter[str]:
    """How many jobs of a plan have which status; ``missing`` counts those without a record."""
    statuses = [planned.records[job.key].status if job.key in planned.records else "missing" for job in planned.jobs]
    return Counter(statuses)


def _wanted(record: Record | None, rerun: Rerun, trace: bool) -> bool:
    if record is None or rerun == "all":
        return True
    if record.status != "done":
        return rerun == "failed"
    return trace and not record.traced


def _done_elsewhere(store: Store, task: Task) -> Record | None:
    """A record that another run on the same folder has written since this one looked."""
    with contextlib.suppress(RecordUnreadable):
        record = store.get(task.job)
        if record is not None and not _wanted(record, "missing", task.trace):
            return record
    return None


def _tasks(jobs: Sequence[Job], workspace: Workspace, options: Options) -> list[Task]:
    folders = {}
    for spec in dict.fromkeys(job.dataset for job in jobs):
        prepared = workspace.dataset(parse_spec(spec))
        datasets.verify(prepared)
        folders[spec] = prepared.folder
    limits = {name: _limits(name, workspace, options) for name in dict.fromkeys(job.method for job in jobs)}
    return [
        Task(
            job=job,
            dataset_folder=folders[job.dataset],
            plugin_folders=workspace.config.plugins.methods,
            trace=options.trace,
            timeout=limits[job.method].timeout,
            memory=limits[job.method].memory,
        )
        for job in jobs
    ]


class _Limits(NamedTuple):
    """Seconds and bytes that a job may take."""

    timeout: float
    memory: float


def _limits(method: str, workspace: Workspace, options: Options) -> _Limits:
    """From the command line, else from the method, else from bench.toml."""
    try:
        declared: type[Method] | None = workspace.methods.load(method)
    except BenchError:  # the job will say so itself
        declared = None
    timeouts = (options.timeout, declared.timeout if declared else None, workspace.config.timeout)
    gigabytes = (options.memory, declared.memory if declared else None, workspace.config.memory)
    return _Limits(
        timeout=next(each for each in timeouts if each is not None),
        memory=next((1e9 * each for each in gigabytes if each is not None), math.inf),
    )


def _record(
    job: Job, slot: Slot, outcome: Outcome, attempts: list[dict[str, Any]], began: str, expected: float | None
) -> Record:
    return Record(
        job=job,
        status=outcome.status,
        split=outcome.split,
        metrics=outcome.metrics,
        cost=outcome.cost,
        parameters=outcome.parameters,
        epochs=outcome.epochs,
        traced=outcome.traced,
        oracle_candidates=outcome.oracle_candidates,
        ledger=outcome.ledger,
        error=outcome.error,
        attempts=attempts,
        provenance={
            **environment(),
            **outcome.hardware,
            "slot": slot.name,
            EXPECTED: expected,
            "command": command(),
            "started": began,
            "ended": _now(),
        },
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


@contextlib.contextmanager
def _stopping() -> Iterator[tuple[threading.Event, list[int]]]:
    """An event that the first SIGINT or SIGTERM sets. The next one has its usual effect."""
    stop = threading.Event()
    received: list[int] = []
    watched = (signal.SIGINT, signal.SIGTERM)

    def ask(number: int, frame: Any) -> None:
        received.append(number)
        stop.set()
        for each in watched:
            signal.signal(each, usual[each])

    usual = {each: signal.signal(each, ask) for each in watched}
    try:
        yield stop, received
    finally:
        for each in watched:
            signal.signal(each, usual[each])
