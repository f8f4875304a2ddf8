"""Mean ranks of methods and which of them tests do not tell apart: the critical-difference diagram."""

from __future__ import annotations

import dataclasses

import scikit_posthocs
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from bench.errors import BenchError
from bench.report.figures.style import LETTER, LINE, PAGE, STYLE, broken, widest
from bench.report.statistics.ranking import Ranking


@STYLE
def critical_difference(comparison: Ranking) -> Figure:
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
    _draw(axes, dataclasses.replace(comparison, ranks=named, nemenyi=nemenyi))
    for text in axes.texts:
        text.set_color("black")  # the palette is for lines, too pale for letters
    return figure


def _draw(axes: Axes, comparison: Ranking) -> None:
    """Draw the critical-difference diagram: the mean ranks, a bar below each clique, the critical difference above.

    Raises BenchError for two methods, for which there is none.
    """
    if comparison.nemenyi is None or comparison.critical_difference is None:
        raise BenchError("a critical-difference diagram needs three methods; for two there is the signed-rank test")
    diagram = scikit_posthocs.critical_difference_diagram(
        comparison.ranks,
        comparison.nemenyi,
        ax=axes,
        alpha=comparison.alpha,
        label_fmt_left="{label} ({rank:.2f})",
        label_fmt_right="({rank:.2f}) {label}",
    )
    for (bar,) in diagram["crossbars"]:
        bar.set_xdata(sorted(bar.get_xdata()))  # theirs is a set's, another in each process
    best = float(comparison.ranks.iloc[0])
    ends = [best, best + comparison.critical_difference]
    lift = ScaledTranslation(0, 22 / 72, axes.figure.dpi_scale_trans)  # clears the axis's numbers
    axes.plot(ends, [0, 0], color="black", marker="|", transform=axes.transData + lift, clip_on=False)
    label = f"critical difference {comparison.critical_difference:.2f} (α = {comparison.alpha:g})"
    axes.annotate(label, (best, 0), (0, 27), textcoords="offset points")
