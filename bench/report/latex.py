"""Tables for papers: LaTeX with booktabs, caption, label and notes, and a document to look at them in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bench.report.tables import Table
from bench.report.typesetting import escaped, grid

_PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
"""

_NARROWED = r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%"
"""Needs graphicx: no wider than the text."""


def environment(table: Table, decimals: int = 3) -> str:
    """A ``table`` with caption, label and notes. It needs the packages booktabs and graphicx."""
    notes = "".join(f"{escaped(note)}.\\par\n" for note in (*table.notes, *table.provenance))
    small = f"\\par\\smallskip\n\\begin{{minipage}}{{\\textwidth}}\\footnotesize\n{notes}\\end{{minipage}}\n"
    return (
        "\\begin{table}[htbp]\n\\centering\n"
        f"\\caption{{{escaped(table.title)}}}\n\\label{{tab:{_label(table.title)}}}\n"
        f"{_NARROWED}\n{grid(table, 'latex', decimals)}}}\n{small if notes else ''}\\end{{table}}\n"
    )


def document(tables: Iterable[Table], decimals: int = 3) -> str:
    """A whole document with the tables, a page each."""
    pages = "\\clearpage\n".join(environment(table, decimals) for table in tables)
    return f"{_PREAMBLE}{pages}\\end{{document}}\n"


def _label(title: str) -> str:
    """A label of letters, digits and hyphens, from a title's first words."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return "-".join(words[:6])
