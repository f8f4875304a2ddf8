"""Every figure that a suite's records may allow: its name, and what draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from bench.dataset import PreparedDataset
from bench.record import Arrays, Record
from bench.report.figures.budget import auroc_by_steps, budgets
from bench.report.figures.choice import auroc_by_choice, choices
from bench.report.figures.curves import roc_curves, score_histogram, training_curves
from bench.report.figures.methods import cost, heatmap, seed_spread
from bench.report.figures.pictures import extremes, reconstructions, sample_sheet
from bench.report.figures.style import run_name
from bench.report.selection import Selection
from bench.report.statistics.ranking import done_runs


@dataclass(frozen=True)
class Drawing:
    """A figure that can be asked for."""

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

    def methods(self) -> Iterator[Drawing]:
        """The methods side by side: their curves on the class, their classes, seeds and costs."""
        part, selection, labels = self.part, self.selection, self.labels
        if (name := self.normal_class) is not None:
            draw = partial(roc_curves, selection, name, self.arrays, labels)
            yield Drawing(f"{part}-roc-{name}", f"{part}: ROC curves, normal class {name}", draw)
        yield Drawing(
            f"{part}-heatmap", f"{part}: AUROC by normal class and method", partial(heatmap, selection, labels)
        )
        yield Drawing(f"{part}-seeds", f"{part}: AUROC from seed to seed", partial(seed_spread, selection, labels))
        yield Drawing(f"{part}-cost", f"{part}: AUROC against what it costs", partial(cost, selection, labels))
        if choices(selection, labels):
            draw = partial(auroc_by_choice, selection, labels)
            yield Drawing(f"{part}-choice", f"{part}: AUROC by what is chosen with the test set", draw)
        if budgets(selection, labels):
            yield Drawing(
                f"{part}-steps", f"{part}: AUROC by training steps", partial(auroc_by_steps, selection, labels)
            )

    def runs(self) -> Iterator[Drawing]:
        """Single runs: the scores and the training of each method."""
        for record in self._runs():
            yield self._of_run("scores", record, partial(score_histogram, record, self.arrays))
            untraced = bool(record.epochs) and not record.traced
            lacks = "the test AUROC: not traced; bench run --trace makes a trace" if untraced else ""
            yield self._of_run("training", record, partial(training_curves, record), lacks)

    def images(self, dataset: PreparedDataset) -> Iterator[Drawing]:
        """Images of the dataset that the records were made on, and what single runs make of them."""
        draw = partial(sample_sheet, self.selection, dataset)
        yield Drawing(f"{self.part}-samples", f"{self.part}: images of each class", draw)
        for record in self._runs():
            yield self._of_run("extremes", record, partial(extremes, record, self.arrays, dataset))
            yield self._of_run("reconstructions", record, partial(reconstructions, record, self.arrays, dataset))

    def _runs(self) -> Iterator[Record]:
        """The run of each label on the class whose seed is the first."""
        if self.normal_class is not None:
            runs = done_runs(self.selection.records, self.labels)[self.normal_class]
            yield from (runs[label][min(runs[label])] for label in self.labels if runs[label])

    def _of_run(self, what: str, record: Record, draw: Callable[[], Figure], lacks: str = "") -> Drawing:
        job = record.job
        name = f"{self.part}-{what}-{job.label}-{job.normal_class}-seed{job.seed}"
        return Drawing(name, f"{self.part}: {what} of {run_name(record)}", draw, lacks)


def first_class(selection: Selection) -> str | None:
    """The first normal class that has a run which ended well; None where there is none."""
    done = {record.job.normal_class for record in selection.records if record.status == "done"}
    return next((name for name in selection.classes if name in done), None)
