"""Scores that rank images the wrong way round: AUROCs that lie below 0.5 by more than the test images leave open."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from bench.errors import RecordUnreadable
from bench.record import Arrays, Record
from bench.report.notes import Note, in_words
from bench.report.statistics.intervals import auroc_interval

CHANCE = 0.5
NORMAL_95 = 1.96
"""Deviations of a normal distribution within which 95 % lie."""
MEANING = (
    "most often the score measures how simple an image is, as likelihoods and errors of reconstruction do on plain "
    "images, or an adversary has won its game, or the sign is wrong"
)


class Inversion(NamedTuple):
    """A normal class on which every training of a method ends significantly below chance."""

    label: str
    normal_class: str
    auroc: float
    """Mean over the seeds."""


def inversions(records: Iterable[Record], arrays: Callable[[Record], Arrays]) -> list[Inversion]:
    """The inversions among some records: DeLong's 95 % interval of each seed's AUROC lies below 0.5.

    ``arrays`` reads what a record stored; only scores of records below 0.5 are read. Where they cannot be, the variance
    is the largest that any scores with this AUROC have, A(1 − A) over the number of images in the smaller class
    (Birnbaum and Klose, Annals of Mathematical Statistics 28, 1957).
    """
    runs: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "done":
            runs[record.job.label, record.job.normal_class].append(record)
    found = []
    for (label, normal_class), own in runs.items():
        aurocs = [record.metrics["auroc"] for record in own]
        if max(aurocs) < CHANCE and all(_below(record, arrays) for record in own):
            found.append(Inversion(label, normal_class, sum(aurocs) / len(aurocs)))
    return found


def inversion_notes(found: Sequence[Inversion]) -> list[Note]:
    """What a table says below itself of inversions; nothing where there are none."""
    if not found:
        return []
    by_label: dict[str, list[str]] = defaultdict(list)
    for each in found:
        by_label[each.label].append(f"{each.normal_class} ({each.auroc:.3f})")

    def text(shown: Callable[[str], str]) -> str:
        listed = "; ".join(f"{shown(label)} on {', '.join(classes)}" for label, classes in by_label.items())
        return f"significantly below 0.5: {listed}: {MEANING}"

    return [Note(text(str), text(in_words))]


def _below(record: Record, arrays: Callable[[Record], Arrays]) -> bool:
    try:
        stored = arrays(record)
    except RecordUnreadable:
        auroc, split = record.metrics["auroc"], record.split
        smaller = min(split.get("anomalous", 0), split.get("test", 0) - split.get("anomalous", 0))
        return smaller > 0 and auroc + NORMAL_95 * math.sqrt(auroc * (1 - auroc) / smaller) < CHANCE
    return auroc_interval(stored["labels"], stored["scores"]).high < CHANCE
