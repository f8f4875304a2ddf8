"""Scores and epochs to figures: ROC curves of a class, the scores of one run, and its training."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bench.errors import BenchError
from bench.metrics import auroc
from bench.record import Arrays, Record, ranked
from bench.report.figures.style import COLUMN, PALETTE, STYLE, look, run_title, with_legend
from bench.report.selection import Selection
from bench.report.statistics.ranking import done_runs
from bench.report.tables.table import ordered

GRID = np.linspace(0, 1, 501)
"""False positive rates at which the curves of several seeds are averaged."""

BINS = 40


class _Mark(NamedTuple):
    """Something drawn along a trace: its name in the legend, (epoch, AUROC) points, and settings of the line."""

    name: str
    points: Sequence[tuple[int, float]]
    settings: dict[str, Any]


@STYLE
def roc_curves(
    selection: Selection, normal_class: str, arrays: Callable[[Record], Arrays], order: Sequence[str] = ()
) -> Figure:
    """ROC curves of one normal class, a line for each method, with its AUC in the legend.

    Of several seeds, a line is the mean true positive rate at each false positive rate and the AUC the mean of the
    seeds' AUCs. ``arrays`` reads what a record stored, as ``Store.scores`` does.
    """
    by_label = done_runs(selection.records, {record.job.label for record in selection.records})[normal_class]
    if not by_label:
        raise BenchError(f"no record of class {normal_class} ended well")
    counts = sorted({len(runs) for runs in by_label.values()})
    seeds = " to ".join(str(count) for count in dict.fromkeys([counts[0], counts[-1]]))
    title = f"normal class {normal_class}" + (f", mean over {seeds} seeds" if counts[-1] > 1 else "")
    labels = ordered(by_label, order)
    stored = {label: [arrays(record) for record in by_label[label].values()] for label in labels}
    areas = {label: statistics.fmean(auroc(x["labels"], x["scores"]) for x in own) for label, own in stored.items()}
    figure, legend = with_legend(
        COLUMN, 3.0, [f"{label}, AUC\N{NO-BREAK SPACE}{areas[label]:.3f}" for label in labels], title=title
    )
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    lines: list[Artist] = []
    for place, own in enumerate(stored.values()):
        color, _, linestyle = look(place)
        rates = np.mean([_true_positive_rate(each) for each in own], axis=0)
        lines += axes.plot(np.r_[0, GRID], np.r_[0, rates], color=color, linestyle=linestyle)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    legend(lines)
    return figure


@STYLE
def score_histogram(record: Record, arrays: Callable[[Record], Arrays]) -> Figure:
    """How far the scores of normal and anomalous test images overlap in one run; each kind's area is 1.

    Raises BenchError for a packed record: of its scores there is but the order.
    """
    stored = arrays(record)
    if ranked(stored):
        raise BenchError("its record is packed, which keeps the order of the scores and not the scores")
    scores, anomalous = stored["scores"], stored["labels"] == 1
    edges = np.histogram_bin_edges(scores, BINS).tolist()
    kinds = [f"normal ({(~anomalous).sum()} images)", f"anomalous ({anomalous.sum()} images)"]
    figure, legend = with_legend(COLUMN, 2.1, kinds)
    axes = figure.subplots()
    axes.hist(scores[~anomalous], edges, density=True, color=PALETTE[0], alpha=0.45)
    axes.hist(scores[anomalous], edges, density=True, color=PALETTE[3], histtype="step", linewidth=1.2, hatch="////")
    axes.set(xlabel="anomaly score", ylabel="density")
    figure.suptitle(run_title(record, f", AUROC\N{NO-BREAK SPACE}{auroc(stored['labels'], stored['scores']):.3f}"))
    legend([Patch(color=PALETTE[0], alpha=0.45), Patch(edgecolor=PALETTE[3], facecolor="none", hatch="////")])
    return figure


@STYLE
def training_curves(record: Record) -> Figure:
    """One training: the mean losses of each epoch and, where it was traced, the test AUROC after it.

    The AUROC has a mark at the last epoch, which is what counts, and one at the best epoch, which only the test labels
    can tell; a line shows what the best of the method's candidates reached, where that is higher still. Losses are
    logarithmic where all of them are positive. Raises BenchError for a method that reported no epochs.
    """
    names = list(dict.fromkeys(name for epoch in record.epochs for name in epoch.get("losses", {})))
    traced = record.traced and any("auroc" in epoch for epoch in record.epochs)
    panels = bool(names) + traced
    if not panels:
        raise BenchError("no losses or AUROC by epoch: it reported none")
    marks = _marks(record) if traced else []
    figure, legend = with_legend(COLUMN, 0.6 + 1.4 * panels, [*names, *(mark.name for mark in marks)])
    figure.suptitle(run_title(record))
    drawn: list[Axes] = list(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])
    handles: list[Artist] = []
    if names:
        handles += _draw_losses(drawn[0], record, names)
    if traced:
        handles += _draw_trace(drawn[-1], marks)
    drawn[-1].set_xlabel("epoch")
    drawn[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(handles)
    return figure


def _draw_losses(axes: Axes, record: Record, names: Sequence[str]) -> list[Line2D]:
    epochs = [epoch["epoch"] for epoch in record.epochs]
    curves = [[epoch.get("losses", {}).get(name, math.nan) for epoch in record.epochs] for name in names]
    every = max(1, len(epochs) // 10)  # markers tell lines apart in grey; one at each epoch would hide them
    lines: list[Line2D] = []
    for place, curve in enumerate(curves):
        looks = look(place)._asdict()
        lines += axes.plot(epochs, curve, **looks, markevery=every, markersize=3)
    if all(loss > 0 or math.isnan(loss) for curve in curves for loss in curve):
        axes.set_yscale("log")
    axes.set_ylabel("mean loss")
    return lines


def _marks(record: Record) -> list[_Mark]:
    """What shows the trace: the line, the last epoch, and what an oracle would have chosen."""
    found = [(epoch["epoch"], epoch["auroc"]) for epoch in record.epochs if "auroc" in epoch]
    last = (record.epochs[-1]["epoch"], record.metrics["auroc"])
    best = max([*found, last], key=lambda point: point[1])
    lone = {"linestyle": "none", "markeredgecolor": "white", "markeredgewidth": 0.5}
    marks = [
        _Mark("test AUROC", found, {"color": PALETTE[0]}),
        _Mark(f"last epoch ({last[0]}): {last[1]:.3f}", [last], {**lone, "marker": "o", "ms": 6, "color": "black"}),
        _Mark(
            f"oracle, best epoch ({best[0]}): {best[1]:.3f}",
            [best],
            {**lone, "marker": "*", "ms": 10, "color": PALETTE[3]},
        ),
    ]
    if record.oracle is not None and record.oracle > best[1]:
        ends = [(record.epochs[0]["epoch"], record.oracle), (last[0], record.oracle)]
        name = f"oracle, best candidate: {record.oracle:.3f}"
        marks.append(_Mark(name, ends, {"color": "0.5", "linestyle": ":"}))
    return marks


def _draw_trace(axes: Axes, marks: Sequence[_Mark]) -> list[Line2D]:
    axes.set_ylabel("test AUROC")
    return [axes.plot(*zip(*mark.points, strict=True), **mark.settings)[0] for mark in marks]


def _true_positive_rate(stored: Arrays) -> np.ndarray:
    from sklearn.metrics import roc_curve

    false_positives, true_positives, _ = roc_curve(stored["labels"], stored["scores"])
    return np.interp(GRID, false_positives, true_positives)
