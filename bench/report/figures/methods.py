"""Methods side by side: AUROC by class and method, its spread over seeds, and its cost."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from bench.errors import BenchError
from bench.record import Record
from bench.report.figures.style import (
    COLUMN,
    LINE,
    PAGE,
    PALETTE,
    STYLE,
    averaged,
    broken,
    look,
    widest,
    with_legend,
)
from bench.report.selection import Selection
from bench.report.tables.table import MEAN, Cell, class_table, means


@STYLE
def heatmap(selection: Selection, order: Sequence[str] = ()) -> Figure:
    """The AUROC of each method (column) on each normal class (row): a mean over seeds, as ``bench table`` prints it.

    Darker is lower; a row of means comes last where there is more than one class. Empty cells have no figure.
    """
    table = class_table(selection, "auroc", order)
    values = np.array([[_mean(table.cells[row][column]) for column in table.columns] for row in table.rows])
    _require(bool(np.isfinite(values).any()), "no record ended well")
    rows, columns = [broken(row, 1.5) for row in table.rows], [broken(column, 2) for column in table.columns]
    width = COLUMN if len(columns) <= 4 else PAGE
    cell = (width - 1.0 - widest(rows)) / len(columns)
    slanted = widest(columns) > cell
    above = 0.75 * widest(columns) if slanted else LINE
    figure = Figure((width, 0.6 + above + 1.1 * LINE * len(rows)), layout="constrained")
    axes = figure.subplots()
    norm = Normalize(min(0.5, float(np.nanmin(values))), 1)
    image = axes.imshow(values, cmap="cividis", aspect="auto", norm=norm)
    axes.set_xticks(range(len(columns)), columns)
    if slanted:
        axes.tick_params("x", rotation=40)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylabel("normal class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if table.rows[-1] == MEAN:
        axes.axhline(len(rows) - 1.5, color="white", linewidth=2)
    if cell > 2 * LINE:  # else the figures would touch
        for (row, column), value in np.ndenumerate(values):
            text, dark = (f"{value:.3f}", norm(value) < 0.5) if np.isfinite(value) else ("–", False)
            axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
    figure.colorbar(image, ax=axes, label="AUROC", fraction=0.06, pad=0.02).outline.set_visible(False)
    return figure


@STYLE
def seed_spread(selection: Selection, order: Sequence[str] = ()) -> Figure:
    """How far the AUROC of each method moves from seed to seed: a ring for each seed, a bar at their mean.

    A ring is the mean over the normal classes, for a seed that has all of them.
    """
    cells = overall(selection, order)
    _require(
        any(len(cell.values) > 1 for cell in cells.values()),
        "no method has two seeds on every class; run more with --seeds",
    )
    figure, legend = with_legend(
        COLUMN, 0.5 + 1.7 * LINE * len(cells), ["a seed", "mean"], 2, averaged(selection.means.classes)
    )
    axes = figure.subplots()
    handles: Sequence[Artist] = []
    for row, cell in enumerate(cells.values()):
        heights = row + np.linspace(-0.2, 0.2, len(cell.values)) if len(cell.values) > 1 else [row]
        rings = axes.plot(cell.values, heights, "o", markerfacecolor="none", color=PALETTE[0], linestyle="none")
        handles = rings + axes.plot([_mean(cell)] * 2, [row - 0.35, row + 0.35], "-", color="black")
    a_row_each(axes, list(cells))
    legend(handles)
    return figure


@STYLE
def cost(selection: Selection, order: Sequence[str] = ()) -> Figure:
    """What the AUROC of each method costs: against the time to fit one class and, where known, against parameters.

    Times on the CPU and on GPUs are apart. A point is a method: means over its records, the AUROC as in the last row of
    ``bench table``. Costs are logarithmic. Hollow is what used more than normal training images, as its records say.
    """
    cells = overall(selection, order)
    panels: list[tuple[str, dict[str, float]]] = []
    on = {device: [r for r in selection.records if r.device == device] for device in ("cpu", "cuda")}
    for what, axis, records in (
        ("fit_seconds", "time to fit one class, CPU (s)", on["cpu"]),
        ("fit_seconds", "time to fit one class, GPU (s)", on["cuda"]),
        ("parameters", "parameters", selection.records),
    ):
        costs = {label: _mean_cost(records, label, what) for label in cells}
        if known := {label: mean for label, mean in costs.items() if mean}:
            panels.append((axis, known))
    _require(bool(panels), "no method has both a mean AUROC over every class and a cost")
    shown = [label for label in cells if any(label in known for _, known in panels)]
    width = PAGE if len(panels) > 1 else COLUMN
    helped = {record.job.label for record in selection.records if record.ledger.get("used")}
    names = [f"{label}, outside data" if label in helped else label for label in shown]
    figure, legend = with_legend(width, 2.2, names, len(panels), averaged(selection.means.classes))
    handles: dict[str, Artist] = {}
    drawn: Sequence[Axes] = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (axis, known) in zip(drawn, panels, strict=True):
        for label, mean in known.items():
            color, marker, _ = look(shown.index(label))
            (point,) = axes.plot(
                mean,
                _mean(cells[label]),
                marker=marker,
                color=color,
                linestyle="none",
                fillstyle="none" if label in helped else "full",
            )
            handles[label] = point
        axes.set_xscale("log")
        axes.margins(0.1)
        axes.set_xlabel(axis)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
    drawn[0].set_ylabel("AUROC")
    legend([handles[label] for label in shown])
    return figure


def a_row_each(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of axes of AUROCs, from above, one for each label."""
    axes.set_yticks(range(len(labels)), [broken(label, 1.9) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params("y", length=0)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel("AUROC")


def overall(selection: Selection, order: Sequence[str]) -> dict[str, Cell]:
    """The mean over classes by label, of labels that have one."""
    return {label: cell for label, cell in means(selection, "auroc", order).items() if cell.values}


def _mean(cell: Cell) -> float:
    return float("nan") if cell.mean is None else cell.mean


def _mean_cost(records: Sequence[Record], label: str, what: str) -> float | None:
    found = [record.cost.get(what) for record in records if record.job.label == label and record.status == "done"]
    known = [float(value) for value in found if value is not None]
    return statistics.fmean(known) if known else None


def _require(possible: bool, otherwise: str) -> None:
    if not possible:
        raise BenchError(otherwise)
