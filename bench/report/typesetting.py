"""The grid of a table, as plain text, Markdown or LaTeX: names, figures, and what marks the best ones."""

from __future__ import annotations

from bench.report.tables import Table

_BEST = {"latex": (r"\textbf{%s}", r"\underline{%s}"), "markdown": ("**%s**", "<u>%s</u>"), "text": ("%s", "%s")}
"""How the best and the second of the methods are typeset; plain text has no way to."""

_MATHS = {
    "−": "-", "±": r"\pm", "×": r"\times", "†": r"^\dagger", "‡": r"^\ddagger", "≤": r"\leq", "≥": r"\geq", "→": r"\to",
    "Δ": r"\Delta", "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "λ": r"\lambda", "μ": r"\mu", "ν": r"\nu",
    "σ": r"\sigma", "ω": r"\omega",
}  # fmt: skip
"""Characters that LaTeX has in mathematics alone."""


def grid(table: Table, form: str, decimals: int) -> str:
    """The rows of a table with its header; for LaTeX the ``tabular`` with booktabs' rules."""
    from tabulate import tabulate

    shown = escaped if form == "latex" else str
    body = tabulate(
        [[shown(table.marked(row)), *(_cell(table, row, name, form, decimals) for name in table.columns)]
         for row in table.rows],
        headers=[shown(table.corner), *(shown(table.marked(column)) for column in table.columns)],
        tablefmt={"latex": "latex_raw", "markdown": "pipe", "text": "simple"}[form],
        disable_numparse=True,
        stralign="right",
        colalign=("left", *("right" for _ in table.columns)),
    )  # fmt: skip
    return _booktabs(body) if form == "latex" else body


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
    text = cell.text(decimals)
    if form == "latex":
        text = _mathematics(text.replace("–", "--"))
    if cell.kind == "published" and cell.values and form != "text":
        text = rf"\textit{{{text}}}" if form == "latex" else f"*{text}*"
    place = table.place(row, column)
    return _BEST[form][place - 1] % text if place else text


def _booktabs(body: str) -> str:
    """tabulate's raw LaTeX table with booktabs' rules; its own booktabs format would escape what is escaped."""
    lines = body.splitlines()
    rules = [number for number, line in enumerate(lines) if line.strip() == r"\hline"]
    for number, rule in zip(rules, (r"\toprule", r"\midrule", r"\bottomrule"), strict=True):
        lines[number] = rule
    return "\n".join(lines)
