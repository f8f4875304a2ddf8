"""Published figures, each with its source: what stands beside the reproduced ones, and never as if it were measured."""

from __future__ import annotations

import csv
import functools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

Kind = Literal["printed", "quoted", "computed", "inferred", "context", "unplaced"]
"""``printed``: in the paper's text. ``quoted``: its cell was not seen, another source has the row. ``computed``: a mean
of such cells. ``inferred``: see the note. ``context``: of other work, whose protocol is another or not known.
``unplaced``: in the paper's text, which does not say of which class; ``normal_class`` numbers the columns."""


@dataclass(frozen=True)
class Published:
    """One published AUROC of a method on a normal class, or over all of them (``mean``)."""

    table: str
    suite: str
    """The suite of bench.toml that repeats the experiment; empty where none does."""
    dataset: str
    normal_class: str
    method: str
    """As printed; of somebody's re-run, that and whose it is: ``Deep-SVDD, independent re-run``."""
    auroc: float
    kind: Kind
    source: str
    note: str

    @property
    def comparable(self) -> bool:
        """Whether a reproduction may be held against it."""
        return self.kind not in ("context", "unplaced")


@functools.cache
def published_values() -> tuple[Published, ...]:
    """Every published figure."""
    text = resources.files("bench.report.tables").joinpath("published.csv").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = list(csv.DictReader(text.splitlines()))
    return tuple(Published(**{**row, "auroc": float(row["auroc"])}) for row in rows)


def of_table(table: str) -> Mapping[str, Mapping[tuple[str, str], Published]]:
    """A table's figures: by method as printed, then by suite and normal class."""
    found: dict[str, dict[tuple[str, str], Published]] = defaultdict(dict)
    for figure in published_values():
        if figure.table == table and figure.suite:
            found[figure.method][figure.suite, figure.normal_class] = figure
    return found


def original(method: str) -> str:
    """The method, as printed, that a re-run is of."""
    return method.partition(", ")[0]


def without_suite(table: str) -> list[str]:
    """The datasets of a table's figures that no suite here repeats."""
    return list(
        dict.fromkeys(figure.dataset for figure in published_values() if figure.table == table and not figure.suite)
    )
