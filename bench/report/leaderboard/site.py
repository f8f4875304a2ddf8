"""The leaderboard's pages: one with every board, and one for each entry.

They need no script. What can be filtered carries what it is of in ``data-`` attributes, and each choice of a control is
a rule of the style sheet that hides the rest; every order of a board is written out, and one of them is shown.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError
from bench.report.leaderboard.entries import METRICS, Board, Entry, best_first
from bench.report.tables.markup import templates
from bench.version import VERSION

COSTS = {"1": "1 second", "10": "10 seconds", "60": "1 minute", "600": "10 minutes", "3600": "1 hour"}
"""Limits on the time that fitting a job took, in seconds."""
ENTRIES = "entries"
"""The folder of the entries' pages."""


class Choice(NamedTuple):
    """One of the choices of a control."""

    value: str
    text: str


@dataclass(frozen=True)
class Control:
    """A control of the page, named as the attribute that it looks at."""

    name: str
    title: str
    choices: Sequence[Choice]
    """The first is made from the beginning; one without a value hides nothing."""


class View(NamedTuple):
    """The entries of a board in one order."""

    selection: str
    """``last`` or ``oracle``."""
    orders: str
    """Names of the orders that it serves, separated by blanks."""
    sorted_by: str
    """The column it is sorted by."""
    figures: Sequence[str]
    """Names of the figures that it shows."""
    entries: Sequence[Entry]
    places: Mapping[str, int]
    """By the name of an entry, its place by the first figure; none has one that is not ranked."""


ORDERS = (
    Choice("auroc", "AUROC"),
    Choice("average_precision", "average precision"),
    Choice("fpr_at_95_tpr", "FPR at 95 % TPR"),
    Choice("seconds", "time to fit"),
    Choice("label", "name"),
)
NAMES = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "fpr_at_95_tpr": "FPR at 95 % TPR",
    "oracle": "AUROC, best epoch",
}
"""Of figures, as headers have them."""


def views(board: Board) -> list[View]:
    """Every selection and order of a board's ranked entries; one that has no entries is without any."""
    columns = [order.value for order in ORDERS]
    oracle = {"oracle": " ".join(columns[:3]), "seconds": "seconds", "label": "label"}
    return [
        *(_view(board, "last", METRICS, by, by) for by in columns),
        *(_view(board, "oracle", ["oracle"], by, orders) for by, orders in oracle.items()),
    ]


def apart(board: Board) -> View:
    """The entries that are not ranked, by name: they have other classes than the board's."""
    others = sorted((entry for entry in board.entries if not entry.ranked), key=lambda entry: entry.label)
    return View("last", "", "label", METRICS, others, {})


def controls(made: Sequence[Board]) -> list[Control]:
    """What the boards can be filtered and ordered by."""
    entries = [entry for board in made for entry in board.entries]

    def of(values: Iterable[str], everything: str) -> list[Choice]:
        return [Choice("", everything), *(Choice(value, value) for value in dict.fromkeys(values))]

    return [
        Control("suite", "Suite", of((suite for board in made for suite in board.suites), "all")),
        Control("protocol", "Protocol", of(sorted({board.setting.protocol for board in made}), "all")),
        Control("profile", "Profile", of(sorted({board.setting.profile for board in made}), "all")),
        Control("outside", "Outside data", [Choice("", "any"), Choice("none", "none"), Choice("some", "some")]),
        Control("cost", "Time to fit", [Choice("", "any"), *(Choice(v, f"up to {text}") for v, text in COSTS.items())]),
        Control("folder", "Records", of((entry.folder.name for entry in entries), "all")),
        Control("selection", "Selection", [Choice("last", "last epoch"), Choice("oracle", "best test epoch")]),
        Control("order", "Order", ORDERS),
    ]


def costs(entry: Entry) -> str:
    """The limits that an entry's time to fit is within."""
    return " ".join(limit for limit in COSTS if entry.seconds is not None and entry.seconds <= float(limit))


def write_site(made: Sequence[Board], out: Path, records_at: str | None = None) -> int:
    """Write the pages into a folder; how many bytes the first of them has.

    ``records_at``: an address below which the records' files lie as they lie below the working folder; without it the
    pages lead to the files themselves, and where it is empty to none. Raises BenchError where the folder refuses.
    """
    index = _page("leaderboard.html", boards=made, controls=controls(made))
    try:
        (out / ENTRIES).mkdir(parents=True, exist_ok=True)
        for board in made:
            for entry in board.entries:
                links = {key: _link(file, out / ENTRIES, records_at) for key, file in entry.files.items()}
                page = _page("leaderboard-entry.html", board=board, entry=entry, links=links)
                (out / ENTRIES / f"{entry.name}.html").write_bytes(page)
        (out / "index.html").write_bytes(index)
    except OSError as error:
        raise BenchError(f"cannot write {out}: {error.strerror or error}; name another folder with --out") from error
    return len(index)


def _view(board: Board, selection: str, figures: Sequence[str], by: str, orders: str) -> View:
    ranked = best_first((entry for entry in board.entries if entry.ranked), figures[0])
    means = [entry.figures[figures[0]].mean for entry in ranked]
    places = {entry.name: means.index(mean) + 1 for entry, mean in zip(ranked, means, strict=True)}
    if by == "seconds":
        ranked.sort(key=lambda entry: math.inf if entry.seconds is None else entry.seconds)
    elif by == "label":
        ranked.sort(key=lambda entry: entry.label)
    else:
        ranked = best_first(ranked, by)
    return View(selection, orders, by, figures, ranked, places)


def _page(template: str, **facts: object) -> bytes:
    shown = {"version": VERSION, "entries_at": ENTRIES, "views": views, "apart": apart, "costs": costs, "names": NAMES}
    return templates().get_template(template).render(**shown, **facts).encode()


def _link(file: Path, page: Path, records_at: str | None) -> str:
    if records_at is None:
        return Path(os.path.relpath(file, page)).as_posix()
    return f"{records_at.rstrip('/')}/{file.as_posix()}" if records_at else ""
