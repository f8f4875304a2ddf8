"""Doing a recorded job once more, to see whether its figures come out again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.execution.aside import run_aside
from bench.execution.executor import Executor
from bench.execution.observers import Observer
from bench.execution.run import Options
from bench.fingerprint import source_fingerprint
from bench.jobs import Job
from bench.record import Record
from bench.registry import Registry
from bench.sources import DATASET_SOURCE, Sources
from bench.specs import Spec, parse_spec
from bench.workspace import Workspace

ELSEWHERE = 0.005
"""How far an AUROC may be from a record that another processor or other libraries made."""


@dataclass(frozen=True)
class Repetition:
    """A record, and what the same job leaves today."""

    recorded: Record
    today: Record

    @property
    def same_scores(self) -> bool:
        """Whether every score, label and reconstruction is the same, bit for bit."""
        return self.recorded.scores_sha256 == self.today.scores_sha256

    @property
    def same_auroc(self) -> bool:
        return self.recorded.metrics["auroc"] == self.today.metrics["auroc"]

    @property
    def difference(self) -> float:
        """AUROC of today minus the recorded one."""
        return self.today.metrics["auroc"] - self.recorded.metrics["auroc"]

    @property
    def causes(self) -> list[str]:
        """What is known to be different: code, data, protocol, processor, libraries."""
        return [*_other_job(self.recorded.job, self.today.job), *_other_machine(self.recorded, self.today)]

    @property
    def holds(self) -> bool:
        """Whether the AUROC came out again: exactly, or within ``ELSEWHERE`` where something else is different too."""
        return self.same_auroc if not self.causes else abs(self.difference) <= ELSEWHERE


def again(recorded: Record, workspace: Workspace, executor: Executor, observer: Observer) -> Repetition:
    """Do the job of a record once more, by the workspace's code on today's data, and keep nothing of it.

    Raises BenchError where the record has no scores, the dataset is not there, or the job does not end well today.
    """
    if recorded.status != "done":
        raise BenchError(f"{recorded.job.title} ended as {recorded.status}: there is no figure to compare with")
    job = as_of_today(recorded, workspace)
    today = run_aside([job], workspace, executor, observer, Options(trace=recorded.traced)).get(job.key)
    if today is None:
        raise BenchError(f"{job.title} was stopped; nothing was kept of it")
    if today.status != "done":
        raise BenchError(f"{job.title} ended as {today.status} today: {today.reason}")
    return Repetition(recorded, today)


def with_kept_code(recorded: Record, workspace: Workspace, results: Path) -> Workspace:
    """The workspace with the plugins of a record as they are kept in its results folder, where today's are others."""
    sources = Sources(results)

    def kept(registry: Registry, name: str, fingerprint: str) -> list[Path]:
        today = registry.plugins.get(name)
        if sources.find(fingerprint) is None or (today is not None and source_fingerprint(today) == fingerprint):
            return []
        return [sources.place(fingerprint)]

    job, of_dataset = recorded.job, recorded.provenance.get(DATASET_SOURCE, "")
    methods = kept(workspace.methods, job.method, job.fingerprint)
    datasets = kept(workspace.datasets, parse_spec(job.dataset).name, of_dataset)
    return workspace.with_plugins(methods, datasets) if methods or datasets else workspace


def as_of_today(recorded: Record, workspace: Workspace) -> Job:
    """The same job with the code, the data and the protocol that are here now."""
    job = recorded.job
    return dataclasses.replace(
        job,
        spec=str(_spec_of_then(recorded, workspace.methods)),
        method_version=workspace.methods.load(job.method).version,
        fingerprint=source_fingerprint(workspace.methods.find(job.method)),
        dataset_checksum=workspace.dataset(parse_spec(job.dataset)).checksum,
        protocol_version=workspace.protocol(job.protocol).version,
    )


def _spec_of_then(recorded: Record, methods: Registry) -> Spec:
    """The job's spec, with the values of that time for those parameters whose defaults have changed since."""
    spec = parse_spec(recorded.job.spec)
    defaults = {name: field.default for name, field in methods.fields(spec.name, spec.parameters).items()}
    then = Spec(spec.name, {name: value for name, value in recorded.parameters.items() if name in defaults})
    changed = {
        name: value
        for name, value in then.parameters.items()
        if isinstance(defaults[name], bool | int | float | str | tuple | None) and value != defaults[name]
    }
    return methods.resolve(Spec(spec.name, {**changed, **spec.parameters}))


def _other_job(recorded: Job, today: Job) -> Iterator[str]:
    if recorded.fingerprint != today.fingerprint:
        yield f"the code of {recorded.method} is not the record's"
    if recorded.method_version != today.method_version:
        yield f"{recorded.method} has version {today.method_version}, the record is of {recorded.method_version}"
    if recorded.dataset_checksum != today.dataset_checksum:
        yield f"the images of {recorded.dataset} are not the record's"
    if recorded.protocol_version != today.protocol_version:
        name, before = recorded.protocol, recorded.protocol_version
        yield f"{name} has version {today.protocol_version}, the record is of {before}"


def _other_machine(recorded: Record, today: Record) -> Iterator[str]:
    for fact in ("cpu", "gpu", "device", "mkl_cbwr", "driver", "cudnn", "products"):
        before, now = (record.provenance.get(fact) for record in (recorded, today))
        if before != now:
            yield f"{fact}: {now}, the record's was {before}"
    before, now = (record.provenance.get("libraries", {}) for record in (recorded, today))
    others = [f"{name} {now.get(name)} for {before.get(name)}" for name in _names(before, now)]
    if others:
        yield f"libraries: {', '.join(others)}"


def _names(before: dict[str, str], now: dict[str, str]) -> Sequence[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
