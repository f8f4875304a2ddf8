"""How much of an AUROC is choice: of the epoch by test labels, of test batches that are normalised by themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from bench.errors import BenchError
from bench.report.figures.methods import a_row_each
from bench.report.figures.style import COLUMN, LINE, PALETTE, STYLE, averaged, with_legend
from bench.report.selection import Selection
from bench.report.tables.table import means, ordered

CHOICES = {
    "": "last epoch",
    " (oracle)": "best epoch by test labels",
    " (by batch)": "last epoch, by batch",
    " (by sorted batch)": "last epoch, by sorted batch",
    " (by sorted batch, oracle)": "best epoch, by sorted batch",
}
"""What the lines of a table of every choice are called, after the label, and in a legend."""
MARKERS = "o^sDv"


def choices(selection: Selection, order: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """By label, its mean AUROC over classes under each choice, of the seeds that are traced on every class."""
    traced = [record for record in selection.records if record.traced]
    if not traced:
        return {}
    row = means(dataclasses.replace(selection, records=traced, shared=selection.means), "auroc", order, "every")
    found: dict[str, dict[str, float]] = {}
    for label in ordered({record.job.label for record in traced}, order):
        chosen = {what: row[label + suffix].mean for suffix, what in CHOICES.items() if label + suffix in row}
        known = {what: mean for what, mean in chosen.items() if mean is not None}
        if len(known) > 1:
            found[label] = known
    return found


@STYLE
def auroc_by_choice(selection: Selection, order: Sequence[str] = ()) -> Figure:
    """Each method's AUROC after its last epoch, at its best epoch by the test labels, and with the statistics of test
    batches, where it normalises batches.

    Raises BenchError where no method is traced on every class.
    """
    found = choices(selection, order)
    if not found:
        raise BenchError("no method is traced on every class; bench run --trace makes traces")
    shown = [what for what in CHOICES.values() if any(what in each for each in found.values())]
    figure, legend = with_legend(COLUMN, 0.5 + 1.7 * LINE * len(found), shown, 1, averaged(selection.means.classes))
    axes = figure.subplots()
    handles: dict[str, Artist] = {}
    for row, reached in enumerate(found.values()):
        axes.plot([min(reached.values()), max(reached.values())], [row, row], color="0.7", linewidth=0.8, zorder=1)
        for place, what in enumerate(CHOICES.values()):
            if what in reached:
                marks = axes.plot(reached[what], row, MARKERS[place], color=PALETTE[place], linestyle="none")
                handles.setdefault(what, marks[0])
    a_row_each(axes, list(found))
    legend([handles[what] for what in shown])
    return figure
