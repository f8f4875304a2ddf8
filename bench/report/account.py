"""What records say of themselves beside their figures: how they ended, what they cost, where they come from."""

from __future__ import annotations

import shlex
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.selection import setting_of
from bench.store import Record


@dataclass(frozen=True)
class Effort:
    """What a method was given on one dataset, and what it took: medians over the records that are done."""

    label: str
    setting: str
    """Dataset, protocol and profile."""
    records: int
    parameters: Sequence[str]
    """Every set of hyperparameters that was used, as ``name=value, …``; one, where bench.toml did not change."""
    epochs: float | None
    """None for a method without epochs."""
    fit_seconds: float
    images_per_second: float
    """Scored."""
    trained_parameters: float | None
    peak_memory: float
    """GB."""


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
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "done" and record.cost:
            groups[setting_of(record).describe(), record.job.label].append(record)
    return [_effort(label, setting, own) for (setting, label), own in sorted(groups.items())]


def _effort(label: str, setting: str, records: Sequence[Record]) -> Effort:
    costs = [record.cost for record in records]
    shown = dict.fromkeys(", ".join(f"{k}={v}" for k, v in record.parameters.items()) for record in records)
    trained = [cost["parameters"] for cost in costs if cost.get("parameters") is not None]
    epochs = [len(record.epochs) for record in records if record.epochs]
    return Effort(
        label=label,
        setting=setting,
        records=len(records),
        parameters=list(shown),
        epochs=statistics.median(epochs) if epochs else None,
        fit_seconds=statistics.median(cost["fit_seconds"] for cost in costs),
        images_per_second=statistics.median(cost["images_per_second"] for cost in costs),
        trained_parameters=statistics.median(trained) if trained else None,
        peak_memory=statistics.median(cost["peak_memory_bytes"] for cost in costs) / 1e9,
    )


def _ledger(records: Iterable[Record]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        for what in record.ledger.get("used", ()):
            found[record.job.label][f"here: {what}"] = None
        for what in record.ledger.get("published", ()):
            found[record.job.label][f"in its published figures: {what}"] = None
    return {label: list(what) for label, what in sorted(found.items())}
