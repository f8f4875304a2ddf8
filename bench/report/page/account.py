"""What records say of themselves beside their figures: how they ended, what they cost, where they come from."""

from __future__ import annotations

import shlex
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.record import Record
from bench.report.selection import setting_of


@dataclass(frozen=True)
class Effort:
    """What a method was given on one dataset, and what it took: medians over the records that are done."""

    label: str
    setting: str
    """Dataset, protocol and profile."""
    device: str
    """``cpu``, or the GPU's name: costs of one are not those of another."""
    records: int
    parameters: Sequence[str]
    """Every set of hyperparameters that was used, as ``name=value, …``; one, where bench.toml did not change."""
    images: float | None
    """Training images."""
    epochs: float | None
    """None for a method without epochs."""
    steps: float | None
    """Training steps."""
    fit_seconds: float | None
    images_per_second: float | None
    """Scored."""
    trained_parameters: float | None
    peak_memory: float | None
    """GB: of a GPU what tensors held, on the CPU what the process did."""


@dataclass(frozen=True)
class Account:
    """The account of some records. Facts are counted: how many records have each value."""

    counts: Mapping[str, int]
    """Records by status."""
    stale: int
    """Records that today's code would not make."""
    failures: Sequence[Record]
    repeated: Sequence[Record]
    """Records that are done, but not at the first start."""
    facts: Mapping[str, Mapping[str, int]]
    """Code, libraries, hardware and times, by name, then by value."""
    commands: Mapping[str, int]
    """Command lines as they were typed, in the order in which they first gave a record."""
    efforts: Sequence[Effort]
    ledger: Mapping[str, Sequence[str]]
    """By label, what its own jobs, and its method's published figures, used beyond normal training images."""

    @property
    def changed_code(self) -> bool:
        """Whether some records were made by code with uncommitted changes, which nobody else has."""
        return any(value.endswith(_DIRTY) for value in self.facts.get("code", {}))


_DIRTY = " with uncommitted changes"


def account(records: Sequence[Record], is_current: Callable[[Record], bool]) -> Account:
    """The account of records; ``is_current`` tells whether today's code would make a record again."""
    by_time = sorted(records, key=lambda record: (str(record.provenance.get("started", "")), record.job.key))
    commands = Counter(shlex.join(command) for record in by_time if (command := record.provenance.get("command")))
    failures = [record for record in by_time if record.status != "done"]
    return Account(
        counts=dict(Counter(record.status for record in by_time).most_common()),
        stale=sum(not is_current(record) for record in by_time),
        failures=failures,
        repeated=[record for record in by_time if record.status == "done" and record.attempts],
        facts=_facts(by_time),
        commands=dict(commands),
        efforts=_efforts(by_time),
        ledger=_ledger(by_time),
    )


def _facts(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        for name, value in _facts_of(record.provenance).items():
            if value:
                counted[name][str(value)] += 1
    return {name: dict(values.most_common()) for name, values in counted.items()}


def _facts_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a page says of where a record comes from; what is not known is empty."""
    get = provenance.get
    return {
        "bench": get("bench"),
        "code": get("git_commit") and f"{get('git_commit')}{_DIRTY if get('git_dirty') else ''}",
        "processor": get("cpu") and f"{get('cpu')}, {get('cores')} cores",
        "GPU": get("gpu") and f"{get('gpu')}, CUDA {get('cuda')}",
        "device": get("device"),
        "threads a job": get("threads"),
        "Python": get("python"),
        "platform": get("platform"),
        "libraries": ", ".join(f"{name} {version}" for name, version in get("libraries", {}).items()),
        "day": str(get("ended", ""))[:10],
    }


def _efforts(records: Iterable[Record]) -> list[Effort]:
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "done" and record.cost:
            device = record.device if record.device == "cpu" else record.provenance.get("gpu", "cuda")
            groups[setting_of(record).describe(), record.job.label, device].append(record)
    return [_effort(label, setting, device, own) for (setting, label, device), own in sorted(groups.items())]


def _effort(label: str, setting: str, device: str, records: Sequence[Record]) -> Effort:
    costs = [record.cost for record in records]
    shown = dict.fromkeys(", ".join(f"{k}={v}" for k, v in record.parameters.items()) for record in records)
    memory = _median(cost.get("peak_memory_bytes") for cost in costs)
    return Effort(
        label=label,
        setting=setting,
        device=device,
        records=len(records),
        parameters=list(shown),
        images=_median(record.split.get("train") for record in records),
        epochs=_median(len(record.epochs) or None for record in records),
        steps=_median(cost.get("steps") for cost in costs),
        fit_seconds=_median(cost.get("fit_seconds") for cost in costs),
        images_per_second=_median(cost.get("images_per_second") for cost in costs),
        trained_parameters=_median(cost.get("parameters") for cost in costs),
        peak_memory=None if memory is None else memory / 1e9,
    )


def _median(values: Iterable[float | None]) -> float | None:
    """Of what is known."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _ledger(records: Iterable[Record]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        for what in record.ledger.get("used", ()):
            found[record.job.label][f"here: {what}"] = None
        for what in record.ledger.get("published", ()):
            found[record.job.label][f"in its published figures: {what}"] = None
    return {label: list(what) for label, what in sorted(found.items())}
