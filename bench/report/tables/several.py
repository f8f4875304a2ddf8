"""Several metrics of each method side by side: of all classes, and of each class or kind of anomaly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.errors import unknown
from bench.metrics import CHOSEN_BY_LABELS, HIGHER_IS_BETTER
from bench.record import Record
from bench.report.notes import Note, in_words
from bench.report.selection import Means, Selection
from bench.report.tables.beside import printed_cell, sources
from bench.report.tables.chosen import choice_notes
from bench.report.tables.published import Published
from bench.report.tables.table import Table, cells_over, provenance, series, tuned_marks, used_notes, used_of

SECONDS = "seconds"
"""What a job took: to fit, to score the test images, and to map them where it did."""
ORACLE, PUBLISHED = "oracle", "published"
"""The best test AUROC of records that were traced, and what was published of a method's AUROC."""
METRICS = (*HIGHER_IS_BETTER, ORACLE, PUBLISHED, SECONDS)
"""What can stand in such a table."""
OF_MAPS = frozenset({"pixel_auroc", "pixel_average_precision", "aupro_30", "aupro_05", "aupimo"})
"""Metrics of score maps."""
SCORED_BY = 0.9
"""The least rank correlation of images' scores with the means of their maps at which that passes for what scores."""

Figure = Callable[[Record], float | None]
Printed = Callable[[str, Sequence[str]], Published | None]
"""What was published of a label's AUROC, as the mean over these normal classes."""


def metric_tables(
    selection: Selection,
    metrics: Sequence[str],
    order: Sequence[str] = (),
    title: str = "",
    printed: Printed = lambda label, classes: None,
) -> list[Table]:
    """A table of all classes, as means, and one for each class; where there is one class, one for each kind of anomaly.

    Raises BenchError for a metric that does not exist.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise unknown("metric", metric, METRICS)
    classes = selection.means.classes
    figures = {metric: _of_record(metric) for metric in metrics}
    whole = _table(selection, figures, order, title, "", selection.means, printed)
    parts = []
    if len(classes) > 1:
        for name in classes:
            over = selection.means._replace(classes=[name])
            parts.append(_table(selection, figures, order, title, name, over, printed))
    else:
        kinds = dict.fromkeys(kind for record in selection.records for kind in record.by_kind)
        for kind in kinds:
            of_kind = {metric: _of_kind(metric, kind) for metric in metrics if metric in HIGHER_IS_BETTER}
            parts.append(_table(selection, of_kind, order, title, kind, selection.means, printed))
    return [whole, *(dataclasses.replace(part, notes=[], provenance=[]) for part in parts)]


def map_notes(records: Iterable[Record], metrics: Iterable[str]) -> dict[str, Note]:
    """By label, a note on methods that score by other things than the mean of their map, where a metric is of maps."""
    if not OF_MAPS & set(metrics):
        return {}
    least: dict[str, float] = {}
    for record in records:
        if (agreement := record.maps.get("agreement")) is not None:
            least[record.job.label] = min(agreement, least.get(record.job.label, 1.0))
    told = "{} does not score by the mean of its map: their rank correlation is {:.2f}"
    return {
        label: Note(
            f"‡ {told.format(label, agreement)}".replace("-", "−"),
            f"‡ {told.format(in_words(label), agreement)}".replace("-", "−"),
        )
        for label, agreement in least.items()
        if agreement < SCORED_BY
    }


def chosen_notes(metrics: Iterable[str]) -> dict[str, Note]:
    """By metric, a note on those that the test labels choose."""
    told = dict.fromkeys(CHOSEN_BY_LABELS, "at the threshold that is best by the test labels")
    told[ORACLE] = "the best test AUROC over epochs and candidates, which only the test labels can choose"
    return {metric: Note(f"† {metric}: {told[metric]}") for metric in metrics if metric in told}


def _table(
    selection: Selection,
    figures: Mapping[str, Figure],
    order: Sequence[str],
    title: str,
    part: str,
    over: Means,
    printed: Printed,
) -> Table:
    named = ", ".join(text for text in (title, part) if text)
    setting = selection.setting
    further = f" ({', '.join(setting.limits)})" if setting.limits else ""
    lines = series(selection.records, "auroc", "last", order)
    columns = {metric: cells_over(selection, lines, figure, over) for metric, figure in figures.items()}
    apart, chosen = map_notes(selection.records, figures), chosen_notes(figures)
    shown = {line: printed(line.label, over.classes) for line in lines} if PUBLISHED in figures else {}
    if shown:
        columns[PUBLISHED] = {line.name: printed_cell(figure) for line, figure in shown.items()}
    stated = sources([(line.name, figure) for line, figure in shown.items() if figure])
    return Table(
        f"{named} ({setting.describe()})" if named else setting.describe(),
        "method",
        [line.name for line in lines],
        list(figures),
        {line.name: {metric: columns[metric][line.name] for metric in figures} for line in lines},
        [
            *selection.notes,
            *used_notes(selection.records, "last"),
            *choice_notes(selection.records),
            *chosen.values(),
            *apart.values(),
            *stated,
        ],
        {**used_of(selection.records, lines), **{metric: ["the test labels"] for metric in chosen}},
        across="metric",
        provenance=provenance(selection.records),
        partial=[],
        part=part,
        caption=f"{named}{further}" if title else ", ".join([setting.in_words(), *([part] if part else [])]),
        marks={**tuned_marks(selection.records, lines), **dict.fromkeys(apart, "‡")},
        lower=frozenset(metric for metric in figures if not HIGHER_IS_BETTER.get(metric, metric != SECONDS)),
    )


def _of_record(metric: str) -> Figure:
    if metric == SECONDS:
        return lambda record: record.seconds + record.cost.get("map_seconds", 0.0)
    if metric == ORACLE:
        return lambda record: record.oracle
    return lambda record: record.metrics.get(metric)


def _of_kind(metric: str, kind: str) -> Figure:
    return lambda record: record.by_kind.get(kind, {}).get(metric)
