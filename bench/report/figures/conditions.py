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
from bench.report.figures.style import COLUMN, STYLE, averaged, look, with_legend
from bench.report.selection import Selection, Setting

Axis = Literal["contamination", "severity", "images"]

AXES: dict[Axis, str] = {
    "contamination": "anomalies among the training images (%)",
    "severity": "severity of the corruption (0: clean)",
    "images": "training images, at most",
}


class Curve(NamedTuple):
    """What a method reaches under each value of a condition, all else being equal: (value, mean AUROC)."""

    name: str
    points: Sequence[tuple[float, float]]


def curves(selections: Sequence[Selection], axis: Axis, order: Sequence[str] = ()) -> list[Curve]:
    """A curve for each method, and for each kind of corruption, that has two values; of selections of one suite.

    Points are means over the classes that all values have.
    """
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    comparable = _largest([selection for selection in selections if _place(selection.setting, axis) is not None], axis)
    for selection in comparable:
        place = _place(selection.setting, axis)
        assert place is not None
        for label, cell in overall(selection, order).items():
            assert cell.mean is not None
            found.setdefault((label, place.kind), []).append((place.value, cell.mean))
    clean = {label: points for (label, kind), points in found.items() if not kind}
    made = []
    for (label, kind), points in found.items():
        if kind or axis != "severity":
            whole = sorted({*points, *(clean.get(label, []) if kind else [])})
            if len(whole) > 1:
                made.append(Curve(f"{label}, {kind}" if kind else label, whole))
    return made


@STYLE
def auroc_by_condition(selections: Sequence[Selection], axis: Axis, order: Sequence[str] = ()) -> Figure:
    """AUROC against a condition, one line a method (and kind of corruption).

    Raises BenchError where none has two values.
    """
    drawn = curves(selections, axis, order)
    if not drawn:
        raise BenchError(f"no method has records under two values of this condition ({axis})")
    figure, legend = with_legend(COLUMN, 2.2, [each.name for each in drawn], 1, averaged(selections[0].classes))
    axes = figure.subplots()
    handles: list[Artist] = []
    for place, curve in enumerate(drawn):
        handles += axes.plot(*zip(*curve.points, strict=True), **look(place)._asdict())
    values = sorted({value for curve in drawn for value, _ in curve.points})
    if axis == "images":
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(values, [f"{value:,g}" for value in values])
    axes.set(xlabel=AXES[axis], ylabel="AUROC")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    legend(handles)
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


def _largest(selections: Sequence[Selection], axis: Axis) -> list[Selection]:
    """The most selections that differ by the condition alone, with the classes that all of them have."""
    groups: dict[Setting, list[Selection]] = {}
    for selection in selections:
        place = _place(selection.setting, axis)
        assert place is not None
        groups.setdefault(place.rest, []).append(selection)
    chosen = max(groups.values(), key=len, default=[])
    common = set[str]().union(*(each.classes for each in chosen)).intersection(*(each.classes for each in chosen))
    return [
        dataclasses.replace(each, records=[record for record in each.records if record.job.normal_class in common])
        for each in chosen
    ]
