"""Records to tables of cells: a mean over seeds for each normal class and method, and means over classes."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.errors import BenchError
from bench.metrics import HIGHER_IS_BETTER
from bench.record import Record
from bench.report.notes import Note, in_words, noted
from bench.report.selection import Means, Selection
from bench.report.tables.chosen import MARK, choice_notes, choices

Choice = Literal["last", "oracle", "both", "every"]
"""Which figure of a record: after the last epoch, the best one by the test labels, or both and their difference."""

MEAN = "mean"
"""Name of the row that holds the mean over classes."""


@dataclass(frozen=True)
class Cell:
    """Figures of one method, one value a seed; ``wanted`` seeds were expected, ``failed`` of them did not end well.

    A ``published`` cell holds what was printed elsewhere, a ``difference`` reproduced − published.
    """

    values: tuple[float, ...] = ()
    wanted: int = 0
    failed: int = 0
    kind: Literal["measured", "published", "difference"] = "measured"
    mark: str = ""
    """What follows the figure: a sign that the notes explain."""

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values) if self.values else None

    @property
    def whole(self) -> bool:
        """Whether it is measured, with every seed that was wanted."""
        return self.kind == "measured" and bool(self.values) and len(self.values) >= self.wanted

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds; None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def text(self, decimals: int, plus_minus: str = " ± ") -> str:
        """The cell as printed: mean ± deviation, and how many seeds are there where some are not."""
        if self.mean is None:
            return "failed" if self.failed else "–"
        if self.kind != "measured":
            sign = "+" if self.kind == "difference" else ""
            return f"{self.mean:{sign}.{decimals}f}{self.mark}".replace("-", "−")
        spread = "" if self.deviation is None else f"{plus_minus}{self.deviation:.{decimals}f}"
        short = len(self.values) < self.wanted
        return f"{self.mean:.{decimals}f}{spread}" + (f" ({len(self.values)}/{self.wanted})" if short else "")


@dataclass(frozen=True)
class Table:
    """A table of cells with its names: ``cells[row][column]``. ``marked`` names a row or column as it is typeset."""

    title: str
    corner: str
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[str, Mapping[str, Cell]]
    notes: Sequence[str] = ()
    used: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """For a row or column that used more than normal training images: what."""
    across: str = "method"
    """What the columns are; ``corner`` says it of the rows."""
    lower_is_better: bool = False
    provenance: Sequence[str] = ()
    """What the figures were made with: seeds, epochs, code."""
    partial: Sequence[str] = ()
    """Rows or columns whose means are over some of the classes only: not to be held against a mean over all."""
    caption: str = ""
    """The title as a paper has it; empty where it is the same."""
    part: str = ""
    """The class or kind of anomaly that it is of, where another table is of the whole."""
    published: Mapping[str, str] = field(default_factory=dict)
    """By row or column, the one that holds its published figures."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """By row or column, another sign that the notes explain."""
    lower: frozenset[str] = frozenset()
    """The rows or columns of which lower is better, where they are metrics."""

    def marked(self, name: str) -> str:
        """The name of a row or column with † where it used more than normal training images, and with other marks."""
        signs = ("†" if self.used.get(name) else "", self.marks.get(name, ""))
        return " ".join([name, *(sign for sign in signs if sign)])

    def place(self, row: str, column: str) -> int:
        """1 where the cell is the best of the methods, 2 where it is the second, ties alike; else 0.

        Judged on unrounded means, among measured cells that are whole, where at least two are.
        """
        others = (
            [self.cells[row][c] for c in self.columns]
            if self.across == "method"
            else [self.cells[r][column] for r in self.rows]
        )
        means = {cell.mean for cell in others if cell.whole}
        own = self.cells[row][column]
        if not own.whole or sum(cell.whole for cell in others) < 2:
            return 0
        lower = self.lower_is_better or bool(self.lower & {row, column})
        ranked = sorted((mean for mean in means if mean is not None), reverse=not lower)
        return next((place for place, mean in enumerate(ranked[:2], start=1) if mean == own.mean), 0)

    def transposed(self) -> Table:
        """The table with its rows as columns."""
        cells = {column: {row: self.cells[row][column] for row in self.rows} for column in self.columns}
        return dataclasses.replace(
            self, corner=self.across, across=self.corner, rows=self.columns, columns=self.rows, cells=cells
        )


@dataclass(frozen=True)
class Series:
    """One line of a table: the records of a label, and which figure of each is shown."""

    label: str
    name: str
    figure: Callable[[Record], float | None]


def series(records: Sequence[Record], metric: str, choice: Choice, order: Sequence[str] = ()) -> list[Series]:
    """The lines for every label in the records: after the last epoch, by an oracle, or both and their difference.

    ``every``: of traced records alone, the last epoch, the oracle, the last epoch where test batches are normalised by
    themselves, and where these are of one kind each, the last epoch and the oracle. A label without a trace has no line
    that would need one, and one without batch normalisation none of batches.

    Raises BenchError for the oracle of another metric than the AUROC, which alone is traced, and where nothing is.
    """
    traced = {record.job.label for record in records if record.traced}
    if choice != "last" and metric != "auroc":
        raise BenchError(f"only the AUROC is traced, so --selection {choice} goes with --metric auroc alone")
    if choice != "last" and not traced:
        raise BenchError(
            "nothing here is traced; bench run … --trace does the jobs again with a trace, which is the test AUROC of "
            f"every epoch and candidate, and what --selection {choice} chooses from"
        )

    def last(record: Record) -> float | None:
        return record.metrics.get(metric) if record.traced or choice != "every" else None

    def oracle(record: Record) -> float | None:
        return record.oracle

    def gain(record: Record) -> float | None:
        return None if record.oracle is None else record.oracle - record.metrics[metric]

    def by_batch(record: Record) -> float | None:
        return record.by_batch

    def by_sorted_batch(record: Record) -> float | None:
        return record.by_sorted_batch[-1] if record.by_sorted_batch else None

    def by_sorted_batch_oracle(record: Record) -> float | None:
        return max(record.by_sorted_batch, default=None)

    shown = {
        "last": ("last",),
        "oracle": ("oracle",),
        "both": ("last", "oracle", "gain"),
        "every": ("last", "oracle", "by batch", "sorted", "sorted oracle"),
    }[choice]
    figures = {
        "last": ("", last),
        "oracle": (" (oracle)", oracle),
        "gain": (" (oracle − last)", gain),
        "by batch": (" (by batch)", by_batch),
        "sorted": (" (by sorted batch)", by_sorted_batch),
        "sorted oracle": (" (by sorted batch, oracle)", by_sorted_batch_oracle),
    }
    batched = {record.job.label for record in records if record.by_batch is not None}
    sorted_ = {record.job.label for record in records if record.by_sorted_batch}
    lacking = {"by batch": traced - batched, "sorted": traced - sorted_, "sorted oracle": traced - sorted_}
    return [
        Series(label, label + figures[each][0], figures[each][1])
        for label in ordered({record.job.label for record in records}, order)
        for each in shown
        if label in traced - lacking.get(each, set()) or (each == "last" and choice != "every")
    ]


def class_table(
    selection: Selection,
    metric: str,
    order: Sequence[str] = (),
    title: str = "",
    choice: Choice = "last",
    caption: str = "",
) -> Table:
    """Normal classes by methods (labels), and the mean over those classes that means of the selection are over.

    ``order`` puts labels first that it names; the others follow by name. ``caption``: the title as a paper has it.
    """
    lines = series(selection.records, metric, choice, order)
    seeds, own = _seeds(selection), _by_label(selection)
    rows = {
        name: {line.name: _class_cell(own[line.label], line, name, len(seeds[name])) for line in lines}
        for name in selection.classes
    }
    if len(rows) > 1:
        rows[MEAN] = {line.name: _mean_cell(own[line.label], line, selection.means) for line in lines}
    notes = [*selection.notes, *used_notes(selection.records, choice), *choice_notes(selection.records)]
    used = used_of(selection.records, lines)
    columns = [line.name for line in lines]
    return Table(
        title or selection.setting.describe(),
        "class",
        list(rows),
        columns,
        rows,
        notes,
        used,
        lower_is_better=not HIGHER_IS_BETTER[metric],
        partial=[MEAN] if selection.partial else [],
        provenance=provenance(selection.records),
        caption=caption or title or selection.setting.in_words(),
        marks=tuned_marks(selection.records, lines),
    )


def suite_table(
    selections: Mapping[str, Selection],
    metric: str,
    order: Sequence[str] = (),
    title: str = "",
    choice: Choice = "last",
) -> Table:
    """Methods by suites: the mean over each suite's classes."""
    records = [record for selection in selections.values() for record in selection.records]
    lines = series(records, metric, choice, order)
    own = {name: _by_label(selection) for name, selection in selections.items()}
    cells = {
        line.name: {
            name: _mean_cell(own[name][line.label], line, selection.means) for name, selection in selections.items()
        }
        for line in lines
    }
    notes = [
        Note(f"{name}: {s.setting.describe()}", f"{name}: {s.setting.in_words()}") for name, s in selections.items()
    ]
    notes += [noted(note).of(name) for name, s in selections.items() for note in s.notes]
    for name, selection in selections.items():
        present = {record.job.label for record in (*selection.records, *selection.apart)}
        if absent := [label for label in dict.fromkeys(line.label for line in lines) if label not in present]:
            notes.append(Note(f"{name}: no records of {', '.join(absent)}", ""))
    notes += [*used_notes(records, choice), *choice_notes(records)]
    used = used_of(records, lines)
    lower = not HIGHER_IS_BETTER[metric]
    partial = [name for name, selection in selections.items() if selection.partial]
    made_with = provenance(records)
    table = Table(
        title, "method", list(cells), list(selections), cells, notes, used, "suite", lower, made_with, partial
    )
    return dataclasses.replace(table, marks=tuned_marks(records, lines))


def means(selection: Selection, metric: str, order: Sequence[str] = (), choice: Choice = "last") -> dict[str, Cell]:
    """The means over classes by the name of their line, in order: the last row of ``class_table``."""
    own = _by_label(selection)
    lines = series(selection.records, metric, choice, order)
    return {line.name: _mean_cell(own[line.label], line, selection.means) for line in lines}


def cells_over(
    selection: Selection, lines: Sequence[Series], figure: Callable[[Record], float | None], over: Means
) -> dict[str, Cell]:
    """A cell for each line by its name: a figure of its records, as the mean over these classes."""
    own = _by_label(selection)
    shown = [dataclasses.replace(line, figure=figure) for line in lines]
    if len(over.classes) != 1:
        return {line.name: _mean_cell(own[line.label], line, over) for line in shown}
    (name,) = over.classes
    wanted = len(_seeds(selection)[name])
    return {line.name: _class_cell(own[line.label], line, name, wanted) for line in shown}


def _class_cell(own: Iterable[Record], line: Series, normal_class: str, wanted: int) -> Cell:
    """One value a seed, of a label's own records."""
    found = sorted(
        (record for record in own if record.job.normal_class == normal_class), key=lambda record: record.job.seed
    )
    values = [line.figure(record) for record in found if record.status == "done"]
    failed = sum(record.status != "done" for record in found)
    return Cell(tuple(value for value in values if value is not None), wanted if found else 0, failed)


def _mean_cell(own: Iterable[Record], line: Series, over: Means) -> Cell:
    """One value a seed: the mean over classes, of the seeds for which every class is there."""
    values: dict[int, dict[str, float]] = defaultdict(dict)
    for record in own:
        value = line.figure(record) if record.status == "done" and record.job.normal_class in over.classes else None
        if value is not None:
            values[record.job.seed][record.job.normal_class] = value
    count = len(over.classes)
    whole = [math.fsum(values[seed].values()) / count for seed in over.seeds if len(values[seed]) == count]
    return Cell(tuple(whole), len(over.seeds))


def ordered(labels: Iterable[str], order: Sequence[str]) -> list[str]:
    """Labels in the given order, a variant after its method, unknown ones last by name."""
    places = {label: place for place, label in enumerate(order)}
    last = len(order)
    return sorted(labels, key=lambda x: (places.get(x, places.get(x.partition("(")[0], last)), "(" in x, x))


def _by_label(selection: Selection) -> Mapping[str, list[Record]]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in selection.records:
        groups[record.job.label].append(record)
    return groups


def _seeds(selection: Selection) -> Mapping[str, set[int]]:
    """By class, the seeds that its methods have."""
    found: dict[str, set[int]] = {name: set() for name in selection.classes}
    for record in selection.records:
        found[record.job.normal_class].add(record.job.seed)
    return found


def used_of(records: Iterable[Record], lines: Iterable[Series]) -> dict[str, list[str]]:
    by_label: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        by_label[record.job.label].update(dict.fromkeys(record.ledger.get("used", ())))
    return {line.name: list(by_label[line.label]) for line in lines if by_label[line.label]}


def tuned_marks(records: Iterable[Record], lines: Iterable[Series]) -> dict[str, str]:
    tuned = choices(records)
    return {line.name: MARK for line in lines if line.label in tuned}


def used_notes(records: Iterable[Record], choice: Choice) -> list[Note]:
    """What stood behind the figures beyond normal training images: here, and where the method was published."""
    used: dict[Note, None] = {}
    published: dict[Note, None] = {}
    untraced = 0
    for record in records:
        untraced += record.status == "done" and not record.traced
        for what in record.ledger.get("used", ()):
            used[Note(f"† {record.job.label} used {what}", f"† {in_words(record.job.label)} used {what}")] = None
        if behind := record.ledger.get("published"):
            named = record.job.method if record.job.label.startswith(record.job.method) else record.job.label
            published[Note(f"published figures of {named} used {'; '.join(behind)}")] = None
    notes = [*used, *published]
    if choice != "last":
        notes.append(
            Note("oracle: the best test AUROC over epochs and candidates, which only the test labels can choose")
        )
        if choice == "every":
            notes.append(Note("by batch: batches of test images, in an order drawn by lot, normalised by themselves"))
            notes.append(Note("by sorted batch: likewise, the normal images first, then the anomalous ones"))
        if untraced:
            notes.append(Note(f"{untraced} records have no trace to choose from; bench run --trace makes one", ""))
    return notes


def provenance(records: Sequence[Record]) -> list[Note]:
    """Seeds, epochs of each method that has any, and commits, of the records that are done."""
    done = [record for record in records if record.status == "done"]
    seeds = sorted({record.job.seed for record in done})
    epochs: dict[str, set[int]] = defaultdict(set)
    for record in done:
        if record.epochs:
            epochs[record.job.label].add(len(record.epochs))
    lengths = {label: _range(counts) for label, counts in sorted(epochs.items())}
    commits = sorted({str(commit)[:10] for record in done if (commit := record.provenance.get("git_commit"))})
    notes = []
    if seeds:
        listed = ", ".join(map(str, seeds))
        over = "mean ± sample standard deviation over seeds" if len(seeds) > 1 else "seed"
        notes.append(Note(f"seeds: {listed}", f"{over} {listed}"))
    if lengths:
        told = ", ".join(f"{label} {counts}" for label, counts in lengths.items())
        printed = ", ".join(f"{in_words(label)} {counts}" for label, counts in lengths.items())
        notes.append(Note(f"epochs: {told}", f"epochs of training: {printed}"))
    if commits:
        notes.append(Note(f"code: {', '.join(commits)}", ""))
    return notes


def _range(counts: set[int]) -> str:
    return f"{min(counts)}–{max(counts)}" if len(counts) > 1 else str(min(counts))
