"""``bench figures``."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.report.selection import Selection
    from bench.store import Arrays, Record

    Draw = Callable[[], Figure]


def figures(
    name: options.Selected,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the figures.")] = Path("figures"),
    normal_class: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Class of the curves and histograms (default: the first)."),
    ] = None,
    methods: Annotated[
        str | None, typer.Option("--methods", help="Show these alone: specs or groups, comma-separated.")
    ] = None,
    profile: options.Profile = None,
    results: options.Results = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Draw the figures of a paper from the records, as PDF and PNG: curves, heatmap, spread, cost, ranks."""
    from bench.report.figures import critical_difference, save
    from bench.report.request import score_reader, selections_and_labels
    from bench.report.statistics import blocks, compare
    from bench.workspace import open_workspace

    workspace = open_workspace(config, data, results)
    chosen, labels = selections_and_labels(name, methods, workspace, profile)
    shown = {part: own for part, all_ in chosen.items() if (own := _narrowed(all_, labels)).records}
    classes = _classes(shown, normal_class)
    asked: list[tuple[str, Draw]] = []
    for part, selection in shown.items():
        for note in selection.notes:
            print(f"{part}: {note}", file=sys.stderr)  # noqa: T201
        asked += _figures(part, selection, classes.get(part), labels, score_reader(workspace))
    asked.append((f"{name}-critical-difference", lambda: critical_difference(compare(blocks(shown.values(), labels)))))
    taken: set[str] = set()
    for title, draw in asked:
        try:
            figure = draw()
        except BenchError as error:
            print(f"left out: {title}: {error}", file=sys.stderr)  # noqa: T201
            continue
        for path in save(figure, out, _file_name(title, taken)):
            typer.echo(path)
    if not taken:
        raise BenchError(
            f"the records of {name} allow no figure, for the reasons above; "
            "bench status names the runs that did not end well"
        )


def _figures(
    part: str,
    selection: Selection,
    normal_class: str | None,
    labels: Sequence[str],
    arrays: Callable[[Record], Arrays],
) -> Iterator[tuple[str, Draw]]:
    """What can be asked of one selection: a name for each figure, and what draws it or raises BenchError."""
    from bench.report.curves import roc_curves, score_histogram, training_curves
    from bench.report.figures import cost, heatmap, seed_spread
    from bench.report.statistics import done_runs

    if normal_class is not None:
        yield f"{part}-roc-{normal_class}", partial(roc_curves, selection, normal_class, arrays, labels)
    yield f"{part}-heatmap", partial(heatmap, selection, labels)
    yield f"{part}-seeds", partial(seed_spread, selection, labels)
    yield f"{part}-cost", partial(cost, selection, labels)
    if normal_class is None:
        return
    runs = done_runs(selection.records, labels)[normal_class]
    for label in labels:
        if not runs[label]:
            continue
        record = runs[label][min(runs[label])]
        suffix = f"{label}-{normal_class}-seed{record.job.seed}"
        yield f"{part}-scores-{suffix}", partial(score_histogram, record, arrays)
        yield f"{part}-training-{suffix}", partial(training_curves, record)
        if record.epochs and not record.traced:
            print(  # noqa: T201
                f"left out: the test AUROC in {part}-training-{suffix}: not traced; bench run --trace makes a trace",
                file=sys.stderr,
            )


def _narrowed(selection: Selection, labels: Sequence[str]) -> Selection:
    own = [record for record in selection.records if record.job.label in labels]
    return dataclasses.replace(selection, records=own)


def _classes(shown: dict[str, Selection], wanted: str | None) -> dict[str, str]:
    """By suite, the class of the curves: the wanted one, by name or by number, else the first that has a good run.

    Raises BenchError where no suite has the wanted class.
    """
    if wanted is None:
        done = {
            part: {record.job.normal_class for record in own.records if record.status == "done"}
            for part, own in shown.items()
        }
        firsts = {part: [name for name in own.classes if name in done[part]][:1] for part, own in shown.items()}
        return {part: names[0] for part, names in firsts.items() if names}
    found = {}
    for part, selection in shown.items():
        numbers = {str(record.split.get("normal_label")): record.job.normal_class for record in selection.records}
        if (name := wanted if wanted in selection.classes else numbers.get(wanted)) is not None:
            found[part] = name
        else:
            print(f"left out: curves and histograms of {part}: no records of class {wanted}", file=sys.stderr)  # noqa: T201
    if not found:
        raise unknown("class with records", wanted, [name for own in shown.values() for name in own.classes])
    return found


def _file_name(title: str, taken: set[str]) -> str:
    """A file name for a figure's title that no other figure has, on file systems without capitals either."""
    slug = free = re.sub(r"[^\w.-]+", "-", title).strip("-")
    number = 1
    while free.lower() in taken:
        number += 1
        free = f"{slug}-{number}"
    taken.add(free.lower())
    return free
