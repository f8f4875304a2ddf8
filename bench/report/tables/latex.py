"""Tables for papers: LaTeX with booktabs, caption, label and notes, in a layout that fits; a document to see them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from bench.report.notes import noted
from bench.report.tables.arrangement import BETWEEN, LEADING, SEPARATION, Arrangement, Sheet, arranged, sheet
from bench.report.tables.latex_cells import PUBLISHED, escaped, measured, published, siunitx_column, stacked
from bench.report.tables.table import Cell, Table
from bench.report.tables.widths import SMALLEST

Layout = Literal["page", "column"]
"""As wide as a page of two columns (6.75 in), or as one of them (3.25 in)."""

WIDTHS: dict[Layout, float] = {"page": 487.0, "column": 234.0}
"""In points: those of the narrowest of the usual two-column styles."""

_ENVIRONMENT: dict[Layout, str] = {"page": "table*", "column": "table"}

_GUTTER = WIDTHS["page"] - 2 * WIDTHS["column"]

_PREAMBLE = rf"""\documentclass[twocolumn]{{article}}
\usepackage[T1]{{fontenc}}
\usepackage[utf8]{{inputenc}}
\usepackage[textwidth={WIDTHS["page"]:g}pt,columnsep={_GUTTER:g}pt,textheight=650pt]{{geometry}}
\usepackage{{booktabs}}
"""

_SIUNITX = (
    r"\sisetup{mode=text, reset-text-series=false, reset-text-shape=false, "
    "separate-uncertainty, retain-explicit-plus, retain-zero-uncertainty}\n"
)
"""Figures in the font of the text, so that bold and italic ones are; +0.000 and ± 0.000 as they were written."""


def environment(table: Table, decimals: int = 3, siunitx: bool = False, layout: Layout = "page") -> str:
    """A ``table`` with caption, label and notes. It needs the package booktabs, and siunitx (version 3) if asked for.

    No text is smaller than 7 points. What is too wide at that size is broken into blocks of columns above one another,
    and what is then too high goes on in another ``table`` of the same number. A published figure stands below that of
    its method, small and in italics. What concerns the records and not the reader is a comment.

    ``siunitx``: figures aligned at the decimal point, in the package's own columns.
    """
    every = [noted(note) for note in (*table.notes, *table.provenance)]
    printed = [note.paper for note in every if note.paper]
    own = sheet(table)
    how = arranged(own, WIDTHS[layout], decimals, printed)
    blocks = iter([_block(own, how, columns, decimals, siunitx) for columns in how.blocks])
    caption = escaped(_uncounted(table.caption or table.title))
    head = rf"\caption{{{caption}}}" + "\n" + rf"\label{{tab:{_label(table.title, table.part)}}}"
    bodies = []
    for count in how.tables:
        tabulars = "\\par\\medskip\n".join(next(blocks) for _ in range(count))
        bodies.append(f"{_SIUNITX if siunitx else ''}{head}\n\\smallskip\n{_style(how.size)}\n{tabulars}")
        head = rf"\addtocounter{{table}}{{-1}}\caption{{{caption} (continued)}}"
    bodies[-1] += _below(printed)
    name = _ENVIRONMENT[layout]
    tables = "".join(f"\\begin{{{name}}}[htbp]\n\\centering\n{body}\\end{{{name}}}\n" for body in bodies)
    return "".join(f"% {note}\n" for note in every if note.paper != note) + tables


def document(tables: Iterable[Table], decimals: int = 3, siunitx: bool = False, layout: Layout = "page") -> str:
    """A whole document of two columns with the tables, a page each."""
    pages = "\\clearpage\n".join(environment(table, decimals, siunitx, layout) for table in tables)
    package = "\\usepackage{siunitx}\n" if siunitx else ""
    return f"{_PREAMBLE}{package}\\begin{{document}}\n{pages}\\end{{document}}\n"


def _block(sheet: Sheet, how: Arrangement, columns: Sequence[str], decimals: int, siunitx: bool) -> str:
    """A ``tabular`` of some of the columns, with booktabs' rules."""
    table = sheet.table
    types = [siunitx_column(_cells(sheet, column), decimals) if siunitx else "r" for column in columns]
    titles = [stacked(how.columns[column], "r") for column in columns]
    body = [_line([escaped(table.corner), *(f"{{{title}}}" if siunitx else title for title in titles)]), r"\midrule"]
    for row in sheet.rows:
        cells = [measured(table, row, column, decimals, siunitx) for column in columns]
        body.append(_line([stacked(how.rows[row], "l"), *cells]))
        if sheet.has_below(row, columns):
            below = [published(table, column, sheet.below(row, column), decimals, siunitx) for column in columns]
            body += [_line(["", *below]), rf"\addlinespace[{BETWEEN}pt]"]
    inside = "\n".join([r"\toprule", *body, r"\bottomrule"])
    return f"\\begin{{tabular}}{{@{{}}l{''.join(types)}@{{}}}}\n{inside}\n\\end{{tabular}}\n"


def _below(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    text = "".join(f"{escaped(note)}.\\par\n" for note in notes)
    begin = rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\raggedright{_font(SMALLEST)}"
    return f"{begin}\n{text}\\end{{minipage}}\n"


def _style(size: int) -> str:
    defined = rf"\protected\def{PUBLISHED}{{{_font(SMALLEST)}\itshape}}"
    return rf"{defined}{_font(size)}\setlength{{\tabcolsep}}{{{SEPARATION}pt}}"


def _font(size: int) -> str:
    return rf"\fontsize{{{size}}}{{{size * LEADING:g}}}\selectfont"


def _cells(sheet: Sheet, column: str) -> list[Cell]:
    """The cells of a column with those below them."""
    below = (sheet.below(row, column) for row in sheet.rows)
    return [*(sheet.table.cells[row][column] for row in sheet.rows), *filter(None, below)]


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _uncounted(title: str) -> str:
    """A title without the table's number in the original paper, for LaTeX counts the tables of this one."""
    return re.sub(r"^Table \d+\. ", "", title)


def _label(title: str, part: str) -> str:
    """A label of letters, digits and hyphens, from a title's first words and those of the part."""
    words, own = (re.findall(r"[a-z0-9]+", text.lower()) for text in (title, part))
    return "-".join([*words[:6], *own])
