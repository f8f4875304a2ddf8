"""Tables as text, Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Literal, get_args

from bench.errors import unknown
from bench.report.tables import Table

Format = Literal["text", "markdown", "latex", "csv", "json"]


def rendered(table: Table, form: str, decimals: int = 3) -> str:
    """The table in a format. Raises BenchError for a format that does not exist."""
    if form == "json":
        return _json(table)
    if form == "csv":
        return _csv(table)
    if form not in get_args(Format):
        raise unknown("format", form, get_args(Format))
    return _typeset(table, form, decimals)


def _typeset(table: Table, form: str, decimals: int) -> str:
    from tabulate import tabulate

    latex = form == "latex"
    shown = _escaped if latex else str
    plus_minus = r" $\pm$ " if latex else " ± "
    rows = [
        [shown(table.marked(row)), *(table.cells[row][column].text(decimals, plus_minus) for column in table.columns)]
        for row in table.rows
    ]
    body = tabulate(
        rows,
        headers=[shown(table.corner), *(shown(table.marked(column)) for column in table.columns)],
        tablefmt={"latex": "latex_raw", "markdown": "pipe", "text": "simple"}[form],
        disable_numparse=True,
        stralign="right",
        colalign=("left", *("right" for _ in table.columns)),
    )
    if latex:
        comments = "".join(f"% {line}\n" for line in (table.title, *table.notes))
        return comments + _booktabs(body)
    title = f"**{table.title}**" if form == "markdown" else table.title
    notes = "".join(f"\n{note}" for note in table.notes)
    return f"{title}\n\n{body}\n{notes}".rstrip() + "\n"


def _booktabs(body: str) -> str:
    """tabulate's raw LaTeX table with booktabs' rules; its own booktabs format would escape what is escaped."""
    lines = body.splitlines()
    rules = [number for number, line in enumerate(lines) if line.strip() == r"\hline"]
    for number, rule in zip(rules, (r"\toprule", r"\midrule", r"\bottomrule"), strict=True):
        lines[number] = rule
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    for character in "\\&%$#_{}~^":
        replacement = {"\\": "\0", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
        text = text.replace(character, replacement.get(character, f"\\{character}"))
    return text.replace("\0", r"\textbackslash{}").replace("−", "$-$").replace("†", r"$^\dagger$")


def _csv(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([table.corner, "column", "mean", "standard deviation", "seeds", "wanted seeds", "failed", "used"])
    for row in table.rows:
        for column in table.columns:
            cell = table.cells[row][column]
            figures = [cell.mean, cell.deviation, len(cell.values), cell.wanted, cell.failed]
            writer.writerow([row, column, *figures, "; ".join(_used(table, row, column))])
    return out.getvalue()


def _json(table: Table) -> str:
    cells = [
        {
            table.corner: row,
            "column": column,
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
    facts = {"title": table.title, "notes": list(table.notes), "cells": cells}
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _used(table: Table, row: str, column: str) -> list[str]:
    return [*table.used.get(row, ()), *table.used.get(column, ())]
