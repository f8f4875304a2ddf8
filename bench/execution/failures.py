"""Jobs that did not end well, in few lines: those that failed alike together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bench.record import Record


class Failure(NamedTuple):
    """What befell one job or several of one method."""

    key: str
    """The beginning of the first one's."""
    status: str
    text: str
    """How many they are, if several, the first one, and its reason."""

    def __str__(self) -> str:
        return f"{self.key}  {self.status:8}  {self.text}"


def failures(records: Iterable[Record]) -> Iterator[Failure]:
    """Those of the records that are not done, in order. Reasons are alike that differ in numbers alone, as a seed's."""
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.status != "done":
            groups[record.status, record.job.label, re.sub(r"\d+", "0", record.reason)].append(record)
    for (status, _, _), alike in groups.items():
        first = alike[0]
        title = f"{len(alike)} jobs like {first.job.title}" if len(alike) > 1 else first.job.title
        yield Failure(first.job.key[:12], status, f"{title}: {first.reason}")
