"""Two sets of records side by side: how far their figures are apart, and what else changed between them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.record import Record
from bench.report.statistics.ranking import interval_of_mean

Place = tuple[Any, ...]
"""What two records share that are held against each other: label, dataset, protocol, normal class and seed first."""

IGNORED = ("started", "ended", "slot", "command", "expected_seconds", "fitted_for")
"""Provenance that differs from job to job."""


@dataclass(frozen=True)
class Paired:
    """The differences second − first of one label's figures, over the pairs of records that both sides have."""

    label: str
    differences: Sequence[float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.differences)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the mean; None for fewer than two pairs."""
        return interval_of_mean(self.differences)


@dataclass(frozen=True)
class RecordComparison:
    """What two sets of records have in common and where they differ."""

    metric: str
    paired: Sequence[Paired]
    identical: int
    """Pairs whose figures are the same to the last bit."""
    alone: tuple[int, int]
    """Records of the first and of the second that have no counterpart."""
    other_splits: int
    """Pairs that were made on different images, and are left out."""
    changes: Mapping[str, Sequence[str]]
    """By label (or ``environment``), what changed, as ``name: before → after``."""


def compare_records(
    first: Iterable[Record], second: Iterable[Record], metric: str = "auroc", same_setting: bool = False
) -> RecordComparison:
    """Hold done records of two sets against each other, pair by pair; where asked, of the same profile alone.

    Where a set has several for a place, as of several profiles, the newest counts. Raises BenchError where no pair is.
    """
    before, after = (_by_place(records, same_setting) for records in (first, second))
    common = sorted(before.keys() & after.keys())
    if not common:
        raise BenchError("the two have no record of the same method, dataset, protocol, class and seed in common")
    differences: dict[str, list[float]] = defaultdict(list)
    changes: dict[str, dict[str, None]] = defaultdict(dict)
    identical = other_splits = 0
    for place in common:
        a, b = before[place], after[place]
        if a.split.get("fingerprint") != b.split.get("fingerprint"):
            other_splits += 1
            continue
        differences[place[0]].append(b.metrics[metric] - a.metrics[metric])
        identical += a.metrics[metric] == b.metrics[metric]
        changes[place[0]].update(dict.fromkeys(_changes(_code(a), _code(b))))
        changes["environment"].update(dict.fromkeys(_changes(_environment(a), _environment(b))))
    return RecordComparison(
        metric=metric,
        paired=[Paired(label, each) for label, each in sorted(differences.items())],
        identical=identical,
        alone=(len(before) - len(common), len(after) - len(common)),
        other_splits=other_splits,
        changes={name: list(each) for name, each in changes.items() if each},
    )


def _by_place(records: Iterable[Record], same_setting: bool) -> dict[Place, Record]:
    done = sorted((r for r in records if r.status == "done"), key=lambda r: str(r.provenance.get("ended", "")))
    return {_place(record, same_setting): record for record in done}


def _place(record: Record, same_setting: bool) -> Place:
    job = record.job
    setting = (job.profile, str(job.max_train), job.precision) if same_setting else ()
    return (job.label, job.dataset, job.protocol, job.normal_class, job.seed, *setting)


def _code(record: Record) -> dict[str, Any]:
    job = record.job
    return {
        "code": job.fingerprint[:10],
        "version": job.method_version,
        "profile": job.profile,
        "training cap": job.max_train,
        "contamination": job.contamination,
        "corruption": job.corruption,
        "precision": job.precision,
        **record.parameters,
    }


def _environment(record: Record) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.provenance.items():
        if isinstance(value, Mapping):
            flat |= value
        elif name not in IGNORED:
            flat[name] = value
    return flat


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys([*before, *after])
    return [
        f"{name}: {before.get(name, 'none')} → {after.get(name, 'none')}"
        for name in names
        if before.get(name) != after.get(name)
    ]
