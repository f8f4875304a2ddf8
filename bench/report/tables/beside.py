"""A table with published figures beside the reproduced ones: lines of their own, and what differs."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from bench.report.notes import Note, in_words
from bench.report.tables.published import Kind, Published, of_table, without_suite
from bench.report.tables.table import MEAN, Cell, Table

Beside = Literal["none", "own", "all"]
"""Which published figures to show: none, those of methods that are in the table, or also those of others."""

Lines = dict[str, dict[str, Cell]]


def with_published(table: Table, name: str, names: Mapping[str, str], suites: Sequence[str], beside: Beside) -> Table:
    """The table with its published figures, as lines after those of the methods.

    ``name``: of the paper's table. ``names``: by label, the method's name there. ``suites``: the suites shown; a table
    over classes shows one. Where a label is in the table and something can be compared, a line Δ gives reproduced −
    published.
    """
    published = of_table(name)
    if beside == "none" or not published:
        return table
    over_suites = table.across == "suite"
    labels, places = (table.rows, table.columns) if over_suites else (table.columns, table.rows)
    pairs: list[tuple[str | None, str]] = [(label, names[label]) for label in labels if label in names]
    if beside == "all":
        pairs += [(None, method) for method in published if method not in names.values()]
    lines: Lines = {}
    below: dict[str, str] = {}
    shown: list[tuple[str, Published]] = []
    for label, method in pairs:
        keys = {place: (place, "mean") if over_suites else (suites[0], place) for place in places}
        figures = {place: published[method].get(key) for place, key in keys.items()}
        if not any(figures.values()):
            continue
        shown += [(label or method, figure) for figure in figures.values() if figure]
        if label is not None:
            below[label] = f"{method}, published"
        lines[f"{method}, published"] = {place: printed_cell(figure) for place, figure in figures.items()}
        comparable = {
            place: figure
            for place, figure in figures.items()
            if figure and figure.comparable and place not in table.partial
        }
        if label is not None and comparable:
            own = {place: table.cells[label][place] if over_suites else table.cells[place][label] for place in places}
            lines[f"Δ {label}"] = {place: _difference(own[place], comparable.get(place)) for place in places}
    notes = [*table.notes, *sources(shown)]
    if any(line.startswith("Δ") for line in lines):
        notes.append(Note("Δ: reproduced − published", ""))
    if absent := without_suite(name):
        notes.append(Note(f"published too, without a suite here: {', '.join(absent)}", ""))
    table = dataclasses.replace(table, notes=notes, published=below)
    if over_suites:
        return dataclasses.replace(table, rows=[*table.rows, *lines], cells={**table.cells, **lines})
    cells = {row: {**table.cells[row], **{line: lines[line][row] for line in lines}} for row in table.rows}
    return dataclasses.replace(table, columns=[*table.columns, *lines], cells=cells)


def printed_over(
    name: str, names: Mapping[str, str], suite: str, *, partial: bool
) -> Callable[[str, Sequence[str]], Published | None]:
    """What a table has published of a label's AUROC on a suite, over some normal classes of it.

    ``names``: by label, the method's name there. Over several classes, the mean of what was published of each, or where
    they are all, which is unless ``partial``, the mean that was published.
    """
    published = of_table(name)

    def over(label: str, classes: Sequence[str]) -> Published | None:
        figures = published.get(names.get(label, ""), {})
        if len(classes) == 1:
            return figures.get((suite, classes[0]))
        if not partial and (mean := figures.get((suite, MEAN))):
            return mean
        own = [figure for each in classes if (figure := figures.get((suite, each)))]
        if not own or len(own) < len(classes):
            return None
        computed = statistics.fmean(figure.auroc for figure in own)
        kind: Kind = "computed" if all(figure.comparable for figure in own) else "context"
        return dataclasses.replace(own[0], normal_class=MEAN, auroc=computed, kind=kind)

    return over


def printed_cell(figure: Published | None) -> Cell:
    """A published figure as a table shows it; ‡ marks one that was not seen in the paper's own text."""
    if figure is None:
        return Cell(kind="published")
    return Cell((figure.auroc,), kind="published", mark="" if figure.kind == "printed" else "‡")


def _difference(own: Cell, figure: Published | None) -> Cell:
    if figure is None or own.mean is None:
        return Cell(kind="difference")
    return Cell((own.mean - figure.auroc,), kind="difference", mark="" if figure.kind == "printed" else "‡")


def sources(shown: Sequence[tuple[str, Published]]) -> list[Note]:
    """Where the figures are from, by the method as it is shown; ‡ those that were not seen in the paper's own text."""
    printed = dict.fromkeys(figure.source for _, figure in shown if figure.kind == "printed")
    notes = [Note(f"published: {source}", f"small and in italics, as published: {source}") for source in printed]
    for label, figure in shown:
        if figure.kind != "printed":
            kind = figure.kind if figure.comparable else "as context, not to be compared"
            note = f": {figure.source}{f' ({figure.note})' if figure.note else ''}"
            notes.append(Note(f"‡ {figure.method} {kind}{note}", f"‡ {in_words(label)}, {kind}{note}"))
    return list(dict.fromkeys(notes))
