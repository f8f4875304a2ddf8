"""A run: which jobs of a request are still to be done, doing them, and what came of it."""

from __future__ import annotations

import contextlib
import datetime
import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.dataset import PreparedDataset
from bench.errors import PluginUnavailable, RecordUnreadable
from bench.execution.claims import Claims
from bench.execution.estimates import EXPECTED, Accuracy, Estimates, GpuNeeds, accuracy
from bench.execution.executor import Admission, Executor
from bench.execution.judgement import sources_of
from bench.execution.limits import limits_of
from bench.execution.messages import Outcome, Task
from bench.execution.observers import Observer
from bench.jobs import Job
from bench.method import Epoch, Method
from bench.prepared import verify
from bench.provenance import command
from bench.record import Record
from bench.sources import DATASET_SOURCE, Sources
from bench.specs import parse_spec
from bench.store import CHECKPOINTS, Store
from bench.workspace import Workspace

Rerun = Literal["missing", "failed", "all"]
"""Which jobs to run: those without a record, those not done, or every one."""


@dataclass
class Plan:
    """The jobs of a run, those of them to be done, and the records that are there already.

    ``expected``: seconds that pending jobs will take, by key, where records tell.
    """

    jobs: Sequence[Job]
    pending: list[Job] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    unreadable: list[RecordUnreadable] = field(default_factory=list)
    expected: dict[str, float] = field(default_factory=dict)
    accuracy: Accuracy | None = None
    gpu_needs: GpuNeeds = field(default_factory=lambda: GpuNeeds([]))
    device: str = "cpu"
    """Where jobs compute that can use a GPU: ``cpu`` or ``cuda``."""
    estimates: Estimates | None = None
    """What ``expected`` is from; None where no job is pending."""
    command: Sequence[str] = field(default_factory=command)
    """The command line that asks for these jobs, which their records keep."""
    trace: bool = False
    """Whether records without a trace are made again."""

    def put_in_order(self) -> None:
        """The longest pending jobs first, before them those of unknown length, by what they have to do; after each the
        others of the same fit."""
        self.pending.sort(key=self._place)
        first: dict[str, int] = {}
        self.pending.sort(key=lambda job: first.setdefault(job.fit_key, len(first)))

    def _place(self, job: Job) -> tuple[float, float]:
        if job.key in self.expected:
            return -self.expected[job.key], 0.0
        return -math.inf, -self.estimates.work(job).shown if self.estimates else 0.0


@dataclass
class Result:
    """What a run left: every job's record by key as far as there is one, and whether it was stopped by a signal.

    ``unfit`` are the jobs that were not started because they would not have ended within the time that the run has,
    ``elsewhere`` the pending ones that other runs on the same folder did.
    """

    jobs: Sequence[Job]
    records: dict[str, Record]
    signal: int | None = None
    unfit: list[Job] = field(default_factory=list)
    elsewhere: list[Job] = field(default_factory=list)

    @property
    def failed(self) -> list[Record]:
        return [record for record in self.records.values() if record.status != "done"]

    @property
    def missing(self) -> int:
        return sum(job.key not in self.records for job in self.jobs)


def plan(jobs: Sequence[Job], workspace: Workspace, device: str, rerun: Rerun = "missing", trace: bool = False) -> Plan:
    """Hold the jobs against the records in the results folder, and put those to be done in order, the longest first.

    A job whose record has not the wanted trace, or cannot be read, is to be done too. A long job that starts last would
    keep one slot busy and the others waiting; what nothing is known of comes first of all, by its epochs and training
    images. ``device``: cpu or cuda.
    """
    records, unreadable = Store(workspace.results).records()
    by_key = {record.job.key: record for record in records}
    found = Plan(jobs, unreadable=unreadable, accuracy=accuracy(records), device=device, trace=trace)
    found.gpu_needs = GpuNeeds(records)
    found.records = {job.key: by_key[job.key] for job in jobs if job.key in by_key}
    found.pending = [job for job in jobs if _wanted(found.records.get(job.key), rerun, trace)]
    if found.pending:
        estimates = Estimates(records, workspace, lambda job: _device_of(job, workspace, device))
        found.estimates = estimates
        fits: set[str] = set()
        known = {}
        for job in found.pending:
            known[job.key] = estimates.seconds(job, fitted=job.fit_key in fits and not trace)
            fits.add(job.fit_key)
        found.expected = {key: seconds for key, seconds in known.items() if seconds is not None}
        found.put_in_order()
    return found


def prepare(planned: Plan, workspace: Workspace, options: Options) -> list[Task]:
    """A task for each pending job, in order. The source of plugins that are no part of the harness is kept.

    Raises BenchError where a dataset was altered or the results folder cannot be written, before anything is computed.
    """
    prepared = {}
    for spec in dict.fromkeys(job.dataset for job in planned.pending):
        prepared[spec] = workspace.dataset(parse_spec(spec))
        verify(prepared[spec])
    if planned.pending:
        Store(workspace.results).require_writable()
    return _tasks(planned, prepared, workspace, options)


def run(
    planned: Plan, tasks: Sequence[Task], store: Store, executor: Executor, observer: Observer, options: Options
) -> Result:
    """Do the tasks of a plan and store the records as they come.

    What another run on the same folder is doing is left to it, and done where that run does not end it. Ctrl-C (or
    SIGTERM) starts nothing new, ends the workers and returns; a second one is not waited for.
    Raises BenchError where the results folder cannot be written.
    """
    result = Result(planned.jobs, dict(planned.records))
    if not tasks:
        return result
    for job in planned.pending:
        result.records.pop(job.key, None)
    with _stopping() as (stop, received), Claims(store.folder) as claims:
        executor.execute(tasks, stop, _Recorder(planned, store, claims, options, observer, result))
    result.signal = received[0] if received else None
    return result


class _Recorder:
    """Lets tasks in, and makes records of their outcomes."""

    def __init__(
        self, planned: Plan, store: Store, claims: Claims, options: Options, observer: Observer, result: Result
    ) -> None:
        self._planned = planned
        self._store = store
        self._claims = claims
        self._observer = observer
        self._result = result
        self._began: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._deadline = time.monotonic() + options.max_seconds

    def admit(self, task: Task) -> Admission:
        job = task.job
        if time.monotonic() + self._planned.expected.get(job.key, 0.0) > self._deadline:
            self._result.unfit.append(job)
            return "never"
        try:
            other = self._claims.take(job)
        except OSError as error:
            raise self._store.refusal(error) from error
        if other is not None:
            owner = str(other.owner or "another run")
            if self._owners.get(job.key) != owner:
                self._owners[job.key] = owner
                self._observer.claimed(job, owner)
            return "later"
        if theirs := _done_elsewhere(self._store, task, self._planned.records.get(job.key)):
            self._claims.release(job)
            self._result.elsewhere.append(job)
            self._keep(theirs)
            self._observer.found(theirs)
            return "never"
        return "now"

    def gpu_memory(self, task: Task) -> float | None:
        return task.gpu_memory if (measured := self._planned.gpu_needs.bytes(task.job)) is None else measured

    def started(self, slot: str, task: Task) -> None:
        self._began.setdefault(task.job.key, _now())
        self._observer.started(slot, task.job)

    def epoch(self, task: Task, epoch: Epoch) -> None:
        self._observer.epoch(task.job, epoch)

    def ended(self, task: Task, outcome: Outcome, attempts: list[dict[str, Any]]) -> None:
        key = task.job.key
        record = _record(task, outcome, attempts, self._began.get(key, _now()), self._planned)
        self._store.put(record, outcome.arrays, outcome.every_map)
        if record.status in ("done", "diverged"):
            self._store.forget_checkpoint(task.job)
        self._claims.release(task.job)
        self._keep(record)
        self._observer.ended(record)

    def _keep(self, record: Record) -> None:
        self._result.records[record.job.key] = record
        self._planned.gpu_needs.ended(record)


@dataclass(frozen=True)
class Options:
    """How to run, apart from what.

    ``timeout``: seconds a job may take (None: its method's or bench.toml's). ``max_seconds``: seconds that the run has;
    no job starts that is not expected to end by then. ``memory``: GB a job's worker may hold, given as ``timeout`` is.
    ``graphs``: whether GPUs may replay training steps as graphs. ``keep_maps``: those of all test images.
    """

    timeout: float | None = None
    memory: float | None = None
    max_seconds: float = math.inf
    trace: bool = False
    graphs: bool = True
    checkpoint: float | None = None
    """Minutes between two checkpoints of a training; None: bench.toml's, 0: none."""
    keep_maps: bool = False
    most_scored: int | None = None
    """About how many test images are scored where nothing is kept of the figures; None: all."""
    criteria: Sequence[str] = ()
    """Specs of those that jobs which compare settings have figures of."""


def repeated(planned: Plan) -> str:
    """How many of the pending jobs have a record and are done again, and what for, in words; empty where none is."""
    records = [record for job in planned.pending if (record := planned.records.get(job.key))]
    if not records:
        return ""
    for_trace = planned.trace and all(record.status == "done" and not record.traced for record in records)
    return f" ({len(records)} of them again{', for a trace' if for_trace else ''})"


def counts(planned: Plan) -> Counter[str]:
    """How many jobs of a plan have which status; ``missing`` counts those without a record."""
    return Counter(found.status if (found := planned.records.get(job.key)) else "missing" for job in planned.jobs)


def _wanted(record: Record | None, rerun: Rerun, trace: bool) -> bool:
    if record is None or rerun == "all":
        return True
    if record.status != "done":
        return rerun == "failed"
    return trace and not record.traced


def _done_elsewhere(store: Store, task: Task, before: Record | None) -> Record | None:
    """A record that another run on the same folder has written since this one looked, when ``before`` was there."""
    with contextlib.suppress(RecordUnreadable):
        record = store.get(task.job)
        if record != before and not _wanted(record, "missing", task.trace):
            return record
    return None


def _tasks(
    planned: Plan, prepared: Mapping[str, PreparedDataset], workspace: Workspace, options: Options
) -> list[Task]:
    sources = _kept_sources(planned, workspace)
    others = sources_of(options.criteria, workspace)
    minutes = workspace.config.checkpoint if options.checkpoint is None else options.checkpoint
    jobs_of = Counter(job.fit_key for job in planned.pending)
    limits = {
        spec: limits_of(spec, workspace, options.timeout, options.memory)
        for spec in dict.fromkeys(job.spec for job in planned.pending)
    }
    return [
        Task(
            job=job,
            dataset_folder=prepared[job.dataset].folder,
            plugin_folders=workspace.config.plugins.methods,
            image_size=prepared[job.dataset].size,
            protocol_folders=workspace.config.plugins.protocols,
            device=_device_of(job, workspace, planned.device),
            graphs=options.graphs,
            trace=options.trace,
            shares_fit=jobs_of[job.fit_key] > 1 and not options.trace,
            keep_maps=options.keep_maps,
            most_scored=options.most_scored,
            criteria=options.criteria,
            criterion_folders=workspace.config.plugins.criteria,
            others=others,
            timeout=limits[job.spec].timeout,
            memory=limits[job.spec].memory,
            gpu_memory=limits[job.spec].gpu_memory,
            checkpoints=(workspace.results / CHECKPOINTS).absolute(),
            checkpoint_seconds=60 * minutes,
            dataset_source=sources[job.dataset],
        )
        for job in planned.pending
    ]


def _kept_sources(planned: Plan, workspace: Workspace) -> dict[str, str]:
    """Keep the source of each plugin of the pending jobs; the fingerprints of the datasets' by their specs."""
    sources = Sources(workspace.results)
    try:
        for name in dict.fromkeys(job.method for job in planned.pending):
            sources.keep(workspace.methods.find(name))
        specs = dict.fromkeys(job.dataset for job in planned.pending)
        return {spec: sources.keep(workspace.datasets.find(parse_spec(spec).name)) for spec in specs}
    except OSError as error:
        raise Store(workspace.results).refusal(error) from error


def _device_of(job: Job, workspace: Workspace, device: str) -> str:
    """``cpu`` where the job's method uses no GPU, else what the run computes on."""
    if device == "cpu":
        return device
    spec = parse_spec(job.spec)
    try:
        method: type[Method] = workspace.methods.load(spec.name)
    except PluginUnavailable:  # the job will say so itself, and needs no GPU for that
        return "cpu"
    return "cpu" if method.needs_no_gpu(spec.parameters) else device


def _record(task: Task, outcome: Outcome, attempts: list[dict[str, Any]], began: str, planned: Plan) -> Record:
    return Record(
        job=task.job,
        status=outcome.status,
        split=outcome.split,
        metrics=outcome.metrics,
        by_kind=outcome.by_kind,
        criteria=outcome.criteria,
        maps=outcome.maps,
        cost=outcome.cost,
        parameters=outcome.parameters,
        epochs=outcome.epochs,
        traced=outcome.traced,
        oracle_candidates=outcome.oracle_candidates,
        ledger=outcome.ledger,
        error=outcome.error,
        attempts=attempts,
        provenance={
            **outcome.provenance,
            **({DATASET_SOURCE: task.dataset_source} if task.dataset_source else {}),
            EXPECTED: planned.expected.get(task.job.key),
            "command": list(planned.command),
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
    # only the main thread gets signals, and may say what they do
    watched = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()

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
