"""The grid of a table, as plain text or Markdown: names, figures, and what marks the best ones."""

from __future__ import annotations

from typing import Literal

from bench.report.tables.table import Table

_MARKUP = {
    "markdown": ("**%s**", "<u>%s</u>", "*%s*"),
    "text": ("%s", "%s", "%s"),
}
"""How the best and the second of the methods and what was published are typeset; plain text has no way to."""


def grid(table: Table, form: Literal["text", "markdown"], decimals: int) -> str:
    """The rows of a table with its header."""
    from tabulate import tabulate

    return str(
        tabulate(
            [[table.marked(row), *(_cell(table, row, name, form, decimals) for name in table.columns)]
             for row in table.rows],
            headers=[table.corner, *(table.marked(column) for column in table.columns)],
            tablefmt={"markdown": "pipe", "text": "simple"}[form],
            disable_numparse=True,
            stralign="right",
            colalign=("left", *("right" for _ in table.columns)),
        )
    )  # fmt: skip


def _cell(table: Table, row: str, column: str, form: str, decimals: int) -> str:
    cell = table.cells[row][column]
    best, second, published = _MARKUP[form]
    is_published = cell.kind == "published" and cell.values
    markup = published if is_published else ("%s", best, second)[table.place(row, column)]
    return markup % cell.text(decimals)
