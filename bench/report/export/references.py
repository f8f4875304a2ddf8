"""BibTeX of what was used: methods, datasets, protocols, and the paper whose figures stand in a table."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bench.errors import BenchError
from bench.record import Record
from bench.registry import Registry
from bench.report.narrowing import NoRecords, Wanted, scopes
from bench.report.request import selections
from bench.report.tables.published import of_table
from bench.specs import parse_spec
from bench.workspace import Workspace

SUFFIX = ".bib"

_KEYWORDS = re.compile(r"^\s*keywords = \{(.*)\},?\n", re.MULTILINE)


@dataclass(frozen=True)
class Cited:
    """Something that is to be cited."""

    kind: str
    """``method``, ``dataset``, ``protocol`` or ``table``."""
    name: str
    own: Path | None = None
    """The file beside a plugin that would hold its own BibTeX."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class References:
    """Entries of BibTeX, each once, and what has none."""

    entries: Sequence[str]
    without: Sequence[Cited]


def references(cited: Iterable[Cited]) -> References:
    """The entries of everything that is cited, in that order.

    They are those of the file beside a plugin, or else those of this package whose keywords name it. Raises BenchError
    for a file that cannot be read, or that holds no entry.
    """
    found: dict[str, str] = {}
    without = []
    for each in cited:
        if each.own is not None and each.own.is_file():
            entries: Mapping[str, str] = _read(each.own)
        else:
            entries = {key: _KEYWORDS.sub("", entry) for key, entry in _ours().items() if str(each) in _keywords(entry)}
        if not entries:
            without.append(each)
        found |= {key: entry for key, entry in entries.items() if key not in found}
    return References(list(found.values()), without)


def used(name: str, records: Sequence[Record], workspace: Workspace, wanted: Wanted) -> list[Cited]:
    """What the records of a table, suite or dataset used; where there are none, what the name stands for.

    Raises BenchError for a table, suite, dataset or method that does not exist.
    """
    try:
        chosen, _ = selections(name, records, workspace, wanted)
        jobs = [record.job for selection in chosen.values() for record in selection.records]
        facts = [(job.method, job.dataset, job.protocol) for job in jobs]
    except NoRecords:
        parts = scopes(name, workspace, wanted)
        for spec in (spec for part in parts for spec in part.order):
            workspace.methods.find(parse_spec(spec).name)
        facts = [(spec, part.suite.dataset or "", part.suite.protocol or "") for part in parts for spec in part.order]
    methods, datasets, protocols = (dict.fromkeys(fact[place] for fact in facts) for place in range(3))
    return [
        *_plugins(workspace.methods, methods),
        *_plugins(workspace.datasets, datasets),
        *(Cited("protocol", each) for each in protocols if each),
        *([Cited("table", name)] if of_table(name) else []),
    ]


def _plugins(registry: Registry, specs: Iterable[str]) -> list[Cited]:
    """The plugins of specs, some of which may have gone since there were records of them."""
    found = []
    for name in dict.fromkeys(parse_spec(text).name for text in specs):
        plugin = registry.plugins.get(name)
        file = plugin.file if plugin else None
        found.append(Cited(registry.kind, name, file.with_suffix(SUFFIX) if file else None))
    return found


@functools.cache
def _ours() -> Mapping[str, str]:
    text = resources.files("bench.report.export").joinpath("references.bib").read_text(encoding="utf-8")
    return _entries(text)


def _read(file: Path) -> Mapping[str, str]:
    try:
        entries = _entries(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{file} cannot be read: {error}") from error
    if not entries:
        raise BenchError(f"{file} holds no BibTeX; write an entry that begins with @, as @article{{key, …}}")
    return entries


def _entries(text: str) -> dict[str, str]:
    """Entries by key: each begins with ``@`` at the start of a line and goes on to the next."""
    pieces = re.split(r"^(?=@)", text, flags=re.MULTILINE)[1:]
    return {piece.partition("{")[2].partition(",")[0].strip(): piece.strip() + "\n" for piece in pieces}


def _keywords(entry: str) -> list[str]:
    found = _KEYWORDS.search(entry)
    return [each.strip() for each in found[1].split(";")] if found else []
