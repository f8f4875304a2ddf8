"""How a table fits on paper: the size of its text, its names in lines, its columns in blocks above one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.report.notes import in_words
from bench.report.tables.table import Cell, Table
from bench.report.tables.widths import SMALLEST, filled, lines, packed, width

HEIGHT = 540.0
"""Of what stands below a caption, in points: what is higher goes on in another table."""

SIZES = (9, 8, SMALLEST)
LEADING = 1.2
SEPARATION = 3
"""Points on either side of a column."""
BETWEEN = 2
"""Points between a published figure and the next row."""

_RULES = 20
"""Points that the rules of a block take, and the space after it."""
_NAMES = 0.4
"""Most of the width that the names of the rows may take before they are broken into lines."""


@dataclass(frozen=True)
class Sheet:
    """A table made ready for paper: its own rows and columns, with what was published of each figure below it."""

    table: Table
    rows: Sequence[str]
    columns: Sequence[str]

    def below(self, row: str, column: str) -> Cell | None:
        """What was published of a figure; None where nothing was."""
        cells, names = self.table.cells, self.table.published
        if column in names:
            found = cells[row][names[column]]
        elif row in names:
            found = cells[names[row]][column]
        else:
            return None
        return found if found.values else None

    def has_below(self, row: str, columns: Iterable[str]) -> bool:
        """Whether something was published of a figure in the row."""
        return any(self.below(row, column) for column in columns)


@dataclass(frozen=True)
class Arrangement:
    """How a sheet fits."""

    size: int
    """Of its text, in points."""
    rows: Mapping[str, Sequence[str]]
    """The lines of each row's name."""
    columns: Mapping[str, Sequence[str]]
    blocks: Sequence[Sequence[str]]
    """The columns of each block."""
    tables: Sequence[int]
    """How many blocks each table has; one table has all, where that is not too high."""


def sheet(table: Table) -> Sheet:
    """The table without its lines of differences, and without the published lines that stand below others."""
    folded = set(table.published.values())
    by_row = {row: [table.cells[row][column] for column in table.columns] for row in table.rows}
    by_column = {column: [table.cells[row][column] for row in table.rows] for column in table.columns}

    def own(lines: Mapping[str, Sequence[Cell]]) -> list[str]:
        return [
            name
            for name, cells in lines.items()
            if name not in folded and any(cell.kind != "difference" for cell in cells)
        ]

    return Sheet(table, own(by_row), own(by_column))


def arranged(sheet: Sheet, limit: float, decimals: int, notes: Sequence[str]) -> Arrangement:
    """The arrangement of the fewest tables and blocks, and of these the one of the largest text.

    No block is wider than ``limit`` points; ``notes`` stand below the last one.
    """
    found = (_at(sheet, size, limit, decimals, notes) for size in SIZES)
    return min(found, key=lambda each: (len(each.tables), len(each.blocks), -each.size))


def _at(sheet: Sheet, size: int, limit: float, decimals: int, notes: Sequence[str]) -> Arrangement:
    table = sheet.table
    rows = {row: lines(in_words(table.marked(row)), size, _NAMES * limit) for row in sheet.rows}
    first = max(width(line, size) for own in (*rows.values(), [table.corner]) for line in own)
    columns, widths = {}, []
    for column in sheet.columns:
        figures = max(_figure(sheet, row, column, size, decimals) for row in sheet.rows)
        title = in_words(table.marked(column))
        columns[column] = lines(title, size, max([figures, *(width(word, size) for word in title.split())]))
        own = max([figures, *(width(line, size) for line in columns[column])])
        widths.append(own + 2 * SEPARATION)
    blocks, start = [], 0
    for count in packed(widths, limit - first):
        blocks.append(sheet.columns[start : start + count])
        start += count
    heights = []
    for block in blocks:
        named = max(len(columns[column]) for column in block) + sum(map(len, rows.values()))
        below = sum(sheet.has_below(row, block) for row in sheet.rows)
        heights.append(named * size * LEADING + below * (SMALLEST * LEADING + BETWEEN) + _RULES)
    heights[-1] += sum(len(lines(note, SMALLEST, limit)) for note in notes) * SMALLEST * LEADING
    return Arrangement(size, rows, columns, blocks, filled(heights, HEIGHT))


def _figure(sheet: Sheet, row: str, column: str, size: int, decimals: int) -> float:
    """The width of a figure, or of what stands below it."""
    table, below = sheet.table, sheet.below(row, column)
    own = width(table.cells[row][column].text(decimals), size, bold=table.place(row, column) == 1)
    return max(own, width(below.text(decimals), SMALLEST, bold=True) if below else 0.0)
