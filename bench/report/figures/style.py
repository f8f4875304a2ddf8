"""How every figure looks: widths of a column and a page, 8 pt text, colours, markers, dashes; and how it is written.

What tells methods apart are colours that the colour-blind can tell apart too, and for print in grey also markers and
line styles.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import seaborn
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from bench.errors import BenchError
from bench.record import Record

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

    A no-break space keeps words together; a spec may be broken after a comma between its parameters.
    """
    spaced = re.sub(r",(?=\S)", ",\u200b ", text)
    lines = textwrap.wrap(spaced, int(width / LETTER))
    return "\n".join(line.replace("\u200b ", "").removesuffix("\u200b") for line in lines).replace("$", r"\$")


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


def averaged(classes: Sequence[str]) -> str:
    return f"normal class {classes[0]}" if len(classes) == 1 else f"mean over {len(classes)} normal classes"
