"""Tables as HTML, and the templates that pages are made of."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from bench.report.statistics.ranking import shown_difference, shown_p
from bench.report.tables.table import MEAN, Table

if TYPE_CHECKING:
    from jinja2 import Environment


class Shown(NamedTuple):
    """A cell as a page shows it."""

    text: str
    value: float | None
    """What it is sorted by."""
    look: str
    """Its class in the style sheet."""


class Line(NamedTuple):
    """A row of a table."""

    name: str
    cells: list[Shown]


@functools.cache
def templates() -> Environment:
    """The templates of this package; what they are given is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"header": header, "bodies": bodies}
    made.filters["difference"] = shown_difference
    made.filters["p"] = shown_p
    return made


def fragment(table: Table, decimals: int = 3) -> str:
    """The table as a ``figure`` element with its caption and notes, to be put into a page."""
    return str(templates().get_template("parts.html").module.figure(table, decimals))  # type: ignore[attr-defined]


def header(table: Table) -> list[str]:
    """The names above the columns."""
    return [table.corner, *(table.marked(column) for column in table.columns)]


def bodies(table: Table, decimals: int) -> list[list[Line]]:
    """The rows in groups that are sorted each by itself: measured ones, then published ones, then the mean."""
    groups: dict[str, list[Line]] = {"measured": [], "beside": [], MEAN: []}
    for row in table.rows:
        cells = [_shown(table, row, column, decimals) for column in table.columns]
        measured = any(table.cells[row][column].kind == "measured" for column in table.columns)
        group = MEAN if row == MEAN else "measured" if measured else "beside"
        groups[group].append(Line(table.marked(row), cells))
    return [lines for lines in groups.values() if lines]


def _shown(table: Table, row: str, column: str, decimals: int) -> Shown:
    cell = table.cells[row][column]
    place = table.place(row, column)
    if cell.kind != "measured":
        look: str = cell.kind
    elif cell.mean is None and cell.failed:
        look = "failed"
    else:
        look = ("", "best", "second")[place]
    return Shown(cell.text(decimals), cell.mean, look)
