"""Which records belong into one table: one dataset, protocol, profile, training cap and precision, the same splits."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.choice import tuned
from bench.errors import BenchError
from bench.record import Record
from bench.report.notes import Note


class Setting(NamedTuple):
    """What the records of one table share. Figures of different settings are never mixed."""

    dataset: str
    dataset_checksum: str
    protocol: str
    protocol_version: int
    profile: str
    max_train: int | None
    precision: str
    contamination: float = 0.0
    corruption: str = ""
    tuning: str = ""

    @property
    def without_conditions(self) -> Setting:
        """The same with clean images, and as many as there are."""
        return self._replace(max_train=None, contamination=0.0, corruption="")

    @property
    def limits(self) -> list[str]:
        """What is unusual about it."""
        cap = [f"at most {self.max_train} training images"] if self.max_train is not None else []
        anomalies = f"{100 * self.contamination:.3g} % of " + ("them" if cap else "the training images") + " anomalies"
        told = {
            anomalies: self.contamination > 0,
            self.precision: self.precision != "fp32",
            f"test images with {self.corruption}": bool(self.corruption),
            f"training images alone, {self.tuning}": bool(self.tuning),
        }
        return cap + [text for text, unusual in told.items() if unusual]

    def describe(self) -> str:
        """The setting as a table's title says it."""
        protocol = f"{self.protocol} (version {self.protocol_version})"
        return ", ".join([self.dataset, protocol, f"profile {self.profile}", *self.limits])

    def in_words(self) -> str:
        """The setting as a paper says it: without versions and names that this project alone knows."""
        protocol = re.sub(r"(\d)_(\d)", r"\1/\2", self.protocol).replace("_", " ")
        return ", ".join([self.dataset, protocol, *self.limits])


class Means(NamedTuple):
    """What a mean over classes is over."""

    classes: Sequence[str]
    seeds: Sequence[int]
    """Those that every one of the classes has."""


@dataclass(frozen=True)
class Selection:
    """Comparable records, one for each (label, normal class, seed), and what was left out."""

    setting: Setting
    records: Sequence[Record]
    notes: Sequence[str] = field(default_factory=tuple)
    partial: bool = False
    """Whether a mean is known to be over some of the classes only, and so another mean than one over all."""
    apart: Sequence[Record] = ()
    """Records that are in no figure, as not every method has their class and seed; their classes have a row still."""
    shared: Means | None = None
    """What means are over; None: every class and seed."""

    @functools.cached_property
    def classes(self) -> list[str]:
        """Normal classes by their number in the dataset where a record tells it, else in natural order of the names."""
        numbers: dict[str, float] = {}
        for record in (*self.records, *self.apart):
            known = record.split.get("normal_label", math.inf)
            numbers[record.job.normal_class] = min(numbers.get(record.job.normal_class, math.inf), known)
        return sorted(numbers, key=lambda name: (numbers[name], _natural(name)))

    @functools.cached_property
    def means(self) -> Means:
        """The classes and seeds that means are over."""
        if self.shared is not None:
            return self.shared
        return Means(self.classes, sorted({record.job.seed for record in self.records}))

    def with_expected(self, classes: int | None, asked: int | None = None) -> Selection:
        """The selection with a note where it has fewer classes than expected (None: than can be normal).

        ``asked``: how many it was narrowed to on purpose.
        """
        known = [record.split.get("normal_classes", 0) for record in (*self.records, *self.apart)]
        expected = classes if classes is not None else max(known, default=0)
        count = len(self.classes)
        if count >= max(expected, asked or 0):
            return self
        over = "; means are over these" if len(self.means.classes) == count else ""
        if asked is None or count < asked:
            told = f"only {count} of {asked or expected} classes have records{over}"
        else:
            told = f"asked for: {count} of {expected} classes{over}"
        note = Note(told, over and f"means are over {count} of {expected} classes")
        return dataclasses.replace(self, notes=(*self.notes, note), partial=True)


def setting_of(record: Record) -> Setting:
    """The setting that a record was made in."""
    job = record.job
    return Setting(
        job.dataset,
        job.dataset_checksum,
        job.protocol,
        job.protocol_version,
        job.profile,
        job.max_train,
        job.precision,
        job.contamination,
        job.corruption,
        job.tuning,
    )


def select(
    records: Iterable[Record], is_current: Callable[[Record], bool], prefer: Callable[[Setting], int] = lambda _: 0
) -> Selection:
    """The records of the preferred setting (the highest ``prefer``, then the one with the newest record).

    Where a label has several records for a class and seed, those of today's code win, then the newest; where their
    settings differ (bench.toml changed in between), those with the newest record's settings stay. ``notes`` say
    how many were left out, and how many of those shown today's code would not make. Raises BenchError where
    there is no record, or where records were made on different splits.
    """
    groups: dict[Setting, list[Record]] = defaultdict(list)
    for record in records:
        groups[setting_of(record)].append(record)
    if not groups:
        raise BenchError("no records to show")
    setting = max(groups, key=lambda s: (prefer(s), max(map(_ended, groups[s]))))
    kept, notes = _newest_spec(groups.pop(setting), is_current)
    chosen: dict[tuple[str, str, int], Record] = {}
    for record in _best_last(kept, is_current):
        chosen[record.job.label, record.job.normal_class, record.job.seed] = record
    require_same_splits(chosen.values())
    others = sorted(groups.items(), key=str)
    notes += [f"left out: {len(left)} records of {other.describe()}" for other, left in others]
    if stale := sum(not is_current(record) for record in chosen.values()):
        notes.append(f"{stale} of {len(chosen)} records are stale: today's code would make others (bench run does)")
    aside = tuple(Note(note, "") for note in notes)
    return Selection(setting, list(chosen.values()), aside)


def require_same_splits(records: Iterable[Record]) -> None:
    """Raise BenchError where two records of one setting, class and seed were made on different splits."""
    seen: dict[tuple[str, int], Record] = {}
    for record in records:
        if not record.split:
            continue
        first = seen.setdefault((record.job.normal_class, record.job.seed), record)
        if first.split["fingerprint"] != record.split["fingerprint"]:
            raise BenchError(
                f"records {first.job.key[:12]} and {record.job.key[:12]} ({record.job.dataset}, class "
                f"{record.job.normal_class}, seed {record.job.seed}) were made on different splits "
                "and cannot stand in one table; repeat one of them with bench run --rerun all"
            )


def renamed(records: Iterable[Record], names: Mapping[str, str]) -> list[Record]:
    """The records under the names that their labels are to be shown by; labels that have none keep themselves.

    Raises BenchError where two labels would be shown by one name.
    """
    found = list(records)
    shown: dict[str, str] = {}
    for label in sorted({record.job.label for record in found}):
        name = names.get(label, label)
        if name in shown:
            raise BenchError(
                f"{shown[name]} and {label} would both be shown as {name!r}; change [labels] in bench.toml"
            )
        shown[name] = label
    return [_renamed(record, names[record.job.label]) if record.job.label in names else record for record in found]


def class_named(records: Iterable[Record], wanted: str) -> str | None:
    """The normal class of that name, or of that number in the dataset; None where no record has it."""
    numbers: dict[str, str] = {}
    for record in records:
        if record.job.normal_class == wanted:
            return wanted
        numbers[str(record.split.get("normal_label"))] = record.job.normal_class
    return numbers.get(wanted)


def superseded(records: Iterable[Record], is_current: Callable[[Record], bool]) -> list[Record]:
    """The records that no table shows any more: a newer one, or one of today's code, stands for the same job.

    The same job is the same label, class and seed in the same setting; its code, settings or data may have changed.
    """
    best: dict[tuple[object, ...], Record] = {}
    old = []
    for record in _best_last(records, is_current):
        job = record.job
        setting = setting_of(record)._replace(dataset_checksum="")
        identity = (setting, job.label, job.normal_class, job.seed)
        if identity in best:
            old.append(best[identity])
        best[identity] = record
    return old


def _best_last(records: Iterable[Record], is_current: Callable[[Record], bool]) -> list[Record]:
    """Records of today's code after the others, and among either the newest last."""
    return sorted(records, key=lambda record: (is_current(record), _ended(record)))


def _newest_spec(records: Sequence[Record], is_current: Callable[[Record], bool]) -> tuple[list[Record], list[str]]:
    newest: dict[str, str] = {}
    for record in _best_last(records, is_current):
        newest[record.job.label] = _settings(record)
    kept = [record for record in records if _settings(record) == newest[record.job.label]]
    dropped = Counter(record.job.label for record in records if _settings(record) != newest[record.job.label])
    return kept, [f"left out: {n} records of {label} with other settings than today's" for label, n in dropped.items()]


def _settings(record: Record) -> str:
    """What the records of one label share: their spec, or what a tuned method's was chosen among, and how."""
    choice = tuned(record)
    return record.job.spec if choice is None else str((sorted(choice.among), choice.tuning))


def _renamed(record: Record, name: str) -> Record:
    return dataclasses.replace(record, job=dataclasses.replace(record.job, label=name))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _ended(record: Record) -> str:
    return str(record.provenance.get("ended", ""))
