"""How long jobs will take: from the records of jobs like them, in proportion to the work where they differ in it."""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bench.errors import BenchError, PluginUnavailable
from bench.execution.observers import Observer
from bench.jobs import Job
from bench.record import Record
from bench.registry import Registry
from bench.specs import Spec, Value, parse_spec
from bench.workspace import Workspace

EXPECTED = "expected_seconds"
"""Name, in a record's provenance, of what its job was expected to take."""

RESERVED_ROOM = 1.1
"""How much more of a GPU's memory a job may take than torch had reserved for another one like it."""
TENSORS_ROOM = 1.3
"""How much more than its tensors held at their peak, for a record that tells no more."""
SIZES = ("batch_size", "width", "image_size")
"""Hyperparameters by whose names the harness tells how large a network and what it is fed are."""
LEAST_GROWTH = 0.25
"""What smaller hyperparameters leave of the memory of the default ones, at the least: libraries take some of it."""


class Work(NamedTuple):
    """What a job has to do."""

    shown: float
    """Images that training shows. 0 for a method that cannot be imported."""
    scored: float
    """Test images."""


class Rate(NamedTuple):
    """Seconds for an image that training shows, and for one that is scored."""

    fit: float
    score: float


class Estimates:
    """Expected seconds of jobs, each on the device that ``device_of`` says: ``cpu`` or ``cuda``.

    The nearest of these that has records of that device, as the median over them: the same spec, dataset and training
    cap; the same method with networks as large there, by the images that training shows and those that are scored; on
    other data, likewise.
    """

    def __init__(self, records: Iterable[Record], workspace: Workspace, device_of: Callable[[Job], str]) -> None:
        self._workspace = workspace
        self._device_of = device_of
        self._unread: dict[str, list[Record]] = defaultdict(list)
        self._known: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._rates: dict[tuple[str, ...], list[Rate]] = defaultdict(list)
        self._medians: dict[tuple[str, ...], Rate] = {}
        self._defaults: dict[str, Mapping[str, Value]] = {}
        self._images: dict[tuple[object, ...], tuple[int, int]] = {}
        for record in records:
            if record.status == "done" and record.seconds and {"train", "test"} <= record.split.keys():
                self._unread[record.job.method].append(record)

    def seconds(self, job: Job, fitted: bool = False) -> float | None:
        """What the job is expected to take, with fitting unless another has ``fitted`` its detector; None where no
        record tells, or its method cannot be imported."""
        parameters = self.parameters(job)
        if parameters is None:
            return None
        for record in self._unread.pop(job.method, ()):
            with contextlib.suppress(BenchError):  # of a setting that the method no longer has
                self._learn(record)
        same, *others = _likenesses(job, self._device_of(job), self._kind(job, parameters))
        if same in self._known and not fitted:
            return statistics.median(self._known[same])
        nearest = next((likeness for likeness in others if likeness in self._rates), None)
        if nearest is None:
            return None
        if nearest not in self._medians:
            self._medians[nearest] = Rate(*map(statistics.median, zip(*self._rates[nearest], strict=True)))
        rate, work = self._medians[nearest], self.work(job)
        return (0.0 if fitted else rate.fit * work.shown) + rate.score * work.scored

    def work(self, job: Job) -> Work:
        """What the job has to do; its seed does not matter."""
        parameters = self.parameters(job)
        if parameters is None:
            return Work(0.0, 0.0)
        place = (job.dataset, job.protocol, job.normal_class, job.max_train, job.tuning)
        if place not in self._images:
            dataset = self._workspace.dataset(parse_spec(job.dataset))
            alike = dataclasses.replace(job, seed=0, contamination=0.0)
            split = alike.split(dataset, self._workspace.protocol(job.protocol))
            self._images[place] = len(split.train), len(split.test)
        train, test = self._images[place]
        return Work(_shown(parameters, train), test)

    def _learn(self, record: Record) -> None:
        shown, scored = _shown(record.parameters, record.split["train"]), record.split["test"]
        fit, score = record.cost.get("fit_seconds", 0.0), record.cost.get("score_seconds", 0.0)
        same, *others = _likenesses(record.job, record.device, self._kind(record.job, record.parameters))
        self._known[same].append(record.seconds)
        for likeness in others:
            self._rates[likeness].append(Rate(fit / shown, score / max(1, scored)))

    def _kind(self, job: Job, parameters: Mapping[str, Value]) -> str:
        """The hyperparameters that tell how much is computed for an image, where they are not today's defaults: sizes,
        and words, which choose what is done."""
        usual = self._defaults_of(job)
        told = {name: value for name, value in parameters.items() if name in SIZES or isinstance(value, str)}
        return str(sorted(item for item in told.items() if item[1] != usual.get(item[0])))

    def parameters(self, job: Job) -> Mapping[str, Value] | None:
        """Every hyperparameter of a job with its value; None where its method cannot be imported."""
        try:
            return {**self._defaults_of(job), **parse_spec(job.spec).parameters}
        except PluginUnavailable:
            return None

    def _defaults_of(self, job: Job) -> Mapping[str, Value]:
        if job.spec not in self._defaults:
            spec = parse_spec(job.spec)
            fields = self._workspace.methods.fields(spec.name, spec.parameters)
            self._defaults[job.spec] = {name: field.default for name, field in fields.items()}
        return self._defaults[job.spec]


class Forecast(Observer):
    """How long the rest of a run will take: by what its jobs are expected to take, or else took so far on average."""

    def __init__(self, pending: Iterable[Job], expected: Mapping[str, float], slots: Callable[[], int]) -> None:
        self._expected = expected
        self._slots = slots
        self._lock = threading.Lock()
        self._began: dict[str, float] = {}
        self._took = 0.0
        self._ended = 0
        self._unknown = 0
        self._known = 0.0
        for job in pending:
            self._count(job.key, 1)

    def started(self, slot: str, job: Job) -> None:
        with self._lock:
            self._began[job.key] = time.monotonic()

    def ended(self, record: Record) -> None:
        with self._lock:
            began = self._began.pop(record.job.key, None)
            if began is not None:
                self._took += time.monotonic() - began
                self._ended += 1
            self._count(record.job.key, -1)

    def found(self, record: Record) -> None:
        with self._lock:
            self._count(record.job.key, -1)

    def left(self) -> float | None:
        """Seconds until the last job will have ended; None as long as nothing tells."""
        with self._lock:
            if self._unknown and not self._ended:
                return None
            usual = self._took / self._ended if self._ended else 0.0
            now = time.monotonic()
            under_way = [(self._expected.get(key, usual), now - began) for key, began in self._began.items()]
            spent = sum(min(expected, elapsed) for expected, elapsed in under_way)
            longest = max((expected - elapsed for expected, elapsed in under_way), default=0.0)
            return max(0.0, longest, (self._known + self._unknown * usual - spent) / max(1, self._slots()))

    def _count(self, key: str, sign: int) -> None:
        if key in self._expected:
            self._known += sign * self._expected[key]
        else:
            self._unknown += sign


class GpuNeeds(Observer):
    """How much memory of a GPU a job will need, from the largest of the records like it.

    The nearest of these that has records: the same spec on the same dataset; the same method there.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._needs: dict[tuple[str, ...], float] = {}
        for record in records:
            self.ended(record)

    def bytes(self, job: Job) -> float | None:
        """Bytes, with some room; None where no record tells."""
        near, far = self._likenesses(job)
        return self._needs.get(near, self._needs.get(far))

    def ended(self, record: Record) -> None:
        if record.status == "done" and record.device == "cuda":
            tensors, reserved = (record.cost.get(f"{what}_memory_bytes") for what in ("peak", "reserved"))
            need = (tensors or 0) * TENSORS_ROOM if reserved is None else reserved * RESERVED_ROOM
            for likeness in self._likenesses(record.job):
                self._needs[likeness] = max(need, self._needs.get(likeness, 0.0))

    @staticmethod
    def _likenesses(job: Job) -> tuple[tuple[str, ...], tuple[str, ...]]:
        there = (job.method, job.precision, job.dataset)
        return (*there, job.spec), there


def gpu_growth(spec: Spec, methods: Registry) -> float:
    """How many times the memory of its method's default hyperparameters a spec takes, by its batches and networks."""
    growth = 1.0
    for name, field in methods.fields(spec.name, spec.parameters).items():
        value, usual = spec.parameters.get(name, field.default), field.default
        if name in SIZES and isinstance(value, int) and isinstance(usual, int):
            growth *= (value / usual) ** (2 if name == "image_size" else 1)
    return max(LEAST_GROWTH, growth)


@dataclass(frozen=True)
class Accuracy:
    """How far earlier estimates were off: over how many records, and the median of |expected − actual| / actual."""

    records: int
    median_error: float


def accuracy(records: Iterable[Record]) -> Accuracy | None:
    """The accuracy of the estimates that are noted in records; None where there are none."""
    errors = [
        abs(record.provenance[EXPECTED] - record.own_seconds) / max(record.own_seconds, 1e-9)
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


def _likenesses(job: Job, device: str, kind: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What jobs share that take equally long, or equally long for their work: from the nearest to the farthest."""
    anywhere = (device, job.method, job.precision, kind)
    there = (*anywhere, job.dataset, job.protocol)
    return (*there, job.spec, str(job.max_train)), there, anywhere


def is_length(name: str) -> bool:
    """Whether a hyperparameter tells how many epochs a training has."""
    return name == "epochs" or name.endswith("_epochs")


def _shown(parameters: Mapping[str, Value], images: int) -> float:
    """Images that hyperparameters have training show: those of all epochs, or of all steps where these are more, in a
    pretraining too; each image once where there are neither."""

    def number(name: str) -> float:
        value = parameters.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    by_steps = number("min_steps") * min(number("batch_size"), images)
    trainings = [name for name in parameters if is_length(name)]
    shown = sum(max(number(name) * images, by_steps) for name in trainings if number(name))
    return shown or float(images)
