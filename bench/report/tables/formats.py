"""Tables as text, Markdown, LaTeX, HTML, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Literal, get_args

from bench.errors import unknown
from bench.report.tables import latex
from bench.report.tables.table import Table
from bench.report.tables.typesetting import grid

Format = Literal["text", "markdown", "latex", "siunitx", "html", "csv", "json"]
"""``siunitx``: LaTeX with that package's columns."""


def rendered(table: Table, form: str, decimals: int = 3, layout: latex.Layout = "page") -> str:
    """The table in a format; the layout is that of LaTeX. Raises BenchError for a format that does not exist."""
    if form == "json":
        return _json(table)
    if form == "csv":
        return _csv(table)
    if form not in get_args(Format):
        raise unknown("format", form, get_args(Format))
    if form == "html":
        from bench.report.tables.markup import fragment

        return fragment(table, decimals)
    if form in ("latex", "siunitx"):
        return latex.environment(table, decimals, siunitx=form == "siunitx", layout=layout)
    return _typeset(table, "markdown" if form == "markdown" else "text", decimals)


def _typeset(table: Table, form: Literal["text", "markdown"], decimals: int) -> str:
    body = grid(table, form, decimals)
    title = f"**{table.title}**" if form == "markdown" else table.title
    notes = "".join(f"\n{note}" for note in table.notes)
    return f"{title}\n\n{body}\n{notes}".rstrip() + "\n"


def _csv(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ["column", "kind", "mean", "standard deviation", "seeds", "wanted seeds", "failed", "used"]
    writer.writerow([table.corner, *names])
    for row in table.rows:
        for column in table.columns:
            cell = table.cells[row][column]
            figures = [cell.kind, cell.mean, cell.deviation, len(cell.values), cell.wanted, cell.failed]
            writer.writerow([row, column, *figures, "; ".join(_used(table, row, column))])
    return out.getvalue()


def _json(table: Table) -> str:
    cells = [
        {
            table.corner: row,
            "column": column,
            "kind": cell.kind,
            "mean": cell.mean,
            "standard_deviation": cell.deviation,
            "values": cell.values,
            "wanted_seeds": cell.wanted,
            "failed": cell.failed,
            "used": _used(table, row, column),
        }
        for row in table.rows
        for column in table.columns
        for cell in [table.cells[row][column]]
    ]
    facts = {"title": table.title, "notes": list(table.notes), "provenance": list(table.provenance), "cells": cells}
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _used(table: Table, row: str, column: str) -> list[str]:
    return [*table.used.get(row, ()), *table.used.get(column, ())]
