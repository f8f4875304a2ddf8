"""What stands in the cells of a LaTeX table: names in words, figures with their marks, columns of siunitx."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.report.tables.table import Cell, Table

PUBLISHED = r"\publishedfont"
"""What the environment defines for the published figures below others."""

_MARKUP = {
    False: (r"\textbf{%(text)s}", r"\underline{%(text)s}"),
    True: (
        r"\bfseries %(text)s",
        r"%(text)s{\llap{\underline{\phantom{\num{%(text)s}}}%(blank)s}}",  # siunitx aligns no figure in a command
    ),
}
"""How the best and the second of the methods are typeset, with siunitx and without."""

_FIGURE = re.compile(r"(?P<sign>[+−-]?)(?P<whole>\d+)(\.\d+)?(?P<spread> ± [\d.]+)?(?P<mark>.*)")

_MATHS = {
    "−": "-", "±": r"\pm", "×": r"\times", "†": r"^\dagger", "‡": r"^\ddagger", "§": r"^\S", "≤": r"\leq", "≥": r"\geq",
    "→": r"\to", "Δ": r"\Delta", "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "λ": r"\lambda", "μ": r"\mu",
    "ν": r"\nu", "σ": r"\sigma", "ω": r"\omega",
}  # fmt: skip
"""Characters that LaTeX has in mathematics alone."""


def escaped(text: str) -> str:
    """Text as LaTeX prints it, whatever is in it."""
    for character in "\\&%$#_{}~^":
        replacement = {"\\": "\0", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
        text = text.replace(character, replacement.get(character, f"\\{character}"))
    return mathematics(text.replace("\0", r"\textbackslash{}"))


def mathematics(text: str) -> str:
    """Text with the signs that LaTeX has in mathematics alone."""
    for character, command in _MATHS.items():
        text = text.replace(character, f"${command}$")
    return text


def stacked(lines: Sequence[str], side: str) -> str:
    """Lines above one another in one cell, on the left (``l``) or the right (``r``) of it."""
    if len(lines) == 1:
        return escaped(lines[0])
    place = {"l": "t", "r": "b"}[side]
    return rf"\begin{{tabular}}[{place}]{{@{{}}{side}@{{}}}}" + r"\\".join(map(escaped, lines)) + r"\end{tabular}"


def measured(table: Table, row: str, column: str, decimals: int, siunitx: bool) -> str:
    """A figure with what marks the best and the second."""
    cell = table.cells[row][column]
    text, blank = cell.text(decimals), ""
    if not siunitx:
        text = mathematics(text.replace("–", "--"))
    else:
        if cell.deviation is None and any(table.cells[other][column].deviation is not None for other in table.rows):
            blank = _spread(decimals)
        text = _entry(text)
    if cell.kind == "published" and cell.values:
        return f"{PUBLISHED} {text}"
    return ("%(text)s", *_MARKUP[siunitx])[table.place(row, column)] % {"text": text, "blank": blank}


def published(table: Table, column: str, cell: Cell | None, decimals: int, siunitx: bool) -> str:
    """A published figure, to stand below another in a column; empty where there is none."""
    if cell is None:
        return ""
    if not siunitx:
        return f"{PUBLISHED} {mathematics(cell.text(decimals))}"
    spread = _spread(decimals) if any(table.cells[row][column].deviation is not None for row in table.rows) else ""
    # what follows a figure stands behind the room for a deviation
    mark = rf"{{\llap{{\rlap{{{mathematics(cell.mark)}}}{spread}}}}}" if cell.mark else ""
    return f"{PUBLISHED} {cell.mean:.{decimals}f}{mark}"


def siunitx_column(cells: Sequence[Cell], decimals: int) -> str:
    """The column type of siunitx with room for the column's figures and marks: ``S[table-format=+1.3(3){ (2/3)}]``."""
    figures = [found for cell in cells if (found := _FIGURE.fullmatch(cell.text(decimals)))]
    sign = "+" if any(found["sign"] for found in figures) else ""
    whole = max((len(found["whole"]) for found in figures), default=1)
    fraction = f".{decimals}" if decimals else ""
    spread = f"({decimals or 1})" if any(found["spread"] for found in figures) else ""
    mark = mathematics(max((found["mark"] for found in figures), key=len, default=""))
    return f"S[table-format={sign}{whole}{fraction}{spread}{f'{{{mark}}}' if mark else ''}]"


def _spread(decimals: int) -> str:
    """Room as wide as a deviation."""
    return rf"\phantom{{${{}}\pm{{}}${0:.{decimals}f}}}"


def _entry(text: str) -> str:
    """A cell for a column of siunitx: its figure, with what follows it in braces; all in braces where it has none."""
    found = _FIGURE.fullmatch(text)
    rest = found["mark"] if found else text.replace("–", "--")
    figure = text.removesuffix(rest) if found else ""
    return figure.replace("−", "-").replace("±", r"\pm") + (f"{{{mathematics(rest)}}}" if rest else "")
