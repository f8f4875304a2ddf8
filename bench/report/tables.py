"""Records to tables of cells: a mean over seeds for each normal class and method, and means over classes."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.report.selection import Selection
from bench.store import Record

MEAN = "mean"
"""Name of the row that holds the mean over classes."""


@dataclass(frozen=True)
class Cell:
    """Figures of one method, one value a seed; ``wanted`` seeds were expected, ``failed`` of them did not end well."""

    values: tuple[float, ...] = ()
    wanted: int = 0
    failed: int = 0

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds; None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def text(self, decimals: int, plus_minus: str = " ± ") -> str:
        """The cell as printed: mean ± deviation, and how many seeds are there where some are not."""
        if self.mean is None:
            return "failed" if self.failed else "–"
        spread = "" if self.deviation is None else f"{plus_minus}{self.deviation:.{decimals}f}"
        short = len(self.values) < self.wanted
        return f"{self.mean:.{decimals}f}{spread}" + (f" ({len(self.values)}/{self.wanted})" if short else "")


@dataclass(frozen=True)
class Table:
    """A table of cells with its names: ``cells[row][column]``."""

    title: str
    corner: str
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[str, Mapping[str, Cell]]
    notes: Sequence[str] = ()


def class_table(selection: Selection, metric: str, order: Sequence[str] = (), title: str = "") -> Table:
    """Normal classes by methods (labels), and the mean over classes where every class is there.

    ``order`` puts labels first that it names; the others follow by name.
    """
    cells = class_cells(selection.records, metric)
    labels = ordered(cells, order)
    classes = selection.classes
    rows: dict[str, dict[str, Cell]] = {name: {x: cells[x].get(name, Cell()) for x in labels} for name in classes}
    if len(classes) > 1:
        rows[MEAN] = {x: mean_over_classes(selection.records, x, classes, metric) for x in labels}
    return Table(title or selection.setting.describe(), "class", list(rows), labels, rows, selection.notes)


def suite_table(selections: Mapping[str, Selection], metric: str, order: Sequence[str] = (), title: str = "") -> Table:
    """Methods by suites: the mean over each suite's classes."""
    columns = list(selections)
    labels = ordered({r.job.label for s in selections.values() for r in s.records}, order)
    cells = {
        label: {
            name: mean_over_classes(selection.records, label, selection.classes, metric)
            for name, selection in selections.items()
        }
        for label in labels
    }
    notes = [f"{name}: {s.setting.describe()}" for name, s in selections.items()]
    notes += [f"{name}: {note}" for name, s in selections.items() for note in s.notes]
    return Table(title, "method", labels, columns, cells, notes)


def class_cells(records: Iterable[Record], metric: str) -> dict[str, dict[str, Cell]]:
    """``cells[label][class]``; every cell wants the seeds that any of the records has."""
    records = list(records)
    wanted = len({record.job.seed for record in records})
    groups: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        groups[record.job.label][record.job.normal_class].append(record)
    return {
        label: {
            name: Cell(
                tuple(r.metrics[metric] for r in sorted(group, key=_seed) if r.status == "done"),
                wanted,
                sum(r.status != "done" for r in group),
            )
            for name, group in classes.items()
        }
        for label, classes in groups.items()
    }


def mean_over_classes(records: Iterable[Record], label: str, classes: Sequence[str], metric: str) -> Cell:
    """One value a seed: the mean over ``classes``, of the seeds for which every class is done."""
    values: dict[int, dict[str, float]] = defaultdict(dict)
    records = list(records)
    for record in records:
        if record.job.label == label and record.status == "done":
            values[record.job.seed][record.job.normal_class] = record.metrics[metric]
    wanted = sorted({record.job.seed for record in records})
    whole = [math.fsum(values[seed].values()) / len(classes) for seed in wanted if len(values[seed]) == len(classes)]
    return Cell(tuple(whole), len(wanted))


def ordered(labels: Iterable[str], order: Sequence[str]) -> list[str]:
    """Labels in the given order, a variant after its method, unknown ones last by name."""
    places = {label: place for place, label in enumerate(order)}
    last = len(order)
    return sorted(labels, key=lambda x: (places.get(x, places.get(x.partition("(")[0], last)), "(" in x, x))


def _seed(record: Record) -> int:
    return record.job.seed
