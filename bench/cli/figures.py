"""``bench figures``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.errors import BenchError, unknown
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.report.selection import Selection


def figures(
    name: options.Selected,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the figures.")] = Path("figures"),
    normal_class: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME", help="Class of the curves, histograms and images (default: the first)."
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only", metavar="KINDS", help="These kinds of figure alone, comma-separated, e.g. roc,histogram."
        ),
    ] = None,
    methods: options.Methods = None,
    classes: options.Classes = None,
    seeds: options.Seeds = None,
    profile: options.Profile = None,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Draw the figures of a paper from the records, as PDF and PNG: curves, heatmap, spread, cost, ranks, images."""
    from bench.report.figures.gallery import IMAGES, KINDS, RANKS, Drawing, Gallery
    from bench.report.figures.ranks import critical_difference
    from bench.report.figures.style import save
    from bench.report.narrowing import Wanted
    from bench.report.request import (
        read_records,
        recorded_dataset,
        score_reader,
        selections_and_labels,
        under_conditions,
    )
    from bench.report.statistics.ranking import blocks, rank_methods
    from bench.workspace import open_workspace

    kinds = KINDS if only is None else _kinds(only, KINDS)
    workspace = open_workspace(config, data, results)
    records, wanted = read_records(workspace), Wanted(methods, classes, seeds, profile)
    shown, labels = selections_and_labels(name, records, workspace, wanted)
    conditions = under_conditions(name, shown, records, workspace, wanted)
    drawn = _classes(shown, normal_class)
    asked: list[Drawing] = []
    for part, selection in shown.items():
        for note in selection.notes:
            echo(f"{part}: {note}", err=True)
        gallery = Gallery(part, selection, labels, drawn.get(part), score_reader(workspace), conditions[part])
        asked += [*gallery.methods(() if only is None else kinds), *gallery.runs()]
        if set(kinds) & set(IMAGES):
            try:
                asked += gallery.images(recorded_dataset(selection.setting, workspace))
            except BenchError as error:
                _left_out(f"images of {part}", error)
    ranked = Drawing(
        RANKS, f"{name}-{RANKS}", "", lambda: critical_difference(rank_methods(blocks(shown.values(), labels)))
    )
    taken: set[str] = set()
    for drawing in (each for each in (*asked, ranked) if each.kind in kinds):
        try:
            figure = drawing.draw()
        except BenchError as error:
            _left_out(drawing.name, error)
            continue
        if drawing.lacks:
            _left_out(drawing.name, drawing.lacks)
        for path in save(figure, out, _file_name(drawing.name, taken)):
            echo(str(path))
    if not taken:
        raise BenchError(
            f"the records of {name} allow no figure, for the reasons above; "
            "bench status names the runs that did not end well"
        )


def _kinds(only: str, known: Sequence[str]) -> list[str]:
    kinds = [kind.strip() for kind in only.split(",") if kind.strip()]
    for kind in kinds:
        if kind not in known:
            raise BenchError(f"no kind of figure called {kind!r}; there are: {', '.join(known)}")
    return kinds


def _classes(shown: dict[str, Selection], wanted: str | None) -> dict[str, str]:
    """By suite, the class of the curves: the wanted one, by name or by number, else the first that has a good run.

    Raises BenchError where no suite has the wanted class.
    """
    from bench.report.figures.gallery import first_class
    from bench.report.selection import class_named

    if wanted is None:
        return {part: name for part, own in shown.items() if (name := first_class(own)) is not None}
    found = {}
    for part, selection in shown.items():
        if (name := class_named(selection.records, wanted)) is not None:
            found[part] = name
        else:
            _left_out(f"curves and histograms of {part}", f"no records of class {wanted}")
    if not found:
        raise unknown("class with records", wanted, [name for own in shown.values() for name in own.classes])
    return found


def _left_out(what: str, why: object) -> None:
    echo(f"left out: {what}: {why}", err=True)


def _file_name(title: str, taken: set[str]) -> str:
    """A file name for a figure's title that no other figure has, on file systems without capitals either."""
    slug = free = re.sub(r"[^\w.-]+", "-", title).strip("-")
    number = 1
    while free.lower() in taken:
        number += 1
        free = f"{slug}-{number}"
    taken.add(free.lower())
    return free
