"""How long jobs will take: from the records of jobs like them, in proportion to the work where they differ in it."""

from __future__ import annotations

import heapq
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.jobs import Job
from bench.protocols import protocol
from bench.specs import Value, parse_spec
from bench.store import Record
from bench.workspace import Workspace

EXPECTED = "expected_seconds"
"""Name, in a record's provenance, of what its job was expected to take."""


class Estimates:
    """Expected seconds of jobs on one kind of device, ``cpu`` or ``cuda``.

    The nearest of these that has records, as the median over them: the same spec, dataset and training cap; the same
    method there, per epoch and training image; the same method on other data, likewise.
    """

    def __init__(self, records: Iterable[Record], workspace: Workspace, device: str) -> None:
        self._workspace = workspace
        self._known: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._medians: dict[tuple[str, ...], float] = {}
        self._work: dict[tuple[object, ...], float] = {}
        for record in records:
            if record.status == "done" and device_kind(record) == device:
                seconds = seconds_of(record)
                rate = seconds / (_epochs(record.parameters) * record.split["train"])
                same, there, anywhere = _likenesses(record.job)
                self._known[same].append(seconds)
                self._known[there].append(rate)
                self._known[anywhere].append(rate)

    def seconds(self, job: Job) -> float | None:
        """What the job is expected to take; None where no record tells."""
        same, *others = _likenesses(job)
        if same in self._known:
            return self._median(same)
        for likeness in others:
            if likeness in self._known:
                return self._median(likeness) * self._work_of(job)
        return None

    def _median(self, likeness: tuple[str, ...]) -> float:
        if likeness not in self._medians:
            self._medians[likeness] = statistics.median(self._known[likeness])
        return self._medians[likeness]

    def _work_of(self, job: Job) -> float:
        """Epochs × training images; the seed changes neither."""
        place = (job.spec, job.dataset, job.protocol, job.normal_class, job.max_train)
        if place not in self._work:
            spec = parse_spec(job.spec)
            fields = self._workspace.methods.fields(spec.name, spec.parameters)
            parameters = {name: spec.parameters.get(name, field.default) for name, field in fields.items()}
            dataset = self._workspace.dataset(parse_spec(job.dataset))
            split = protocol(job.protocol).split(dataset, job.normal_class, 0, job.max_train)
            self._work[place] = _epochs(parameters) * len(split.train)
        return self._work[place]


@dataclass(frozen=True)
class Accuracy:
    """How far earlier estimates were off: over how many records, and the median of |expected − actual| / actual."""

    records: int
    median_error: float


def accuracy(records: Iterable[Record]) -> Accuracy | None:
    """The accuracy of the estimates that are noted in records; None where there are none."""
    errors = [
        abs(record.provenance[EXPECTED] - seconds_of(record)) / max(seconds_of(record), 1e-9)
        for record in records
        if record.status == "done" and record.provenance.get(EXPECTED) is not None
    ]
    return Accuracy(len(errors), statistics.median(errors)) if errors else None


def makespan(seconds: Iterable[float], slots: int) -> float:
    """When the last of the jobs ends if each starts, in the order given, on the slot that is free first."""
    free = [0.0] * slots
    for duration in seconds:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def seconds_of(record: Record) -> float:
    """Seconds that a done job's method took: to fit and to score once."""
    return float(record.cost["fit_seconds"]) + float(record.cost["score_seconds"])


def device_kind(record: Record) -> str:
    """``cpu`` or ``cuda``."""
    return "cuda" if str(record.provenance.get("slot", "")).startswith("gpu") else "cpu"


def _likenesses(job: Job) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What jobs share that take equally long, or equally long for their work: from the nearest to the farthest."""
    there = (job.method, job.precision, job.dataset, job.protocol)
    return (*there, job.spec, str(job.max_train)), there, (job.method, job.precision)


def _epochs(parameters: Mapping[str, Value]) -> float:
    """All epochs that hyperparameters ask for, those of a pretraining too; 1 where there are none."""
    counts = [
        value
        for name, value in parameters.items()
        if (name == "epochs" or name.endswith("_epochs")) and isinstance(value, int | float)
    ]
    return max(1.0, float(sum(counts)))
