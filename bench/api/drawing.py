"""The figures of ``bench figures`` by kind, one at a time."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence

from matplotlib.figure import Figure

from bench.errors import BenchError, unknown, warn
from bench.report.figures.gallery import IMAGES, KINDS, RANKS, Drawing, Gallery, first_class
from bench.report.figures.ranks import critical_difference
from bench.report.figures.style import svg
from bench.report.request import recorded_dataset, score_reader
from bench.report.selection import Selection, class_named
from bench.report.statistics.ranking import blocks, rank_methods
from bench.workspace import Workspace


def drawn(
    kind: str,
    chosen: Mapping[str, Selection],
    conditions: Mapping[str, Sequence[Selection]],
    labels: Sequence[str],
    normal_class: str | None,
    workspace: Workspace,
) -> Figure:
    """The one figure of that kind; ``conditions`` has each suite's selections under every condition.

    Raises BenchError where there are several, or the records do not allow it."""
    if kind not in KINDS:
        raise unknown("kind of figure", kind, KINDS)
    if kind == RANKS:
        return _shown(critical_difference(rank_methods(blocks(chosen.values(), labels))))
    found = [
        drawing
        for part, selection in chosen.items()
        for drawing in _drawings(kind, part, selection, conditions.get(part, ()), labels, normal_class, workspace)
        if drawing.kind == kind
    ]
    if not found:
        raise BenchError(f"the records allow no figure {kind!r}: none ended well that it could show")
    if len(found) > 1:
        listed = "".join(f"\n  {drawing.caption}" for drawing in found)
        raise BenchError(f"{len(found)} figures are {kind!r}; name one suite or dataset, and one of methods=:{listed}")
    if found[0].lacks:
        warn(BenchError(f"{found[0].caption} lacks {found[0].lacks}"))
    return _shown(found[0].draw())


def _drawings(
    kind: str,
    part: str,
    selection: Selection,
    conditions: Sequence[Selection],
    labels: Sequence[str],
    wanted: str | None,
    workspace: Workspace,
) -> Iterator[Drawing]:
    name = first_class(selection) if wanted is None else class_named(selection.records, wanted)
    if wanted is not None and name is None:
        raise unknown("class with records", wanted, selection.classes)
    gallery = Gallery(part, selection, labels, name, score_reader(workspace), conditions)
    if kind in IMAGES:
        yield from gallery.images(recorded_dataset(selection.setting, workspace))
    else:
        yield from (*gallery.methods([kind]), *gallery.runs())


def _shown(figure: Figure) -> Figure:
    """The figure, to be seen in a notebook: by itself it is only once pyplot's own backend for it has been started."""
    figure._repr_svg_ = functools.partial(_svg, figure)  # type: ignore[attr-defined]
    return figure


def _svg(figure: Figure) -> str:
    return svg(figure).decode()
