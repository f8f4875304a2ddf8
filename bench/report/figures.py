"""Records to figures for a paper: AUROC by class and method, its spread over seeds, its cost, and ranks.

Curves of single runs and of one class are in ``bench.report.curves``. A figure is as wide as a column or a page, its
text 8 pt at that size; what tells methods apart are colours that the colour-blind can tell apart too, and for print in
grey also markers and line styles.
"""

from __future__ import annotations

import dataclasses
import io
import statistics
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import seaborn
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from bench.errors import BenchError
from bench.record import Record
from bench.report.selection import Selection
from bench.report.statistics import Comparison
from bench.report.statistics import critical_difference as draw_critical_difference
from bench.report.tables import MEAN, Cell, class_table

COLUMN, PAGE = 3.3, 6.8
"""Width of a paper's column and of its page, in inches."""

RESOLUTION = 300
"""Dots per inch of a PNG."""

LINE = 0.18
"""Height of a line of text with its leading, in inches."""

LETTER = 0.067
"""Width of a letter in a name, generously, in inches."""

# the pale pink and yellow of seaborn's ten are hard to see as thin lines on white
PALETTE: list[Any] = [c for i, c in enumerate(seaborn.color_palette("colorblind")) if i not in (6, 8)]
MARKERS = "osD^vPX<>"
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

STYLE = matplotlib.rc_context(
    {
        "font.size": 8,
        "axes.labelsize": 8,
        "figure.titlesize": 8,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.title_fontsize": 8,
        "legend.frameon": False,
        "legend.handlelength": 3,  # a whole period of the longest dashes
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=PALETTE),
        "lines.linewidth": 1.2,
        "lines.markersize": 4.5,
        "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    }
)
"""Decorates what draws or writes a figure: a drawn tick takes its size from the settings of that moment."""


class Look(NamedTuple):
    """How one of several methods or losses is told from the others."""

    color: Any
    marker: str
    linestyle: Any


def look(place: int) -> Look:
    """The look of the line at a place; the first forty differ in colour or dashes, neighbours in everything."""
    return Look(PALETTE[place % 8], MARKERS[place % 9], DASHES[place % 5])


def broken(text: str, width: float) -> str:
    """A text for a figure in lines that fit ``width`` inches, ``$`` kept from being taken for mathematics.

    A no-break space keeps words together.
    """
    return "\n".join(textwrap.wrap(text, int(width / LETTER))).replace("$", r"\$")


def run_name(record: Record) -> str:
    """What was run, in words."""
    job = record.job
    return f"{job.label}, normal class {job.normal_class}, seed {job.seed}"


def run_title(record: Record, more: str = "", width: float = COLUMN) -> str:
    """What was run, broken into lines for a figure of that width."""
    return broken(run_name(record) + more, width)


def widest(names: Iterable[str]) -> float:
    """The width of the longest line of these texts, in inches, generously."""
    return LETTER * max(len(line) for name in names for line in name.split("\n"))


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
        COLUMN, 0.5 + 1.7 * LINE * len(cells), ["a seed", "mean"], 2, averaged(selection.classes)
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
    ``bench table``. Costs are logarithmic.
    """
    cells = overall(selection, order)
    panels: list[tuple[str, dict[str, float]]] = []
    on = {device: [r for r in selection.records if r.device == device] for device in ("cpu", "cuda")}
    for what, axis, records in (
        ("fit_seconds", "time to fit one class, CPU (s)", on["cpu"]),
        ("fit_seconds", "time to fit one class, GPU (s)", on["cuda"]),
        ("parameters", "parameters", selection.records),
    ):
        means = {label: _mean_cost(records, label, what) for label in cells}
        if known := {label: mean for label, mean in means.items() if mean}:
            panels.append((axis, known))
    _require(bool(panels), "no method has both a mean AUROC over every class and a cost")
    shown = [label for label in cells if any(label in known for _, known in panels)]
    width = PAGE if len(panels) > 1 else COLUMN
    figure, legend = with_legend(width, 2.2, shown, len(panels), averaged(selection.classes))
    handles: dict[str, Artist] = {}
    drawn: Sequence[Axes] = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (axis, known) in zip(drawn, panels, strict=True):
        for label, mean in known.items():
            color, marker, _ = look(shown.index(label))
            (point,) = axes.plot(mean, _mean(cells[label]), marker=marker, color=color, linestyle="none")
            handles[label] = point
        axes.set_xscale("log")
        axes.margins(0.1)
        axes.set_xlabel(axis)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
    drawn[0].set_ylabel("AUROC")
    legend([handles[label] for label in shown])
    return figure


@STYLE
def critical_difference(comparison: Comparison) -> Figure:
    """The mean ranks of the methods over all blocks, best first; bars join methods that Nemenyi's test does not part.

    Raises BenchError for two methods, for which there is no such test.
    """
    names = {label: broken(str(label), 2) for label in comparison.ranks.index}
    side = (widest(names.values()) + 8 * LETTER) / PAGE  # the rank follows in brackets
    below = 1.4 * LINE * ((len(comparison.ranks) + 1) // 2 + len(comparison.cliques))
    height = below + 0.7  # the critical difference stands above the axes
    figure = Figure((PAGE, height))
    axes = figure.add_axes((side, 0.1 / height, 1 - 2 * side, below / height))
    named = comparison.ranks.rename(index=names)
    nemenyi = None if comparison.nemenyi is None else comparison.nemenyi.rename(index=names, columns=names)
    draw_critical_difference(axes, dataclasses.replace(comparison, ranks=named, nemenyi=nemenyi))
    for text in axes.texts:
        text.set_color("black")  # the palette is for lines, too pale for letters
    return figure


@STYLE
def svg(figure: Figure) -> bytes:
    """A figure as an SVG image, its letters drawn as outlines. The same figure gives the same bytes."""
    written = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "oneclass-bench"}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


@STYLE
def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PDF and PNG and return the paths. The same figure gives the same bytes.

    Raises BenchError where the folder does not take them.
    """
    pdf, png = folder / f"{name}.pdf", folder / f"{name}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(pdf, metadata={"CreationDate": None})
        figure.savefig(png, dpi=RESOLUTION)
    except OSError as error:
        raise BenchError(f"cannot write to {folder}: {error}; name another folder with --out") from error
    return [pdf, png]


def with_legend(
    width: float, height: float, labels: Sequence[str], columns: int = 1, title: str = ""
) -> tuple[Figure, Callable[[Sequence[Artist]], None]]:
    """A figure whose axes get ``height``, and what puts a legend below them, where it hides no data.

    That takes the handles, in the order of the labels. Long labels are broken into lines.
    """
    names = [broken(label, width / columns - 0.65) for label in labels]  # beside the handle
    heading = broken(title, width)
    rows = -(-len(names) // columns)
    lines = [1 + name.count("\n") for name in names]
    deepest = max(sum(lines[start : start + rows]) for start in range(0, len(lines), rows))
    heading_lines = 1 + heading.count("\n") if heading else 0
    figure = Figure((width, height + LINE * (deepest + heading_lines)), layout="constrained")

    def legend(handles: Sequence[Artist]) -> None:
        figure.legend(handles, names, loc="outside lower center", ncols=columns, title=heading or None)

    return figure, legend


def a_row_each(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of axes of AUROCs, from above, one for each label."""
    axes.set_yticks(range(len(labels)), [broken(label, 1.9) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params("y", length=0)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel("AUROC")


def overall(selection: Selection, order: Sequence[str]) -> dict[str, Cell]:
    """The mean over classes by label, of labels that have one: the last row of the table."""
    table = class_table(selection, "auroc", order)
    cells = table.cells[table.rows[-1]]
    return {label: cells[label] for label in table.columns if cells[label].values}


def _mean(cell: Cell) -> float:
    return float("nan") if cell.mean is None else cell.mean


def _mean_cost(records: Sequence[Record], label: str, what: str) -> float | None:
    found = [record.cost.get(what) for record in records if record.job.label == label and record.status == "done"]
    known = [float(value) for value in found if value is not None]
    return statistics.fmean(known) if known else None


def averaged(classes: Sequence[str]) -> str:
    return f"normal class {classes[0]}" if len(classes) == 1 else f"mean over {len(classes)} normal classes"


def _require(possible: bool, otherwise: str) -> None:
    if not possible:
        raise BenchError(otherwise)
