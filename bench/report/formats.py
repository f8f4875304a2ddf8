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
    rows = [
        [shown(table.marked(row)), *(_cell(table, row, column, form, decimals) for column in table.columns)]
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


_BEST = {"latex": (r"\textbf{%s}", r"\underline{%s}"), "markdown": ("**%s**", "<u>%s</u>"), "text": ("%s", "%s")}
"""How the best and the second of the methods are typeset; plain text has no way to."""


def _cell(table: Table, row: str, column: str, form: str, decimals: int) -> str:
    cell = table.cells[row][column]
    latex = form == "latex"
    text = cell.text(decimals, r" $\pm$ " if latex else " ± ")
    if latex:
        text = text.replace("−", "$-$").replace("‡", r"$^\ddagger$").replace("–", "--")
    if cell.kind == "published" and cell.values and form != "text":
        text = rf"\textit{{{text}}}" if latex else f"*{text}*"
    place = table.place(row, column)
    return _BEST[form][place - 1] % text if place else text


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
    text = text.replace("\0", r"\textbackslash{}").replace("−", "$-$")
    return text.replace("†", r"$^\dagger$").replace("Δ", r"$\Delta$")


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
    facts = {"title": table.title, "notes": list(table.notes), "cells": cells}
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _used(table: Table, row: str, column: str) -> list[str]:
    return [*table.used.get(row, ()), *table.used.get(column, ())]
