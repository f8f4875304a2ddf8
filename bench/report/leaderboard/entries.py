"""Boards and their entries: of records in several results folders, which may stand side by side and in which order."""

from __future__ import annotations

import hashlib
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.choice import under_every_label
from bench.config import Config
from bench.errors import RecordUnreadable
from bench.metrics import HIGHER_IS_BETTER
from bench.record import Record
from bench.report.selection import (
    Means,
    Selection,
    Setting,
    class_named,
    renamed,
    require_same_splits,
    select,
    setting_of,
)
from bench.report.tables.table import Cell, means
from bench.store import Store

METRICS = ("auroc", "average_precision", "fpr_at_95_tpr")
"""The figures of an entry after the last epoch; of the best test epoch there is the AUROC alone."""


@dataclass(frozen=True)
class Entry:
    """One method in one setting, by the records of one results folder."""

    folder: Path
    setting: Setting
    label: str
    records: Sequence[Record]
    """In order of class and seed."""
    stale: int
    """Records that today's code would not make."""
    figures: Mapping[str, Cell]
    """By metric, and ``oracle``: the mean over classes, one value a seed. One that has other classes than its board
    asks for has means over its own, and is not ``ranked``."""
    ranked: bool
    classes: Sequence[str]
    seeds: Sequence[int]
    files: Mapping[str, Path]
    """By key, the file that holds the record: its own, or an archive."""

    @property
    def name(self) -> str:
        """A name for its page that no other entry has."""
        words = re.sub(r"[^a-z0-9]+", "-", f"{self.label} {self.setting.dataset}".lower()).strip("-")
        whole = f"{self.folder}|{self.setting}|{self.label}"
        return f"{words[:60]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"

    @property
    def used(self) -> list[str]:
        """What its own jobs used beyond normal training images."""
        return self._ledger("used")

    @property
    def published(self) -> list[str]:
        """What the published figures of its method used beyond that."""
        return self._ledger("published")

    @cached_property
    def seconds(self) -> float | None:
        """Median time of fitting a job."""
        known = [each for record in self.records if (each := record.cost.get("fit_seconds")) is not None]
        return statistics.median(known) if known else None

    @property
    def devices(self) -> list[str]:
        """``cpu``, or the names of GPUs."""
        return sorted({r.device if r.device == "cpu" else str(r.provenance.get("gpu", "cuda")) for r in self.records})

    @property
    def versions(self) -> list[str]:
        """Of the method."""
        return sorted({record.job.method_version for record in self.records})

    @property
    def specs(self) -> list[str]:
        """What ran, with all that differs from the method's defaults."""
        return sorted({record.job.spec for record in self.records})

    def record(self, normal_class: str, seed: int) -> Record | None:
        """The record of a class and seed."""
        found = (r for r in self.records if (r.job.normal_class, r.job.seed) == (normal_class, seed))
        return next(found, None)

    def reproduce(self, record: Record) -> str:
        """The command that does a record's job again."""
        return f"bench reproduce {record.job.key[:12]} --results {self.folder.as_posix()}"

    def _ledger(self, name: str) -> list[str]:
        return list(dict.fromkeys(what for record in self.records for what in record.ledger.get(name, ())))


@dataclass(frozen=True)
class Board:
    """The entries of one setting, which can be held against each other."""

    setting: Setting
    suites: Sequence[str]
    """Those of bench.toml that are of its dataset and protocol; the dataset where there is none."""
    classes: Sequence[str]
    """What ranked entries have means over."""
    possible: int
    """How many classes can be normal, or are in its suite."""
    entries: Sequence[Entry]

    @property
    def name(self) -> str:
        """Its place in the page."""
        return f"board-{hashlib.sha256(str(self.setting).encode()).hexdigest()[:8]}"


def boards(
    folders: Iterable[Path], config: Config, is_current: Callable[[Record], bool]
) -> tuple[list[Board], list[RecordUnreadable]]:
    """The boards of the records in some results folders, by suite in the order of bench.toml; what cannot be read.

    Contaminated training and corrupted test images have none: tables and figures hold these conditions side by side.

    Where a folder has several records of a label, class and seed, those of today's code win, then the newest. Raises
    BenchError where records of one setting were made on different splits.
    """
    groups: dict[Setting, list[tuple[Store, Selection]]] = defaultdict(list)
    unreadable: list[RecordUnreadable] = []
    for folder in folders:
        store = Store(folder)
        records, damaged = store.records()
        unreadable += damaged
        own: dict[Setting, list[Record]] = defaultdict(list)
        for record in renamed(under_every_label(records), config.shown()):
            if not (record.job.contamination or record.job.corruption):
                own[setting_of(record)].append(record)
        for setting, found in own.items():
            groups[setting].append((store, select(found, is_current)))
    made = [_board(setting, chosen, config, is_current) for setting, chosen in groups.items()]
    order = {name: place for place, name in enumerate(config.suites)}
    last = len(order)
    return sorted(made, key=lambda board: (order.get(board.suites[0], last), str(board.setting))), unreadable


def best_first(entries: Iterable[Entry], figure: str) -> list[Entry]:
    """Those entries that have a figure, the best first."""
    sign = 1 if figure in HIGHER_IS_BETTER and not HIGHER_IS_BETTER[figure] else -1

    def place(entry: Entry) -> tuple[float, str]:
        return sign * statistics.fmean(entry.figures[figure].values), entry.label

    return sorted((each for each in entries if figure in each.figures), key=place)


def _board(
    setting: Setting,
    chosen: Sequence[tuple[Store, Selection]],
    config: Config,
    is_current: Callable[[Record], bool],
) -> Board:
    every = [record for _, selection in chosen for record in selection.records]
    require_same_splits(every)
    suites = _suites(setting, config)
    asked = next((own for name in suites if (own := config.suites[name].classes)), None) if suites else None
    present = Selection(setting, every).classes
    named = [found for each in asked or () if (found := class_named(every, str(each))) is not None]
    classes = named if asked else present
    possible = len(asked) if asked else max((record.split.get("normal_classes", 0) for record in every), default=0)
    entries = [
        _entry(store, label, own, classes, is_current)
        for store, selection in chosen
        for label, own in _by_label(selection.records).items()
    ]
    return Board(setting, suites or [setting.dataset], classes, max(possible, len(classes)), entries)


def _entry(
    store: Store, label: str, own: Sequence[Record], wanted: Sequence[str], is_current: Callable[[Record], bool]
) -> Entry:
    setting = setting_of(own[0])
    selection = Selection(setting, own)
    classes, seeds = selection.classes, sorted({record.job.seed for record in own})
    figures = _figures(selection, Means(wanted, seeds))
    ranked = bool(figures)
    return Entry(
        folder=store.folder,
        setting=setting,
        label=label,
        records=sorted(own, key=lambda record: (classes.index(record.job.normal_class), record.job.seed)),
        stale=sum(not is_current(record) for record in own),
        figures=figures if ranked else _figures(selection, selection.means),
        ranked=ranked,
        classes=classes,
        seeds=seeds,
        files={record.job.key: store.files(record)[0] for record in own},
    )


def _figures(selection: Selection, over: Means) -> dict[str, Cell]:
    """The means that there are."""
    meant = Selection(selection.setting, selection.records, shared=over)
    found: dict[str, Cell] = {}
    for metric in METRICS:
        (found[metric],) = means(meant, metric).values()
    if any(record.traced for record in selection.records):
        (found["oracle"],) = means(meant, "auroc", choice="oracle").values()
    return {name: cell for name, cell in found.items() if cell.values}


def _by_label(records: Iterable[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.job.label].append(record)
    return groups


def _suites(setting: Setting, config: Config) -> list[str]:
    """The suites of bench.toml that have a setting's dataset and protocol."""
    return [
        name
        for name, suite in config.suites.items()
        if suite.dataset == setting.dataset and suite.protocol in (None, setting.protocol)
    ]
