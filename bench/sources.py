"""Kept sources: the code of plugins that are no part of the harness, as it was when records were made with it.

``<results>/sources/<fingerprint>/`` holds ``plugin.json``, which tells which plugin it is, and ``code/``, from which
Python can import it: the plugin's file and all that counts for its fingerprint, but for the harness. bench.toml may
name the folder as it names any folder of plugins.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import uuid
from collections.abc import Collection, Iterable
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import NamedTuple

from bench.fingerprint import own_files, source_fingerprint
from bench.imports import imported
from bench.record import Record
from bench.registry import EXTRA, KEPT, Kind, Plugin, Registry, kept_plugin
from bench.specs import parse_spec

SOURCES = "sources"
"""Folder, in the results folder, of the kept sources."""
DATASET_SOURCE = "dataset_source"
"""Name, in a record's provenance, of the fingerprint of its dataset's plugin, where that is no part of the harness."""


class Sources:
    """The sources that are kept in one results folder."""

    def __init__(self, results: Path) -> None:
        self.folder = results / SOURCES

    def place(self, fingerprint: str) -> Path:
        """Where the source of this fingerprint is, or would be."""
        return self.folder / fingerprint

    def find(self, fingerprint: str) -> Plugin | None:
        """The kept plugin of this fingerprint; None where there is none."""
        place = self.place(fingerprint)
        return kept_plugin(place) if fingerprint and (place / KEPT).is_file() else None

    def keep(self, plugin: Plugin) -> str:
        """Keep a plugin's source, if it is not kept yet; its fingerprint, or nothing for one of the harness.

        The folder is there whole or not at all. Raises OSError where the disk refuses.
        """
        files = own_files(plugin)
        if not files or plugin.file is None:
            return ""
        fingerprint = source_fingerprint(plugin)
        place = self.place(fingerprint)
        if (place / KEPT).is_file():
            return fingerprint
        temporary = self.folder / f".{fingerprint}.{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
        try:
            for file, name in files.items():
                copy = temporary / "code" / _place(plugin, file, name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
            facts = {
                "kind": plugin.kind,
                "name": plugin.name,
                "module": "" if plugin.module.startswith(EXTRA) else plugin.module,
                "file": _place(plugin, plugin.file, plugin.module).as_posix(),
                "libraries": _libraries(files),
            }
            (temporary / KEPT).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            if source_fingerprint(plugin) == fingerprint:  # else it was edited meanwhile, and its jobs will say so
                _rename(temporary, place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return fingerprint

    def leftovers(self, needed: Collection[str], before: float) -> list[Path]:
        """Folders that were last changed before a time: half written ones, and sources whose fingerprint none needs."""
        folders = (place for place in self.folder.glob("*") if place.name.startswith(".") or place.name not in needed)
        return sorted(place for place in folders if place.stat().st_mtime < before)


class Code(NamedTuple):
    """The code of a plugin that is no part of the harness, as some records were made with it."""

    kind: Kind
    name: str
    fingerprint: str
    """That of today's where the records do not tell; empty where there is none."""
    records: int
    plugin: Plugin | None
    """The kept copy, or today's plugin where that is the same; None where the code is lost."""


def strangers(records: Iterable[Record], methods: Registry, datasets: Registry, sources: Sources) -> list[Code]:
    """The code of the plugins of records that is no part of the harness, in the order of their newest records."""
    counted: dict[tuple[Registry, str, str], int] = {}
    for record in sorted(records, key=lambda record: str(record.provenance.get("ended", ""))):
        of_dataset = record.provenance.get(DATASET_SOURCE, "")
        dataset = parse_spec(record.job.dataset).name
        for each in ((methods, record.job.method, record.job.fingerprint), (datasets, dataset, of_dataset)):
            counted[each] = counted.pop(each, 0) + 1
    found = []
    for (registry, name, fingerprint), count in counted.items():
        kept, today = sources.find(fingerprint), registry.plugins.get(name)
        if kept is None and today is not None and not own_files(today):
            continue  # of the harness, whose commit the records name
        of_today = source_fingerprint(today) if today is not None else ""
        plugin = kept or (today if fingerprint in ("", of_today) else None)
        found.append(Code(registry.kind, name, fingerprint or of_today, count, plugin))
    return found


def libraries(place: Path) -> dict[str, str]:
    """The installed packages that a kept source imports, with their versions of then."""
    found: dict[str, str] = json.loads((place / KEPT).read_text(encoding="utf-8"))["libraries"]
    return found


def _rename(temporary: Path, place: Path) -> None:
    try:
        temporary.rename(place)
    except OSError:
        if not (place / KEPT).is_file():  # else another run was first, with the same content
            raise


def _place(plugin: Plugin, file: Path, name: str) -> Path:
    """Where Python looks for a module of this name, below a folder on its path."""
    first, *rest = name.split(".")
    if first.startswith(EXTRA) and plugin.file is not None:
        first = plugin.file.parent.name
    path = Path(first, *rest)
    return path / "__init__.py" if file.name == "__init__.py" else path.with_name(f"{path.name}.py")


def _libraries(files: dict[Path, str]) -> dict[str, str]:
    """The distributions that the files import, by name, but for the harness's own."""
    tops = {each.partition(".")[0] for file, name in files.items() for each in imported(file, name)} - {"bench"}
    owners = packages_distributions()
    names = {owner for top in tops for owner in owners.get(top, ())}
    return {name: version(name) for name in sorted(names)}
