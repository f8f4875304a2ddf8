"""How the AUROC of methods changes with a condition: contamination, severity of a corruption, number of images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from bench.corruption import parse_corruption
from bench.errors import BenchError
from bench.report.figures.methods import overall
from bench.report.figures.style import COLUMN, PAGE, STYLE, averaged, look, with_legend
from bench.report.selection import Selection, Setting

Axis = Literal["contamination", "severity", "images"]

AXES: dict[Axis, str] = {
    "contamination": "anomalies among the training images (%)",
    "severity": "severity (0: clean)",
    "images": "training images, at most",
}


class Curve(NamedTuple):
    """What a method reaches under each value of a condition, all else being equal: (value, mean AUROC)."""

    label: str
    kind: str
    """Of the corruption."""
    points: Sequence[tuple[float, float]]


def curves(selections: Sequence[Selection], axis: Axis, order: Sequence[str] = ()) -> list[Curve]:
    """A curve for each method, and for each kind of corruption, that has two values; of selections of one suite.

    Points are means over the classes that all values have.
    """
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for place, selection in _comparable(selections, axis):
        for label, cell in overall(selection, order).items():
            assert cell.mean is not None
            found.setdefault((label, place.kind), []).append((place.value, cell.mean))
    clean = {label: points for (label, kind), points in found.items() if not kind}
    made = []
    for (label, kind), points in found.items():
        if kind or axis != "severity":
            whole = sorted({*points, *(clean.get(label, []) if kind else [])})
            if len(whole) > 1:
                made.append(Curve(label, kind, whole))
    return made


@STYLE
def auroc_by_condition(selections: Sequence[Selection], axis: Axis, order: Sequence[str] = ()) -> Figure:
    """AUROC against a condition, one line a method, and one panel for each kind of corruption.

    Raises BenchError where no method has two values.
    """
    drawn = curves(selections, axis, order)
    if not drawn:
        raise BenchError(f"no method has records under two values of this condition ({axis})")
    kinds = list(dict.fromkeys(curve.kind for curve in drawn))
    labels = list(dict.fromkeys(curve.label for curve in drawn))
    columns = min(3, len(kinds))
    rows = -(-len(kinds) // columns)
    width = COLUMN if columns == 1 else PAGE
    figure, legend = with_legend(width, 2.2 * rows, labels, columns, averaged(selections[0].classes))
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    handles: dict[str, Artist] = {}
    for axes, kind in zip(panels, kinds, strict=False):
        own = [curve for curve in drawn if curve.kind == kind]
        for curve in own:
            (handles[curve.label],) = axes.plot(
                *zip(*curve.points, strict=True), **look(labels.index(curve.label))._asdict()
            )
        values = sorted({value for curve in own for value, _ in curve.points})
        if axis == "images":
            axes.set_xscale("log")
            axes.minorticks_off()
        axes.set_xticks(values, [f"{value:,g}" for value in values])
        axes.set_xlabel(AXES[axis])
        axes.set_title(kind, fontsize=8)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
    for axes in panels[len(kinds) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel("AUROC")
    legend([handles[label] for label in labels])
    return figure


class _Place(NamedTuple):
    """Where a setting stands on an axis, and the kind of corruption; what must be the same of its points."""

    value: float
    kind: str
    rest: Setting


def _place(setting: Setting, axis: Axis) -> _Place | None:
    if axis == "images":
        return None if setting.max_train is None else _Place(setting.max_train, "", setting._replace(max_train=None))
    if axis == "contamination":
        return _Place(100 * setting.contamination, "", setting._replace(contamination=0.0))
    if not setting.corruption:
        return _Place(0, "", setting)
    corruption = parse_corruption(setting.corruption)
    kind = corruption.kind + ("" if corruption.only == "all" else ", normal images only")
    return _Place(corruption.severity, kind.replace("_", " "), setting._replace(corruption=""))


def _comparable(selections: Sequence[Selection], axis: Axis) -> list[tuple[_Place, Selection]]:
    """The most selections that differ by the condition alone, with the classes that all of them have."""
    groups: dict[Setting, list[tuple[_Place, Selection]]] = {}
    for selection in selections:
        if (place := _place(selection.setting, axis)) is not None:
            groups.setdefault(place.rest, []).append((place, selection))
    chosen = max(groups.values(), key=len, default=[])
    classes = [set(selection.classes) for _, selection in chosen]
    common = set.intersection(*classes) if classes else set()
    return [
        (place, dataclasses.replace(each, records=[r for r in each.records if r.job.normal_class in common]))
        for place, each in chosen
    ]
