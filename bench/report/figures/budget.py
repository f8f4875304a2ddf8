"""How the AUROC of methods depends on how long they are trained."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from bench.errors import BenchError
from bench.report.figures.methods import overall
from bench.report.figures.style import COLUMN, STYLE, averaged, look, with_legend
from bench.report.selection import Selection
from bench.report.statistics.ranking import interval_of_mean
from bench.specs import Spec, parse_spec

LENGTH = ("epochs", "min_steps")
"""Hyperparameters by which specs may differ and still be one method, trained for longer or shorter."""


class Budget(NamedTuple):
    """A method after so many training steps: by seed, its mean AUROC over the normal classes."""

    steps: float
    aurocs: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.aurocs)

    @property
    def margin(self) -> float:
        """Half of the 95 % interval of the mean over seeds; 0 for a single seed."""
        low, high = interval_of_mean(self.aurocs) or (0.0, 0.0)
        return (high - low) / 2


def budgets(selection: Selection, order: Sequence[str] = ()) -> dict[str, list[Budget]]:
    """By method, what it reaches at each length of its training; those with two lengths.

    A method is what has one spec less what sets the length; it has the name of the first that is shown, less the same.
    """
    steps: dict[str, list[float]] = defaultdict(list)
    methods: dict[str, str] = {}
    for record in selection.records:
        if record.status == "done" and record.cost.get("steps"):
            steps[record.job.label].append(record.cost["steps"])
            methods[record.job.label] = _without_length(record.job.spec)
    found: dict[str, list[tuple[str, Budget]]] = defaultdict(list)
    for label, cell in overall(selection, order).items():
        if steps[label]:
            found[methods[label]].append((label, Budget(statistics.median(steps[label]), cell.values)))
    named = {_name(reached[0][0]): sorted(budget for _, budget in reached) for reached in found.values()}
    return {name: reached for name, reached in named.items() if len({each.steps for each in reached}) > 1}


@STYLE
def auroc_by_steps(selection: Selection, order: Sequence[str] = ()) -> Figure:
    """AUROC against training steps, one line a method; bars are 95 % intervals of the mean over seeds.

    Specs that differ by ``epochs`` or ``min_steps`` alone are points of one line. Raises BenchError where no method has
    two budgets.
    """
    found = budgets(selection, order)
    if not found:
        raise BenchError("no method has two budgets on every class; run more, e.g. shared_ae(min_steps=2000)")
    figure, legend = with_legend(COLUMN, 2.2, list(found), 1, averaged(selection.means.classes))
    axes = figure.subplots()
    handles: list[Artist] = []
    for place, reached in enumerate(found.values()):
        color, marker, linestyle = look(place)
        handles += axes.plot(
            [each.steps for each in reached],
            [each.mean for each in reached],
            color=color,
            marker=marker,
            linestyle=linestyle,
        )
        for each in reached:
            axes.errorbar(each.steps, each.mean, each.margin, color=color, capsize=2, linewidth=0.8)
    axes.set_xscale("log")
    ticks = sorted({each.steps for reached in found.values() for each in reached})
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("training steps")
    axes.set_ylabel("AUROC")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    legend(handles)
    return figure


def _name(label: str) -> str:
    """A label less the length of training; a name of one's own as it is."""
    try:
        return _without_length(label)
    except BenchError:
        return label


def _without_length(text: str) -> str:
    spec = parse_spec(text)
    return str(Spec(spec.name, {name: value for name, value in spec.parameters.items() if name not in LENGTH}))
