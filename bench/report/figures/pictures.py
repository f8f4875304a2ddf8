"""Records and their datasets to figures that show images: samples, and what single runs make of test images."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from bench.corruption import parse_corruption
from bench.dataset import PreparedDataset
from bench.errors import BenchError
from bench.record import Arrays, Record, ranked
from bench.report.figures.style import LINE, PAGE, PALETTE, RESOLUTION, STYLE, broken, run_title, widest
from bench.report.selection import Selection

ROWS, COLUMNS = 10, 10
"""Most classes of a sample sheet, and images in a row."""

MARGIN, GAP = 0.06, 0.1
"""Beside a figure's images and between them, in inches."""

FRAME = 0.03
"""From an image to its frame, in inches: on black images a frame shows by the white between."""

LETTERS = 8
"""Of a score under an image."""

FRAMED = "framed: a normal image among the most anomalous, or an anomalous one among the most normal"


@STYLE
def sample_sheet(selection: Selection, dataset: PreparedDataset) -> Figure:
    """Images of each class, a row a class, evenly spaced in the order of the data: neighbours are often alike.

    All classes where they are ten at most, else the first ten normal classes of the selection, or categories.
    """
    normal = [name for name in selection.classes if dataset.labels_of(name)] or dataset.classes
    classes = dataset.classes if len(dataset.classes) <= ROWS else normal[:ROWS]
    names = [broken(name, 1.2) for name in classes]
    left = MARGIN + widest(names) + GAP
    width, height = _size(dataset.images.shape, (PAGE - left - MARGIN + GAP) / COLUMNS - GAP)
    step = GAP + max(height, *(LINE * (1 + name.count("\n")) for name in names))
    figure, axes = _sheet(2 * MARGIN + len(classes) * step - GAP)
    for row, name in enumerate(classes):
        y = MARGIN + row * step + (step - GAP - height) / 2
        axes.text(left - GAP, y + height / 2, names[row], ha="right", va="center")
        own = np.flatnonzero(np.isin(dataset.labels, dataset.labels_of(name)))
        for column, place in enumerate(np.linspace(0, len(own) - 1, min(COLUMNS, len(own))).round().astype(int)):
            _draw(axes, dataset.images[own[place]], left + column * (width + GAP), y, width, height)
    return figure


@STYLE
def extremes(record: Record, arrays: Callable[[Record], Arrays], dataset: PreparedDataset) -> Figure:
    """The test images that one run scored highest, and those that it scored lowest, with their scores (or ranks).

    A frame marks what is on the wrong side for its label.
    """
    stored = arrays(record)
    ascending = np.argsort(stored["scores"], kind="stable")
    count = min(COLUMNS, len(ascending) // 2)  # no image is in both rows
    highest, lowest = ascending[::-1][:count], ascending[:count]
    wrong = {*highest[stored["labels"][highest] == 0], *lowest[stored["labels"][lowest] == 1]}
    return _with_scores(record, stored, dataset, {"most anomalous": highest, "most normal": lowest}, wrong)


@STYLE
def mistakes(record: Record, arrays: Callable[[Record], Arrays], dataset: PreparedDataset) -> Figure:
    """The worst mistakes of one run: the anomalies that it scored lowest, and the normal images that it scored highest.

    The worst comes first. Whatever the AUROC, each row shows as many as there are, ten at most.
    """
    stored = arrays(record)
    ascending = np.argsort(stored["scores"], kind="stable")
    anomalous = stored["labels"][ascending] == 1
    rows = {
        "anomalies scored lowest": ascending[anomalous][:COLUMNS],
        "normal images scored highest": ascending[~anomalous][::-1][:COLUMNS],
    }
    return _with_scores(record, stored, dataset, rows)


@STYLE
def reconstructions(record: Record, arrays: Callable[[Record], Arrays], dataset: PreparedDataset) -> Figure:
    """A few test images of one run, what its method made of each, and their scores; normal and anomalous ones apart.

    Raises BenchError for a record that holds no reconstructions.
    """
    stored = arrays(record)
    if "reconstructed" not in stored:
        raise BenchError("it stored no reconstructions: the method has none, or its record is old or packed")
    places = np.array([np.flatnonzero(stored["indices"] == index)[0] for index in stored["reconstructed_indices"]])
    anomalous = stored["labels"][places] == 1
    sides = {"normal": np.flatnonzero(~anomalous), "anomalous": np.flatnonzero(anomalous)}
    names = ["image", "reconstruction", "score"]
    left = MARGIN + widest(names) + GAP
    side = (PAGE - left - MARGIN - GAP) / len(places) - GAP
    width, height = _size(dataset.images.shape, side)
    title = run_title(record, width=PAGE)
    above = MARGIN + LINE * (title.count("\n") + 1.5)
    figure, axes = _sheet(above + 2.4 * LINE + 2 * height + GAP)
    axes.text(PAGE / 2, MARGIN, title, ha="center", va="top")
    tops = [above + 1.2 * LINE, above + 1.2 * LINE + height + GAP]
    middles = [*(top + height / 2 for top in tops), tops[1] + height + 0.7 * LINE]
    for name, y in zip(names, middles, strict=True):
        axes.text(left - GAP, y, name, ha="right", va="center")
    tested = _Tested(record, stored, dataset)
    score = _score_text(stored["scores"])
    x = left
    for heading, shown in sides.items():
        axes.text(x, above, heading, va="top")
        for number in shown:
            original = tested[places[number]]
            for image, top in zip((original, stored["reconstructed"][number]), tops, strict=True):
                _draw(axes, image, x + (side - width) / 2, top, width, height)
            axes.text(x + side / 2, middles[2], score(stored["scores"][places[number]]), ha="center", va="center")
            x += side + GAP
        x += 2 * GAP
    return figure


@STYLE
def maps(record: Record, arrays: Callable[[Record], Arrays], dataset: PreparedDataset) -> Figure:
    """A few test images of each class with their masks, one run's score maps of them, and contours; the normal first.

    All maps are drawn on one scale. Contours stand where a map exceeds what 99 % of the pixels of training images lie
    below, dashed ones around the mask. Raises BenchError for a record that holds no maps.
    """
    stored = arrays(record)
    if "maps" not in stored or dataset.masks is None:
        raise BenchError("it stored no maps: the method or the dataset's masks are missing, or the record is packed")
    indices, found = stored["map_indices"], stored["maps"].astype(np.float32)
    labels = dataset.labels[indices]
    names = ["image", "mask", "map", "contours"]
    left = MARGIN + widest(names) + GAP
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    side = (PAGE - left - MARGIN - GAP * (len(starts) - 1)) / len(indices) - GAP / 2
    width, height = _size(dataset.images.shape, side)
    wide = [max(side, 2 * LINE) * int(np.sum(labels == labels[start])) for start in starts]
    headings = [broken(dataset.classes[labels[at]], each) for at, each in zip(starts, wide, strict=True)]
    title = run_title(record, "; dashed: the mask", width=PAGE)
    above = MARGIN + LINE * (title.count("\n") + 1.5)
    top = above + LINE * (max(heading.count("\n") for heading in headings) + 1.2)
    figure, axes = _sheet(top + len(names) * (height + GAP / 2) + MARGIN)
    axes.text(PAGE / 2, MARGIN, title, ha="center", va="top")
    rows = [top + row * (height + GAP / 2) for row in range(len(names))]
    for name, y in zip(names, rows, strict=True):
        axes.text(left - GAP, y + height / 2, name, ha="right", va="center")
    tested = _Tested(record, stored, dataset)
    most = float(np.quantile(found, 0.995))  # else one bright spot leaves the others in the dark
    x = left
    for column, (index, one) in enumerate(zip(indices, found, strict=True)):
        if column in starts:
            x += GAP if column else 0.0
            axes.text(x, above, headings[int(np.searchsorted(starts, column))], va="top")
        image = tested[np.flatnonzero(stored["indices"] == index)[0]]
        mask = dataset.masks[int(index)]
        box = (x, width, height)
        _draw(axes, image, x, rows[0], width, height)
        _draw(axes, 255 * mask[..., None].astype(np.uint8), x, rows[1], width, height)
        extent = (x, x + width, rows[2] + height, rows[2])
        axes.imshow(one, "magma", vmin=0, vmax=most, interpolation="none", aspect="auto", extent=extent)
        _draw(axes, image, x, rows[3], width, height)
        _outline(axes, one, record.maps["usual"], rows[3], box, PALETTE[3], "-")
        _outline(axes, mask.astype(np.float32), 0.5, rows[3], box, PALETTE[2], "--")
        x += width + GAP / 2
    return figure


def _outline(
    axes: Axes,
    values: NDArray[np.float32],
    level: float,
    y: float,
    box: tuple[float, float, float],
    colour: Any,
    dashes: str,
) -> None:
    """A contour of values (height, width) over an image at (x, y) of a width and height."""
    if not values.min() < level < values.max():
        return
    x, width, height = box
    rows, columns = values.shape
    across = x + (np.arange(columns) + 0.5) * width / columns
    down = y + (np.arange(rows) + 0.5) * height / rows
    axes.contour(across, down, values, levels=[level], colors=[colour], linestyles=[dashes], linewidths=0.7)


@dataclass(frozen=True)
class _Tested:
    """The test images of a run as its method met them, by their place among the scores."""

    record: Record
    stored: Arrays
    dataset: PreparedDataset

    def __getitem__(self, place: np.intp) -> NDArray[np.uint8]:
        here = slice(int(place), int(place) + 1)
        index = self.stored["indices"][here]
        image = self.dataset.images[index]
        if self.record.job.corruption:
            corrupted = parse_corruption(self.record.job.corruption)
            image = corrupted(image, self.stored["labels"][here], index, self.dataset.name)
        return image[0]


def _with_scores(
    record: Record,
    stored: Arrays,
    dataset: PreparedDataset,
    rows: Mapping[str, NDArray[np.intp]],
    framed: Collection[np.intp] = (),
) -> Figure:
    """Rows of test images over their scores (or ranks), each under its heading, some of them framed."""
    title = run_title(record, "; ranks of the scores" if ranked(stored) else "", width=PAGE)
    side = (PAGE - 2 * MARGIN + GAP) / COLUMNS - GAP
    width, height = _size(dataset.images.shape, side)
    step = 2.6 * LINE + height  # a heading, the images and their scores
    above = MARGIN + LINE * (title.count("\n") + 1.5)
    figure, axes = _sheet(above + len(rows) * step + bool(framed) * LINE)
    axes.text(PAGE / 2, MARGIN, title, ha="center", va="top")
    tested = _Tested(record, stored, dataset)
    score = _score_text(stored["scores"])
    for row, (heading, shown) in enumerate(rows.items()):
        y = above + row * step
        axes.text(MARGIN, y, heading, va="top")
        for column, place in enumerate(shown):
            x, top = MARGIN + column * (side + GAP) + (side - width) / 2, y + 1.2 * LINE
            _draw(axes, tested[place], x, top, width, height)
            axes.text(x + width / 2, top + height + 2 * FRAME, score(stored["scores"][place]), ha="center", va="top")
            if place in framed:
                _frame(axes, x, top, width, height)
    if framed:
        y = above + len(rows) * step
        _frame(axes, MARGIN, y, LINE / 2, LINE / 2)
        axes.text(MARGIN + LINE, y + LINE / 4, FRAMED, va="center")
    return figure


def _sheet(height: float) -> tuple[Figure, Axes]:
    """A figure of the page's width to be drawn on in inches, from its upper left corner."""
    figure = Figure((PAGE, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, PAGE), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def _size(shape: tuple[int, ...], side: float) -> tuple[float, float]:
    """Width and height of images (n, height, width, channels) whose longer side is to be so long."""
    height, width = shape[1:3]
    return side * width / max(height, width), side * height / max(height, width)


def _draw(axes: Axes, image: NDArray[np.uint8], x: float, y: float, width: float, height: float) -> None:
    """An image with its upper left corner at (x, y): pixel by pixel, or in fewer pixels where print shows no more."""
    printed = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    most = round(max(width, height) * RESOLUTION)
    printed.thumbnail((most, most))
    extent = (x, x + width, y + height, y)
    # "none" is "nearest" in a PNG; in a PDF it keeps the image's own pixels
    axes.imshow(np.asarray(printed), "gray", vmin=0, vmax=255, interpolation="none", aspect="auto", extent=extent)


def _frame(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    corner, sides = (x - FRAME, y - FRAME), (width + 2 * FRAME, height + 2 * FRAME)
    axes.add_patch(Rectangle(corner, *sides, fill=False, edgecolor=PALETTE[3], linewidth=1.5))


def _score_text(scores: Sequence[float] | NDArray[np.floating]) -> Callable[[float], str]:
    """How to write a score under its image: with decimals that tell a hundredth of the range of all scores."""
    spread = float(np.ptp(scores))
    decimals = max(0, 2 - math.floor(math.log10(spread))) if spread else 2

    def text(score: float) -> str:
        fixed = f"{score:.{decimals}f}"
        return (fixed if len(fixed) <= LETTERS else f"{score:.1e}").replace("-", "\N{MINUS SIGN}")

    return text
