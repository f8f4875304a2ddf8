"""Tables for papers: LaTeX with booktabs, caption, label and notes, and a document to look at them in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bench.report.tables.table import Table
from bench.report.tables.typesetting import escaped, grid

_PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
"""

_SIUNITX = (
    r"\sisetup{mode=text, reset-text-series=false, reset-text-shape=false, "
    "separate-uncertainty, retain-explicit-plus, retain-zero-uncertainty}\n"
)
"""Figures in the font of the text, so that bold and italic ones are; +0.000 and ± 0.000 as they were written."""

_NARROWED = r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%"
"""Needs graphicx: no wider than the text."""


def environment(table: Table, decimals: int = 3, siunitx: bool = False) -> str:
    """A ``table`` with caption, label and notes. It needs the packages booktabs and graphicx, and siunitx if asked for.

    ``siunitx``: figures aligned at the decimal point, in the package's own columns (version 3).
    """
    notes = "".join(f"{escaped(note)}.\\par\n" for note in (*table.notes, *table.provenance))
    small = f"\\par\\smallskip\n\\begin{{minipage}}{{\\textwidth}}\\footnotesize\n{notes}\\end{{minipage}}\n"
    body = grid(table, "siunitx" if siunitx else "latex", decimals)
    return (
        f"\\begin{{table}}[htbp]\n\\centering\n{_SIUNITX if siunitx else ''}"
        f"\\caption{{{escaped(_uncounted(table.title))}}}\n\\label{{tab:{_label(table.title)}}}\n\\smallskip\n"
        f"{_NARROWED}\n{body}}}\n{small if notes else ''}\\end{{table}}\n"
    )


def document(tables: Iterable[Table], decimals: int = 3, siunitx: bool = False) -> str:
    """A whole document with the tables, a page each."""
    pages = "\\clearpage\n".join(environment(table, decimals, siunitx) for table in tables)
    package = "\\usepackage{siunitx}\n" if siunitx else ""
    return f"{_PREAMBLE}{package}\\begin{{document}}\n{pages}\\end{{document}}\n"


def _uncounted(title: str) -> str:
    """A title without the table's number in the original paper, for LaTeX counts the tables of this one."""
    return re.sub(r"^Table \d+\. ", "", title)


def _label(title: str) -> str:
    """A label of letters, digits and hyphens, from a title's first words."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return "-".join(words[:6])
