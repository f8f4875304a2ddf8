"""Every figure that a suite's records may allow: its name, and what draws it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from bench.dataset import PreparedDataset
from bench.record import Arrays, Record
from bench.report.figures.budget import auroc_by_steps, budgets
from bench.report.figures.choice import auroc_by_choice, choices
from bench.report.figures.conditions import AXES, auroc_by_condition, curves
from bench.report.figures.curves import roc_curves, score_histogram, training_curves
from bench.report.figures.methods import cost, heatmap, seed_spread
from bench.report.figures.pictures import extremes, maps, mistakes, reconstructions, sample_sheet
from bench.report.figures.style import run_name
from bench.report.selection import Selection
from bench.report.statistics.ranking import done_runs

IMAGES = ("samples", "extremes", "mistakes", "reconstructions", "maps")
"""Kinds of figure that show images, and need the dataset."""
RANKS = "critical-difference"
KINDS = ("roc", "heatmap", "seeds", "cost", "choice", "steps", *AXES, RANKS, "histogram", "training", *IMAGES)
"""Every kind of figure."""


@dataclass(frozen=True)
class Drawing:
    """A figure that can be asked for."""

    kind: str
    name: str
    """Of a file, but for the suffix."""
    caption: str
    draw: Callable[[], Figure]
    """Raises BenchError where the records do not allow it."""
    lacks: str = ""
    """What the figure cannot show, and why."""


@dataclass(frozen=True)
class Gallery:
    """The figures of one suite; those of a class and of its single runs are of ``normal_class``."""

    part: str
    selection: Selection
    labels: Sequence[str]
    normal_class: str | None
    arrays: Callable[[Record], Arrays]
    """Reads what a record stored."""
    conditions: Sequence[Selection] = ()
    """The suite's records under every condition: contamination, corruption, number of training images."""

    def methods(self, asked: Collection[str] = ()) -> Iterator[Drawing]:
        """The methods side by side: their curves on the class, their classes, seeds and costs.

        Of the kinds that few records allow, those that they do, and those that are ``asked`` for.
        """
        part, selection, labels = self.part, self.selection, self.labels
        if (name := self.normal_class) is not None:
            draw = partial(roc_curves, selection, name, self.arrays, labels)
            yield Drawing("roc", f"{part}-roc-{name}", f"{part}: ROC curves, normal class {name}", draw)
        side_by_side = {
            "heatmap": ("AUROC by normal class and method", heatmap),
            "seeds": ("AUROC from seed to seed", seed_spread),
            "cost": ("AUROC against what it costs", cost),
        }
        if "choice" in asked or choices(selection, labels):
            side_by_side["choice"] = ("AUROC by what is chosen with the test set", auroc_by_choice)
        if "steps" in asked or budgets(selection, labels):
            side_by_side["steps"] = ("AUROC by training steps", auroc_by_steps)
        for kind, (caption, function) in side_by_side.items():
            yield Drawing(kind, f"{part}-{kind}", f"{part}: {caption}", partial(function, selection, labels))
        for axis in AXES:
            if axis in asked or curves(self.conditions, axis, labels):
                draw = partial(auroc_by_condition, self.conditions, axis, labels)
                yield Drawing(axis, f"{part}-{axis}", f"{part}: AUROC by {AXES[axis]}", draw)

    def runs(self) -> Iterator[Drawing]:
        """Single runs: the scores and the training of each method."""
        for record in self._runs():
            yield self._of_run("histogram", record, partial(score_histogram, record, self.arrays))
            untraced = bool(record.epochs) and not record.traced
            lacks = "the test AUROC: not traced; bench run --trace makes a trace" if untraced else ""
            yield self._of_run("training", record, partial(training_curves, record), lacks)

    def images(self, dataset: PreparedDataset) -> Iterator[Drawing]:
        """Images of the dataset that the records were made on, and what single runs make of them."""
        draw = partial(sample_sheet, self.selection, dataset)
        yield Drawing("samples", f"{self.part}-samples", f"{self.part}: images of each class", draw)
        of_a_run = {"extremes": extremes, "mistakes": mistakes, "reconstructions": reconstructions}
        if dataset.masks is not None:
            of_a_run["maps"] = maps
        for record in self._runs():
            for kind, function in of_a_run.items():
                yield self._of_run(kind, record, partial(function, record, self.arrays, dataset))

    def _runs(self) -> Iterator[Record]:
        """The run of each label on the class whose seed is the first."""
        if self.normal_class is not None:
            runs = done_runs(self.selection.records, self.labels)[self.normal_class]
            yield from (runs[label][min(runs[label])] for label in self.labels if runs[label])

    def _of_run(self, kind: str, record: Record, draw: Callable[[], Figure], lacks: str = "") -> Drawing:
        job = record.job
        name = f"{self.part}-{kind}-{job.label}-{job.normal_class}-seed{job.seed}"
        return Drawing(kind, name, f"{self.part}: {kind} of {run_name(record)}", draw, lacks)


def first_class(selection: Selection) -> str | None:
    """The first normal class that has a run which ended well; None where there is none."""
    done = {record.job.normal_class for record in selection.records if record.status == "done"}
    return next((name for name in selection.classes if name in done), None)
