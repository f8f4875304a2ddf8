"""Published figures as claims: which of them the records reproduce, which not, and which cannot be held against any."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.errors import BenchError
from bench.record import Record
from bench.report.narrowing import EVERYTHING, NoRecords, Wanted
from bench.report.request import tables
from bench.report.tables.published import Published, of_table, original
from bench.report.tables.table import Cell, Table
from bench.workspace import Workspace

Verdict = Literal["reproduced", "differs", "not comparable"]

NO_RECORDS = "no record"


@dataclass(frozen=True)
class Claim:
    """One published figure, and what the records say of it."""

    published: Published
    label: str
    """The spec of the method here; empty where there is none."""
    cell: Cell
    reason: str = ""
    """Why the two cannot be compared; empty where they can."""
    shown: str = ""
    """The name that reports show of the method, and of whose re-run the figure is, if it is of one."""

    @property
    def difference(self) -> float | None:
        """Reproduced − published; None where they cannot be compared."""
        return None if self.reason or self.cell.mean is None else self.cell.mean - self.published.auroc

    def verdict(self, tolerance: float) -> Verdict:
        """``reproduced`` where the two differ by no more than the tolerance."""
        if self.difference is None:
            return "not comparable"
        # figures are printed to three decimals: a last digit that is rounding must not decide
        return "reproduced" if round(abs(self.difference), 6) <= tolerance else "differs"


def claims(
    records: Sequence[Record], workspace: Workspace, names: Sequence[str], wanted: Wanted = EVERYTHING
) -> Iterator[Claim]:
    """Every figure of the named tables, of all that have some where none is named, held against the records.

    Each method is held against its own published figures alone, and so with all its classes and seeds, whatever others
    have. Raises BenchError for a name that is no table with published figures.
    """
    alone = dataclasses.replace(wanted, compared=False)
    known = [name for name in workspace.config.tables if of_table(name)]
    for name in names:
        if workspace.config.table(name) is None or name not in known:
            raise BenchError(f"no published figures for table {name!r}; there are some for: {', '.join(known)}")
    for name in names or known:
        try:
            (table,) = tables([name], records, workspace, "auroc", alone, beside="none")
        except NoRecords:
            table = Table("", "", [], [], {})
        yield from _of_table(name, table, workspace)


def _of_table(name: str, table: Table, workspace: Workspace) -> Iterator[Claim]:
    """Every published figure of a table's name held against the table that the records make."""
    defined = workspace.config.tables[name]
    names = workspace.config.shown(defined)
    labels = {method: label for label, method in defined.published.items()}
    for method, figures in of_table(name).items():
        label = labels.get(method) or labels.get(original(method), "")
        for (suite, normal_class), figure in figures.items():
            place = suite if table.across == "suite" else normal_class
            yield _held(figure, label, names.get(label, label), table, place)


def _held(published: Published, label: str, shown: str, table: Table, place: str) -> Claim:
    row, column = (shown, place) if table.across == "suite" else (place, shown)
    cell = table.cells.get(row, {}).get(column, Cell())
    if not label:
        reason = "no method here"
    elif not published.comparable:
        reason = published.note
    elif cell.mean is None:
        reason = "failed" if cell.failed else NO_RECORDS
    elif place in table.partial:
        reason = "a mean over all classes, of which some have no record"
    else:
        reason = ""
    whose = published.method.removeprefix(original(published.method))
    return Claim(published, label, cell, reason, shown + whose)
