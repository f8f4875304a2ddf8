"""The grid of a table, as plain text, Markdown or LaTeX: names, figures, and what marks the best ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.report.tables.table import Table

_MARKUP = {
    "latex": (r"\textbf{%(text)s}", r"\underline{%(text)s}", r"\textit{%(text)s}"),
    "siunitx": (
        r"\bfseries %(text)s",
        r"%(text)s{\llap{\underline{\phantom{\num{%(text)s}}}%(blank)s}}",  # siunitx aligns no figure in a command
        r"\itshape %(text)s",
    ),
    "markdown": ("**%(text)s**", "<u>%(text)s</u>", "*%(text)s*"),
    "text": ("%(text)s", "%(text)s", "%(text)s"),
}
"""How the best and the second of the methods and what was published are typeset; plain text has no way to."""

_FIGURE = re.compile(r"(?P<sign>[+−]?)(?P<whole>\d+)(\.\d+)?(?P<spread> ± [\d.]+)?(?P<mark>.*)")

_MATHS = {
    "−": "-", "±": r"\pm", "×": r"\times", "†": r"^\dagger", "‡": r"^\ddagger", "≤": r"\leq", "≥": r"\geq", "→": r"\to",
    "Δ": r"\Delta", "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "λ": r"\lambda", "μ": r"\mu", "ν": r"\nu",
    "σ": r"\sigma", "ω": r"\omega",
}  # fmt: skip
"""Characters that LaTeX has in mathematics alone."""


def grid(table: Table, form: str, decimals: int) -> str:
    """The rows of a table with its header; for LaTeX the ``tabular`` with booktabs' rules.

    ``form``: ``text``, ``markdown``, ``latex``, or ``siunitx``: LaTeX whose figures stand in that package's columns.
    """
    from tabulate import tabulate

    is_latex = form in ("latex", "siunitx")
    shown = escaped if is_latex else str
    header = "{%s}" if form == "siunitx" else "%s"
    body = tabulate(
        [[shown(table.marked(row)), *(_cell(table, row, name, form, decimals) for name in table.columns)]
         for row in table.rows],
        headers=[shown(table.corner), *(header % shown(table.marked(column)) for column in table.columns)],
        tablefmt="latex_raw" if is_latex else {"markdown": "pipe", "text": "simple"}[form],
        disable_numparse=True,
        stralign="right",
        colalign=("left", *("right" for _ in table.columns)),
    )  # fmt: skip
    if not is_latex:
        return body
    return _booktabs(body, [_column(table, name, decimals) for name in table.columns] if form == "siunitx" else None)


def escaped(text: str) -> str:
    """Text as LaTeX prints it, whatever is in it."""
    for character in "\\&%$#_{}~^":
        replacement = {"\\": "\0", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
        text = text.replace(character, replacement.get(character, f"\\{character}"))
    return _mathematics(text.replace("\0", r"\textbackslash{}"))


def _mathematics(text: str) -> str:
    for character, command in _MATHS.items():
        text = text.replace(character, f"${command}$")
    return text


def _cell(table: Table, row: str, column: str, form: str, decimals: int) -> str:
    cell = table.cells[row][column]
    text, blank = cell.text(decimals), ""
    if form == "latex":
        text = _mathematics(text.replace("–", "--"))
    elif form == "siunitx":
        if cell.deviation is None and any(table.cells[other][column].deviation is not None for other in table.rows):
            blank = rf"\phantom{{${{}}\pm{{}}${0:.{decimals}f}}}"
        text = _entry(text)
    best, second, published = _MARKUP[form]
    is_published = cell.kind == "published" and cell.values
    markup = published if is_published else ("%(text)s", best, second)[table.place(row, column)]
    return markup % {"text": text, "blank": blank}


def _entry(text: str) -> str:
    """A cell for a column of siunitx: its figure, with what follows it in braces; all in braces where it has none."""
    found = _FIGURE.fullmatch(text)
    rest = found["mark"] if found else text.replace("–", "--")
    figure = text.removesuffix(rest) if found else ""
    return figure.replace("−", "-").replace("±", r"\pm") + (f"{{{_mathematics(rest)}}}" if rest else "")


def _column(table: Table, column: str, decimals: int) -> str:
    """The column type of siunitx with room for the column's figures and marks: ``S[table-format=+1.3(3){ (2/3)}]``."""
    texts = [table.cells[row][column].text(decimals) for row in table.rows]
    figures = [found for text in texts if (found := _FIGURE.fullmatch(text))]
    sign = "+" if any(found["sign"] for found in figures) else ""
    whole = max((len(found["whole"]) for found in figures), default=1)
    fraction = f".{decimals}" if decimals else ""
    spread = f"({decimals or 1})" if any(found["spread"] for found in figures) else ""
    mark = _mathematics(max((found["mark"] for found in figures), key=len, default=""))
    return f"S[table-format={sign}{whole}{fraction}{spread}{f'{{{mark}}}' if mark else ''}]"


def _booktabs(body: str, columns: Sequence[str] | None) -> str:
    """tabulate's raw LaTeX table with booktabs' rules; its own booktabs format would escape what is escaped.

    ``columns``: types of the columns after the first, in place of tabulate's.
    """
    lines = body.splitlines()
    if columns is not None:
        lines[0] = rf"\begin{{tabular}}{{l{''.join(columns)}}}"
    rules = [number for number, line in enumerate(lines) if line.strip() == r"\hline"]
    for number, rule in zip(rules, (r"\toprule", r"\midrule", r"\bottomrule"), strict=True):
        lines[number] = rule
    return "\n".join(lines)
