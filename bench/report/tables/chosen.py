"""What a table says of settings that stand side by side, and of those that were chosen without labels."""

from __future__ import annotations

from collections.abc import Iterable

from bench.choice import Choice, tuned
from bench.record import Record
from bench.report.notes import Note, in_words
from bench.tuning import parse_tuning

MARK = "§"
"""Of a line whose setting was chosen without labels."""


def choices(records: Iterable[Record]) -> dict[str, list[Choice]]:
    """By label, the choices behind the records of tuned methods."""
    found: dict[str, list[Choice]] = {}
    for record in records:
        if (choice := tuned(record)) is not None:
            found.setdefault(record.job.label, []).append(choice)
    return found


def choice_notes(records: Iterable[Record]) -> list[Note]:
    """On each tuned line how many settings were tried, and on settings of one method whose best only labels tell."""
    every = list(records)
    found = choices(every)
    notes = []
    for label, own in found.items():
        tried = sorted({len(choice.among) for choice in own})
        settings = "–".join(map(str, {tried[0]: 0, tried[-1]: 0}))
        held_out = parse_tuning(own[0].tuning).share
        where = f"on training images alone, of which {held_out:.0%} were held out"
        told = f"chosen for each class among {settings} settings by {own[0].by}, {where}"
        notes.append(Note(f"{MARK} {label}: {told}", f"{MARK} {in_words(label)}: {told}"))
    asked: dict[str, set[str]] = {}
    for record in every:
        if record.job.label not in found:
            asked.setdefault(record.job.method, set()).add(record.job.label)
    for method, specs in asked.items():
        if len(specs) > 1:
            told = (
                f"{method} stands in {len(specs)} settings: which of them is best the test labels tell, and they alone"
            )
            notes.append(Note(f"{told}; bench tune chooses without them", told))
    return notes
